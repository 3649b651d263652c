"""The outbox: events and deliveries, written within someone's transaction."""

from collections.abc import Iterable

from relay.core import ids
from relay.core.event import Event
from relay.core.watch import Target
from relay.store import rows
from relay.store.writer import Transaction


def insert_event(transaction: Transaction, event: Event) -> None:
    """Add an event; the same one again changes nothing."""
    transaction.fetch(
        "insert_event",
        id=event.id,
        watch_id=event.watch_id,
        type=event.type,
        created_at=event.created_at,
        body=event.body,
        raw=event.raw,
    )


def insert_deliveries(
    transaction: Transaction, watch_id: str | None, event_id: str, targets: Iterable[Target], now: float
) -> None:
    """Add a delivery of an event for each target, due at once; one that is there stays as it is."""
    transaction.many(
        "insert_delivery",
        [
            {
                "id": ids.delivery_id(event_id, target.key),
                "event_id": event_id,
                "watch_id": watch_id,
                "now": now,
                **rows.target_columns(target),
            }
            for target in targets
        ],
    )
