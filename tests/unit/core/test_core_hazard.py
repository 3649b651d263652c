"""Hazards over the bins of age."""

import math

import pytest
from support.expecting import constant

from relay.core.hazard import BINS, EDGES, WIDTHS, Hazard, lognormal, mixture, prior


def surviving(hazard: Hazard, age: float) -> float:
    return math.exp(-hazard.integral(age))


def two_rates(early: float, late: float, edge: int) -> Hazard:
    return Hazard.of([early] * edge + [late] * (BINS - edge))


def test_the_bins_reach_from_a_quarter_second_to_a_day_each_a_tenth_longer_than_the_last() -> None:
    assert len(EDGES) == len(WIDTHS) == BINS
    assert EDGES[:2] == (0.0, 0.25)
    assert EDGES[-1] == pytest.approx(86400.0)
    assert EDGES[2] / EDGES[1] == pytest.approx(EDGES[-1] / EDGES[-2]) == pytest.approx(1.1065, abs=1e-4)


@pytest.mark.parametrize("mean_s", [1.0, 16.0, 60.0, 3600.0])
def test_for_exponential_jobs_the_expected_inverse_root_is_the_root_of_the_mean(mean_s: float) -> None:
    assert constant(mean_s).mean_inverse_root == pytest.approx(math.sqrt(mean_s))


@pytest.mark.parametrize("age", [0.0, 0.5, 7.0, 100.0, 500_000.0])
def test_a_constant_hazard_has_straight_integrals(age: float) -> None:
    """One end in 16 s: the hazard's integral is a sixteenth of the age, its root's a quarter."""
    assert constant(16.0).root_integral(age) == pytest.approx(age / 4)
    assert constant(16.0).integral(age) == pytest.approx(age / 16)


def test_two_rates_worked_out_by_hand() -> None:
    """A quarter per second up to an edge e, then a hundredth.

    A job survives to e with q = exp(-e/4), so E[1/sqrt h] is (1 - q) * 2 + q * 10.
    """
    edge = EDGES[30]
    hazard, survives = two_rates(0.25, 0.01, 30), math.exp(-edge / 4)

    assert hazard.mean_inverse_root == pytest.approx((1 - survives) * 2 + survives * 10)
    assert hazard.root_integral(edge + 40) == pytest.approx(edge / 2 + 4)
    assert hazard.integral(edge + 40) == pytest.approx(edge / 4 + 0.4)
    assert (hazard.ceilings[0], hazard.ceilings[30], hazard.ceilings[-1]) == (0.25, 0.01, 0.01)


def test_where_ends_were_seen_counts_more_than_where_the_rates_would_have_them() -> None:
    """Exponential jobs of a minute by their rates, weight one; three ends seen in a bin of rate a quarter."""
    hazard = Hazard.of([1 / 60] * 40 + [0.25] + [1 / 60] * (BINS - 41))
    seen = Hazard.of(hazard.rates, (*[0.0] * 40, 3.0, *[0.0] * (BINS - 41)))

    assert seen.mean_inverse_root == pytest.approx((hazard.mean_inverse_root + 3 * 2) / 4)


def test_quantiles_of_exponential_jobs_are_the_textbooks_at_every_age() -> None:
    """Half are done after ln 2 means, nine in ten after ln 10, whatever the age."""
    assert constant(60.0).quantile(0.5) == pytest.approx(60 * math.log(2))
    assert constant(60.0).quantile(0.9, age=1000.0) == pytest.approx(1000 + 60 * math.log(10))
    assert constant(60.0).quantile(0.0, age=7.0) == pytest.approx(7.0)


def test_a_lognormal_hazard_gives_back_the_lognormals_survival() -> None:
    """Half the jobs end before the median, 84.13 % within one sigma above it, 97.72 % within two."""
    hazard = lognormal(60.0, 0.5)

    assert surviving(hazard, 60.0) == pytest.approx(0.5, abs=0.01)
    assert surviving(hazard, 60.0 * math.exp(0.5)) == pytest.approx(0.1587, abs=0.01)
    assert surviving(hazard, 60.0 * math.exp(1.0)) == pytest.approx(0.0228, abs=0.005)
    assert surviving(hazard, EDGES[60]) == pytest.approx(0.5 * math.erfc(math.log(EDGES[60] / 60) / math.sqrt(0.5)))


def test_a_mixture_survives_as_its_parts_do() -> None:
    """At every edge the share still running is the weighted mean of the parts' shares."""
    fast, slow = lognormal(10.0, 0.3), constant(300.0)

    both = mixture([(0.25, fast), (0.75, slow)])

    for edge in EDGES[1:100]:
        assert surviving(both, edge) == pytest.approx(0.25 * surviving(fast, edge) + 0.75 * surviving(slow, edge))


def test_where_no_float_can_tell_the_parts_of_a_mixture_apart_the_slower_one_goes_on() -> None:
    both = mixture([(0.5, constant(0.001)), (0.5, constant(0.01))])

    assert both.rates[-1] == pytest.approx(100.0)


def test_rates_that_no_arithmetic_bears_are_kept_within_it() -> None:
    hazard = Hazard.of([0.0, math.inf, *[1.0] * (BINS - 2)])

    assert all(0 < rate < math.inf for rate in hazard.rates)
    assert math.isfinite(hazard.mean_inverse_root)


@pytest.mark.parametrize("typical_s", [1e-12, 0.5, 60.0, 7 * 86400.0])
def test_the_prior_never_stops_looking(typical_s: float) -> None:
    """The floor is a quarter of one end per typical duration at every age, as far as rates go."""
    assert min(prior(typical_s).rates) >= min(0.25 / typical_s, 1e6)


def test_the_prior_follows_the_lognormal_around_the_typical_duration() -> None:
    assert surviving(prior(60.0), 60.0) == pytest.approx(0.5, abs=0.02)
    assert surviving(prior(60.0), 60.0 * math.e) == pytest.approx(0.1587, abs=0.02)
