"""How a destination is: from working to unreachable, disabled, and back."""

from dataclasses import replace

import pytest

from relay.core.condition import (
    FAILURES_BEFORE_HOLD,
    MOST_AT_ONCE,
    Change,
    Condition,
    Finding,
    Health,
    after_attempt,
    enabled,
    let_go,
)
from relay.core.etiquette import Sign
from relay.core.watch import Target

NOW = 1_000_000.0
OPS = Target("ops", "ops", name="ops")
HOOK = Target("url:1", "hook.example:443", url="https://hook.example/a")
DOWN = Health(Condition.UNREACHABLE, since=NOW - 60, failures=5, failing_since=NOW - 120, release_at=NOW, probes=1)
DRAINING = Health(Condition.DRAINING, since=NOW - 3, release_at=NOW, batch=8, probes=4)
REFUSING = Health(Condition.REFUSING, since=NOW - 60, detail="HTTP 401")
DISABLED = Health(Condition.DISABLED, since=NOW - 60, detail="HTTP 410")


def found(sign: Sign, at: float = NOW, target: Target = OPS, **more: float) -> Finding:
    return Finding(target, sign, at, **{"sample": 0.0, "began_at": at} | more, detail="why")


def after(health: Health, *signs: Sign, every_s: float = 15.0) -> Change:
    change = Change(health)
    for number, sign in enumerate(signs):
        change = after_attempt(change.health, found(sign, NOW + number * every_s))
    return change


def test_five_failures_in_a_row_over_a_minute_hold_the_deliveries() -> None:
    """At 0, 15, 30, 45 and 60 s; the first probe 30 s after that."""
    assert after(Health(), *[Sign.ABSENT] * 4).health.condition is Condition.WORKING

    change = after(Health(), *[Sign.ABSENT] * 5)

    assert change.tell == "destination.unreachable"
    assert change.health == Health(
        Condition.UNREACHABLE, NOW + 60, failures=5, failing_since=NOW, release_at=NOW + 90, probes=1, detail="why"
    )


def test_many_failures_within_a_minute_are_no_outage_yet() -> None:
    change = after(Health(), *[Sign.ABSENT] * 50, every_s=1.0)

    assert (change.health.condition, change.health.failures, change.tell) == (Condition.WORKING, 50, None)


@pytest.mark.parametrize("sign", [Sign.WORKS, Sign.ANSWERS, Sign.REFUSES])
def test_any_answer_between_begins_the_count_anew(sign: Sign) -> None:
    change = after(Health(), *[Sign.ABSENT] * 4, sign, *[Sign.ABSENT] * 4)

    assert change.health.failures == 4
    assert change.health.condition is not Condition.UNREACHABLE


def test_overload_that_lasts_holds_as_absence_does() -> None:
    assert after(Health(), *[Sign.OVERLOADED] * FAILURES_BEFORE_HOLD).health.condition is Condition.UNREACHABLE


def test_probes_come_ever_later_up_to_a_quarter_of_an_hour() -> None:
    health, gaps = replace(DOWN, probes=0), []
    for _ in range(7):
        health = after_attempt(health, found(Sign.ABSENT)).health
        gaps.append(health.release_at - NOW)

    assert gaps == [30, 60, 120, 240, 480, 900, 900]


def test_an_outage_of_weeks_is_probed_each_quarter_of_an_hour_still() -> None:
    assert after_attempt(replace(DOWN, probes=2000), found(Sign.ABSENT)).health.release_at == NOW + 900


def test_a_probe_comes_no_later_than_the_schedule_of_its_delivery_and_no_sooner_than_was_asked_for() -> None:
    soon = after_attempt(DOWN, found(Sign.ABSENT, again_at=NOW + 5))
    asked = after_attempt(DOWN, found(Sign.OVERLOADED, again_at=NOW + 700, floor_s=600.0))

    assert soon.health.release_at == NOW + 5
    assert asked.health.release_at == NOW + 600


@pytest.mark.parametrize("sign", [Sign.WORKS, Sign.ANSWERS, Sign.REFUSES])
def test_any_answer_ends_an_outage_and_is_told(sign: Sign) -> None:
    assert after(DOWN, sign) == Change(
        Health(Condition.DRAINING, since=NOW, release_at=NOW, batch=1, probes=1, answered_at=NOW),
        "destination.recovered",
    )


def test_what_was_held_is_let_go_in_batches_that_double() -> None:
    health, batches = Health(Condition.DRAINING), []
    for second in range(13):
        batches.append(health.batch)
        health = let_go(health, NOW + second)
        assert health.release_at == NOW + second + 1

    assert batches[:5] == [1, 2, 4, 8, 16]
    assert batches[-1] == MOST_AT_ONCE


def test_where_one_message_tells_of_many_the_first_batch_is_a_message() -> None:
    change = after_attempt(DOWN, found(Sign.WORKS, told_together=500))

    assert (change.health.condition, change.health.batch) == (Condition.DRAINING, 500)


def test_a_probe_of_many_that_are_told_together_does_not_go_by_the_schedule_of_one() -> None:
    change = after_attempt(DOWN, found(Sign.ABSENT, again_at=NOW + 5, told_together=500))

    assert change.health.release_at == NOW + 60


def test_five_failures_in_a_row_while_draining_hold_the_rest_and_probes_go_on_where_they_were() -> None:
    """Four probes were in vain before: the fifth gap is 8 m."""
    assert after(DRAINING, *[Sign.ABSENT] * 4, every_s=0.0).health.condition is Condition.DRAINING

    change = after(DRAINING, *[Sign.ABSENT] * 5, every_s=0.0)

    assert change.tell == "destination.unreachable"
    assert (change.health.condition, change.health.batch, change.health.release_at) == (
        Condition.UNREACHABLE,
        1,
        NOW + 480,
    )


def test_a_receiver_that_fails_now_and_then_is_drained_all_the_same() -> None:
    change = after(DRAINING, *[Sign.ABSENT] * 4, Sign.WORKS, *[Sign.OVERLOADED] * 4, Sign.ANSWERS)

    assert change.health == replace(DRAINING, probes=0, failing_since=NOW + 75, detail="why", answered_at=NOW + 135)


def test_attempts_that_hang_while_others_are_answered_hold_nothing() -> None:
    health = replace(DRAINING, answered_at=NOW)

    for _ in range(20):
        assert after_attempt(health, found(Sign.ABSENT, NOW + 19, began_at=NOW - 1)) == Change(health)
    assert after_attempt(health, found(Sign.ABSENT, NOW + 21, began_at=NOW + 1)).health.failures == 1


def test_a_refusal_is_told_once_and_its_end_too() -> None:
    first = after(Health(), Sign.REFUSES)
    second = after(first.health, Sign.REFUSES)

    assert first == Change(Health(Condition.REFUSING, since=NOW, detail="why"), "destination.refusing")
    assert second == Change(first.health)
    assert after(REFUSING, Sign.WORKS) == Change(Health(since=NOW), "destination.recovered")


def test_what_was_refused_is_still_told_while_the_destination_does_not_answer() -> None:
    absent = after(REFUSING, Sign.ABSENT).health

    assert absent == replace(REFUSING, failures=1, failing_since=NOW)


def test_a_host_of_many_callbacks_is_told_to_refuse_once_an_hour_at_most() -> None:
    works = found(Sign.WORKS, target=HOOK)

    assert after_attempt(REFUSING, works) == Change(REFUSING)
    assert after_attempt(replace(REFUSING, failures=3), works) == Change(REFUSING)
    assert after_attempt(replace(REFUSING, since=NOW - 3600), works) == Change(Health(since=NOW))


@pytest.mark.parametrize("health", [Health(), REFUSING, DOWN, DRAINING])
def test_a_named_destination_that_wants_nothing_more_is_disabled_at_once(health: Health) -> None:
    assert after(health, Sign.GONE) == Change(
        Health(Condition.DISABLED, since=NOW, detail="why"), "destination.disabled"
    )


@pytest.mark.parametrize("sign", list(Sign))
def test_only_a_person_ends_disablement(sign: Sign) -> None:
    assert after(DISABLED, sign) == Change(DISABLED)
    assert enabled(DISABLED, NOW) == Health(Condition.UNREACHABLE, since=NOW, release_at=NOW, detail="HTTP 410")


def test_a_callback_url_that_is_gone_says_nothing_of_its_host() -> None:
    assert after_attempt(Health(), found(Sign.GONE, target=HOOK)) == Change(Health())


@pytest.mark.parametrize("health", [Health(), REFUSING, DOWN, DRAINING, DISABLED])
def test_a_fault_of_our_own_says_nothing(health: Health) -> None:
    assert after(health, Sign.UNKNOWN) == Change(health)
