"""How destinations are, kept up to date in the transactions that settle attempts."""

from dataclasses import asdict

from relay.core.condition import DOWN, FEW_LEFT, Change, Condition, Finding, Health, after_attempt, enabled, let_go
from relay.core.etiquette import Sign
from relay.core.event import destination_event
from relay.store import rows
from relay.store.outbox import insert_deliveries, insert_event
from relay.store.writer import Transaction


def apply_finding(transaction: Transaction, found: Finding) -> Change:
    """Write what an attempt tells of its destination, with all that follows for its other deliveries."""
    target = found.target
    if found.sign is Sign.GONE and target.url is not None:
        transaction.fetch(
            "drop_target", key=target.key, lane=target.lane, reason=f"not sent: {found.detail}", now=found.at
        )
    before = _health(transaction, target.lane)
    change = after_attempt(before, found)
    if change.health != before:
        set_health(transaction, target.lane, target.name, change.health)
    if change.health.condition is not before.condition and change.health.condition in DOWN:
        transaction.fetch("hold_lane", lane=target.lane, now=found.at)
    if change.tell is not None:
        event = destination_event(target.name or target.lane, change.tell, change.health, found.at)
        insert_event(transaction, event)
        insert_deliveries(transaction, None, event.id, found.operators.get(change.tell, ()), found.at)
    return change


def set_health(transaction: Transaction, lane: str, name: str | None, health: Health) -> None:
    """Write how a lane is; one that works, and has not just failed, needs no row."""
    if health.condition is Condition.WORKING and not health.failures:
        transaction.fetch("forget_condition", lane=lane)
    else:
        transaction.fetch("set_condition", lane=lane, destination=name, **asdict(health))


def release_due(transaction: Transaction, now: float) -> int:
    """Let go of held deliveries where it is time; return how many."""
    released = 0
    for row in transaction.fetch("due_releases", now=now, few=FEW_LEFT):
        health = rows.health(row)
        freed = transaction.fetch(
            "release_held",
            lane=row["lane"],
            limit=health.batch,
            now=now,
            afresh=health.condition is Condition.DRAINING,
        )
        released += len(freed)
        drained = health.condition is Condition.DRAINING and len(freed) < health.batch
        set_health(transaction, row["lane"], row["destination"], Health() if drained else let_go(health, now))
    return released


def enable_lane(transaction: Transaction, lane: str, now: float) -> bool:
    """Let a lane be tried at once; False where nothing keeps it from being tried."""
    found = transaction.fetch("condition_of_lane", lane=lane)
    health = rows.health(found[0]) if found else Health()
    if health.condition not in (Condition.DISABLED, Condition.UNREACHABLE):
        return False
    set_health(transaction, lane, found[0]["destination"], enabled(health, now))
    return True


def _health(transaction: Transaction, lane: str) -> Health:
    found = transaction.fetch("condition_of_lane", lane=lane)
    return rows.health(found[0]) if found else Health()
