"""Deliveries, as people ask for them."""

from collections.abc import Mapping
from functools import partial

from relay.core.delivery import Attempt, DeliveryState
from relay.core.errors import Conflict, NotFound
from relay.core.ports import DeliveryFilter, DeliveryView
from relay.store import rows
from relay.store.part import Part
from relay.store.writer import Row, Transaction

_RESENT_AT_ONCE = 2000
"""Deliveries in a transaction, so that everyone else's is not kept waiting."""


class SqliteDeliveries(Part):
    """Implements `relay.core.ports.Deliveries`."""

    async def delivery(self, delivery_id: str) -> DeliveryView:
        """See Deliveries."""
        found = await self._read("delivery_by_id", id=delivery_id)
        if not found:
            raise NotFound(f'no delivery "{delivery_id}"')
        attempts = await self._read("attempts_of_delivery", id=delivery_id)
        return _delivery_view(found[0], tuple(map(rows.attempt, attempts)))

    async def deliveries(
        self, wanted: DeliveryFilter, *, before: tuple[float, str] | None, limit: int
    ) -> list[DeliveryView]:
        """See Deliveries."""
        found = await self._browse("list_deliveries", **rows.delivery_filter(wanted, before, limit))
        return [_delivery_view(row) for row in found]

    async def resend_matching(self, wanted: DeliveryFilter, now: float, *, every_s: float, dry_run: bool) -> int:
        """See Deliveries."""
        found = await self._browse("list_deliveries", **rows.delivery_filter(wanted, None, limit=-1))
        oldest_first = [row["id"] for row in reversed(found) if row["leased_until"] <= now]
        if dry_run or not oldest_first:
            return len(oldest_first)

        resent = 0
        for start in range(0, len(oldest_first), _RESENT_AT_ONCE):
            ids = rows.text(oldest_first[start : start + _RESENT_AT_ONCE])
            turns = {"ids": ids, "now": now, "first_at": now + start * every_s, "every_s": every_s}
            resent += len(await self._writer.commit(partial(_resend, turns)))
        return resent

    async def resend(self, delivery_id: str, now: float) -> None:
        """See Deliveries."""

        def write(transaction: Transaction) -> None:
            if transaction.fetch("resend_delivery", id=delivery_id, now=now):
                return
            if not transaction.fetch("delivery_by_id", id=delivery_id):
                raise NotFound(f'no delivery "{delivery_id}"')
            raise Conflict("an attempt is under way")

        await self._writer.commit(write)

    async def drop(self, delivery_id: str, now: float) -> None:
        """See Deliveries."""

        def write(transaction: Transaction) -> None:
            if transaction.fetch("drop_delivery", id=delivery_id, now=now):
                return
            found = transaction.fetch("delivery_by_id", id=delivery_id)
            if not found:
                raise NotFound(f'no delivery "{delivery_id}"')
            if not DeliveryState(found[0]["state"]).final:
                raise Conflict("an attempt is under way")

        await self._writer.commit(write)


def _resend(turns: Mapping[str, object], transaction: Transaction) -> list[Row]:
    return transaction.fetch("resend_deliveries", **turns)


def _delivery_view(row: Row, attempts: tuple[Attempt, ...] = ()) -> DeliveryView:
    return DeliveryView(rows.delivery(row), row["event_type"], row["owner"], attempts)
