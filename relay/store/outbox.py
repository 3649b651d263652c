"""The outbox: events and deliveries, written within someone's transaction."""

from collections.abc import Iterable, Mapping

from relay.core import ids
from relay.core.event import Event
from relay.core.ports import Outgoing
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


def claim_deliveries(
    transaction: Transaction, claim: str, events_of: str, options: Mapping[str, object]
) -> list[Outgoing]:
    """Lease the deliveries that a query chooses; return them, oldest due first, with events as another reads them."""
    claimed = transaction.fetch(claim, **options)
    if not claimed:
        return []
    found = transaction.fetch(events_of, ids=rows.text([row["event_id"] for row in claimed]))
    events = {row["id"]: rows.event(row) for row in found}
    lanes = sorted({row["lane"] for row in claimed})
    failures = dict(map(tuple, transaction.fetch("failures_of_lanes", lanes=rows.text(lanes))))
    outgoing = [Outgoing(rows.delivery(row), events[row["event_id"]], failures.get(row["lane"])) for row in claimed]
    return sorted(outgoing, key=lambda item: item.delivery.next_attempt_at)
