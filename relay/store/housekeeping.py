"""What is done for the store as a whole."""

from relay.core.delivery import DeliveryState
from relay.core.observation import Status
from relay.core.ports import Counts
from relay.store.part import Part
from relay.store.writer import Transaction


class SqliteHousekeeping(Part):
    """Implements `relay.core.ports.Housekeeping`."""

    async def prune(self, *, ended_before: float, limit: int) -> int:
        """See Housekeeping."""

        def write(transaction: Transaction) -> int:
            transaction.fetch("prune_conditions", ended_before=ended_before)
            transaction.fetch("prune_provider_events", ended_before=ended_before, limit=limit)
            return len(transaction.fetch("prune", ended_before=ended_before, limit=limit))

        return await self._writer.commit(write)

    async def counts(self) -> Counts:
        """See Housekeeping."""
        watches = {Status(row["status"]): row["number"] for row in await self._read("count_live_watches")}
        unsettled = await self._read("count_unsettled_deliveries")
        return Counts(
            watches=watches,
            deliveries={DeliveryState(row["state"]): row["number"] for row in unsettled},
            oldest_pending_at=(await self._read("oldest_pending"))[0]["since"],
            stored_bytes=(await self._read("stored_bytes"))[0]["size"],
            commits_waiting=self._writer.waiting,
        )

    async def probe(self, now: float) -> None:
        """See Housekeeping."""
        await self._writer.commit(lambda transaction: transaction.fetch("probe", now=now))

    async def last_beat(self) -> float | None:
        """See Housekeeping."""
        return next((row["at"] for row in await self._read("last_beat")), None)

    async def set_back(self, seconds: float) -> None:
        """See Housekeeping."""

        def write(transaction: Transaction) -> None:
            for table in ("watches", "deliveries", "standings", "conditions", "heartbeat"):
                transaction.fetch(f"set_back_{table}", seconds=seconds)

        await self._writer.commit(write)

    async def release_leases(self) -> None:
        """See Housekeeping."""

        def write(transaction: Transaction) -> None:
            transaction.fetch("release_watch_leases")
            transaction.fetch("release_delivery_leases")
            transaction.fetch("give_up_answers")

        await self._writer.commit(write)
