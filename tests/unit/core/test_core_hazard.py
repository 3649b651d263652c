"""Hazards, and the schedule that they make."""

import math

import pytest

from relay.core.hazard import Hazard, prior
from relay.core.schedule import Bounds, next_poll, retry_failed_poll

NOW = 1_000_000.0
FAR = NOW + 1e6
WIDE = Bounds(detection_lag_s=2.0, min_interval_s=0.01, max_interval_s=3600.0)


def constant(mean_s: float) -> Hazard:
    return Hazard.of((0.0,), (1 / mean_s,))


def stepped(mean_s: float) -> Hazard:
    """The same constant hazard, cut into bins."""
    return Hazard.of((0.0, 1.0, 10.0, 100.0), (1 / mean_s,) * 4)


@pytest.mark.parametrize("mean_s", [1.0, 16.0, 60.0, 3600.0])
@pytest.mark.parametrize("make", [constant, stepped])
def test_for_exponential_jobs_the_expected_inverse_root_is_the_root_of_the_mean(make, mean_s: float) -> None:  # type: ignore[no-untyped-def]
    assert make(mean_s).mean_inverse_root == pytest.approx(math.sqrt(mean_s))


@pytest.mark.parametrize("age", [0.0, 0.5, 1.0, 7.0, 100.0, 5000.0])
def test_a_constant_hazard_has_a_straight_root_integral(age: float) -> None:
    """The integral of sqrt(1/16) up to an age is a quarter of it."""
    assert stepped(16.0).root_integral(age) == pytest.approx(age / 4)
    assert stepped(16.0).age_at(age / 4) == pytest.approx(age)


def test_two_bins_worked_out_by_hand() -> None:
    """Hazard 1/4 for four seconds, then 1/100.

    A job survives the first bin with e^-1, so E[1/sqrt h] is
    (1 - e^-1) * 2 + e^-1 * 10; the roots are 1/2 and 1/10.
    """
    hazard = Hazard.of((0.0, 4.0), (0.25, 0.01))

    assert hazard.mean_inverse_root == pytest.approx(2 * (1 - math.exp(-1)) + 10 * math.exp(-1))
    assert hazard.roots == (0.0, 2.0)
    assert [hazard.root_integral(age) for age in (2.0, 4.0, 14.0)] == pytest.approx([1.0, 2.0, 3.0])
    assert [hazard.age_at(root) for root in (1.0, 2.0, 3.0)] == pytest.approx([2.0, 4.0, 14.0])


def test_the_prior_follows_the_lognormal_around_the_typical_duration() -> None:
    """Half the jobs end before the median, 84 % within one sigma (a factor e) above it."""
    hazard = prior(60.0)

    def survival(age: float) -> float:
        inside = [
            rate * (min(age, high) - low)
            for low, high, rate in zip(hazard.edges, (*hazard.edges[1:], math.inf), hazard.rates, strict=True)
            if low < age
        ]
        return math.exp(-sum(inside))

    assert survival(60.0) == pytest.approx(0.5, abs=0.02)
    assert survival(60.0 * math.e) == pytest.approx(0.1587, abs=0.02)


@pytest.mark.parametrize("typical_s", [1e-12, 0.5, 60.0, 7 * 86400.0])
def test_the_prior_never_stops_looking(typical_s: float) -> None:
    """The floor is a quarter of one end per typical duration, at every age."""
    hazard = prior(typical_s)

    assert min(hazard.rates) >= 0.25 / typical_s
    assert hazard.edges[0] == 0.0
    assert hazard.edges[-1] == pytest.approx(86400.0)
    assert list(hazard.edges) == sorted(set(hazard.edges))


def poll(hazard: Hazard, bounds: Bounds = WIDE, **other: float | None) -> float:
    arguments = {"age_s": 30.0, "now": NOW, "deadline": FAR, "hint_s": None, "sample": 0.0} | other
    return next_poll(hazard, bounds, **arguments) - NOW  # type: ignore[arg-type]


@pytest.mark.parametrize("age_s", [-5.0, 0.0, 30.0, 1e5])
@pytest.mark.parametrize("mean_s", [5.0, 60.0, 3600.0])
@pytest.mark.parametrize("lag_s", [0.5, 2.0, 10.0])
def test_exponential_jobs_are_polled_every_two_lags(mean_s: float, lag_s: float, age_s: float) -> None:
    """Density sqrt(h) * E[1/sqrt h] / 2L is 1/2L where E[1/sqrt h] is 1/sqrt(h)."""
    assert poll(constant(mean_s), Bounds(lag_s, 0.01, 3600.0), age_s=age_s) == pytest.approx(2 * lag_s)


def test_an_interval_may_cross_from_one_bin_to_the_next() -> None:
    """Roots 1 and 1/2 meet at age 10; E = (1 - e^-10) + 2 e^-10, so a step of 3 E from age 8 costs 2 there.

    The rest, 3 E - 2, costs twice as much time: the interval is 2 + 2 (3 E' - 2)
    where the step is 2 L / E with L = 1.5 E^2 chosen to make it 3 E.
    """
    hazard = Hazard.of((0.0, 10.0), (1.0, 0.25))
    mean = 1 + math.exp(-10)

    interval = poll(hazard, Bounds(1.5 * mean * mean, 0.01, 3600.0), age_s=8.0)

    assert hazard.mean_inverse_root == pytest.approx(mean)
    assert interval == pytest.approx(2 + 2 * (3 * mean - 2))


def test_the_sample_brings_a_poll_forward_by_up_to_a_twentieth() -> None:
    assert poll(constant(60.0), sample=0.5) == pytest.approx(4.0 * 0.975)


def test_the_interval_stays_within_its_bounds() -> None:
    assert poll(constant(60.0), Bounds(2.0, 7.0, 30.0), sample=0.9) == pytest.approx(7.0)
    assert poll(constant(60.0), Bounds(100.0, 1.0, 30.0)) == pytest.approx(30.0)


def test_a_hint_is_a_floor_but_no_way_past_the_upper_bound() -> None:
    assert poll(constant(60.0), hint_s=1.0) == pytest.approx(4.0)
    assert poll(constant(60.0), hint_s=20.0, sample=0.9) == pytest.approx(20.0)
    assert poll(constant(60.0), hint_s=1e6) == pytest.approx(3600.0)


def test_the_deadline_is_not_overslept_and_does_not_matter_once_it_has_passed() -> None:
    assert poll(constant(60.0), deadline=NOW + 1.5) == pytest.approx(1.5)
    assert poll(constant(60.0), Bounds(2.0, 10.0, 30.0), deadline=NOW + 1.5, hint_s=20.0) == pytest.approx(1.5)
    assert poll(constant(60.0), deadline=NOW) == pytest.approx(4.0)
    assert poll(constant(60.0), deadline=NOW - 100) == pytest.approx(4.0)


def retry(failures: int, **other: float | None) -> float:
    arguments = {"now": NOW, "deadline": FAR, "floor_s": None, "min_interval_s": 0.1, "sample": 0.0} | other
    return retry_failed_poll(failures=failures, **arguments) - NOW  # type: ignore[arg-type]


def test_a_failed_poll_is_repeated_after_a_second_that_doubles_to_a_minute() -> None:
    assert [retry(failures) for failures in range(1, 10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert retry(10_000) == 60


def test_jitter_adds_up_to_a_quarter() -> None:
    assert retry(3, sample=0.5) == pytest.approx(4.5)
    assert retry(20, sample=0.5) == pytest.approx(67.5)


def test_a_failed_poll_keeps_the_providers_least_interval_and_its_wish() -> None:
    assert retry(1, min_interval_s=5.0) == 5.0
    assert retry(1, floor_s=30.0, sample=0.9) == 30.0
    assert retry(6, floor_s=3.0) == 32.0
    assert retry(1, floor_s=0.0) == 1.0


def test_a_failed_poll_is_repeated_at_the_deadline_at_the_latest() -> None:
    assert retry(9, deadline=NOW + 2.5, floor_s=3600.0) == 2.5
    assert retry(9, deadline=NOW - 2.5) == 60.0
