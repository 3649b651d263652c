"""Watches, as people ask for them."""

from collections.abc import Iterable, Sequence

from relay.core.errors import Conflict, NotFound
from relay.core.event import Event
from relay.core.ports import Added, WatchFilter, WatchView
from relay.core.watch import NewWatch, Target, Watch, begun, open_to
from relay.store import rows
from relay.store.outbox import insert_deliveries
from relay.store.part import Part
from relay.store.writer import Row, Transaction


class SqliteWatches(Part):
    """Implements `relay.core.ports.Watches`."""

    async def add_watches(self, new: Sequence[NewWatch], now: float) -> list[Added]:
        """See Watches."""

        def write(transaction: Transaction) -> list[Added]:
            created = transaction.many("insert_watch", (rows.new_watch(watch, now) for watch in new))
            known: dict[tuple[str, str], Watch] = {}
            if created < len(new):
                jobs = rows.text([[watch.provider, watch.job.id] for watch in new])
                found = map(rows.watch, transaction.fetch("watches_of_jobs", jobs=jobs))
                known = {(watch.provider, watch.job.id): watch for watch in found}
            added = [(request, known.get((request.provider, request.job.id)) or begun(request, now)) for request in new]
            allowed = [(watch, request.targets) for request, watch in added if open_to(request.owner, watch.owner)]
            transaction.many(
                "insert_target",
                ({"watch_id": watch.id, **rows.target_columns(own)} for watch, targets in allowed for own in targets),
            )
            late = [(watch, targets) for watch, targets in allowed if watch.status.terminal and targets]
            if late:
                self._tell_late(transaction, late, now)
            return [Added(watch, created=watch.id == request.id) for request, watch in added]

        return await self._writer.commit(write)

    def _tell_late(self, transaction: Transaction, late: Sequence[tuple[Watch, Sequence[Target]]], now: float) -> None:
        found = transaction.fetch("outcomes_of_watches", ids=rows.text([watch.id for watch, _ in late]))
        events = {row["watch_id"]: row["id"] for row in found}
        for watch, targets in late:
            insert_deliveries(transaction, watch.id, events[watch.id], targets, now)

    async def watch(self, reference: str) -> WatchView:
        """See Watches."""
        provider, colon, job_id = reference.partition(":")
        found = (
            await self._read("watch_by_job", provider=provider, job_id=job_id)
            if colon
            else await self._read("watch_by_id", id=reference)
        )
        if not found:
            raise NotFound(f'no watch "{reference}"')
        return (await self._views(found))[0]

    async def watches(self, wanted: WatchFilter, *, before: str | None, limit: int) -> list[WatchView]:
        """See Watches."""
        found = await self._browse(
            "list_watches",
            before=before,
            prefix=wanted.id_prefix,
            provider=wanted.provider,
            since=wanted.since,
            owner=wanted.owner,
            statuses=rows.text(sorted(wanted.statuses)) if wanted.statuses else None,
            metadata=rows.text(wanted.metadata),
            limit=limit,
        )
        return await self._views(found)

    async def _views(self, found: Iterable[Row]) -> list[WatchView]:
        watches = [rows.watch(row) for row in found]
        wanted = rows.text([watch.id for watch in watches])
        targets: dict[str, list[Target]] = {watch.id: [] for watch in watches}
        for row in await self._read("targets_of_watches", ids=wanted):
            targets[row["watch_id"]].append(rows.target(row))
        events: dict[str, Event] = {}
        if ended := [watch.id for watch in watches if watch.status.terminal]:  # others may have ended meanwhile
            found = await self._read("outcomes_of_watches", ids=rows.text(ended))
            events = {row["watch_id"]: rows.event(row) for row in found}
        return [WatchView(watch, tuple(targets[watch.id]), events.get(watch.id)) for watch in watches]

    async def remove_watch(self, watch_id: str) -> None:
        """See Watches."""

        def write(transaction: Transaction) -> None:
            if not transaction.fetch("watch_by_id", id=watch_id):
                raise NotFound(f'no watch "{watch_id}"')
            open_deliveries = (transaction.fetch("open_deliveries_of_watch", id=watch_id))[0]["open"]
            if open_deliveries:
                raise Conflict(f"{open_deliveries} of its deliveries are not settled yet")
            transaction.fetch("delete_watch", id=watch_id)

        await self._writer.commit(write)

    async def poll_now(self, watch_id: str, now: float, *, min_interval_s: float) -> None:
        """See Watches."""

        def write(transaction: Transaction) -> None:
            if transaction.fetch("poll_now", id=watch_id, now=now, min_interval_s=min_interval_s):
                return
            if not transaction.fetch("watch_by_id", id=watch_id):
                raise NotFound(f'no watch "{watch_id}"')
            raise Conflict("the watch has ended")

        await self._writer.commit(write)
