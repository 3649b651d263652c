"""When a delivery is tried again, and what an attempt makes of it."""

from dataclasses import replace

import pytest

from relay.core.delivery import Delivery, DeliveryState, Settlement, Trigger, Verdict, VerdictKind, settle
from relay.core.etiquette import Sign
from relay.core.retry import RetryPolicy, next_attempt
from relay.core.watch import Target

SINCE = 1_000_000.0
DEFAULT = RetryPolicy()

DEFAULT_TRIES = [
    0,
    5,  # 5 s
    35,  # 30 s
    155,  # 2 m
    755,  # 10 m
    2_555,  # 30 m
    6_155,  # 1 h
    13_355,  # 2 h
    27_755,  # 4 h
    49_355,  # 6 h, and from here on every 6 h
    70_955,
    92_555,
    114_155,
    135_755,
    157_355,
    178_955,
    200_555,
    222_155,
    243_755,
    259_200,  # the end of 72 h
]
"""Seconds after the event at which a receiver that never answers is tried, without jitter."""


def table(policy: RetryPolicy, *, sample: float = 0.0, floor_s: float | None = None) -> list[float]:
    tries, now = [0.0], SINCE
    while True:
        again = next_attempt(policy, step=len(tries), since=SINCE, now=now, floor_s=floor_s, sample=sample)
        if again is None:
            return tries
        tries.append(again - SINCE)
        now = again


def test_the_default_policy_tries_twenty_times_over_72_hours() -> None:
    assert table(DEFAULT) == DEFAULT_TRIES


@pytest.mark.parametrize("sample", [0.0, 0.3, 0.999])
def test_the_last_try_is_on_the_end_of_the_budget_whatever_the_jitter(sample: float) -> None:
    assert table(DEFAULT, sample=sample)[-1] == 72 * 3600


def test_jitter_adds_up_to_a_fifth() -> None:
    assert table(DEFAULT, sample=0.5)[:4] == pytest.approx([0, 5.5, 38.5, 170.5])


def test_the_gaps_scale_with_the_first_and_stop_at_the_widest() -> None:
    """First gap 1 m: 1 m, 6 m, 24 m, then the widest gap of 30 m, and the end."""
    assert table(RetryPolicy(60.0, 1800.0, 7200.0)) == [0, 60, 420, 1860, 3660, 5460, 7200]


def test_a_budget_shorter_than_the_first_gap_still_gives_a_second_try() -> None:
    assert table(RetryPolicy(60.0, 60.0, 10.0)) == [0, 10]


def test_nothing_is_tried_once_the_budget_is_spent() -> None:
    assert next_attempt(DEFAULT, step=1, since=SINCE, now=SINCE + 72 * 3600, floor_s=5.0, sample=0.0) is None


@pytest.mark.parametrize("sample", [0.0, 0.999])
def test_the_receivers_wish_is_a_floor_even_past_the_end(sample: float) -> None:
    soon = next_attempt(DEFAULT, step=1, since=SINCE, now=SINCE, floor_s=600.0, sample=sample)
    late = next_attempt(DEFAULT, step=9, since=SINCE, now=SINCE + 259_100, floor_s=600.0, sample=sample)

    assert soon == pytest.approx(SINCE + 600 * (1 + 0.2 * sample), abs=1e-6)
    assert late == SINCE + 259_700


def test_a_wish_shorter_than_the_gap_changes_nothing() -> None:
    assert table(DEFAULT, floor_s=1.0) == DEFAULT_TRIES


NOW = SINCE + 155.0
DELIVERY = Delivery(
    id="dlv_1",
    event_id="evt_1",
    watch_id="wat_1",
    target=Target("ops", "ops", name="ops"),
    state=DeliveryState.PENDING,
    created_at=SINCE,
    next_attempt_at=NOW - 1,
    retry_from=SINCE,
    attempts=5,
    tries=3,
)
MANUAL = replace(DELIVERY, trigger=Trigger.MANUAL)
FINAL = [
    (VerdictKind.DELIVERED, DeliveryState.DELIVERED, None),
    (VerdictKind.REFUSED, DeliveryState.EXHAUSTED, "HTTP 410"),
    (VerdictKind.DROPPED, DeliveryState.DROPPED, "HTTP 410"),
]


def settled(delivery: Delivery, verdict: Verdict, now: float = NOW) -> Settlement:
    return settle(delivery, verdict, DEFAULT, now=now, sample=0.0)


@pytest.mark.parametrize(("kind", "state", "reason"), FINAL)
@pytest.mark.parametrize(("delivery", "tries"), [(DELIVERY, 4), (MANUAL, 3)])
def test_a_final_verdict_ends_the_delivery(
    delivery: Delivery, tries: int, kind: VerdictKind, state: DeliveryState, reason: str | None
) -> None:
    assert settled(delivery, Verdict(kind, "HTTP 410", retry_after_s=9.0)) == Settlement(
        "dlv_1", state, next_attempt_at=NOW - 1, tries=tries, reason=reason, finalized_at=NOW
    )


def test_a_failed_scheduled_try_waits_for_the_next_step() -> None:
    """The fourth try failed: ten minutes."""
    assert settled(DELIVERY, Verdict(VerdictKind.RETRY, "HTTP 502")) == Settlement(
        "dlv_1", DeliveryState.PENDING, next_attempt_at=NOW + 600, tries=4, reason="HTTP 502", finalized_at=None
    )


def test_a_failed_manual_try_uses_no_step_of_the_schedule() -> None:
    """Three tries of the schedule failed: two minutes, again."""
    assert settled(MANUAL, Verdict(VerdictKind.RETRY, "HTTP 502")) == Settlement(
        "dlv_1", DeliveryState.PENDING, next_attempt_at=NOW + 120, tries=3, reason="HTTP 502", finalized_at=None
    )


OURS = Verdict(VerdictKind.RETRY, "local: no route", sign=Sign.UNKNOWN)


@pytest.mark.parametrize("delivery", [DELIVERY, MANUAL])
def test_a_fault_of_ours_uses_no_try_however_often_it_comes(delivery: Delivery) -> None:
    assert settled(delivery, OURS).tries == 3
    assert settled(replace(delivery, attempts=900), OURS).tries == 3


@pytest.mark.parametrize("tries", [0, 3, 12])
def test_faults_of_ours_widen_the_gap_to_five_minutes_wherever_the_schedule_stands(tries: int) -> None:
    """Three of the attempts were spared for overload, which is another matter."""
    delivery, gaps = replace(DELIVERY, tries=tries, spared=3, attempts=tries + 3), []
    for _ in range(6):
        step = settled(delivery, OURS)
        gaps.append(step.next_attempt_at - NOW)
        delivery = replace(delivery, tries=step.tries, spared=step.spared, attempts=delivery.attempts + 1)

    assert gaps == [5, 30, 120, 300, 300, 300]


def test_after_a_fault_of_ours_the_schedule_goes_on_where_it_stood() -> None:
    step = settled(replace(DELIVERY, tries=1, attempts=40), Verdict(VerdictKind.RETRY, "HTTP 500"))

    assert (step.tries, step.next_attempt_at) == (2, NOW + 30)


def test_the_receivers_wish_is_kept() -> None:
    assert settled(DELIVERY, Verdict(VerdictKind.RETRY, "HTTP 503", retry_after_s=3600.0)).next_attempt_at == NOW + 3600


@pytest.mark.parametrize("delivery", [DELIVERY, MANUAL])
def test_a_try_that_fails_when_the_budget_is_spent_exhausts_the_delivery(delivery: Delivery) -> None:
    end = SINCE + 72 * 3600
    step = settled(delivery, Verdict(VerdictKind.RETRY, "HTTP 502"), now=end)

    assert (step.state, step.reason, step.finalized_at) == (DeliveryState.EXHAUSTED, "HTTP 502", end)
    assert step.next_attempt_at == delivery.next_attempt_at


def test_only_pending_and_held_deliveries_are_open() -> None:
    assert [state for state in DeliveryState if not state.final] == [DeliveryState.PENDING, DeliveryState.HELD]


def test_a_resent_delivery_has_a_budget_of_its_own() -> None:
    """Sent again an hour after the first try: its 72 h end an hour later, too."""
    resent = replace(DELIVERY, retry_from=SINCE + 3600)
    verdict = Verdict(VerdictKind.RETRY, "HTTP 502")

    assert settled(resent, verdict, now=SINCE + 72 * 3600 + 3599).next_attempt_at == SINCE + 73 * 3600
    assert settled(resent, verdict, now=SINCE + 73 * 3600).state is DeliveryState.EXHAUSTED


OVERLOAD = Verdict(VerdictKind.RETRY, "HTTP 503", sign=Sign.OVERLOADED)


def test_the_first_three_overload_answers_use_no_try_and_widen_the_gap_all_the_same() -> None:
    """Steps: three free ones at 5 s, 30 s and 2 m; the fourth costs a try, which is the fourth step, 10 m."""
    delivery = replace(DELIVERY, tries=0, retry_from=NOW)
    seen = []
    for _ in range(4):
        step = settled(delivery, OVERLOAD)
        seen.append((step.tries, step.spared, step.next_attempt_at - NOW))
        delivery = replace(delivery, tries=step.tries, spared=step.spared, attempts=delivery.attempts + 1)

    assert seen == [(0, 1, 5), (0, 2, 30), (0, 3, 120), (1, 3, 600)]


def test_after_overload_the_schedule_goes_on_where_it_stood() -> None:
    step = settled(replace(DELIVERY, tries=0, spared=3), Verdict(VerdictKind.RETRY, "HTTP 500"))

    assert (step.tries, step.spared, step.next_attempt_at) == (1, 3, NOW + 5)


def test_a_manual_attempt_spares_nothing() -> None:
    step = settled(MANUAL, OVERLOAD)

    assert (step.tries, step.spared) == (3, 0)


def test_what_is_probably_refused_for_good_goes_to_the_slow_lane() -> None:
    """The first try: not 5 s but 10 m, then 30 m."""
    refusal = Verdict(VerdictKind.RETRY, "HTTP 401", sign=Sign.REFUSES)

    assert settled(replace(DELIVERY, tries=0), refusal).next_attempt_at == NOW + 600
    assert settled(replace(DELIVERY, tries=1), refusal).next_attempt_at == NOW + 1800
