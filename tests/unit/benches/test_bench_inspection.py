"""The tools that the schedule is judged with, on cases whose answers are known."""

import math
from itertools import islice, pairwise
from random import Random
from statistics import fmean, stdev

import pytest

from bench.inspection.crowd import gather
from bench.inspection.exact import Outcome, at, backing_off, best_interval, every, optimum, outcome, solve
from bench.inspection.figures import Extent, measure
from bench.inspection.replay import Terms, history, learned, watch_job
from bench.inspection.shapes import SHAPES, Kind, after_queue, either, exponential, log_logistic, lognormal, weibull
from relay.core.outlook import Lifetime

EXPONENTIAL = (Kind(exponential(60.0)),)


def test_the_optimum_for_jobs_without_memory_is_the_interval_of_the_closed_form() -> None:
    """Each poll starts afresh: the interval d solves exp(d/m) - 1 - d/m = c/m; for m = 60 and c = 0.5, d = 7.583."""
    interval = 7.583
    assert math.exp(interval / 60) - 1 - interval / 60 == pytest.approx(0.5 / 60, rel=1e-3)
    looks = optimum(EXPONENTIAL[0].total, price=0.5)
    assert [later - sooner for sooner, later in pairwise((0.0, *looks[:20]))] == pytest.approx([interval] * 20, abs=0.1)
    best = outcome(EXPONENTIAL, at(looks)).cost(0.5)
    assert best == pytest.approx(outcome(EXPONENTIAL, every(interval)).cost(0.5), rel=1e-4)
    assert best_interval(EXPONENTIAL, price=0.5) == pytest.approx(interval, rel=0.01)


def test_a_fixed_interval_costs_what_the_geometric_series_says() -> None:
    """With d = 5 and m = 60, 1 / (1 - exp(-d/m)) polls are made and d times as many seconds pass."""
    polls = 1 / (1 - math.exp(-5 / 60))
    found = outcome(EXPONENTIAL, every(5.0))
    assert found.polls == pytest.approx(polls, rel=1e-6)
    assert found.lag_s == pytest.approx(5 * polls - 60, abs=1e-4)
    assert found.cost(0.5) == pytest.approx(found.lag_s + polls / 2, rel=1e-6)


def test_no_plan_is_cheaper_than_the_optimum() -> None:
    """Moving any one of its looks, either way, costs more."""
    kinds = (Kind(either(lognormal(15.0, 0.25), lognormal(150.0, 0.25))),)
    looks = optimum(kinds[0].total)
    best = outcome(kinds, at(looks)).cost()
    for index in range(12):
        for share in (-0.2, 0.2):
            room = looks[index] - (looks[index - 1] if index else 0.0)
            moved = sorted((*looks[:index], looks[index] + share * room, *looks[index + 1 :]))
            assert outcome(kinds, at(moved)).cost() > best - 1e-3


@pytest.mark.parametrize(
    ("law", "mean_s"),
    [
        (exponential(60.0), 60.0),
        (lognormal(240.0, 0.2), 240 * math.exp(0.02)),
        (weibull(3.0, 90.0), 90 * math.gamma(4 / 3)),
        (either(exponential(10.0), exponential(30.0)), 20.0),
        (after_queue(30.0, lognormal(60.0, 0.25)), 30 + 60 * math.exp(0.25**2 / 2)),
        (log_logistic(2.0, 60.0, 1e6), 60 * math.pi / 2),
    ],
)
def test_the_mean_of_a_law_is_that_of_the_textbook(law: object, mean_s: float) -> None:
    """The log-logistic misses 0.004 s of its mean, 60 * pi/2, as it is cut off after a million seconds."""
    assert law.mean_s == pytest.approx(mean_s, rel=2e-4)  # type: ignore[attr-defined]


def test_a_queue_of_fixed_looks_costs_what_the_total_duration_says() -> None:
    """A plan that pays no heed to the queue may as well not see it."""
    (queued,) = SHAPES["queue"].kinds(0)
    seen, unseen = outcome((queued,), every(5.0)), outcome((Kind(queued.total),), every(5.0))
    assert seen.polls == pytest.approx(unseen.polls, rel=1e-3)
    assert seen.lag_s == pytest.approx(unseen.lag_s, abs=0.05)


@pytest.mark.parametrize("name", ["queue", "models"])
def test_what_is_integrated_is_what_happens_to_jobs_that_are_watched(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs followed by the daemon's own decisions cost what the integrals say, within three standard errors."""
    shape, terms, random = SHAPES[name], Terms(lag_s=2.0), Random(1)
    (experience,) = islice(history(shape, 0, terms), 60, 61)
    monkeypatch.setattr(experience, "learn", lambda *_, **__: None)
    watched = [watch_job(shape.draw(0, random), experience, terms.following, random) for _ in range(1000)]
    expected = outcome(shape.kinds(0), learned(experience, terms))
    for seen, wanted in (
        ([one.lag_s for one in watched], expected.lag_s),
        ([float(one.polls) for one in watched], expected.polls),
    ):
        error = stdev(seen) / math.sqrt(len(seen))
        assert error < 0.06 * wanted
        assert fmean(seen) == pytest.approx(wanted, abs=3 * error)


def test_backing_off_doubles_up_to_its_longest() -> None:
    policy, ages = backing_off(2.0, 30.0), [0.0]
    while ages[-1] < 120:
        ages.append(policy(Lifetime(0.0), None, ages[-1]))
    assert ages == [0, 2, 6, 14, 30, 60, 90, 120]


def test_the_price_of_a_wanted_lag_is_found() -> None:
    """At a lag of sqrt(2c), wanted 3 s."""
    found = solve(lambda price: Outcome(math.sqrt(2 * price), 1 / price), 3.0, lambda made: made.lag_s, rising=True)
    assert found.lag_s == pytest.approx(3.0, rel=1e-3)
    assert found.polls == pytest.approx(1 / 4.5, rel=3e-3)


def test_the_figures_come_from_their_seeds_alone() -> None:
    """Twice the same, however the work is divided; and what is learned helps."""
    extent, names = Extent(seeds=2, lag_seeds=1, jobs=20), ("narrow",)
    once, again = measure(extent, 2, names), measure(extent, 1, names)
    assert once == again
    assert all(shape.ratio[20] < shape.ratio[0] for shape in once)


def test_jobs_without_memory_share_a_budget_as_well_as_by_turns_and_those_as_the_closed_form_says() -> None:
    """2 jobs a second at 5 polls: 2 * (60 + L) of them live, each looked at every d = 0.4 * (60 + L) seconds.

    The lag is d / (1 - exp(-d/60)) - 60, which holds for L = 16.6 s.
    """
    crowd = gather(SHAPES["exponential"])

    assert crowd.turns_s == pytest.approx(16.6, rel=0.05)
    assert crowd.need_s == pytest.approx(crowd.turns_s, rel=0.05)


def test_jobs_that_take_about_as_long_share_a_budget_far_better_than_by_turns() -> None:
    crowd = gather(SHAPES["long"])

    assert crowd.need_s < 0.5 * crowd.turns_s
    assert crowd.need_p95_s < 0.5 * crowd.turns_p95_s
