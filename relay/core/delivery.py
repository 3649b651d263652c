"""Deliveries: one event to one destination, and what an attempt makes of it."""

from dataclasses import dataclass, field
from enum import StrEnum

from relay.core.event import Event
from relay.core.ids import delivery_id
from relay.core.retry import RetryPolicy, next_attempt
from relay.core.watch import Target


class DeliveryState(StrEnum):
    """Where a delivery stands; the last three are final until a person resends."""

    PENDING = "pending"
    HELD = "held"
    """Waits for its destination to be usable again; costs no attempts."""
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    """Every attempt failed, or the destination refused for good: needs a person."""
    DROPPED = "dropped"
    """Given up on purpose, by a person or by the receiver."""

    @property
    def final(self) -> bool:
        return self not in (DeliveryState.PENDING, DeliveryState.HELD)


class Trigger(StrEnum):
    """Why an attempt is made."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of the outbox.

    `attempts` counts every try, `tries` those of the schedule since
    `retry_from`, where the retry budget began.  `reason` tells why the last
    attempt was not the end of it.
    """

    id: str
    event_id: str
    watch_id: str | None
    target: Target
    state: DeliveryState
    created_at: float
    next_attempt_at: float
    retry_from: float
    attempts: int = 0
    tries: int = 0
    trigger: Trigger = Trigger.SCHEDULED
    reason: str | None = None
    finalized_at: float | None = None


def first_delivery(event: Event, target: Target, now: float) -> Delivery:
    """Return the delivery of an event as it stands before its first attempt at `now`, for one that no store holds."""
    return Delivery(
        id=delivery_id(event.id, target.key),
        event_id=event.id,
        watch_id=event.watch_id,
        target=target,
        state=DeliveryState.PENDING,
        created_at=now,
        next_attempt_at=now,
        retry_from=now,
    )


class VerdictKind(StrEnum):
    """What an attempt means."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REFUSED = "refused"
    """The destination will never take this: more tries would be noise."""
    DROPPED = "dropped"
    """The receiver said that it wants no more of it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a destination's answer means for the delivery; `reason` is one line.

    `costs_try` is False where the fault was ours, which must not use up the
    receiver's tries.  `rest_s` is how long a chat wants nothing at all, whatever
    became of this message; where `rests_service`, all chats of its kind do.
    """

    kind: VerdictKind
    reason: str | None = None
    retry_after_s: float | None = None
    costs_try: bool = True
    rest_s: float = 0.0
    rests_service: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One HTTP try, as it is kept: `response` is the start of what came back, cleaned."""

    delivery_id: str
    number: int
    trigger: Trigger
    started_at: float
    duration_s: float
    verdict: VerdictKind
    status: int | None = None
    reason: str | None = None
    response: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Settlement:
    """A delivery's new values after an attempt."""

    delivery_id: str
    state: DeliveryState
    next_attempt_at: float
    tries: int
    reason: str | None
    finalized_at: float | None


_FINAL = {
    VerdictKind.DELIVERED: DeliveryState.DELIVERED,
    VerdictKind.REFUSED: DeliveryState.EXHAUSTED,
    VerdictKind.DROPPED: DeliveryState.DROPPED,
}


def settle(delivery: Delivery, verdict: Verdict, policy: RetryPolicy, *, now: float, sample: float) -> Settlement:
    """Return what a verdict at `now` makes of a pending delivery.

    A manual attempt does not use up a step of the schedule.
    """
    tries = delivery.tries + (verdict.costs_try and delivery.trigger is Trigger.SCHEDULED)
    state = _FINAL.get(verdict.kind)
    again = delivery.next_attempt_at
    if state is None:
        planned = next_attempt(
            policy,
            tries=max(tries, 1),
            since=delivery.retry_from,
            now=now,
            floor_s=verdict.retry_after_s,
            sample=sample,
        )
        state = DeliveryState.EXHAUSTED if planned is None else DeliveryState.PENDING
        again = planned if planned is not None else again
    return Settlement(
        delivery_id=delivery.id,
        state=state,
        next_attempt_at=again,
        tries=tries,
        reason=None if state is DeliveryState.DELIVERED else verdict.reason,
        finalized_at=now if state.final else None,
    )
