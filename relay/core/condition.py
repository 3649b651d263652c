"""How a destination is, and what follows for the deliveries that wait for it.

A named destination, or a host that callback URLs lead to, is one lane.  While
nothing answers there, its deliveries are held: one at a time finds out whether
it is back, and then they are let go in batches that double, each after most of
the one before have been settled; the first is what one message may tell of.
Nothing is dropped, and holding costs no tries.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from relay.core.etiquette import Sign
from relay.core.watch import Target

FAILURES_BEFORE_HOLD = 5
"""Attempts in a row that must come to nothing before few at once are made, and the lane's deliveries may be held.

One that fails now and then keeps its places: with few, those that hang would hold up the others.
"""
OUTAGE_S = 60.0
"""How long they must have come to nothing, so that a deploy is no outage."""
MOST_AT_ONCE = 1024
"""The largest batch that is let go at once."""
FEW_LEFT = 8
"""When fewer of a batch are due or under way, half the places of a lane, it counts as settled: some may hang."""

_PROBE_FIRST_S = 30.0
_PROBE_LIMIT_S = 900.0
_PROBE_JITTER = 0.2
_BATCH_S = 1.0
_REFUSAL_TOLD_S = 3600.0
"""How long a refusal of a host counts as told: its callback URLs are many, and some may work."""


class Condition(StrEnum):
    """What attempts to a destination come to."""

    WORKING = "working"
    REFUSING = "refusing"
    """It answers, but somebody has probably to change something before it takes anything."""
    UNREACHABLE = "unreachable"
    DRAINING = "draining"
    """It is back, and gets what was held."""
    DISABLED = "disabled"
    """It wants nothing more: a person has to enable it again."""


DOWN = frozenset({Condition.UNREACHABLE, Condition.DISABLED})
"""Once it is in one of these, what is pending is held; what is new, while it is draining, too."""


@dataclass(frozen=True, slots=True)
class Health:
    """A lane's state.

    `failures` counts attempts in a row that came to nothing, `failing_since` is
    the first of them.  At `release_at` the next `batch` of those held is let go;
    `probes` counts those let go in vain since it became unreachable;
    `answered_at` is when it last answered while draining.
    """

    condition: Condition = Condition.WORKING
    since: float = 0.0
    failures: int = 0
    failing_since: float = 0.0
    release_at: float = 0.0
    batch: int = 1
    probes: int = 0
    detail: str | None = None
    answered_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What an attempt from `began_at` to `at` tells of its destination.

    `again_at` is when its delivery would be tried again, None where it is at its
    end; `floor_s` is how long the destination asks to be left alone.  Of
    `told_together` deliveries one message may tell there.  `operators` are
    those to tell, by event type.
    """

    target: Target
    sign: Sign
    at: float
    sample: float
    began_at: float
    again_at: float | None = None
    floor_s: float = 0.0
    told_together: int = 1
    detail: str | None = None
    operators: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answered:
    """What an attempt tells of a lane of which nothing bad was known when it began: that it answers.

    Others that were under way with it may have failed meanwhile; those are no longer in a row.
    """

    lane: str


@dataclass(frozen=True, slots=True)
class Change:
    """The health after a finding; `tell` is the type of the event that it is worth, if any."""

    health: Health
    tell: str | None = None


def after_attempt(health: Health, found: Finding) -> Change:
    """Return how a destination is after one more attempt."""
    sign = found.sign
    if sign is Sign.UNKNOWN or health.condition is Condition.DISABLED:
        return Change(health)
    if sign is Sign.GONE and found.target.name is not None:
        return Change(Health(Condition.DISABLED, since=found.at, detail=found.detail), "destination.disabled")
    if sign in (Sign.ABSENT, Sign.OVERLOADED):
        return _failed(health, found)
    if health.condition is Condition.DRAINING:
        return Change(replace(health, failures=0, probes=0, answered_at=found.at))
    if health.condition is Condition.UNREACHABLE:
        drained = Health(
            Condition.DRAINING,
            since=found.at,
            release_at=found.at,
            batch=found.told_together,
            probes=health.probes,
            answered_at=found.at,
        )
        return Change(drained, "destination.recovered")
    if sign is Sign.REFUSES:
        return _refused(health, found)
    return _answered(health, found)


def let_go(health: Health, now: float) -> Health:
    """Return the health of a lane of which `health.batch` held deliveries are let go at `now`."""
    if health.condition is Condition.DRAINING:
        return replace(health, release_at=now + _BATCH_S, batch=min(2 * health.batch, MOST_AT_ONCE))
    return replace(health, release_at=now + _PROBE_LIMIT_S)


def enabled(health: Health, now: float) -> Health:
    """Return the health of a disabled destination that a person wants used again: one delivery goes first."""
    return Health(Condition.UNREACHABLE, since=now, release_at=now, detail=health.detail)


def _answered(health: Health, found: Finding) -> Change:
    if health.condition is Condition.WORKING or found.sign is not Sign.WORKS:
        return Change(replace(health, failures=0))
    if found.target.name is not None:
        return Change(Health(since=found.at), "destination.recovered")
    if found.at - health.since >= _REFUSAL_TOLD_S:
        return Change(Health(since=found.at))
    return Change(replace(health, failures=0))


def _refused(health: Health, found: Finding) -> Change:
    if health.condition is Condition.REFUSING:
        return Change(replace(health, failures=0, detail=found.detail))
    return Change(Health(Condition.REFUSING, since=found.at, detail=found.detail), "destination.refusing")


def _failed(health: Health, found: Finding) -> Change:
    counted = replace(
        health,
        failures=health.failures + 1,
        failing_since=health.failing_since if health.failures else found.at,
        detail=found.detail,
    )
    if health.condition is Condition.UNREACHABLE:
        return Change(_probe_later(counted, found))
    draining = health.condition is Condition.DRAINING
    if draining and found.began_at < health.answered_at:  # it hung, while others were answered
        return Change(health)
    lasting = draining or found.at - counted.failing_since >= OUTAGE_S
    if counted.failures < FAILURES_BEFORE_HOLD or not lasting:
        return Change(replace(counted, detail=health.detail) if health.condition is Condition.REFUSING else counted)
    held = replace(counted, condition=Condition.UNREACHABLE, since=found.at, batch=1)
    return Change(_probe_later(held, found), "destination.unreachable")


def _probe_later(health: Health, found: Finding) -> Health:
    """Let the next probe go after a gap that doubles, or when its delivery's own schedule says, if that is sooner.

    Where many are told together, the schedules of all would have one go every few seconds, and double the gap.
    """
    gap_s = min(_PROBE_FIRST_S * 2.0 ** min(health.probes, 10), _PROBE_LIMIT_S) * (1 + _PROBE_JITTER * found.sample)
    alone_s = gap_s if found.again_at is None or found.told_together > 1 else found.again_at - found.at
    release_at = found.at + max(min(gap_s, alone_s), found.floor_s, 0.0)
    return replace(health, release_at=release_at, probes=health.probes + 1)
