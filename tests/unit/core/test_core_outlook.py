"""What to expect of one job."""

import math

import pytest
from support.expecting import Fixed, constant

from relay.core.hazard import bin_of, lognormal
from relay.core.learning import Phase
from relay.core.outlook import Lifetime, estimated_end_at, outlook

BORN = 1_000_000.0


def test_a_job_that_was_never_seen_to_wait_is_told_by_its_whole_age() -> None:
    expected = outlook(Lifetime(BORN), None, Fixed(constant(60.0), running=constant(5.0)), BORN + 30)

    assert (expected.hazard, expected.age_s, expected.soonest_s) == (constant(60.0), 30.0, 0.0)


def test_a_job_that_left_the_queue_is_told_by_the_time_it_has_run() -> None:
    life = Lifetime(BORN, running_since=BORN + 20)

    expected = outlook(life, None, Fixed(constant(60.0), running=constant(5.0)), BORN + 30)

    assert (life.phase, expected.hazard, expected.age_s) == (Phase.RUN, constant(5.0), 10.0)


def test_a_clock_that_went_back_makes_no_negative_age() -> None:
    assert outlook(Lifetime(BORN), None, Fixed(constant(60.0)), BORN - 3600).age_s == 0.0


def test_a_job_in_the_queue_cannot_end_before_it_could_have_run() -> None:
    """One in twenty exponential jobs of 100 s has ended after 100 * -ln 0.95 = 5.13 s."""
    waiting = Lifetime(BORN, waiting=True)

    assert outlook(waiting, None, Fixed(constant(600.0), constant(100.0), seen=5), BORN + 9).soonest_s == pytest.approx(
        -100 * math.log(0.95)
    )
    assert outlook(waiting, None, Fixed(constant(600.0), constant(100.0), seen=4), BORN + 9).soonest_s == 0.0


def test_what_remains_is_the_quantile_of_those_as_old() -> None:
    expected = outlook(Lifetime(BORN), None, Fixed(constant(60.0)), BORN + 100)

    assert expected.remaining_s(0.5) == pytest.approx(60 * math.log(2))


def test_an_estimate_of_the_provider_draws_the_expectation_towards_it() -> None:
    """Jobs of 5 min; after one, the provider says 20 s remain: soon is likely, yet later stays possible."""
    hazard = lognormal(300.0, 0.5)
    plain = outlook(Lifetime(BORN), None, Fixed(hazard), BORN + 60)
    told = outlook(Lifetime(BORN, estimated_end_at=BORN + 80), None, Fixed(hazard), BORN + 60)

    assert plain.remaining_s(0.5) > 200
    assert told.remaining_s(0.5) < 0.8 * plain.remaining_s(0.5)
    assert told.remaining_s(0.99) > 200
    assert told.hazard.rates[:10] == hazard.rates[:10]


def test_an_end_that_the_estimate_misses_by_a_factor_is_less_likely_by_a_lognormal_error_but_never_impossible() -> None:
    """Jobs as likely to end in any second; 500 s are said to remain.  The error's sigma is 0.8 in log time.

    An end at e^0.8 times the estimate weighs exp(-1/2) as much as one on it, and one
    far off 0.02, which is what exp(-x^2 / 2) comes to beyond e^(0.8 * 2.8) = 9.4 times.
    """
    told = outlook(Lifetime(BORN, estimated_end_at=BORN + 700), None, Fixed(constant(1e6)), BORN + 200)
    running = told.hazard.integral(200.0)

    def density(remaining_s: float) -> float:
        age = 200 + remaining_s
        return told.hazard.rates[bin_of(age)] * math.exp(running - told.hazard.integral(age))

    assert density(500 * math.exp(0.8)) / density(500.0) == pytest.approx(math.exp(-1 / 2), rel=0.1)
    assert density(500 / math.exp(0.8)) / density(500.0) == pytest.approx(math.exp(-1 / 2), rel=0.1)
    assert density(500 * 20.0) / density(500.0) == pytest.approx(0.02, rel=0.1)
    assert density(500 / 20.0) / density(500.0) == pytest.approx(0.02, rel=0.1)


def test_an_estimate_that_has_passed_counts_as_soon() -> None:
    hazard = constant(60.0)
    late = outlook(Lifetime(BORN, estimated_end_at=BORN - 500), None, Fixed(hazard), BORN + 60)

    assert 1.0 < late.remaining_s(0.5) < 60 * math.log(2)


def test_progress_is_continued_as_it_went_and_an_estimate_is_taken_as_said() -> None:
    """A quarter done in 30 s leaves 90, a twentieth 570; a hundredth done tells nothing yet."""

    def guess(progress: float | None, eta_s: float | None = None) -> float | None:
        return estimated_end_at(progress=progress, eta_s=eta_s, running_for_s=30.0, now=BORN)

    assert guess(0.25) == BORN + 90
    assert guess(1.0) == BORN
    assert guess(0.25, 7.0) == BORN + 7
    assert guess(0.05) == pytest.approx(BORN + 570, abs=1e-6)
    assert guess(0.01) is None
    assert guess(None) is None
