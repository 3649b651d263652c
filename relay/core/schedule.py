"""When to look again.

The law is optimal inspection (Barlow, Hunter & Proschan 1963; Keller 1974): for
a job of age t with hazard h(t), polls are best spent with density
``n(t) = sqrt(h(t) / 2c)``, c being the price of a poll in seconds of lag, and
so looking costs about ``g(t) = sqrt(2c h(t))`` seconds per second of a running
job.  The next poll is the one that costs least if all later ones follow that
law: with S the share of jobs that run on, it is the age u that maximises the
integral from t to u of ``S(1 + g) - 1``.  This one step of policy improvement
matters where the hazard falls steeply, as between two kinds of jobs.

The mean lag that results is about ``sqrt(c/2) * E[1/sqrt(h(T))]``, so a wanted
lag names its price in closed form; and watches that share a budget of B polls
per second fit it at the price ``c = (sum of sqrt(h/2) / B)**2``.

The retry of a poll that failed is another matter, `retry_failed_poll`: failures
say nothing about the job.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from relay.core.hazard import BINS, EDGES, Hazard, bin_of
from relay.core.outlook import Contention, Demand, Outlook

_SPREAD = 0.05
"""How wide, as a share of its interval, a poll is spread, so that watches added together part."""

_RETRY_FIRST_S = 1.0
_RETRY_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What surrounds the law: the wanted mean lag and the interval's limits, in seconds."""

    detection_lag_s: float
    min_interval_s: float
    max_interval_s: float


def price_of_lag(hazard: Hazard, lag_s: float) -> float:
    """Return the seconds of lag a poll must be worth for jobs of this hazard to be seen `lag_s` late on average."""
    return 2 * (lag_s / hazard.mean_inverse_root) ** 2


def best_next_age(hazard: Hazard, age: float, price: float) -> float:
    """Return the age at which to look again at a job that still runs at `age`."""
    rates, ceilings = hazard.rates, hazard.ceilings
    # What looking costs per second, by hazard: the law's own, and its next term for an exponential.
    by_root, by_rate = math.sqrt(2 * price), 2 / 3 * price
    index, start, running, worth, best, found = bin_of(age), age, 1.0, 0.0, 0.0, age
    while running * (1 + by_root * math.sqrt(ceilings[index]) + by_rate * ceilings[index]) > 1:
        rate = rates[index]
        gain = 1 + by_root * math.sqrt(rate) + by_rate * rate
        span = EDGES[index + 1] - start if index + 1 < BINS else math.inf
        ended = -running * math.expm1(-rate * span)
        if (running - ended) * gain < 1:  # the worth rises no further than until the share that runs is 1 / gain
            peak = max(math.log(running * gain) / rate, 0.0)
            at_peak = worth - running * gain * math.expm1(-rate * peak) / rate - peak
            if at_peak > best:
                best, found = at_peak, start + peak
            if span == math.inf:
                break
        worth += ended * gain / rate - span
        index, start, running = index + 1, EDGES[index + 1], running - ended
        if worth > best:
            best, found = worth, start
    return found


def contention(asked: Demand, polls_per_s: float, max_interval_s: float) -> Contention:
    """Return the terms on which watches share a budget, from what they ask of it and the `floor` of the terms before.

    Nobody waits longer than the usual limit or, where that many polls are not to
    be had, twice as long as taking turns would make everyone wait.  The patient,
    those below the floor, wait that long; what they leave of the budget, at least
    half, goes to the others.  Asked again and again, this is Newton's method for
    the price at which all polls together fill the budget: their number rises with
    1/sqrt(price) along a convex line of straight pieces.
    """
    turn = asked.watches / polls_per_s
    longest = max(max_interval_s, 2 * turn)
    if asked.patient == asked.watches:
        return Contention((asked.total / polls_per_s) ** 2, longest, turn)
    left = polls_per_s - asked.patient / longest
    return Contention(((asked.total - asked.patient_total) / left) ** 2, longest, turn)


def next_poll(
    outlook: Outlook,
    bounds: Bounds,
    terms: Contention,
    *,
    now: float,
    deadline: float,
    hint_s: float | None,
    sample: float,
) -> float:
    """Return the instant of the next poll of a job of which `outlook` is what we expect.

    `hint_s` is the provider's wish: a floor, but no way past the upper bound.
    The deadline, while ahead, is never overslept.  `sample` is uniform in
    [0, 1).
    """
    best_s = best_interval_s(outlook, bounds, terms)
    soonest_s = max(outlook.soonest_s, hint_s or 0.0)
    return within_bounds(best_s, bounds, terms, now=now, deadline=deadline, soonest_s=soonest_s, sample=sample)


def best_interval_s(outlook: Outlook, bounds: Bounds, terms: Contention) -> float:
    """Return the seconds after which the law would look again, at most the longest that is allowed."""
    price = max(price_of_lag(outlook.hazard, bounds.detection_lag_s), terms.price)
    longest = max(bounds.max_interval_s, terms.longest_s)
    if outlook.age_s == 0:
        return min(_first_look_s(outlook.hazard, price), longest)
    return min(best_next_age(outlook.hazard, outlook.age_s, price) - outlook.age_s, longest)


@lru_cache(maxsize=256)
def _first_look_s(hazard: Hazard, price: float) -> float:
    """Return the age of the first look at a new job: the same for all that are added on one belief."""
    return best_next_age(hazard, 0.0, price)


def within_bounds(
    best_s: float,
    bounds: Bounds,
    terms: Contention,
    *,
    now: float,
    deadline: float,
    sample: float,
    soonest_s: float = 0.0,
) -> float:
    """Return the instant of a poll that the law wants after `best_s`: spread, and within everything that limits it."""
    longest = max(bounds.max_interval_s, terms.longest_s)
    interval = max(best_s * (1 + _SPREAD * (sample - 0.5)), soonest_s, bounds.min_interval_s)
    return _before_deadline(now + min(interval, longest), now, deadline)


def demand(outlook: Outlook, interval_s: float) -> float:
    """Return what a watch adds to the demand on its budget until its next poll: the mean of sqrt(h/2), in 1/sqrt(s)."""
    if interval_s <= 0:
        return math.sqrt(outlook.hazard.rates[bin_of(outlook.age_s)] / 2)
    begin, end = (outlook.hazard.root_integral(age) for age in (outlook.age_s, outlook.age_s + interval_s))
    return (end - begin) / interval_s / math.sqrt(2)


def retry_failed_poll(
    *, failures: int, now: float, deadline: float, floor_s: float | None, min_interval_s: float, sample: float
) -> float:
    """Return when to repeat a poll that failed for the `failures`-th time in a row.

    Doubles from a second to a minute with up to a quarter of jitter on top;
    `floor_s`, the provider's own wish, is undercut by the deadline alone.
    """
    gap = retry_gap_s(failures, min_interval_s, sample)
    return _before_deadline(now + max(gap, floor_s or 0.0), now, deadline)


def retry_gap_s(failures: int, min_interval_s: float, sample: float) -> float:
    """Return the pause after the `failures`-th failure in a row, where the provider has no wish of its own."""
    return max(min(_RETRY_FIRST_S * 2.0 ** min(failures - 1, 10), _RETRY_LIMIT_S), min_interval_s) * (1 + 0.25 * sample)


def _before_deadline(moment: float, now: float, deadline: float) -> float:
    return min(moment, deadline) if now < deadline else moment
