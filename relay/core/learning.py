"""What past jobs teach about the next one.

A piecewise-exponential model with gamma priors (Friedman 1982, Ibrahim, Chen &
Sinha 2001): per bin of age, how many jobs ended in it and how many seconds were
survived in it.  Both only ever add up, so evidence of several processes merges,
and a job that still runs counts by the seconds it has survived.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple

from relay.core.hazard import BINS, EDGES, GROWTH, WIDTHS, Hazard, bin_of, lognormal, mixture

HALF_LIFE_JOBS = 500
"""After how many further ends a job counts half: a provider that became slower is learned anew."""

_FADING = 0.5 ** (1 / HALF_LIFE_JOBS)

_DRIFT_WEIGHT = 0.1
_DRIFT_LIMIT = 4 * math.sqrt(_DRIFT_WEIGHT / (2 - _DRIFT_WEIGHT))
"""Four standard deviations of the average, if surprises are independent."""
_KEPT_JOBS = 10.0
"""What is kept, in jobs, when the provider has changed."""

_SIGMA = 0.6
"""The spread, as a standard deviation of log duration, that jobs of one kind are first thought to have."""
_SIGMA_JOBS = 1.0
"""How many jobs' worth that thought is."""
_MEDIAN_JOBS = 0.2
"""How many jobs' worth the broader belief's median is."""
_BASE_JOBS = 1.0
"""How many jobs' worth the broader belief is as a whole."""

_SMOOTHING = (1.4, 0.7, 0.35, 0.2)
"""Half the bases of the smoothing windows, in e-folds of age, from coarse to fine."""
_SHRINKAGE = 2.0
"""Imaginary ends in each window that say the belief so far is right: the gamma prior's shape."""

_FLOOR_JOBS = 10.0
_FLOOR = 0.02
"""Ends per e-fold of age that stay possible anywhere until that many jobs were seen, then ever fewer."""


class Phase(StrEnum):
    """Which clock an age is told by."""

    JOB = "job"
    """Since the job was made: its whole duration, whatever it waits for."""
    RUN = "run"
    """Since it was seen to leave the queue."""


class Kind(NamedTuple):
    """A kind of duration that is learned on its own; without a model, all jobs of the provider."""

    provider: str
    phase: Phase
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """What watching one job over a stretch of its life adds, from the bin `first` on.

    `surprise` is None while the job runs.  Of an end it tells how unexpected its
    age was: the share of jobs that should have ended before it, scaled to mean 0
    and variance 1.
    """

    first: int
    events: tuple[float, ...]
    exposure: tuple[float, ...]
    surprise: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Ends seen and seconds survived in each bin of age; the older, the less they count.

    `drift` is the moving average of the surprises: near 0 while jobs take as
    long as they used to.
    """

    events: tuple[float, ...] = (0.0,) * BINS
    exposure: tuple[float, ...] = (0.0,) * BINS
    drift: float = 0.0

    @property
    def jobs(self) -> float:
        """How many ends this is worth."""
        return math.fsum(self.events)

    def plus(self, traces: Iterable[Trace]) -> "Evidence":
        """Return the evidence with what was seen since.

        Every end lets what was known before fade a little; ends that keep
        coming too early or too late let it fade to a few jobs' worth at once
        (an EWMA control chart, Roberts 1959), for then the provider has changed.
        """
        events, exposure, drift = list(self.events), list(self.exposure), self.drift
        jobs, scale = self.jobs, 1.0  # what is added is divided by the scale, so that fading is one multiplication
        for trace in traces:
            if trace.surprise is not None:
                drift += _DRIFT_WEIGHT * (trace.surprise - drift)
                kept = _FADING
                if abs(drift) > _DRIFT_LIMIT and jobs > _KEPT_JOBS:
                    kept, drift = _KEPT_JOBS / jobs, 0.0
                scale, jobs = scale * kept, jobs * kept + 1
            for index, (ended, survived) in enumerate(zip(trace.events, trace.exposure, strict=True), trace.first):
                events[index] += ended / scale
                exposure[index] += survived / scale
        return Evidence(tuple(scale * value for value in events), tuple(scale * value for value in exposure), drift)


class Traces:
    """Traces in the order in which they came; those in a row of jobs that still run are kept as one."""

    def __init__(self) -> None:
        self._traces: list[Trace] = []
        self._running: list[float] | None = None

    def __iter__(self) -> Iterator[Trace]:
        yield from self._traces
        if self._running is not None:
            yield Trace(0, (0.0,) * BINS, tuple(self._running))

    def add(self, trace: Trace) -> None:
        """Put a trace behind the others."""
        if trace.surprise is not None:
            self._traces, self._running = [*self, trace], None
            return
        if self._running is None:
            self._running = [0.0] * BINS
        for index, seconds in enumerate(trace.exposure, trace.first):
            self._running[index] += seconds


def survived(from_s: float, to_s: float) -> Trace:
    """Return what it tells that a job which ran at the age `from_s` still ran at `to_s`."""
    start = max(from_s, 0.0)
    first, seconds = _seconds(start, max(to_s, start))
    return Trace(first, (0.0,) * len(seconds), tuple(seconds))


def ended(watched_s: float, alive_s: float, ended_s: float, hazard: Hazard, *, exact: bool = False) -> Trace:
    """Return what it tells that a job which still ran at the age `alive_s` had ended at `ended_s`.

    The end is spread over the ages in between as `hazard` makes them likely
    (one step of EM for interval-censored data, Turnbull 1976), or is `exact`.
    `watched_s` is the age at which relay came to know of the job.
    """
    alive = max(alive_s, 0.0)
    end = max(ended_s, alive)
    surprise = _surprise(max(watched_s, 0.0), end if exact else alive, end, hazard)
    if exact or end == alive:
        first, seconds = _seconds(alive, end)
        return Trace(first, (*(0.0,) * (len(seconds) - 1), 1.0), tuple(seconds), surprise)
    bins = range(bin_of(alive), bin_of(end) + 1)
    _, spans = _seconds(alive, end)
    shares = _shares([hazard.rates[index] for index in bins], spans)
    running, exposure = 1.0, []
    for share, span in zip(shares, spans, strict=True):
        exposure.append(span * max(running - share / 2, 0.0))
        running -= share
    return Trace(bins[0], tuple(shares), tuple(exposure), surprise)


def _surprise(watched_s: float, alive_s: float, ended_s: float, hazard: Hazard) -> float:
    before = hazard.integral(min(watched_s, alive_s))
    late, early = (math.exp(before - hazard.integral(age)) for age in (ended_s, alive_s))
    return (0.5 - (early + late) / 2) * math.sqrt(12)


def _seconds(start: float, end: float) -> tuple[int, list[float]]:
    """Return the first bin and the seconds from `start` to `end` in each bin from it on."""
    first, last = bin_of(start), bin_of(end)
    if first == last:
        return first, [end - start]
    return first, [EDGES[first + 1] - start, *WIDTHS[first + 1 : last], end - EDGES[last]]


def _shares(rates: list[float], spans: list[float]) -> list[float]:
    """Return how one end is divided over spans of given rates."""
    running, shares = 1.0, []
    for rate, span in zip(rates, spans, strict=True):
        left = running * math.exp(-rate * span)
        shares.append(running - left)
        running = left
    total = math.fsum(shares)
    if total < 1e-9:  # thought impossible, yet it happened: anywhere is as likely
        shares, total = spans, math.fsum(spans)
    return [share / total for share in shares]


def believed(evidence: Evidence, base: Hazard) -> Hazard:
    """Return the hazard that evidence makes of a broader belief: its shape, corrected."""
    return corrected(evidence, shaped(evidence, base))


def shaped(evidence: Evidence, base: Hazard) -> Hazard:
    """Return a lognormal around the ends seen so far, mixed with the broader belief, which counts as one job."""
    jobs = evidence.jobs
    if jobs == 0:
        return base
    weight = _BASE_JOBS / (_BASE_JOBS + jobs)
    return mixture([(weight, base), (1 - weight, _fitted(evidence, jobs, base.quantile(0.5)))])


def corrected(evidence: Evidence, shape: Hazard) -> Hazard:
    """Return a shape after the evidence has corrected it, window by window, from coarse to fine.

    Each correction is the mean of a gamma posterior: (ends + a) / (ends
    expected + a).  Windows with much evidence follow it, the others keep their
    shape.
    """
    if not any(evidence.exposure):
        return shape
    jobs = evidence.jobs
    rates = list(shape.rates)
    for window in _SMOOTHING:
        reach = round(window / math.log(GROWTH) / 2)
        seen = _smoothed(evidence.events, reach)
        expected = _smoothed([rate * seconds for rate, seconds in zip(rates, evidence.exposure, strict=True)], reach)
        rates = [
            rate * (ends + _SHRINKAGE) / (due + _SHRINKAGE)
            for rate, ends, due in zip(rates, seen, expected, strict=True)
        ]
    floor = _FLOOR / (1 + jobs / _FLOOR_JOBS)
    return Hazard.of(
        (max(rate, floor / max(edge + width, 1.0)) for rate, edge, width in zip(rates, EDGES, WIDTHS, strict=True)),
        evidence.events,
    )


def _fitted(evidence: Evidence, jobs: float, base_median_s: float) -> Hazard:
    """Return the lognormal around the ends seen, as wide as so few of them allow (normal-inverse-gamma posterior)."""
    prior_mean = math.log(base_median_s)
    mean = math.fsum(count * log_age for count, log_age in zip(evidence.events, _LOG_AGES, strict=True)) / jobs
    squares = math.fsum(
        count * (log_age - mean) ** 2 for count, log_age in zip(evidence.events, _LOG_AGES, strict=True)
    )
    known = _MEDIAN_JOBS + jobs
    centre = (_MEDIAN_JOBS * prior_mean + jobs * mean) / known
    squares += _MEDIAN_JOBS * jobs / known * (mean - prior_mean) ** 2
    variance = (_SIGMA_JOBS * _SIGMA**2 + squares) / (_SIGMA_JOBS + jobs) * (1 + 1 / known)
    return lognormal(math.exp(centre), math.sqrt(variance))


_LOG_AGES = tuple(
    math.log(math.sqrt(max(edge, 0.05) * (edge + width))) for edge, width in zip(EDGES, WIDTHS, strict=True)
)


def _smoothed(values: Iterable[float], reach: int) -> list[float]:
    """Return sums under a triangle of height one that reaches `2 * reach + 1` bins to either side."""
    if reach == 0:
        return list(values)
    once = _box(values, reach)
    return [value / (2 * reach + 1) for value in _box(once, reach)]


def _box(values: Iterable[float], reach: int) -> list[float]:
    sums = list(accumulate(values, initial=0.0))
    padded = [0.0] * reach + sums + [sums[-1]] * reach
    return [high - low for high, low in zip(padded[2 * reach + 1 :], padded, strict=False)]
