"""The figures: what many replays come to, shape by shape."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice

from bench.inspection.exact import PRICE_S, Outcome, at, backing_off, best_interval, every, optimum, outcome, solve
from bench.inspection.replay import Terms, history, learned
from bench.inspection.shapes import SHAPES, Kind, Shape
from relay.experience import Experience

MARKS = (0, 5, 20, 50, 200, 1000)
"""After how many jobs the tables tell of it."""
EQUAL_MARKS = (0, 50, 1000)
LAG_MARKS = (0, 50, 200, 1000)
WANTED_LAGS_S = (1.0, 2.0, 5.0)
RECOVERED = 1.10
FIXED_S = 5.0
"""The interval of the loop in the providers' guides."""
BACK_OFF_S = (2.0, 30.0)
"""Doubling from the first to the second, as Lumenfall tells its users' agents to poll videos."""

_CURVE = (1, 2, 3, 8, 12, 30, 80, 120, 300, 400, 499, 600, 700, 800, 900)

Series = dict[int, float]
"""Values by the number of jobs before."""


@dataclass(frozen=True)
class Extent:
    """How much is replayed: jobs, and seeds in all and for each wanted lag."""

    seeds: int
    lag_seeds: int
    jobs: int

    def marks(self, marks: Iterable[int]) -> list[int]:
        return sorted(mark for mark in set(marks) if mark <= self.jobs)


@dataclass(frozen=True)
class Plans:
    """What needs no learning, at one state of a shape: the optimum's cost, and what the fixed plans achieve."""

    optimum: float
    fixed: Outcome
    best_interval_s: float
    best: Outcome
    back_off: Outcome


@dataclass(frozen=True)
class Replay:
    """What one replay at the price of PRICE_S showed."""

    ratio: Series
    polls_at_equal_lag: Series
    lag_at_equal_polls: Series


@dataclass(frozen=True)
class Figures:
    """All that is told of one shape; ratios are costs against the informed optimum, means over the seeds.

    `worst` is that of the worst seed.  The polls at equal lag and the lag at
    equal polls are shares of those of the fixed loop.  `lags` holds what became
    of each wanted lag, as a share of it.
    """

    name: str
    title: str
    stationary: bool
    ratio: Series
    worst: Series
    fixed: Series
    best: Series
    back_off: Series
    best_interval_s: float
    fixed_lag_s: float
    fixed_polls: float
    polls_at_equal_lag: Series
    lag_at_equal_polls: Series
    lags: dict[float, Series]
    recovery: int | None = None
    worst_recovery: int | None = None


def measure(extent: Extent, workers: int, names: Sequence[str] = tuple(SHAPES)) -> list[Figures]:
    """Replay the shapes named and return their figures; the same on every machine."""
    seeds = range(extent.seeds)
    with ProcessPoolExecutor(workers) as pool:
        replays = {name: [pool.submit(_replay, name, seed, extent) for seed in seeds] for name in names}
        lags = {
            (name, wanted): [pool.submit(_lags, name, seed, extent, wanted) for seed in range(extent.lag_seeds)]
            for name in names
            for wanted in WANTED_LAGS_S
            if SHAPES[name].stationary
        }
        baselines = {name: pool.submit(_baselines, name, extent) for name in names}
        return [
            _gathered(
                SHAPES[name],
                baselines[name].result(),
                [one.result() for one in replays[name]],
                {wanted: _mean([one.result() for one in runs]) for (of, wanted), runs in lags.items() if of == name},
            )
            for name in names
        ]


def _gathered(
    shape: Shape, plans: Mapping[int, Plans], replays: Sequence[Replay], lags: dict[float, Series]
) -> Figures:
    ratio = _mean([one.ratio for one in replays])
    last = plans[max(plans)]
    recoveries = [_recovery(one, shape) for one in (ratio, *(one.ratio for one in replays))]
    return Figures(
        name=shape.name,
        title=shape.title,
        stationary=shape.stationary,
        ratio=ratio,
        worst={mark: max(one.ratio[mark] for one in replays) for mark in ratio},
        fixed={mark: plan.fixed.cost() / plan.optimum for mark, plan in plans.items()},
        best={mark: plan.best.cost() / plan.optimum for mark, plan in plans.items()},
        back_off={mark: plan.back_off.cost() / plan.optimum for mark, plan in plans.items()},
        best_interval_s=last.best_interval_s,
        fixed_lag_s=last.fixed.lag_s,
        fixed_polls=last.fixed.polls,
        polls_at_equal_lag=_mean([one.polls_at_equal_lag for one in replays]),
        lag_at_equal_polls=_mean([one.lag_at_equal_polls for one in replays]),
        lags=lags,
        recovery=recoveries[0],
        worst_recovery=None if None in recoveries[1:] else max(one for one in recoveries[1:] if one is not None),
    )


def _mean(series: Sequence[Series]) -> Series:
    return {mark: statistics.fmean(one[mark] for one in series) for mark in series[0]}


def _recovery(ratio: Series, shape: Shape) -> int | None:
    """Return how many jobs after a change the ratio is good again for good; None where it never is."""
    if shape.changes_at is None or max(ratio) <= shape.changes_at:
        return None
    after = sorted(mark for mark in ratio if mark >= shape.changes_at)
    bad = [mark for mark in after if ratio[mark] > RECOVERED]
    if bad and bad[-1] == after[-1]:
        return None
    return bad[-1] + 1 - shape.changes_at if bad else 0


def _marks(shape: Shape, extent: Extent) -> list[int]:
    every_job = range(shape.changes_at, extent.jobs + 1) if shape.changes_at is not None else ()
    return extent.marks((*MARKS, *_CURVE, *every_job))


def _replay(name: str, seed: int, extent: Extent) -> Replay:
    shape, terms = SHAPES[name], Terms(price=PRICE_S)
    marks, reported, equal = _marks(shape, extent), extent.marks(MARKS), extent.marks(EQUAL_MARKS)
    ratio, polls, lag = Series(), Series(), Series()
    for jobs, experience in enumerate(islice(history(shape, seed, terms), extent.jobs + 1)):
        if jobs not in marks:
            continue
        kinds = shape.kinds(jobs)
        ratio[jobs] = outcome(kinds, learned(experience, terms)).cost() / _optimum(kinds)
        fixed = _fixed(kinds)

        def at_price(price: float, kinds: Sequence[Kind] = kinds, known: Experience = experience) -> Outcome:
            return outcome(kinds, learned(known, Terms(price=price)))

        if jobs in reported:
            polls[jobs] = solve(at_price, fixed.lag_s, lambda found: found.lag_s, rising=True).polls / fixed.polls
        if jobs in equal:
            lag[jobs] = solve(at_price, fixed.polls, lambda found: found.polls, rising=False).lag_s / fixed.lag_s
    return Replay(ratio, polls, lag)


def _lags(name: str, seed: int, extent: Extent, wanted_s: float) -> Series:
    """Return the mean lag that was achieved where one was wanted, as a share of it."""
    shape, terms, marks = SHAPES[name], Terms(lag_s=wanted_s), extent.marks(LAG_MARKS)
    return {
        jobs: outcome(shape.kinds(jobs), learned(experience, terms)).lag_s / wanted_s
        for jobs, experience in enumerate(islice(history(shape, seed, terms), extent.jobs + 1))
        if jobs in marks
    }


def _baselines(name: str, extent: Extent) -> dict[int, Plans]:
    return {mark: _plans(SHAPES[name].kinds(mark)) for mark in extent.marks((*MARKS, *_CURVE))}


@cache
def _plans(kinds: Sequence[Kind]) -> Plans:
    interval_s = best_interval(kinds)
    return Plans(
        optimum=_optimum(kinds),
        fixed=_fixed(kinds),
        best_interval_s=interval_s,
        best=outcome(kinds, every(interval_s)),
        back_off=outcome(kinds, backing_off(*BACK_OFF_S)),
    )


@cache
def _fixed(kinds: Sequence[Kind]) -> Outcome:
    return outcome(kinds, every(FIXED_S))


@cache
def _optimum(kinds: Sequence[Kind]) -> float:
    """Return the least cost for one who knows the laws, and of which model a job is, but not when it leaves a queue."""
    each = [outcome([Kind(kind.total)], at(optimum(kind.total))).cost() for kind in kinds]
    return math.fsum(each) / len(each)
