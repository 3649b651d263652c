"""Deliveries: one event to one destination, and what an attempt makes of it."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from relay.core.etiquette import Sign
from relay.core.event import Event
from relay.core.ids import delivery_id
from relay.core.retry import RetryPolicy, next_attempt
from relay.core.watch import Target

SPARED_OVERLOADS = 3
"""Overload answers that use up no try of a delivery."""

_SLOW_STEPS = 3
"""How much further on the ladder of gaps one begins with a receiver that probably never takes the message."""

_OWN_GAP_S = 300.0
"""The widest gap after a fault of ours: the receiver is waited for no longer than it takes to notice the mending."""


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
    `retry_from`, where the retry budget began, and `spared` those since then
    that overload made free.  `reason` tells why the last attempt was not the end
    of it.
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
    spared: int = 0
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

    `sign` is what it tells of the destination itself.  `rest_s` is how long a
    chat wants nothing at all, whatever became of this message; where
    `rests_service`, all chats of its kind do.
    """

    kind: VerdictKind
    reason: str | None = None
    retry_after_s: float | None = None
    sign: Sign = Sign.ANSWERS
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
    spared: int = 0


_FINAL = {
    VerdictKind.DELIVERED: DeliveryState.DELIVERED,
    VerdictKind.REFUSED: DeliveryState.EXHAUSTED,
    VerdictKind.DROPPED: DeliveryState.DROPPED,
}


def _outcome(delivery: Delivery, verdict: Verdict) -> DeliveryState | None:
    """Return where a verdict leaves a delivery, or None where it is to be tried again.

    What a named destination did not take because it wants nothing more waits
    until a person enables it again; a callback URL that wants nothing more is
    nobody's to enable.
    """
    if verdict.sign is Sign.GONE:
        return DeliveryState.HELD if delivery.target.url is None else DeliveryState.DROPPED
    return _FINAL.get(verdict.kind)


def settle(delivery: Delivery, verdict: Verdict, policy: RetryPolicy, *, now: float, sample: float) -> Settlement:
    """Return what a verdict at `now` makes of a pending delivery.

    A try of the schedule uses up a step of it, unless the fault was ours or the
    receiver is overloaded, which is free SPARED_OVERLOADS times.  What was free
    widens the gap all the same where overload goes on, and up to _OWN_GAP_S where
    our fault does.  A receiver that probably never takes the message is asked less
    often.
    """
    scheduled = delivery.trigger is Trigger.SCHEDULED
    overloaded = verdict.sign is Sign.OVERLOADED
    spares = scheduled and overloaded and delivery.spared < SPARED_OVERLOADS
    tries = delivery.tries + (scheduled and not spares and verdict.sign is not Sign.UNKNOWN)
    spared = delivery.spared + spares
    state = _outcome(delivery, verdict)
    again = delivery.next_attempt_at
    if state is None:
        if verdict.sign is Sign.UNKNOWN:
            policy = replace(policy, max_gap_s=min(policy.max_gap_s, _OWN_GAP_S))
            step = max(delivery.attempts - tries - spared, 0) + 1
        else:
            step = max(tries + (spared if overloaded else 0), 1) + (_SLOW_STEPS if verdict.sign is Sign.REFUSES else 0)
        planned = next_attempt(
            policy, step=step, since=delivery.retry_from, now=now, floor_s=verdict.retry_after_s, sample=sample
        )
        state = DeliveryState.EXHAUSTED if planned is None else DeliveryState.PENDING
        again = planned if planned is not None else again
    return Settlement(
        delivery_id=delivery.id,
        state=state,
        next_attempt_at=again,
        tries=tries,
        spared=spared,
        reason=None if state is DeliveryState.DELIVERED else verdict.reason,
        finalized_at=now if state.final else None,
    )
