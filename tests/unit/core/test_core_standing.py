"""How a credential stands with its provider, and what a change of that is worth telling."""

from dataclasses import replace

import pytest

from relay.core.observation import Answer, Observation, Status, Trouble, TroubleKind
from relay.core.standing import Change, Footing, Standing, after_answer, attributed, of_one_watch, set_back

NOW = 1_000_000.0
SEEN = Observation(Status.RUNNING)
KEYLESS = Trouble(TroubleKind.UNAUTHORIZED, "HTTP 401")
FORBIDDEN = Trouble(TroubleKind.FORBIDDEN, "HTTP 403")
DOWN = Trouble(TroubleKind.UNAVAILABLE, "HTTP 502")
WORKS = Standing(since=5.0, worked_at=NOW - 100)
REFUSED = Trouble(TroubleKind.REFUSED, "HTTP 405")
WELL = [SEEN, Trouble(TroubleKind.MISSING, "HTTP 404"), Trouble(TroubleKind.OVERSIZED, "HTTP 200: too large")]


def step(standing: Standing, answer: Answer, *, now: float = NOW, sample: float = 0.0) -> Change:
    return after_answer(standing, answer, asked_at=now, now=now, sample=sample)


def limited(wait_s: float | None) -> Trouble:
    return Trouble(TroubleKind.RATE_LIMITED, "HTTP 429", wait_s)


@pytest.mark.parametrize("answer", WELL)
def test_any_answer_about_a_job_proves_the_credential_and_ends_every_row(answer: Answer) -> None:
    troubled = replace(WORKS, failures=4, refusals=2, failing_since=NOW - 9)

    assert step(troubled, answer) == Change(Standing(since=5.0, worked_at=NOW))


def test_an_answer_that_was_under_way_does_not_cut_a_rest_short() -> None:
    assert step(replace(WORKS, rest_until=NOW + 30), SEEN).standing.rest_until == NOW + 30


@pytest.mark.parametrize("answer", WELL)
@pytest.mark.parametrize("footing", [footing for footing in Footing if footing is not Footing.WORKING])
def test_the_first_answer_after_trouble_is_told_as_recovery_and_ends_the_rest(footing: Footing, answer: Answer) -> None:
    troubled = Standing(footing, since=5.0, rest_until=NOW + 30, failures=7, rests=3, detail="HTTP 502")

    assert troubled.probing
    assert step(troubled, answer) == Change(Standing(since=NOW, worked_at=NOW), tell="provider.recovered")


DOUBTED = replace(WORKS, rest_until=NOW, refusals=1, rests=1)


def test_a_refused_credential_rests_at_once_and_one_poll_finds_out_before_that_is_told() -> None:
    first = step(WORKS, KEYLESS)

    assert first == Change(replace(WORKS, rest_until=NOW + 5, refusals=1, rests=1))
    assert first.standing.doubted
    assert first.standing.probing


def test_a_credential_refused_again_after_its_rest_is_told_once() -> None:
    told = step(DOUBTED, KEYLESS)

    assert told == Change(
        replace(DOUBTED, footing=Footing.UNAUTHORIZED, since=NOW, rest_until=NOW + 5, detail="HTTP 401"),
        tell="provider.unauthorized",
    )
    assert not told.standing.doubted
    assert step(told.standing, KEYLESS, now=NOW + 1) == Change(told.standing)


def test_refusals_that_were_under_way_confirm_nothing() -> None:
    assert after_answer(DOUBTED, KEYLESS, asked_at=NOW - 0.1, now=NOW + 9, sample=0.0) == Change(DOUBTED)


def test_a_credential_that_works_after_its_rest_was_never_in_trouble() -> None:
    assert step(DOUBTED, SEEN) == Change(Standing(since=5.0, rest_until=NOW, worked_at=NOW))


def test_an_answer_to_a_question_before_the_refusal_leaves_the_doubt() -> None:
    change = after_answer(DOUBTED, SEEN, asked_at=NOW - 0.1, now=NOW + 9, sample=0.0)

    assert change == Change(replace(DOUBTED, worked_at=NOW - 0.1))


def test_each_probe_that_fails_doubles_the_rest_up_to_a_minute() -> None:
    standing, now, rests = DOUBTED, NOW, []
    for _ in range(6):
        standing = step(standing, KEYLESS, now=now).standing
        rests.append(standing.rest_until - now)
        now = standing.rest_until

    assert rests == [5, 10, 20, 40, 60, 60]
    assert standing.since == NOW


def test_a_trouble_of_weeks_is_probed_each_minute_still() -> None:
    lasting = replace(DOUBTED, footing=Footing.UNREACHABLE, rests=20_000)

    assert step(lasting, DOWN).standing.rest_until == NOW + 60


def test_the_sample_lengthens_a_rest_by_up_to_a_tenth() -> None:
    assert step(WORKS, KEYLESS, sample=0.5).standing.rest_until == pytest.approx(NOW + 5.25, abs=1e-6)
    assert step(DOUBTED, KEYLESS, sample=0.5).standing.rest_until == pytest.approx(NOW + 5.25, abs=1e-6)


def test_the_providers_wish_lengthens_a_rest_and_a_longer_one_is_kept() -> None:
    assert step(WORKS, replace(KEYLESS, retry_after_s=90.0)).standing.rest_until == NOW + 90
    assert step(replace(WORKS, rest_until=NOW + 50), KEYLESS).standing.rest_until == NOW + 50


def test_three_403_in_a_row_with_nothing_working_for_30_s_are_the_credentials() -> None:
    """The last answer that worked was 100 s ago."""
    first = step(WORKS, FORBIDDEN)
    second = step(first.standing, FORBIDDEN)
    third = step(second.standing, FORBIDDEN)

    assert (first, second) == (Change(replace(WORKS, refusals=1)), Change(replace(WORKS, refusals=2)))
    assert (third.tell, third.standing.footing) == ("provider.unauthorized", Footing.UNAUTHORIZED)
    assert third.standing.rest_until == NOW + 5


def test_a_403_that_is_only_counted_neither_rests_nor_doubts_the_credential() -> None:
    counted = step(WORKS, FORBIDDEN).standing

    assert (counted.refusals, counted.doubted, counted.probing) == (1, False, False)


def test_no_number_of_403_is_the_credentials_while_other_polls_work() -> None:
    busy = replace(WORKS, refusals=50, worked_at=NOW - 29.9)

    assert step(busy, FORBIDDEN) == Change(replace(busy, refusals=51))
    assert step(replace(busy, worked_at=NOW - 30), FORBIDDEN).tell == "provider.unauthorized"


def test_a_403_while_the_credential_is_on_probation_lengthens_that() -> None:
    resting = Standing(Footing.UNAUTHORIZED, since=5.0, rest_until=NOW, rests=1, detail="HTTP 401")

    change = step(resting, FORBIDDEN)

    assert change.tell is None
    assert (change.standing.rest_until, change.standing.detail) == (NOW + 10, "HTTP 403")


@pytest.mark.parametrize(("wait_s", "rest_s"), [(None, 5.0), (0.0, 0.0), (2.5, 2.5), (300.0, 300.0)])
def test_a_rate_limit_is_rested_for_and_not_worth_telling(wait_s: float | None, rest_s: float) -> None:
    change = step(WORKS, limited(wait_s))

    assert change == Change(replace(WORKS, rest_until=NOW + rest_s, failing_since=NOW, rests=1))
    assert not change.standing.probing


@pytest.mark.parametrize(
    ("wait_s", "rests_s"),
    [(None, [5, 10, 20, 40, 60, 60]), (2.0, [2, 10, 20, 40, 60, 60]), (50.0, [50, 50, 50, 50, 60, 60])],
)
def test_rate_limits_in_a_row_double_the_rest_up_to_a_minute_and_are_probed_from_the_second_on(
    wait_s: float | None, rests_s: list[float]
) -> None:
    standing, now, rests, probing = WORKS, NOW, [], []
    for _ in rests_s:
        standing = step(standing, limited(wait_s), now=now).standing
        rests.append(standing.rest_until - now)
        probing.append(standing.probing)
        now = standing.rest_until

    assert rests == rests_s
    assert probing == [False, True, True, True, True, True]


@pytest.mark.parametrize(("wait_s", "until"), [(None, NOW + 5), (0.5, NOW + 5), (30.0, NOW + 34)])
def test_a_rate_limit_that_was_under_way_lengthens_a_rest_only_by_what_the_provider_says(
    wait_s: float | None, until: float
) -> None:
    resting = step(WORKS, limited(None)).standing

    change = after_answer(resting, limited(wait_s), asked_at=NOW + 1, now=NOW + 4, sample=0.0)

    assert change == Change(replace(resting, rest_until=until))


def test_only_an_answer_to_a_question_after_the_rest_ends_a_row_of_rate_limits() -> None:
    resting = replace(WORKS, rest_until=NOW, failing_since=NOW - 70, rests=4)

    early = after_answer(replace(resting, failures=3), SEEN, asked_at=NOW - 0.1, now=NOW + 5, sample=0.0)
    assert early == Change(replace(resting, worked_at=NOW - 0.1))
    late = after_answer(resting, SEEN, asked_at=NOW, now=NOW + 5, sample=0.0)
    assert late == Change(Standing(since=5.0, rest_until=NOW, worked_at=NOW))


@pytest.mark.parametrize(("rests", "for_s"), [(1, 3600.0), (7, 299.9)])
def test_rate_limits_for_less_than_five_minutes_or_in_two_rests_are_no_spent_quota(rests: int, for_s: float) -> None:
    limits = replace(WORKS, rest_until=NOW, failing_since=NOW - for_s, rests=rests)

    assert step(limits, limited(None)).tell is None


def test_an_outage_among_rate_limits_is_told_as_one() -> None:
    limits = replace(WORKS, rest_until=NOW, failures=4, failing_since=NOW - 10, rests=2)

    assert step(limits, DOWN).tell == "provider.unreachable"


def test_a_trouble_that_is_new_lengthens_a_rest_that_is_not_over() -> None:
    limits = replace(WORKS, rest_until=NOW + 1, failures=4, failing_since=NOW - 10, rests=1)

    assert step(limits, DOWN).standing.rest_until == NOW + 5
    assert step(replace(limits, rest_until=NOW + 50), DOWN).standing.rest_until == NOW + 50


def test_a_rate_limit_among_failures_does_not_begin_their_row_anew() -> None:
    failing = replace(WORKS, failures=4, failing_since=NOW - 9)

    among = step(failing, limited(1.0)).standing

    assert among.failing_since == NOW - 9
    assert step(among, DOWN, now=NOW + 1).tell == "provider.unreachable"


def test_a_refusal_among_rate_limits_does_not_begin_their_rests_anew() -> None:
    limits = replace(WORKS, rest_until=NOW, failing_since=NOW - 20, rests=3)

    assert step(limits, KEYLESS).standing == replace(limits, rest_until=NOW + 5, refusals=1)


def test_nothing_but_rate_limits_for_five_minutes_is_a_spent_quota_told_once() -> None:
    limits = replace(WORKS, rest_until=NOW, failing_since=NOW - 300, rests=2)

    change = step(limits, limited(None))

    assert change.tell == "provider.quota_exhausted"
    assert change.standing == replace(
        limits, footing=Footing.QUOTA_EXHAUSTED, since=NOW, rest_until=NOW + 20, rests=3, detail="HTTP 429"
    )
    assert step(change.standing, limited(None), now=NOW + 20).tell is None


def test_a_rate_limits_rest_is_spread_by_up_to_a_twentieth_and_never_shortened() -> None:
    assert step(WORKS, limited(100.0), sample=0.5).standing.rest_until == pytest.approx(NOW + 102.5, abs=1e-6)
    assert step(replace(WORKS, rest_until=NOW + 60), limited(5.0)).standing.rest_until == NOW + 60


def test_a_rate_limit_of_more_than_five_minutes_is_a_spent_quota() -> None:
    change = step(WORKS, limited(301.0))

    assert change.tell == "provider.quota_exhausted"
    assert (change.standing.footing, change.standing.rest_until) == (Footing.QUOTA_EXHAUSTED, NOW + 301)


FAILURES = [
    DOWN,
    Trouble(TroubleKind.MALFORMED, "HTTP 200: the answer cannot be used: it is a web page"),
]


@pytest.mark.parametrize("failure", FAILURES)
def test_five_failures_in_a_row_over_ten_seconds_are_an_outage(failure: Trouble) -> None:
    standing = WORKS
    for count in range(1, 5):
        change = step(standing, failure, now=NOW + 2.5 * (count - 1))
        assert change == Change(replace(WORKS, failures=count, failing_since=NOW))
        standing = change.standing

    fifth = step(standing, failure, now=NOW + 10)
    assert fifth.tell == "provider.unreachable"
    assert fifth.standing == replace(
        WORKS,
        footing=Footing.UNREACHABLE,
        since=NOW + 10,
        failures=5,
        failing_since=NOW,
        rests=1,
        rest_until=NOW + 15,
        detail=failure.detail,
    )


def test_many_failures_at_once_are_a_hiccup() -> None:
    many = replace(WORKS, failures=500, failing_since=NOW - 9.9)

    assert step(many, DOWN) == Change(replace(many, failures=501))


def test_polls_refused_one_and_all_for_a_minute_are_an_outage_that_says_what_was_answered() -> None:
    refused = replace(WORKS, failures=4, failing_since=NOW - 60)

    change = step(refused, REFUSED)

    assert (change.tell, change.standing.footing) == ("provider.unreachable", Footing.UNREACHABLE)
    assert (change.standing.rest_until, change.standing.detail) == (NOW + 5, "HTTP 405")


@pytest.mark.parametrize(("refusals", "for_s"), [(3, 60.0), (400, 59.9)])
def test_few_refusals_or_many_within_a_minute_are_none(refusals: int, for_s: float) -> None:
    refused = replace(WORKS, failures=refusals, failing_since=NOW - for_s)

    assert step(refused, REFUSED) == Change(replace(refused, failures=refusals + 1))


def test_a_refusal_proves_no_credential_and_ends_no_trouble() -> None:
    resting = Standing(Footing.UNAUTHORIZED, since=5.0, rest_until=NOW, rests=1, detail="HTTP 401")

    change = step(resting, REFUSED)

    assert (change.tell, change.standing.worked_at) == (None, 0.0)
    assert (change.standing.footing, change.standing.rest_until) == (Footing.UNAUTHORIZED, NOW + 10)


def test_failures_that_were_under_way_neither_lengthen_the_rest_nor_tell_again() -> None:
    resting = Standing(Footing.UNREACHABLE, since=5.0, rest_until=NOW + 5, failures=5, rests=1, detail="HTTP 503")

    assert step(resting, DOWN) == Change(replace(resting, failures=6, failing_since=0.0, detail="HTTP 502"))


def test_an_outage_does_not_hide_that_the_credential_was_refused() -> None:
    resting = Standing(Footing.UNAUTHORIZED, since=5.0, rest_until=NOW, rests=1, detail="HTTP 401")

    change = step(resting, DOWN)

    assert change.tell is None
    assert (change.standing.footing, change.standing.rest_until) == (Footing.UNAUTHORIZED, NOW + 10)


def test_a_403_means_no_such_job_where_the_credential_has_worked_since_the_last_question() -> None:
    standing = Standing(worked_at=NOW)

    assert attributed(standing, FORBIDDEN, asked_before=NOW - 1) == Trouble(TroubleKind.MISSING, "HTTP 403")
    assert attributed(standing, FORBIDDEN, asked_before=NOW) == Trouble(TroubleKind.UNAUTHORIZED, "HTTP 403")


@pytest.mark.parametrize(
    ("failed_before", "worked_at", "kind"),
    [
        (True, NOW, TroubleKind.REFUSED),
        (False, NOW, TroubleKind.UNAUTHORIZED),
        (True, NOW - 1, TroubleKind.UNAUTHORIZED),
    ],
)
def test_a_401_to_a_job_that_failed_before_is_its_own_where_the_credential_has_worked_since(
    failed_before: bool, worked_at: float, kind: TroubleKind
) -> None:
    standing = Standing(worked_at=worked_at)

    meaning = of_one_watch(standing, KEYLESS, asked_before=NOW - 1, failed_before=failed_before)
    assert meaning == replace(KEYLESS, kind=kind)
    assert of_one_watch(standing, DOWN, asked_before=NOW - 1, failed_before=failed_before) is DOWN


@pytest.mark.parametrize("slow", WELL)
def test_a_slow_answer_to_an_earlier_question_makes_no_403_the_jobs(slow: Answer) -> None:
    """Asked about 40 s ago, refused 10 s ago, then the slow answer, then refused again: it is still the key."""
    change = after_answer(WORKS, slow, asked_at=NOW - 40, now=NOW - 5, sample=0.0)

    assert change.standing.worked_at == NOW - 40
    assert attributed(change.standing, FORBIDDEN, asked_before=NOW - 10).kind is TroubleKind.UNAUTHORIZED


@pytest.mark.parametrize("slow", WELL)
@pytest.mark.parametrize("footing", [Footing.UNAUTHORIZED, Footing.QUOTA_EXHAUSTED])
def test_a_slow_answer_to_a_question_from_before_a_refusal_is_no_recovery(footing: Footing, slow: Answer) -> None:
    """The credential was good when it was asked with; an answer to what is asked since tells that it is again."""
    refused = replace(WORKS, footing=footing, since=NOW - 1, rest_until=NOW + 4, rests=1, detail="HTTP 401")

    late = after_answer(refused, slow, asked_at=NOW - 20, now=NOW, sample=0.0)
    probe = after_answer(late.standing, slow, asked_at=NOW + 4, now=NOW + 6, sample=0.0)

    assert late == Change(replace(refused, worked_at=NOW - 20))
    assert probe == Change(Standing(since=NOW + 6, worked_at=NOW + 4), tell="provider.recovered")


def test_a_provider_that_answers_at_all_can_be_reached_again() -> None:
    away = replace(WORKS, footing=Footing.UNREACHABLE, since=NOW - 1, rest_until=NOW + 4, rests=1)

    assert after_answer(away, SEEN, asked_at=NOW - 20, now=NOW, sample=0.0).tell == "provider.recovered"


@pytest.mark.parametrize("answer", [*WELL, KEYLESS, DOWN, REFUSED])
def test_every_other_answer_concerns_its_watch_as_it_is(answer: Answer) -> None:
    assert attributed(WORKS, answer, asked_before=0.0) is answer


def test_a_clock_that_is_set_back_moves_every_instant_along_and_what_was_at_no_time_stays_so() -> None:
    standing = Standing(Footing.UNREACHABLE, since=NOW, rest_until=NOW + 30, failures=7, failing_since=NOW - 10)

    assert set_back(standing, 3600.0) == replace(
        standing, since=NOW - 3600, rest_until=NOW - 3570, failing_since=NOW - 3610, worked_at=0.0
    )
    assert set_back(Standing(worked_at=NOW), 3600.0) == Standing(worked_at=NOW - 3600)
