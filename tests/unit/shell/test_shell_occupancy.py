"""Which places attempts under way have taken, and when it is time to claim more."""

from dataclasses import replace

import pytest
from support.stored import HOOK, NOW, new

from relay.core.delivery import first_delivery
from relay.core.event import outcome_event
from relay.core.observation import Observation, Status
from relay.core.ports import Outgoing
from relay.core.watch import begun
from relay.occupancy import Occupancy

EVENT = outcome_event(begun(new(), NOW), Observation(Status.COMPLETED), NOW)


def claim(number: int, lane: str = "a", *, attempts: int = 0, failures: int | None = None) -> list[Outgoing]:
    delivery = replace(first_delivery(EVENT, replace(HOOK, lane=lane), NOW), attempts=attempts)
    return [Outgoing(delivery, EVENT, failures)] * number


def taken(*claims: list[Outgoing], filled: bool = False) -> Occupancy:
    occupancy = Occupancy()
    occupancy.take([outgoing for some in claims for outgoing in some], filled=filled, busy={}, limits={})
    return occupancy


def test_of_256_places_192_are_for_what_was_tried_before() -> None:
    [fresh], [tried] = claim(1), claim(1, "b", attempts=2)
    occupancy = taken([fresh, fresh, tried])

    assert (occupancy.taken, occupancy.free, occupancy.free_for_retries) == (3, 253, 191)
    assert occupancy.by_lane() == {"a": 2, "b": 1}
    for outgoing in (fresh, tried):
        assert not occupancy.leave(outgoing.delivery)
    assert (occupancy.taken, occupancy.free, occupancy.free_for_retries) == (1, 255, 192)
    assert occupancy.by_lane() == {"a": 1}


def test_any_place_that_gets_free_is_claimed_again_where_all_were_filled() -> None:
    occupancy = taken(claim(1), claim(1, "b"), filled=True)

    assert occupancy.crowded
    assert occupancy.leave(claim(1)[0].delivery)


@pytest.mark.parametrize(("retries", "crowded"), [(191, False), (192, True)])
def test_where_no_place_is_left_for_what_was_tried_before_more_of_it_may_be_due(retries: int, crowded: bool) -> None:
    occupancy = taken(*(claim(1, f"lane {number}", attempts=1) for number in range(retries)))

    assert occupancy.free_for_retries == 192 - retries
    assert occupancy.crowded is crowded
    assert occupancy.leave(claim(1, "lane 0", attempts=1)[0].delivery) is crowded


@pytest.mark.parametrize(
    ("failures", "places"),
    [(None, 16), (4, 16), (5, 2)],
)
def test_a_lane_whose_places_are_all_taken_is_claimed_from_again_when_half_are_free(
    failures: int | None, places: int
) -> None:
    assert not taken(claim(places - 1, failures=failures)).crowded
    attempts = claim(places, failures=failures)
    occupancy = taken(attempts, claim(1, "b"))

    assert occupancy.crowded
    assert not occupancy.leave(claim(1, "b")[0].delivery)
    assert [occupancy.leave(outgoing.delivery) for outgoing in attempts].index(True) + 1 == places / 2


def test_a_lane_with_a_number_of_places_of_its_own_is_full_by_that() -> None:
    occupancy = Occupancy()

    occupancy.take(claim(2), filled=False, busy={}, limits={"a": 3})
    assert not occupancy.crowded
    occupancy.take(claim(1), filled=False, busy=occupancy.by_lane(), limits={"a": 3})
    assert occupancy.crowded


@pytest.mark.parametrize(("under_way", "crowded"), [(1, False), (2, True)])
def test_a_lane_of_which_nothing_was_claimed_may_have_failed_since_its_attempts_began(
    under_way: int, crowded: bool
) -> None:
    occupancy = taken(claim(under_way))

    occupancy.take([], filled=False, busy=occupancy.by_lane(), limits={})

    assert occupancy.crowded is crowded


def test_nothing_is_crowded_any_more_once_a_claim_found_places_for_all() -> None:
    occupancy = taken(claim(16), filled=True)

    for outgoing in claim(16):
        occupancy.leave(outgoing.delivery)
    occupancy.take([], filled=False, busy=occupancy.by_lane(), limits={})

    assert not occupancy.crowded
