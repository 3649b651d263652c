"""What to expect of one job."""

import math
from dataclasses import dataclass
from typing import Protocol

from relay.core.hazard import BINS, EDGES, WIDTHS, Hazard, bin_of
from relay.core.learning import Phase

_SOONEST_SHARE = 0.05
"""A job still in the queue is not looked for before this share of jobs, once running, have ended."""
_SOONEST_JOBS = 5.0

_USUAL_SHARE = 0.99
_USUAL_JOBS = 30.0
"""How many jobs, of the model where that is known, must have ended before any is called overdue."""

_ESTIMATE_SIGMA = 0.8
"""How far off, in log time, a provider's own estimate of what remains may be."""
_ESTIMATE_DOUBT = 0.02
"""The least weight an age keeps, however far from the estimate: evidence, never an order."""
_LEAST_REMAINING_S = 1.0
_LEAST_PROGRESS = 0.05
"""Below this a share done says too little about the time that remains."""


@dataclass(frozen=True, slots=True)
class Contention:
    """What sharing a budget means for each watch: see `relay.core.schedule.contention`.

    `price` is the least price of a poll, in seconds of lag; `longest_s` the
    longest time between two polls; `turn_s` what it takes to look at each
    watch once.
    """

    price: float = 0.0
    longest_s: float = 0.0
    turn_s: float = 0.0

    @property
    def floor(self) -> float:
        """What a watch must ask of the budget, in 1/sqrt(s), to be looked at before `longest_s` is over."""
        return math.sqrt(self.price) / self.longest_s if self.longest_s else 0.0


@dataclass(frozen=True, slots=True)
class Demand:
    """How many live watches share a budget, and the sum of what each asks of it: see `relay.core.schedule.demand`.

    `patient` and `patient_total` are the same of those that ask less than a floor.
    """

    watches: int
    total: float
    patient: int = 0
    patient_total: float = 0.0


class Expectations(Protocol):
    """What is believed of a provider's jobs, and how tight its budget is."""

    @property
    def contention(self) -> Contention: ...

    def hazard(self, phase: Phase, model: str | None) -> Hazard:
        """Return the hazard of jobs of a model, or of all where that is not known."""
        ...

    def jobs(self, phase: Phase, model: str | None) -> float:
        """Return how many ended jobs of just that model, or of all, are known."""
        ...


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The instants of one job's life that its expectation is told by.

    `began_at` is when it was made, as near as we know; `running_since` when it
    left the queue, None where it was never seen to wait; `waiting` tells that
    it waits now; `estimated_end_at` is the provider's own guess.
    """

    began_at: float
    running_since: float | None = None
    waiting: bool = False
    estimated_end_at: float | None = None

    @property
    def phase(self) -> Phase:
        """The phase whose clock tells most."""
        return Phase.JOB if self.running_since is None else Phase.RUN

    def age_s(self, phase: Phase, now: float) -> float:
        """Return the age in seconds by the clock of `phase`."""
        since = self.began_at if phase is Phase.JOB or self.running_since is None else self.running_since
        return max(now - since, 0.0)


@dataclass(frozen=True, slots=True)
class Outlook:
    """A job of an age, in seconds, that is thought to end by `hazard`, and not within `soonest_s`."""

    hazard: Hazard
    age_s: float
    soonest_s: float = 0.0

    def remaining_s(self, share: float) -> float:
        """Return the seconds within which the job has ended with the probability `share`."""
        return max(self.hazard.quantile(share, age=self.age_s) - self.age_s, self.soonest_s)


def outlook(life: Lifetime, model: str | None, expectations: Expectations, now: float) -> Outlook:
    """Return what is expected at `now` of a job that has not ended."""
    phase = life.phase
    age = life.age_s(phase, now)
    hazard = expectations.hazard(phase, model)
    if life.estimated_end_at is not None:
        hazard = _told(hazard, age, max(life.estimated_end_at - now, _LEAST_REMAINING_S))
    return Outlook(hazard, age, _soonest_s(model, expectations) if life.waiting else 0.0)


def _soonest_s(model: str | None, expectations: Expectations) -> float:
    """Return how long a job that waits now has to run at least, once enough were seen to run."""
    if max(expectations.jobs(Phase.RUN, model), expectations.jobs(Phase.RUN, None)) < _SOONEST_JOBS:
        return 0.0
    return expectations.hazard(Phase.RUN, model).quantile(_SOONEST_SHARE)


def usual_s(model: str | None, expectations: Expectations) -> float | None:
    """Return the age by which 99 in 100 jobs have ended, or None where too few have to say so."""
    if expectations.jobs(Phase.JOB, model) < _USUAL_JOBS:
        return None
    return expectations.hazard(Phase.JOB, model).quantile(_USUAL_SHARE)


def estimated_end_at(*, progress: float | None, eta_s: float | None, running_for_s: float, now: float) -> float | None:
    """Return when the job ends by the provider's own account: its estimate, or what it has done so far continued."""
    if eta_s is not None:
        return now + eta_s
    if progress is None or progress < _LEAST_PROGRESS:
        return None
    return now + running_for_s * (1 - progress) / progress


def _told(hazard: Hazard, age: float, remaining_s: float) -> Hazard:
    """Return the hazard once the provider says how much remains: a measurement with lognormal error (Bayes)."""
    first = bin_of(age)
    ends, running = [], 1.0
    for index in range(first, BINS):
        span = _span(index, age)
        left = running * math.exp(-hazard.rates[index] * span)
        middle = max(EDGES[index], age) + span / 2
        off = math.log((middle - age) / remaining_s) / _ESTIMATE_SIGMA
        ends.append((running - left) * max(math.exp(-off * off / 2), _ESTIMATE_DOUBT))
        running = left
    rates = list(hazard.rates)
    running = math.fsum(ends) + running * _ESTIMATE_DOUBT
    for index, share in enumerate(ends, first):
        left = running - share
        if left <= running * 1e-9:
            break
        rates[index] = math.log(running / left) / _span(index, age)
        running = left
    return Hazard.of(rates)


def _span(index: int, age: float) -> float:
    """Return the seconds of a bin that are still to come at `age`."""
    return max(EDGES[index] + WIDTHS[index] - max(EDGES[index], age), 1e-3)
