"""When to try a delivery again."""

from dataclasses import dataclass

_STEPS = (1, 6, 24, 120, 360, 720, 1440, 2880, 4320)
"""Gaps in units of the first one: with the default of 5 s they are 5 s, 30 s, 2 m, 10 m, 30 m, 1 h, 2 h, 4 h, 6 h.

Denser early than the example of Standard Webhooks, because most outages are deploys.
"""

_JITTER = 0.2


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to insist, in seconds: the first gap, the widest gap, and the whole time budget."""

    first_s: float = 5.0
    max_gap_s: float = 6 * 3600.0
    give_up_after_s: float = 72 * 3600.0


def next_attempt(
    policy: RetryPolicy, *, step: int, since: float, now: float, floor_s: float | None, sample: float
) -> float | None:
    """Return when to try again after the gap of a step, counted from 1, or None when the time is spent.

    `since` is when the budget began.  `floor_s`, the receiver's own wish, is
    never undercut: jitter only adds.  The last try falls on the end of the
    budget, so that an outage one second shorter than it loses nothing.
    """
    end = since + policy.give_up_after_s
    if now >= end:
        return None
    gap = min(policy.first_s * _STEPS[min(step, len(_STEPS)) - 1], policy.max_gap_s)
    wait = max(gap, floor_s or 0.0)
    return min(now + wait * (1 + _JITTER * sample), max(end, now + (floor_s or 0.0)))
