"""How long simulated jobs take."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from random import Random
from statistics import NormalDist

_FINEST_S, _FINENESS = 0.02, 0.0005
"""The grid's step: absolute for young jobs, then a share of the age."""

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Law:
    """A distribution of durations, in seconds.

    `survival` is the share that takes longer than an age, `at` the duration
    that a uniform number stands for, and `longest_s` an age that fewer than one
    in 10**10 jobs reach.
    """

    survival: Callable[[float], float]
    at: Callable[[float], float]
    longest_s: float

    @cached_property
    def grid(self) -> tuple[float, ...]:
        """Ages so close to one another that it does not matter that polls keep to them."""
        ages = [0.0]
        while ages[-1] < self.longest_s:
            ages.append(ages[-1] + max(_FINEST_S, _FINENESS * ages[-1]))
        return tuple(ages)

    @cached_property
    def mean_s(self) -> float:
        """The mean duration: the integral of the survival function."""
        alive = [self.survival(age) for age in self.grid]
        spans = (later - sooner for sooner, later in pairwise(self.grid))
        return math.fsum(span * (a + b) / 2 for span, (a, b) in zip(spans, pairwise(alive), strict=True))


def lognormal(median_s: float, sigma: float) -> Law:
    """Durations whose logarithm is normal."""

    def survival(age: float) -> float:
        return 0.5 * math.erfc(math.log(age / median_s) / (sigma * math.sqrt(2))) if age > 0 else 1.0

    return Law(survival, lambda u: median_s * math.exp(sigma * _NORMAL.inv_cdf(u)), median_s * math.exp(6.5 * sigma))


def weibull(shape: float, scale_s: float) -> Law:
    """Durations whose hazard grows as a power of the age; exponential for the shape 1."""
    return Law(
        lambda age: math.exp(-math.pow(age / scale_s, shape)),
        lambda u: scale_s * math.pow(-math.log1p(-u), 1 / shape),
        scale_s * 25 ** (1 / shape),
    )


def exponential(mean_s: float) -> Law:
    """Durations without memory."""
    return weibull(1.0, mean_s)


def log_logistic(shape: float, median_s: float, longest_s: float) -> Law:
    """Durations with a tail that falls as a power of the age, cut off at `longest_s`."""

    def uncut(age: float) -> float:
        return 1 / (1 + math.pow(age / median_s, shape))

    rest = uncut(longest_s)

    def at(u: float) -> float:
        ended = u * (1 - rest)
        return median_s * math.pow(ended / (1 - ended), 1 / shape)

    return Law(lambda age: max(uncut(age) - rest, 0.0) / (1 - rest), at, longest_s)


def either(one: Law, other: Law) -> Law:
    """Durations that follow one law or another, as often."""
    return Law(
        lambda age: (one.survival(age) + other.survival(age)) / 2,
        lambda u: one.at(2 * u) if u < 0.5 else other.at(2 * u - 1),
        max(one.longest_s, other.longest_s),
    )


def after_queue(queue_mean_s: float, run: Law) -> Law:
    """Durations of jobs that wait exponentially long and then run; drawn as two, so that `at` is not to be had."""
    count = 4000
    runs = sorted(run.at((index + 0.5) / count) for index in range(count))
    weights = (0.0, *accumulate(math.exp(duration / queue_mean_s) for duration in runs))

    def survival(age: float) -> float:
        shorter = bisect_right(runs, age)
        return (count - shorter + math.exp(-age / queue_mean_s) * weights[shorter]) / count

    def at(u: float) -> float:
        raise NotImplementedError("draw the wait and the run")

    return Law(survival, at, 25 * queue_mean_s + run.longest_s)


@dataclass(frozen=True)
class Queue:
    """The two parts of a duration where the provider tells them apart."""

    wait: Law
    run: Law


@dataclass(frozen=True)
class Kind:
    """Jobs of one model: how long they take in all, and how that is divided, where the provider tells."""

    total: Law
    model: str | None = None
    queue: Queue | None = None


@dataclass(frozen=True)
class Drawn:
    """One simulated job: when it leaves the queue and when it ends, in seconds of age."""

    model: str | None
    runs_at_s: float
    ends_at_s: float


@dataclass(frozen=True)
class Shape:
    """What jobs of one provider are like after a number of them; all kinds are as frequent."""

    name: str
    title: str
    kinds: Callable[[int], Sequence[Kind]]
    changes_at: int | None = None
    """After how many jobs they change at a stroke."""
    stationary: bool = True

    def draw(self, jobs: int, random: Random) -> Drawn:
        """Return the job after `jobs` others."""
        kind = random.choice(self.kinds(jobs))
        if kind.queue is None:
            return Drawn(kind.model, 0.0, kind.total.at(random.random()))
        waited = kind.queue.wait.at(random.random())
        return Drawn(kind.model, waited, waited + kind.queue.run.at(random.random()))


def _always(*kinds: Kind) -> Callable[[int], Sequence[Kind]]:
    return lambda _: kinds


@lru_cache
def _drifted(jobs: int) -> Sequence[Kind]:
    return (Kind(lognormal(60.0 + 120.0 * min(jobs / 1000, 1.0), 0.35)),)


def _stepped(to_s: float) -> Callable[[int], Sequence[Kind]]:
    before, after = (Kind(lognormal(60.0, 0.35)),), (Kind(lognormal(to_s, 0.35)),)
    return lambda jobs: before if jobs < CHANGE_AT else after


def _queued() -> Kind:
    run = lognormal(60.0, 0.25)
    return Kind(after_queue(30.0, run), queue=Queue(exponential(30.0), run))


CHANGE_AT = 500
"""After how many jobs the duration of the shapes with a step changes."""

SHAPES = {
    shape.name: shape
    for shape in (
        Shape("narrow", "lognormal, 60 s, sigma 0.35", _always(Kind(lognormal(60.0, 0.35)))),
        Shape("wide", "lognormal, 60 s, sigma 1", _always(Kind(lognormal(60.0, 1.0)))),
        Shape("long", "lognormal, 240 s, sigma 0.2", _always(Kind(lognormal(240.0, 0.2)))),
        Shape("weibull", "Weibull, shape 3, 90 s", _always(Kind(weibull(3.0, 90.0)))),
        Shape("exponential", "exponential, 60 s", _always(Kind(exponential(60.0)))),
        Shape(
            "bimodal",
            "two modes, 15 s and 150 s, sigma 0.25",
            _always(Kind(either(lognormal(15.0, 0.25), lognormal(150.0, 0.25)))),
        ),
        Shape("heavy", "heavy tail: log-logistic, shape 2, 60 s", _always(Kind(log_logistic(2.0, 60.0, 6 * 3600.0)))),
        Shape("queue", "queue (exponential, 30 s), then run (60 s, sigma 0.25)", _always(_queued())),
        Shape(
            "models",
            "three models: 20 s, 60 s, 240 s, sigma 0.3",
            _always(*(Kind(lognormal(median, 0.3), f"model-{median:.0f}") for median in (20.0, 60.0, 240.0))),
        ),
        Shape("drift", "drift from 60 s to 180 s, sigma 0.35", _drifted, stationary=False),
        Shape("step-up", "step from 60 s to 150 s", _stepped(150.0), changes_at=CHANGE_AT, stationary=False),
        Shape("step-down", "step from 60 s to 30 s", _stepped(30.0), changes_at=CHANGE_AT, stationary=False),
    )
}
