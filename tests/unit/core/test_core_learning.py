"""What past jobs teach about the next one."""

import math
import random
from dataclasses import replace

import pytest
from support.expecting import constant

from relay.core.hazard import BINS, EDGES, WIDTHS, Hazard, bin_of, prior
from relay.core.learning import Evidence, Trace, Traces, believed, ended, survived


def lives(count: int, draw: random.Random, median_s: float = 60.0, sigma: float = 0.3) -> list[Trace]:
    """Jobs known from birth to their exact ends, lognormal around a median, none of them a surprise."""
    ages = [median_s * math.exp(sigma * draw.gauss(0, 1)) for _ in range(count)]
    return [replace(ended(0.0, 0.0, age, constant(60.0), exact=True), surprise=0.0) for age in ages]


def median(hazard: Hazard) -> float:
    return hazard.quantile(0.5)


def totals(trace: Trace) -> tuple[float, float]:
    return sum(trace.events), sum(trace.exposure)


def test_survival_adds_its_seconds_to_the_bins_it_crossed() -> None:
    """From the middle of one bin over a whole one into the next."""
    start, end = EDGES[10] + WIDTHS[10] / 2, EDGES[12] + 0.01

    trace = survived(start, end)

    assert trace.first == 10
    assert trace.exposure == pytest.approx((WIDTHS[10] / 2, WIDTHS[11], 0.01))
    assert trace.events == (0.0, 0.0, 0.0)
    assert trace.surprise is None


def test_an_exact_end_counts_in_its_bin_after_the_seconds_survived() -> None:
    trace = ended(0.0, EDGES[10], EDGES[11] + 0.01, constant(60.0), exact=True)

    assert (trace.first, trace.events) == (10, (0.0, 1.0))
    assert trace.exposure == pytest.approx((WIDTHS[10], 0.01))


def test_an_end_between_two_looks_is_spread_as_the_belief_makes_it_likely() -> None:
    """Rates 1 and 3 over two bins of widths a and b.

    The first takes 1 - e^-a of the job, the second e^-a (1 - e^-3b), each over their sum.
    """
    hazard = Hazard.of([1.0] * 11 + [3.0] * (BINS - 11))
    a, b = WIDTHS[10], WIDTHS[11]
    first, second = -math.expm1(-a), math.exp(-a) * -math.expm1(-3 * b)

    trace = ended(0.0, EDGES[10], EDGES[12] - 1e-9, hazard)

    assert trace.events == pytest.approx((first / (first + second), second / (first + second)))
    assert totals(trace)[0] == pytest.approx(1.0)
    assert trace.exposure[0] == pytest.approx(a * (1 - trace.events[0] / 2))
    assert trace.exposure[1] == pytest.approx(b * (1 - trace.events[0] - trace.events[1] / 2))


def test_an_end_where_the_belief_thought_it_impossible_is_anywhere_alike() -> None:
    trace = ended(0.0, EDGES[10], EDGES[12] - 1e-9, Hazard.of([0.0] * BINS))

    assert trace.events == pytest.approx(
        (WIDTHS[10] / (WIDTHS[10] + WIDTHS[11]), WIDTHS[11] / (WIDTHS[10] + WIDTHS[11]))
    )


def test_the_surprise_of_an_end_is_how_many_jobs_should_have_ended_before_it() -> None:
    """At the median nothing, at the very start sqrt(3) below, at the 90th percentile 0.4 sqrt(12) above."""
    hazard = constant(60.0)

    assert ended(0.0, 0.0, 60 * math.log(2), hazard, exact=True).surprise == pytest.approx(0.0)
    assert ended(0.0, 0.0, 0.0, hazard, exact=True).surprise == pytest.approx(-math.sqrt(3))
    assert ended(0.0, 0.0, 60 * math.log(10), hazard, exact=True).surprise == pytest.approx(0.4 * math.sqrt(12))


def test_a_job_known_late_is_compared_with_those_that_lived_as_long() -> None:
    """Exponential jobs have no memory: the median of what remains is no surprise at any age."""
    late = ended(500.0, 500.0, 500 + 60 * math.log(2), constant(60.0), exact=True)

    assert late.surprise == pytest.approx(0.0)


def test_traces_of_jobs_that_still_run_are_kept_as_one() -> None:
    kept = Traces()
    for trace in (survived(0.0, 3.0), survived(2.0, 9.0), ended(0.0, 9.0, 9.5, constant(60.0)), survived(0.0, 1.0)):
        kept.add(trace)

    traces = list(kept)
    assert [trace.surprise is None for trace in traces] == [True, False, True]
    assert totals(traces[0]) == (0.0, pytest.approx(10.0))
    assert traces[0].first == 0
    assert traces[0].exposure[bin_of(2.5)] == pytest.approx(2 * WIDTHS[bin_of(2.5)], rel=0.5)


def test_every_end_lets_what_was_known_fade_to_half_after_500() -> None:
    first = Evidence().plus([ended(0.0, 0.0, 10.0, constant(60.0), exact=True)])
    middle = [Trace(bin_of(10.0), (1.0,), (0.0,), surprise=0.0)] * 500

    later = first.plus(middle)

    assert later.exposure[0] == pytest.approx(first.exposure[0] / 2)
    assert later.jobs == pytest.approx(sum(0.5 ** (age / 500) for age in range(501)))


def test_evidence_does_not_depend_on_how_it_is_portioned() -> None:
    """What two processes learn in turns, saved together, is what one would have learned."""
    traces = lives(60, random.Random(1))

    at_once = Evidence().plus(traces)
    in_turns = Evidence().plus(traces[:7]).plus(traces[7:40]).plus([]).plus(traces[40:])

    assert in_turns.events == pytest.approx(at_once.events)
    assert in_turns.exposure == pytest.approx(at_once.exposure)
    assert in_turns.drift == pytest.approx(at_once.drift)


def test_without_evidence_the_broader_belief_stands() -> None:
    assert believed(Evidence(), prior(60.0)).rates == pytest.approx(prior(60.0).rates)


def test_a_hundred_jobs_outweigh_what_was_said_of_them() -> None:
    """Told a minute, seen ten: the middle of what is believed moves to what was seen."""
    evidence = Evidence().plus(lives(100, random.Random(2), median_s=600.0))

    hazard = believed(evidence, prior(60.0))

    assert median(hazard) == pytest.approx(600.0, rel=0.08)
    assert hazard.quantile(0.1) == pytest.approx(600 * math.exp(-1.2816 * 0.3), rel=0.12)
    assert hazard.quantile(0.9) == pytest.approx(600 * math.exp(1.2816 * 0.3), rel=0.12)


def test_two_kinds_of_jobs_are_told_apart() -> None:
    """Half take 15 s, half 150 s: hardly any end is expected between 30 and 80 s."""
    draw = random.Random(3)
    traces = [trace for _ in range(100) for trace in (*lives(1, draw, 15.0, 0.2), *lives(1, draw, 150.0, 0.2))]

    hazard = believed(Evidence().plus(traces), prior(60.0))

    share_ended = [1 - math.exp(-hazard.integral(age)) for age in (30.0, 80.0)]
    assert share_ended[0] == pytest.approx(0.5, abs=0.07)
    assert share_ended[1] - share_ended[0] < 0.05


def test_jobs_that_run_and_run_teach_before_the_first_of_them_ends() -> None:
    """Ten jobs said to take a minute have run for five: half an hour is then less surprising than a minute."""
    hazard = believed(Evidence().plus([survived(0.0, 300.0)] * 10), prior(60.0))

    assert median(prior(60.0)) < 65
    assert median(hazard) > 150


def test_a_provider_that_became_slower_is_noticed_within_a_dozen_jobs() -> None:
    """400 jobs of a minute, then jobs of three: each tells an age at which nearly all should have ended."""
    draw = random.Random(4)
    evidence = Evidence().plus(lives(400, draw))
    for _ in range(25):
        hazard = believed(evidence, prior(60.0))
        age = 180 * math.exp(0.3 * draw.gauss(0, 1))
        evidence = evidence.plus([ended(0.0, 0.0, age, hazard, exact=True)])

    assert evidence.jobs < 40
    assert median(believed(evidence, prior(60.0))) == pytest.approx(180.0, rel=0.35)


def test_a_provider_that_stays_as_it_is_is_not_thought_to_have_changed() -> None:
    draw = random.Random(5)
    evidence, hazard = Evidence(), prior(60.0)
    for index in range(600):
        evidence = evidence.plus([ended(0.0, 0.0, 60 * math.exp(0.3 * draw.gauss(0, 1)), hazard, exact=True)])
        if index % 10 == 0:
            hazard = believed(evidence, prior(60.0))

    assert evidence.jobs == pytest.approx(sum(0.5 ** (age / 500) for age in range(600)))
