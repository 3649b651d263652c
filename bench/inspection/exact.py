"""What a policy costs on jobs of a known law, and the least that any can cost: integrals and recursions, no dice."""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.inspection.shapes import Kind, Law, Queue
from relay.core.outlook import Lifetime

PRICE_S = 0.5
"""What a poll costs, in seconds of lag, wherever costs are compared."""

_NEGLIGIBLE = 1e-9
_TRIES, _CLOSE = 30, 1e-3
_WIDEST = 30.0
"""Prices beyond e to this power, or its inverse, are not tried."""
_WAITS = 24
"""How many waits stand for all that end between two polls."""

Policy = Callable[[Lifetime, str | None, float], float]
"""The instant of the next poll of a job that began at 0, from its life so far, its model if known, and now."""


@dataclass(frozen=True)
class Outcome:
    """The mean detection lag of a job in seconds, and its mean number of polls."""

    lag_s: float
    polls: float

    def cost(self, price: float = PRICE_S) -> float:
        """Return the lag with every poll counted as `price` seconds of it."""
        return self.lag_s + price * self.polls


def every(interval_s: float) -> Policy:
    """Return the policy that looks at a fixed interval."""
    return lambda _life, _model, now: now + interval_s


def backing_off(first_s: float, longest_s: float) -> Policy:
    """Return the policy that doubles its interval from `first_s` to `longest_s`."""
    ages, interval = [0.0], first_s
    while interval < longest_s:
        ages.append(ages[-1] + interval)
        interval *= 2

    def look(_life: Lifetime, _model: str | None, now: float) -> float:
        index = bisect_right(ages, now)
        return ages[index] if index < len(ages) else now + longest_s

    return look


def at(ages: Sequence[float]) -> Policy:
    """Return the policy that looks at given ages."""
    return lambda _life, _model, now: ages[bisect_right(ages, now)]


def outcome(kinds: Sequence[Kind], policy: Policy) -> Outcome:
    """Return what a policy achieves on average over kinds of jobs that are as frequent."""
    each = [_outcome(kind, policy) for kind in kinds]
    return Outcome(*(math.fsum(values) / len(each) for values in zip(*((o.lag_s, o.polls) for o in each), strict=True)))


def _outcome(kind: Kind, policy: Policy) -> Outcome:
    # No answer has named the model before the first poll.
    first = policy(Lifetime(0.0), None, 0.0)
    looks = _Looks()
    looks.add(first, 1.0)
    if kind.queue is None:
        looks.follow(Lifetime(0.0), kind.model, first, kind.total.survival, policy)
    else:
        _follow_queue(looks, kind.queue, kind.model, first, policy)
    return Outcome(looks.waited_s - kind.total.mean_s, looks.polls)


class _Looks:
    """Adds up polls and the time before them, weighted by how likely they are."""

    def __init__(self) -> None:
        self.waited_s = self.polls = 0.0

    def add(self, interval_s: float, share: float) -> None:
        self.waited_s += interval_s * share
        self.polls += share

    def follow(
        self, life: Lifetime, model: str | None, now: float, survival: Callable[[float], float], policy: Policy
    ) -> None:
        """Add the polls of jobs with a life that no longer changes, `survival` being the share that still runs."""
        while (alive := survival(now)) > _NEGLIGIBLE:
            later = policy(life, model, now)
            self.add(later - now, alive)
            now = later


def _follow_queue(looks: _Looks, queue: Queue, model: str | None, first: float, policy: Policy) -> None:
    """Add the polls of jobs that are seen to wait, and then to run."""
    before, now = 0.0, first
    while True:
        # Of the jobs that left the queue since the last poll; the first poll cannot know that they waited.
        life = Lifetime(0.0, running_since=(before + now) / 2 if before else None)
        looks.follow(life, model, now, _left_between(queue, before, now), policy)
        waiting = queue.wait.survival(now)
        if waiting <= _NEGLIGIBLE:
            return
        later = policy(Lifetime(0.0, waiting=True), model, now)
        looks.add(later - now, waiting)
        before, now = now, later


def _left_between(queue: Queue, before: float, now: float) -> Callable[[float], float]:
    """Return the share of jobs that left the queue between two instants and have not ended at an age."""
    low, high = (1 - queue.wait.survival(age) for age in (before, now))
    share = (high - low) / _WAITS
    waits = [queue.wait.at(low + share * (index + 0.5)) for index in range(_WAITS)]
    return lambda age: share * math.fsum(queue.run.survival(age - wait) for wait in waits)


def optimum(law: Law, price: float = PRICE_S) -> tuple[float, ...]:
    """Return the ages at which to look that make lag plus `price` for each poll least, by dynamic programming.

    Keller's recursion on a grid of ages: with W(t) what remains to be paid from
    a poll at t on, times the share S(t) that reaches it, W(t) is the minimum
    over u > t of (u - t + price) S(t) + W(u).  For each u this is a line in
    S(t), so the minimum is the lower envelope of lines whose slopes fall as t
    does, walked along as S(t) rises: linear in the number of ages.
    """
    ages = law.grid
    best = len(ages) - 1
    chosen = [best] * len(ages)
    intercepts = [0.0] * len(ages)
    envelope: deque[int] = deque()

    def value(line: int, alive: float) -> float:
        return ages[line] * alive + intercepts[line]

    for index in range(len(ages) - 2, -1, -1):
        new = index + 1
        while len(envelope) > 1 and _hidden(ages, intercepts, envelope[-2], envelope[-1], new):
            envelope.pop()
        envelope.append(new)
        alive = law.survival(ages[index])
        while len(envelope) > 1 and value(envelope[1], alive) <= value(envelope[0], alive):
            envelope.popleft()
        chosen[index] = envelope[0]
        intercepts[index] = value(envelope[0], alive) + alive * (price - ages[index])
    looks = [chosen[0]]
    while looks[-1] < best:
        looks.append(chosen[looks[-1]])
    return tuple(ages[look] for look in looks)


def _hidden(slopes: Sequence[float], intercepts: Sequence[float], one: int, middle: int, other: int) -> bool:
    """Tell whether a line lies nowhere below its neighbours in an envelope of falling slopes."""
    return (intercepts[other] - intercepts[one]) * (slopes[one] - slopes[middle]) <= (
        intercepts[middle] - intercepts[one]
    ) * (slopes[one] - slopes[other])


def best_interval(kinds: Sequence[Kind], price: float = PRICE_S) -> float:
    """Return the fixed interval that costs least on jobs of known laws."""

    def cost(interval_s: float) -> float:
        return outcome(kinds, every(interval_s)).cost(price)

    near = min((2.0 * 1.08**step for step in range(70)), key=cost)
    for factor in (1.02, 1.005, 1.001):
        near = min((near * factor**step for step in range(-5, 6)), key=cost)
    return near


def solve(
    of_price: Callable[[float], Outcome], wanted: float, of: Callable[[Outcome], float], *, rising: bool
) -> Outcome:
    """Return the outcome at the price at which what `of` tells of it is as wanted; `rising` tells how prices move it.

    False position on logarithms, with Illinois' halving: by the square-root law
    the curve is nearly straight there.  Where it jumps over what is wanted, the
    nearest outcome is returned.
    """
    tried: list[tuple[float, Outcome]] = []

    def off(log_price: float) -> float:
        found = of_price(math.exp(log_price))
        tried.append((math.log(of(found) / wanted), found))
        return tried[-1][0]

    left, right = math.log(PRICE_S), math.log(PRICE_S) + 1.0
    low, high = off(left), off(right)
    while (low > 0) == rising and left > -_WIDEST:
        left, right, high = left - 2.0, left, low
        low = off(left)
    while (high > 0) != rising and right < _WIDEST:
        left, right, low = right, right + 2.0, high
        high = off(right)
    side = 0
    for _ in range(_TRIES):
        middle = right - high * (right - left) / (high - low) if high != low else (left + right) / 2
        here = off(middle)
        if abs(here) < _CLOSE:
            break
        if (here > 0) == (high > 0):
            right, high, low, side = middle, here, low / 2 if side == 1 else low, 1
        else:
            left, low, high, side = middle, here, high / 2 if side == -1 else high, -1
    return min(tried, key=lambda one: abs(one[0]))[1]
