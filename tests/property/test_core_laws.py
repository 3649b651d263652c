"""Laws of the core that hold for every value."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.expecting import Fixed

from relay.core import ids
from relay.core.budget import Budget, Rate
from relay.core.delivery import SPARED_OVERLOADS, Delivery, DeliveryState, Trigger, Verdict, VerdictKind, settle
from relay.core.duration import format_duration, parse_duration
from relay.core.etiquette import Sign
from relay.core.hazard import BINS, Hazard, mixture, prior
from relay.core.http import MAX_WAIT_S, rate_reset_s, retry_after_s
from relay.core.instant import iso, parse_instant
from relay.core.learning import Evidence, Trace, believed, ended, survived
from relay.core.outlook import Contention, Demand, Lifetime, Outlook, outlook
from relay.core.retry import RetryPolicy, next_attempt
from relay.core.schedule import Bounds, best_next_age, contention, next_poll, retry_failed_poll
from relay.core.text import clean, one_line
from relay.core.watch import Target

NOW = 1_795_255_200.0
TICK_S = 1e-6
"""More than the rounding of Unix seconds as floats."""

samples = st.floats(0, 1, exclude_max=True)
clocks = st.floats(0, 4e9)


rates_of_bins = st.lists(st.floats(0, 1e9), min_size=BINS, max_size=BINS)
few_rates = st.tuples(st.floats(0, 1e3), st.integers(0, BINS), st.floats(0, 1e3)).map(
    lambda parts: [parts[0]] * parts[1] + [parts[2]] * (BINS - parts[1])
)
hazards = (rates_of_bins | few_rates).map(Hazard.of) | st.floats(0.1, 1e7).map(prior)
ages = st.floats(0, 1e7)
shares = st.floats(0, 0.999999)


@given(
    rates_of_bins.map(lambda rates: Hazard.of(min(rate, 1.0) for rate in rates)) | st.floats(1, 1e7).map(prior),
    ages,
    shares,
)
def test_a_quantile_is_no_younger_than_the_job_and_has_the_share_ended_that_it_says(
    hazard: Hazard, age: float, share: float
) -> None:
    moment = hazard.quantile(share, age=age)

    assert moment >= age
    assert math.isclose(hazard.integral(moment) - hazard.integral(age), -math.log1p(-share), rel_tol=1e-6, abs_tol=1e-6)


@given(hazards)
def test_the_expected_inverse_root_lies_between_those_of_the_rates(hazard: Hazard) -> None:
    roots = [1 / math.sqrt(rate) for rate in hazard.rates]

    assert min(roots) * (1 - 1e-9) <= hazard.mean_inverse_root <= max(roots) * (1 + 1e-9)


@given(hazards, hazards, shares)
def test_a_mixture_lies_between_its_parts(one: Hazard, other: Hazard, share: float) -> None:
    both = mixture([(share, one), (1 - share, other)])

    for rate, first, second in zip(both.rates, one.rates, other.rates, strict=True):
        assert min(first, second) * (1 - 1e-6) - 1e-9 <= rate <= max(first, second) * (1 + 1e-6) + 1e-9


@given(hazards, ages, st.floats(1e-9, 1e12))
def test_the_best_next_look_is_ahead(hazard: Hazard, age: float, price: float) -> None:
    assert age < best_next_age(hazard, age, price) < math.inf or age > 1e6


strange_ages = st.floats(-1e9, 1e9) | st.sampled_from([0.0, 0.3, -0.0, 86400.0, 30 * 86400.0, 1e-300])


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    one, two, three = draw(strange_ages), draw(strange_ages), draw(strange_ages)
    if draw(st.booleans()):
        return survived(one, two)
    return ended(one, two, three, draw(hazards), exact=draw(st.booleans()))


@given(st.lists(traces(), max_size=20), st.floats(0.1, 1e7))
def test_whatever_clocks_say_the_model_stays_finite_and_the_schedule_within_its_bounds(
    seen: list[Trace], typical_s: float
) -> None:
    """Clock jumps, no and negative durations, jobs of a month: every belief is a hazard, every poll ahead."""
    evidence = Evidence().plus(seen)
    hazard = believed(evidence, prior(typical_s))

    assert all(math.isfinite(value) and value >= 0 for value in (*evidence.events, *evidence.exposure))
    assert evidence.jobs <= len(seen) + 1e-6
    assert all(0 < rate < math.inf for rate in hazard.rates)
    for age in (0.0, 0.3, 60.0, 1e6):
        moment = next_poll(
            Outlook(hazard, age), Bounds(2, 1, 30), Contention(), now=NOW, deadline=NOW + 1e6, hint_s=None, sample=0.5
        )
        assert NOW + 1 - TICK_S <= moment <= NOW + 30 + TICK_S


@given(traces())
def test_a_trace_holds_one_end_or_none_and_no_negative_seconds(trace: Trace) -> None:
    assert math.isclose(sum(trace.events), 0.0 if trace.surprise is None else 1.0, abs_tol=1e-9)
    assert min(trace.exposure) >= 0
    assert trace.first + len(trace.exposure) <= BINS
    assert trace.surprise is None or abs(trace.surprise) <= math.sqrt(3) + 1e-9


@given(
    hazards,
    st.floats(0, 1e6),
    st.none() | st.floats(-1e9, 1e9),
    st.booleans(),
)
def test_what_a_provider_estimates_leaves_the_expectation_a_hazard(
    hazard: Hazard, age_s: float, estimate_s: float | None, waiting: bool
) -> None:
    life = Lifetime(NOW - age_s, waiting=waiting, estimated_end_at=None if estimate_s is None else NOW + estimate_s)

    expected = outlook(life, None, Fixed(hazard, seen=9.0), NOW)

    assert all(0 < rate < math.inf for rate in expected.hazard.rates)
    assert 0 <= expected.remaining_s(0.1) <= expected.remaining_s(0.9) < math.inf


shares = st.floats(0, 1)


@given(st.integers(0, 10**6), shares, st.floats(0, 1e9), shares, st.floats(1e-6, 1e4), st.floats(1, 86400))
def test_under_any_budget_turns_take_at_most_half_of_it(
    watches: int, share: float, total: float, share_of_total: float, polls_per_s: float, usual_s: float
) -> None:
    asked = Demand(watches, total, int(watches * share), total * share_of_total)

    terms = contention(asked, polls_per_s, usual_s)

    assert terms.longest_s >= usual_s
    assert watches / terms.longest_s <= polls_per_s / 2 * (1 + 1e-9)
    assert math.isfinite(terms.price)


@given(st.lists(st.floats(1e-3, 10), min_size=1, max_size=30), st.floats(1e-2, 1e3), st.floats(1, 3600))
def test_terms_that_follow_from_terms_come_to_fill_the_budget(
    asks: list[float], polls_per_s: float, usual_s: float
) -> None:
    """A watch that asks a is looked at every sqrt(price) / a seconds, and at the longest wait at the latest."""
    terms = Contention()
    for _ in range(len(asks) + 2):
        patient = [ask for ask in asks if ask < terms.floor]
        terms = contention(Demand(len(asks), sum(asks), len(patient), sum(patient)), polls_per_s, usual_s)

    spent = sum(1 / min(math.sqrt(terms.price) / ask, terms.longest_s) for ask in asks)
    assert math.isclose(spent, polls_per_s, rel_tol=1e-6)


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    least, most = sorted((draw(st.floats(0.05, 3600)), draw(st.floats(0.05, 3600))))
    return Bounds(draw(st.floats(0.05, 600)), least, most)


@given(
    hazard=hazards,
    bounds=bounds(),
    age_s=st.floats(0, 1e6),
    terms=st.builds(Contention, st.floats(0, 1e9), st.floats(0, 7200)),
    ahead_s=st.floats(-1e5, 1e6),
    hint_s=st.none() | st.floats(0, 1e5),
    sample=samples,
)
def test_the_next_poll_is_ahead_within_its_bounds_and_never_oversleeps_the_deadline(
    hazard: Hazard,
    bounds: Bounds,
    age_s: float,
    terms: Contention,
    ahead_s: float,
    hint_s: float | None,
    sample: float,
) -> None:
    deadline, longest_s = NOW + ahead_s, max(bounds.max_interval_s, terms.longest_s)

    moment = next_poll(Outlook(hazard, age_s), bounds, terms, now=NOW, deadline=deadline, hint_s=hint_s, sample=sample)

    assert math.isfinite(moment)
    assert moment > NOW
    assert moment <= NOW + longest_s + TICK_S
    if deadline > NOW:
        assert moment <= deadline
    if moment != deadline:
        floor = max(bounds.min_interval_s, min(hint_s or 0.0, longest_s))
        assert moment >= NOW + floor - TICK_S


@given(
    failures=st.integers(1, 10**6),
    ahead_s=st.floats(-1e5, 1e6),
    floor_s=st.none() | st.floats(0, MAX_WAIT_S),
    least_s=st.floats(0, 3600),
    sample=samples,
)
def test_a_failed_poll_is_repeated_ahead_and_undercuts_a_wish_for_the_deadline_alone(
    failures: int, ahead_s: float, floor_s: float | None, least_s: float, sample: float
) -> None:
    deadline = NOW + ahead_s

    moment = retry_failed_poll(
        failures=failures, now=NOW, deadline=deadline, floor_s=floor_s, min_interval_s=least_s, sample=sample
    )

    assert NOW < moment <= NOW + max(60.0, least_s, floor_s or 0.0) * 1.25 + TICK_S
    if moment != deadline:
        assert moment >= NOW + max(1.0, least_s, floor_s or 0.0) - TICK_S
    if deadline > NOW:
        assert moment <= deadline


policies = st.builds(RetryPolicy, st.floats(0.1, 3600), st.floats(0.1, 1e5), st.floats(1, 1e6))


@given(
    policy=policies,
    tries=st.integers(1, 1000),
    spent_s=st.floats(0, 2e6),
    floor_s=st.none() | st.floats(0, MAX_WAIT_S),
    sample=samples,
)
def test_a_next_attempt_is_ahead_never_undercuts_the_wish_and_ends_with_the_budget(
    policy: RetryPolicy, tries: int, spent_s: float, floor_s: float | None, sample: float
) -> None:
    now, end = NOW + spent_s, NOW + policy.give_up_after_s

    again = next_attempt(policy, step=tries, since=NOW, now=now, floor_s=floor_s, sample=sample)

    if now >= end:
        assert again is None
        return
    assert again is not None
    assert again > now
    assert again >= now + (floor_s or 0.0)
    assert again <= max(end, now + (floor_s or 0.0))


@given(policy=policies, sample=samples)
def test_a_receiver_that_never_answers_is_tried_on_the_very_end_of_the_budget(
    policy: RetryPolicy, sample: float
) -> None:
    tries, now = 1, NOW
    while tries < 10_000 and (
        again := next_attempt(policy, step=tries, since=NOW, now=now, floor_s=None, sample=sample)
    ):
        tries, now = tries + 1, again

    assert now == NOW + policy.give_up_after_s or tries == 10_000


verdicts = st.builds(
    Verdict,
    st.just(VerdictKind.RETRY),
    st.just("why"),
    st.none() | st.floats(0, MAX_WAIT_S),
    st.sampled_from([Sign.ANSWERS, Sign.OVERLOADED, Sign.REFUSES, Sign.ABSENT, Sign.UNKNOWN]),
)


@given(
    policy=policies,
    answers=st.lists(verdicts, min_size=1, max_size=30),
    trigger=st.sampled_from(list(Trigger)),
    sample=samples,
)
def test_a_failing_delivery_is_tried_ever_later_until_it_is_exhausted_once(
    policy: RetryPolicy, answers: list[Verdict], trigger: Trigger, sample: float
) -> None:
    """Tries never outnumber attempts, what is free is at most three overloads, and the time is never spent early."""
    delivery = Delivery("d", "e", None, Target("k", "l", name="k"), DeliveryState.PENDING, NOW, NOW, NOW)
    for attempts, verdict in enumerate(answers, 1):
        now = delivery.next_attempt_at
        step = settle(replace(delivery, trigger=trigger), verdict, policy, now=now, sample=sample)

        assert delivery.tries <= step.tries <= attempts
        assert delivery.spared <= step.spared <= SPARED_OVERLOADS
        assert step.tries + step.spared <= attempts
        if step.state is DeliveryState.EXHAUSTED:
            assert now >= NOW + policy.give_up_after_s
            assert step.finalized_at == now
            return
        assert step.next_attempt_at > now
        assert step.next_attempt_at >= now + (verdict.retry_after_s or 0.0)
        delivery = replace(
            delivery,
            tries=step.tries,
            spared=step.spared,
            attempts=attempts,
            next_attempt_at=step.next_attempt_at,
        )


rates = st.builds(Rate, st.integers(1, 2000), st.sampled_from([1.0, 60.0, 3600.0, 86400.0]))
pauses = st.lists(st.tuples(st.floats(0, 1.2), st.integers(0, 300)), min_size=1, max_size=60)


def spend_all(budget: Budget, start: float, waits: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Spend as available() allows: pauses are shares of a window, and each call wants at most so many polls."""
    now, spent = start, []
    for share, wanted in waits:
        now += share * budget.rate.window_s if share > 0.2 else share * 10 * budget.rate.interval_s
        polls = min(budget.available(now), wanted)
        budget = budget.spend(polls, now)
        spent.append((now, polls))
    return spent


@given(rates, clocks, pauses)
def test_no_window_ever_sees_more_polls_than_the_limit(
    rate: Rate, start: float, waits: list[tuple[float, int]]
) -> None:
    spent = spend_all(Budget.fresh(rate, start), start, waits)

    for begin, _ in spent:
        inside = sum(polls for moment, polls in spent if begin <= moment < begin + rate.window_s)
        assert inside <= rate.limit


@given(rates, clocks)
def test_the_greediest_spender_stays_within_the_limit_and_gets_most_of_it(rate: Rate, start: float) -> None:
    budget, now, spent = Budget(rate, start - rate.window_s), start, 0
    while now < start + rate.window_s:
        polls = budget.available(now)
        spent += polls
        budget = budget.spend(polls, now)
        now = budget.next_at(now) + TICK_S

    assert spent <= rate.limit
    assert spent >= min(rate.limit - 1, 0.8 * rate.limit)


@given(rates, clocks, pauses)
def test_next_at_names_the_instant_at_which_a_poll_is_available(
    rate: Rate, start: float, waits: list[tuple[float, int]]
) -> None:
    budget, now = Budget.fresh(rate, start), start
    for share, wanted in waits:
        now += share * rate.interval_s
        budget = budget.spend(min(budget.available(now), wanted), now)
        moment = budget.next_at(now)

        assert moment >= now
        assert budget.available(moment) >= 1
        if budget.available(now) >= 1:
            assert moment - now <= TICK_S
        if moment - now > 2 * TICK_S:
            assert budget.available(moment - 2 * TICK_S) == 0


@given(rates, clocks)
def test_a_restart_adds_nothing_to_what_the_process_before_it_could_spend(rate: Rate, start: float) -> None:
    """A full bucket that is emptied at the last moment has its next poll no later than a fresh one has its first."""
    spent = Budget(rate, due_at=start).spend(rate.burst, start)

    assert Budget.fresh(rate, start) == spent
    assert spent.available(start) == 0


UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(sorted(UNITS))), min_size=1, max_size=6))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)

    assert math.isclose(parse_duration(text), sum(number * UNITS[unit] for number, unit in parts))


@given(st.floats(0, 1e9))
def test_a_duration_is_shown_as_it_can_be_read_and_to_a_sixtieth(seconds: float) -> None:
    """Two units, so what is cut is less than one of the second: a second, a minute or an hour."""
    shown = parse_duration(format_duration(seconds))
    unit = 0.05 if seconds < 10 else 0.5 if seconds < 3600 else 60.5 if seconds < 86400 else 3600.5

    assert abs(shown - seconds) <= unit + 1e-9


@given(st.text())
def test_a_text_is_a_duration_or_refused(text: str) -> None:
    seconds, refusal = 0.0, ""
    try:
        seconds = parse_duration(text)
    except ValueError as refused:
        refusal = str(refused)

    assert seconds >= 0
    assert not refusal or "is not a duration" in refusal


@given(st.floats(0.001, 253_402_300_799))
def test_an_instant_survives_being_written_and_read_to_the_millisecond(instant: float) -> None:
    read = parse_instant(iso(instant))

    assert (read or 0.0) <= instant + 1e-4
    assert instant - (read or 0.0) < 0.0011


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes().map(str),
    st.lists,
    max_leaves=3,
)


@given(anything)
def test_whatever_it_is_it_names_an_instant_that_relay_can_write_or_none(value: object) -> None:
    instant = parse_instant(value)

    assert instant is None or iso(instant).endswith("Z")


headers = (
    st.text()
    | st.floats().map(str)
    | st.integers().map(str)
    | st.datetimes().map("{:%a, %d %b %Y %H:%M:%S GMT}".format)
)


@given(headers, headers, clocks)
def test_no_header_makes_us_wait_longer_than_a_day_or_fail(seconds: str, millis: str, now: float) -> None:
    waits = [
        retry_after_s({"retry-after": seconds}, now),
        retry_after_s({"retry-after": seconds, "retry-after-ms": millis}, now),
        rate_reset_s(seconds, now),
    ]

    assert all(wait is None or 0 <= wait <= MAX_WAIT_S for wait in waits)


@given(st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zs", "L"])), st.integers(1, 50))
def test_cleaned_text_fits_encodes_and_is_clean(text: str, limit: int) -> None:
    cleaned, line = clean(text, limit), one_line(text, limit)

    assert len(cleaned) <= limit
    assert len(line) <= limit
    assert cleaned.encode().decode() == cleaned
    assert clean(cleaned, limit) == cleaned
    assert not any(ord(character) < 32 for character in line)


@given(
    st.tuples(clocks, st.binary(min_size=10, max_size=10)),
    st.tuples(clocks, st.binary(min_size=10, max_size=10)),
)
def test_watch_ids_sort_by_time(one: tuple[float, bytes], other: tuple[float, bytes]) -> None:
    if int(one[0] * 1000) < int(other[0] * 1000):
        assert ids.watch_id(*one) < ids.watch_id(*other)
