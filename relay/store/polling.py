"""What a poller needs of the store."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from relay.core.event import Event
from relay.core.learning import Evidence, Kind
from relay.core.outlook import Demand
from relay.core.ports import Ending
from relay.core.standing import Standing
from relay.core.watch import Continue, Target, Watch
from relay.store import rows
from relay.store.outbox import insert_deliveries, insert_event
from relay.store.part import Part
from relay.store.writer import Row, Rows, Transaction


class SqlitePolling(Part):
    """Implements `relay.core.ports.Polling`."""

    async def claim_due_watches(
        self, provider: str, now: float, *, until: float, limit: int, retries: int, turn_s: float
    ) -> list[Watch]:
        """See Polling."""
        options = {"provider": provider, "now": now, "until": until, "limit": limit}

        def write(transaction: Transaction) -> list[Row]:
            return transaction.fetch("claim_due_watches", **options, retries=retries, turn_s=turn_s)

        claimed = [rows.watch(row) for row in await self._writer.commit(write)]
        return sorted(claimed, key=lambda watch: watch.next_poll_at)

    async def release_watches(self, watch_ids: Sequence[str]) -> None:
        """See Polling."""
        ids = rows.text(watch_ids)
        await self._writer.commit(lambda transaction: transaction.fetch("release_watches", ids=ids))

    async def record_polls(self, transitions: Sequence[Continue], now: float) -> None:
        """See Polling."""
        columns = [rows.poll_columns(transition, now) for transition in transitions]
        await self._writer.commit(Rows({"record_poll": columns}))

    async def record_overdue(self, transition: Continue, event: Event, targets: Sequence[Target], now: float) -> bool:
        """See Polling."""

        def write(transaction: Transaction) -> bool:
            transaction.many("record_poll", [rows.poll_columns(transition, now)])
            if not transaction.fetch("mark_overdue", id=transition.watch_id, now=now):
                return False
            insert_event(transaction, event)
            insert_deliveries(transaction, transition.watch_id, event.id, targets, now)
            return True

        return await self._writer.commit(write)

    async def finalize_watch(self, ending: Ending, now: float) -> bool:
        """See Polling."""
        event = ending.event

        def write(transaction: Transaction) -> bool:
            ended = transaction.fetch(
                "end_watch",
                id=ending.watch_id,
                status=ending.status,
                provider_status=ending.provider_status,
                model=ending.model,
                now=now,
            )
            if not ended:
                return False
            insert_event(transaction, event)
            own = transaction.fetch("targets_of_watches", ids=rows.text([ending.watch_id]))
            targets = [*map(rows.target, own), *ending.routed]
            insert_deliveries(transaction, ending.watch_id, event.id, targets, now)
            transaction.teach(ending.lessons, now)
            return True

        return await self._writer.commit(write)

    async def next_watch_due(self, provider: str, after: float) -> float | None:
        """See Polling."""
        due: float | None = (await self._read("next_watch_due", provider=provider, after=after))[0]["due"]
        return due

    async def demand(self, provider: str, floor: float) -> Demand:
        """See Polling."""
        (row,) = await self._read("demand", provider=provider, floor=floor)
        return Demand(**row)

    async def evidence(self, provider: str) -> Mapping[Kind, Evidence]:
        """See Polling."""
        return dict(map(rows.evidence, await self._read("durations_of_provider", provider=provider)))

    async def record_standing(
        self, provider: str, standing: Standing, event: Event | None, targets: Sequence[Target], now: float
    ) -> None:
        """See Polling."""

        def write(transaction: Transaction) -> None:
            transaction.fetch("set_standing", provider=provider, **asdict(standing))
            if event is not None:
                insert_event(transaction, event)
                insert_deliveries(transaction, None, event.id, targets, now)

        await self._writer.commit(write)

    async def standings(self) -> Mapping[str, Standing]:
        """See Polling."""
        return {row["provider"]: rows.standing(row) for row in await self._read("standings")}
