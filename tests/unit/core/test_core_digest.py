"""Storms: what goes into one message, when the next may go, and what its answer means for each part."""

import pytest

from relay.core.delivery import Delivery, DeliveryState, Trigger, Verdict, VerdictKind
from relay.core.digest import Window, next_window, settle_together, takes_company
from relay.core.retry import RetryPolicy
from relay.core.watch import Target

OPS = Target("ops", "ops", name="ops")


def delivery(number: int, trigger: Trigger = Trigger.SCHEDULED, tries: int = 0, retry_from: float = 0.0) -> Delivery:
    return Delivery(
        id=f"dlv_{number}",
        event_id=f"evt_{number}",
        watch_id=f"wat_{number}",
        target=OPS,
        state=DeliveryState.PENDING,
        created_at=0.0,
        next_attempt_at=0.0,
        retry_from=retry_from,
        attempts=tries,
        tries=tries,
        trigger=trigger,
    )


def test_the_window_after_a_first_message_is_narrow() -> None:
    assert next_window(None, widest_s=60.0, now=100.0) == Window(105.0, 5.0)


def test_windows_widen_while_a_storm_lasts_and_begin_anew_in_the_calm() -> None:
    window, sent = None, []
    now = 0.0
    for _ in range(7):
        window = next_window(window, widest_s=60.0, now=now)
        sent.append(now)
        now = window.ends_at

    assert sent == [0.0, 5.0, 15.0, 35.0, 75.0, 135.0, 195.0]
    assert next_window(window, widest_s=60.0, now=now + 59.9).width_s == 60.0
    assert next_window(window, widest_s=60.0, now=now + 60.0).width_s == 5.0


def test_no_window_is_wider_than_wanted() -> None:
    assert next_window(None, widest_s=2.0, now=0.0) == Window(2.0, 2.0)


def test_what_a_person_wants_sent_again_goes_by_itself() -> None:
    assert takes_company(delivery(1))
    assert not takes_company(delivery(1, trigger=Trigger.MANUAL))


def test_a_delivered_digest_delivers_all_of_it() -> None:
    deliveries = [delivery(1), delivery(2)]

    settled = settle_together(deliveries, Verdict(VerdictKind.DELIVERED), RetryPolicy(), now=9.0, sample=0.0)

    assert [(each.delivery_id, each.state, each.finalized_at) for each in settled] == [
        ("dlv_1", DeliveryState.DELIVERED, 9.0),
        ("dlv_2", DeliveryState.DELIVERED, 9.0),
    ]


def test_a_failed_digest_is_tried_again_as_a_whole() -> None:
    """The second part has failed twice before, and would wait for two minutes by itself."""
    deliveries = [delivery(1), delivery(2, tries=3)]

    settled = settle_together(deliveries, Verdict(VerdictKind.RETRY, "HTTP 503"), RetryPolicy(), now=9.0, sample=0.0)

    assert [(each.next_attempt_at, each.tries) for each in settled] == [(14.0, 1), (14.0, 4)]


@pytest.mark.parametrize("floor_s", [30.0, 90.0])
def test_a_wish_to_wait_is_never_undercut(floor_s: float) -> None:
    deliveries = [delivery(1), delivery(2, tries=3)]
    verdict = Verdict(VerdictKind.RETRY, "HTTP 429", retry_after_s=floor_s)

    settled = settle_together(deliveries, verdict, RetryPolicy(), now=9.0, sample=0.0)

    assert {each.next_attempt_at for each in settled} == {9.0 + floor_s}


def test_each_part_has_its_own_budget() -> None:
    deliveries = [delivery(1), delivery(2, retry_from=-400_000.0)]

    settled = settle_together(deliveries, Verdict(VerdictKind.RETRY, "HTTP 503"), RetryPolicy(), now=9.0, sample=0.0)

    assert [each.state for each in settled] == [DeliveryState.PENDING, DeliveryState.EXHAUSTED]
    assert settled[0].next_attempt_at == 14.0
