"""When to look again."""

import math
from itertools import pairwise

import pytest
from support.expecting import constant

from relay.core.hazard import BINS, EDGES, Hazard, lognormal, mixture
from relay.core.outlook import Contention, Demand, Outlook
from relay.core.schedule import (
    Bounds,
    best_next_age,
    contention,
    demand,
    next_poll,
    price_of_lag,
    retry_failed_poll,
)

NOW = 1_000_000.0
FAR = NOW + 1e6
NARROW, WIDE_SPREAD = lognormal(60.0, 0.35), lognormal(60.0, 1.0)
TWO_MODES = mixture([(0.5, lognormal(15.0, 0.25)), (0.5, lognormal(150.0, 0.25))])
WIDE = Bounds(detection_lag_s=2.0, min_interval_s=0.01, max_interval_s=3600.0)


def poll(hazard: Hazard, bounds: Bounds = WIDE, terms: Contention | None = None, **other: float | None) -> float:
    arguments: dict[str, float | None] = {"now": NOW, "deadline": FAR, "hint_s": None, "sample": 0.5} | other
    age_s, soonest_s = arguments.pop("age_s", 30.0), arguments.pop("soonest_s", 0.0)
    outlook = Outlook(hazard, age_s, soonest_s)  # type: ignore[arg-type]
    return next_poll(outlook, bounds, terms or Contention(), **arguments) - NOW  # type: ignore[arg-type]


def polls_of(hazard: Hazard, price: float) -> list[float]:
    """The ages at which a job is looked at until it has all but surely ended."""
    ages = [0.0]
    while hazard.integral(ages[-1]) < 16:
        ages.append(best_next_age(hazard, ages[-1], price))
    return ages[1:]


def cost_of(hazard: Hazard, ages: list[float], price: float) -> float:
    """Expected lag plus the price of every poll, summed over slices of a hundredth of a second."""
    total, before = 0.0, 0.0
    for age in ages:
        alive = math.exp(-hazard.integral(before))
        steps = max(int((age - before) / 0.01), 1)
        width = (age - before) / steps
        running = sum(math.exp(-hazard.integral(before + (step + 0.5) * width)) for step in range(steps)) * width
        total += price * alive + (age - before) * alive - running
        before = age
    return total


@pytest.mark.parametrize("age_s", [0.0, 30.0, 1e5])
@pytest.mark.parametrize(("mean_s", "lag_s"), [(60.0, 0.5), (60.0, 2.0), (3600.0, 2.0), (3600.0, 10.0), (20.0, 2.0)])
def test_exponential_jobs_are_found_with_the_lag_that_is_wanted(mean_s: float, lag_s: float, age_s: float) -> None:
    """Polled every d seconds, exponential jobs of mean m are found d / (1 - exp(-d/m)) - m late on average."""
    interval = poll(constant(mean_s), Bounds(lag_s, 0.01, 3600.0), age_s=age_s)

    assert interval / -math.expm1(-interval / mean_s) - mean_s == pytest.approx(lag_s, rel=0.005)


@pytest.mark.parametrize("price", [0.1, 0.5, 5.0])
def test_for_exponential_jobs_the_interval_is_the_one_that_costs_least(price: float) -> None:
    """The optimum d of exponential jobs solves exp(d/m) - 1 - d/m = c/m (Barlow & Proschan 1965, section 4.2)."""
    interval = best_next_age(constant(60.0), 0.0, price)

    scaled = interval / 60.0
    assert math.expm1(scaled) - scaled == pytest.approx(price / 60.0, rel=0.01)


@pytest.mark.parametrize(
    "hazard",
    [
        lognormal(60.0, 0.35),
        lognormal(60.0, 1.0),
        mixture([(0.5, lognormal(15.0, 0.25)), (0.5, lognormal(150.0, 0.25))]),
    ],
    ids=["narrow", "wide", "two modes"],
)
def test_no_single_look_can_be_moved_to_save_more_than_a_fiftieth(hazard: Hazard) -> None:
    """A poll of the plan moved by a tenth of its interval either way, or left out, makes it hardly better."""
    ages = polls_of(hazard, 0.5)[:40]
    planned = cost_of(hazard, ages, 0.5)

    for index, (before, age) in enumerate(pairwise([0.0, *ages[:8]])):
        for other in ([age - (age - before) / 10], [age + (age - before) / 10], []):
            changed = sorted([*ages[:index], *other, *ages[index + 1 :]])
            assert cost_of(hazard, changed, 0.5) > 0.98 * planned


def test_before_jobs_can_end_there_is_one_long_pause_and_then_polls_come_close() -> None:
    """A job of a minute, give or take a few seconds, is not looked at in its first half minute."""
    ages = polls_of(lognormal(60.0, 0.1), 0.5)

    assert 40 < ages[0] < 60
    assert all(later - age < 6 for age, later in pairwise(ages[:8]))


def test_between_two_kinds_of_jobs_one_look_settles_the_first_before_the_long_pause() -> None:
    """Half the jobs take 15 s, half 150 s: nobody of the first waits for the second."""
    ages = polls_of(TWO_MODES, 0.5)

    assert any(24 < age < 45 for age in ages)
    assert any(later - age > 40 for age, later in pairwise(ages))


def test_the_price_of_a_lag_is_its_closed_form() -> None:
    """c = 2 (L / E[1/sqrt h])^2: of exponential jobs of a minute, a lag of 2 s is worth 2 * 4 / 60."""
    assert price_of_lag(constant(60.0), 2.0) == pytest.approx(8 / 60)


def test_the_sample_spreads_polls_over_a_twentieth_of_their_interval_around_it() -> None:
    assert poll(constant(60.0), sample=0.0) == pytest.approx(0.975 * poll(constant(60.0)))
    assert poll(constant(60.0), sample=0.9) == pytest.approx(1.02 * poll(constant(60.0)))


def test_the_interval_stays_within_its_bounds() -> None:
    assert poll(constant(60.0), Bounds(2.0, 7.0, 30.0), sample=0.9) == pytest.approx(7.0)
    assert poll(constant(60.0), Bounds(100.0, 1.0, 30.0)) == pytest.approx(30.0)


def test_a_hint_is_a_floor_but_no_way_past_the_upper_bound() -> None:
    assert poll(constant(60.0), hint_s=1.0) == poll(constant(60.0))
    assert poll(constant(60.0), hint_s=20.0, sample=0.9) == pytest.approx(20.0)
    assert poll(constant(60.0), hint_s=1e6) == pytest.approx(3600.0)


def test_a_job_that_cannot_end_yet_is_left_alone_until_it_can() -> None:
    assert poll(constant(60.0), soonest_s=12.0) == pytest.approx(12.0)


def test_the_deadline_is_not_overslept_and_does_not_matter_once_it_has_passed() -> None:
    assert poll(constant(60.0), deadline=NOW + 1.5) == pytest.approx(1.5)
    assert poll(constant(60.0), Bounds(2.0, 10.0, 30.0), deadline=NOW + 1.5, hint_s=20.0) == pytest.approx(1.5)
    assert poll(constant(60.0), deadline=NOW) == poll(constant(60.0), deadline=NOW - 100) == poll(constant(60.0))


def test_a_tight_budget_makes_polls_dear_and_a_loose_one_changes_nothing() -> None:
    """The price of a lag of 2 s is 8/60; a budget's price of 32/60 doubles it in lag, so nearly in interval."""
    dear = poll(constant(60.0), terms=Contention(price=32 / 60))

    assert dear == poll(constant(60.0), Bounds(4.0, 0.01, 3600.0))
    assert poll(constant(60.0), terms=Contention(price=4 / 60)) == poll(constant(60.0))


def test_a_budget_too_small_for_the_longest_interval_stretches_it() -> None:
    """At so dear a price exponential jobs of a minute are worth a look after 355 s only."""
    stretched = Contention(price=1e6, longest_s=200.0)

    assert poll(constant(60.0), Bounds(2.0, 1.0, 30.0), stretched) == pytest.approx(200.0)
    assert poll(constant(60.0), Bounds(2.0, 1.0, 30.0), stretched, sample=0.0) == pytest.approx(0.975 * 200)
    assert poll(constant(60.0), Bounds(2.0, 1.0, 30.0), Contention(price=1e6, longest_s=20.0)) == pytest.approx(30.0)


def test_the_price_that_just_fits_a_budget_and_the_longest_anyone_waits() -> None:
    """500 watches, 400 of which ask 0.01 and 100 ask 0.2, under a poll a second.

    Taking turns, everyone waits 500 s: nobody may wait more than 1,000 s.  The 400 take 0.4 polls a second so, which
    leaves 0.6 for the 20 that the others ask.  At first nobody is known to be patient: 24 ask for one.
    """
    at_first = contention(Demand(500, 24.0), 1.0, 60.0)
    assert at_first == Contention(24.0**2, 1000.0, 500.0)
    assert at_first.floor == pytest.approx(0.024)

    terms = contention(Demand(500, 24.0, patient=400, patient_total=4.0), 1.0, 60.0)
    assert terms == Contention(pytest.approx((20 / 0.6) ** 2), 1000.0, 500.0)
    assert 0.01 < terms.floor < 0.2


def test_watches_that_are_all_alike_are_looked_at_in_turn() -> None:
    """20 exponential watches of a minute at a poll every ten seconds: each every 200 s, as the floor is half of what
    each asks."""
    hazard = constant(60.0)
    asked = 20 * math.sqrt(hazard.rates[0] / 2)

    terms = contention(Demand(20, asked), 0.1, 60.0)

    assert (terms.turn_s, terms.longest_s) == (200.0, 400.0)
    assert terms.floor == pytest.approx(asked / 20 / 2)
    assert math.sqrt(terms.price / (hazard.rates[0] / 2)) == pytest.approx(200.0)


def test_where_all_have_become_patient_the_price_falls_to_what_they_can_pay() -> None:
    assert contention(Demand(10, 3.0, patient=10, patient_total=3.0), 1.0, 60.0) == Contention(9.0, 60.0, 10.0)


def test_a_budget_that_suffices_for_the_longest_interval_keeps_it() -> None:
    """4 watches each minute take a fifteenth of a poll per second; the rest of it is shared by price."""
    terms = contention(Demand(10, 3.5, patient=4, patient_total=0.5), 1.0, 60.0)

    assert terms == Contention(pytest.approx((3.0 / (1 - 4 / 60)) ** 2), 60.0, 10.0)


def test_terms_without_a_budget_have_no_floor() -> None:
    assert Contention().floor == 0.0


def test_watches_polled_at_the_price_of_their_budget_spend_it_within_a_tenth() -> None:
    """40 watches of different ages under a poll a second, asked again and again."""
    hazard, ages = lognormal(60.0, 0.5), [2.0 * index for index in range(40)]
    terms, intervals = Contention(), [1.0] * 40

    for _ in range(5):
        asks = [demand(Outlook(hazard, age), interval) for age, interval in zip(ages, intervals, strict=True)]
        patient = [ask for ask in asks if ask < terms.floor]
        terms = contention(Demand(40, sum(asks), len(patient), sum(patient)), 1.0, 30.0)
        intervals = [min(best_next_age(hazard, age, terms.price) - age, terms.longest_s) for age in ages]

    assert 0.9 < sum(1 / interval for interval in intervals) < 1.1


def test_demand_is_the_mean_root_of_half_the_hazard_until_the_next_poll() -> None:
    """From an edge with 1/50 before and 1/200 after: roots of the halves are 1/10 and 1/20."""
    hazard = Hazard.of([1 / 50] * 60 + [1 / 200] * (BINS - 60))
    outlook = Outlook(hazard, EDGES[60] - 10)

    assert demand(outlook, 10) == pytest.approx(0.1)
    assert demand(outlook, 20) == pytest.approx(0.075)
    assert demand(outlook, 0) == pytest.approx(0.1)


def retry(failures: int, **other: float | None) -> float:
    arguments = {"now": NOW, "deadline": FAR, "floor_s": None, "min_interval_s": 0.1, "sample": 0.0} | other
    return retry_failed_poll(failures=failures, **arguments) - NOW  # type: ignore[arg-type]


def test_a_failed_poll_is_repeated_after_a_second_that_doubles_to_a_minute() -> None:
    assert [retry(failures) for failures in range(1, 10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert retry(2000) == 60
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
