"""Identifiers."""

import re

import pytest

from relay.core import ids


def test_watch_ids_sort_by_the_millisecond_whatever_their_entropy() -> None:
    times = [0.0, 0.001, 1.0, 1_795_255_200.0, 1_795_255_200.002, 4_000_000_000.0]

    made = [ids.watch_id(now, (b"\xff" if place % 2 == 0 else b"\x00") * 10) for place, now in enumerate(times)]

    assert made == sorted(made)


def test_a_watch_id_is_base_32_of_its_time_and_entropy() -> None:
    assert ids.watch_id(0.0, bytes(10)) == "wat_" + "0" * 26
    assert ids.watch_id(0.0, bytes(9) + b"\x21") == "wat_" + "0" * 24 + "11"
    assert ids.watch_id((2**48 - 1) / 1000, b"\xff" * 10) == "wat_7" + "z" * 25


@pytest.mark.parametrize("count", [0, 9, 11])
def test_a_watch_id_takes_exactly_ten_random_bytes(count: int) -> None:
    with pytest.raises(ValueError, match=f"10 random bytes, not {count}"):
        ids.watch_id(0.0, bytes(count))


def test_events_and_deliveries_are_named_by_what_they_are_about() -> None:
    event = ids.event_id("wat_1", "job.completed")

    assert event == ids.event_id("wat_1", "job.completed")
    assert event != ids.event_id("wat_1", "job.failed")
    assert event != ids.event_id("wat_2", "job.completed")
    assert ids.delivery_id(event, "ops") == ids.delivery_id(event, "ops")
    assert ids.delivery_id(event, "ops") != ids.delivery_id(event, "shop")


def test_every_id_is_a_prefix_and_26_letters_without_dots_or_look_alikes() -> None:
    shape = re.compile(r"(wat|evt|dlv)_[0-7][0-9a-hjkmnp-tv-z]{25}")

    assert shape.fullmatch(ids.watch_id(1_795_255_200.0, b"0123456789"))
    assert shape.fullmatch(ids.event_id("wat_1", "job.completed"))
    assert shape.fullmatch(ids.delivery_id("evt_1", "https://shop.example/hook.php"))
