"""What the dispatcher needs of the store."""

from collections.abc import Mapping, Sequence

from relay.core.condition import FAILURES_BEFORE_HOLD, Answered, Change, Finding
from relay.core.delivery import Attempt, Delivery, Settlement
from relay.core.ports import News, Outgoing
from relay.store import rows
from relay.store.conditions import apply_finding, release_due
from relay.store.outbox import claim_deliveries, insert_deliveries, insert_event
from relay.store.part import Part
from relay.store.writer import Rows, Transaction


class SqliteDispatching(Part):
    """Implements `relay.core.ports.Dispatching`."""

    async def claim_due_deliveries(
        self,
        now: float,
        *,
        until: float,
        limit: int,
        per_lane: int,
        per_failing_lane: int,
        retries: int,
        limits: Mapping[str, int],
        busy: Mapping[str, int],
    ) -> list[Outgoing]:
        """See Dispatching."""
        options = {
            "now": now,
            "until": until,
            "limit": limit,
            "per_lane": per_lane,
            "per_failing_lane": per_failing_lane,
            "failing_from": FAILURES_BEFORE_HOLD,
            "retries": retries,
            "limits": rows.text(limits),
            "busy": rows.text(busy),
        }

        def write(transaction: Transaction) -> list[Outgoing]:
            release_due(transaction, now)
            return claim_deliveries(transaction, "claim_due_deliveries", "events_by_id", options)

        return await self._writer.commit(write)

    async def claim_company(self, delivery: Delivery, now: float, *, until: float, limit: int) -> list[Outgoing]:
        """See Dispatching."""
        target = delivery.target
        options = {"lane": target.lane, "key": target.key, "now": now, "until": until, "limit": limit}

        def write(transaction: Transaction) -> list[Outgoing]:
            return claim_deliveries(transaction, "claim_company", "events_without_raw", options)

        return await self._writer.commit(write)

    async def settle_attempts(
        self,
        settled: Sequence[tuple[Attempt, Settlement]],
        finding: Finding | Answered | None = None,
        news: Sequence[News] = (),
    ) -> Change | None:
        """See Dispatching."""
        outcome = Rows(
            {
                "insert_attempt": [rows.attempt_columns(attempt) for attempt, _ in settled],
                "settle_delivery": [rows.settlement_columns(settlement) for _, settlement in settled],
                "forget_failures": [{"lane": finding.lane}] if isinstance(finding, Answered) else [],
            }
        )
        if not isinstance(finding, Finding) and not news:
            return await self._writer.commit(outcome)

        def write(transaction: Transaction) -> Change | None:
            change = apply_finding(transaction, finding) if isinstance(finding, Finding) else None
            outcome(transaction)
            for item in news:
                insert_event(transaction, item.event)
                insert_deliveries(transaction, None, item.event.id, item.targets, item.event.created_at)
            return change

        return await self._writer.commit(write)

    async def postpone(self, until: Mapping[str, float], now: float) -> None:
        """See Dispatching."""
        waits = [{"id": delivery_id, "until": instant, "now": now} for delivery_id, instant in until.items()]
        await self._writer.commit(Rows({"postpone_delivery": waits, "probe_another": waits}))

    async def next_delivery_due(self, after: float) -> float | None:
        """See Dispatching."""
        due: float | None = (await self._read("next_delivery_due", after=after))[0]["due"]
        return due
