"""Quiet hours end when the clocks on the wall say so, through every change of the clocks."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.quiet import QuietHours

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(time(22), time(7), BERLIN, ("job.failed", "provider.*"))


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def until(hours: QuietHours, text: str) -> str | None:
    end = hours.until("job.completed", utc(text))
    return None if end is None else f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-11-20 20:59:59.999", None),  # 21:59:59 in Berlin, which is an hour ahead in winter
        ("2026-11-20 21:00", "2026-11-21 06:00"),
        ("2026-11-20 23:30", "2026-11-21 06:00"),  # past midnight
        ("2026-11-21 05:59:59", "2026-11-21 06:00"),
        ("2026-11-21 06:00", None),
        ("2026-11-21 12:00", None),
        ("2026-07-01 20:00", "2026-07-02 05:00"),  # two hours ahead in summer
    ],
)
def test_a_night_lasts_past_midnight(now: str, end: str | None) -> None:
    assert until(NIGHT, now) == end


def test_quiet_hours_may_lie_within_a_day() -> None:
    lunch = QuietHours(time(12, 30), time(13, 15), ZoneInfo("Asia/Kolkata"), ())

    assert until(lunch, "2026-11-21 06:59") is None  # 12:29 at +5:30
    assert until(lunch, "2026-11-21 07:00") == "2026-11-21 07:45"
    assert until(lunch, "2026-11-21 07:45") is None


@pytest.mark.parametrize(
    ("event_type", "waits"),
    [("job.completed", True), ("job.failed", False), ("provider.unreachable", False), ("delivery.exhausted", True)],
)
def test_what_is_urgent_does_not_wait(event_type: str, waits: bool) -> None:
    assert (NIGHT.until(event_type, utc("2026-11-20 23:00")) is not None) is waits


def test_the_night_in_which_the_clocks_go_forward_is_an_hour_shorter() -> None:
    """2026-03-29, 01:00 UTC: 02:00 becomes 03:00 in Berlin."""
    assert until(NIGHT, "2026-03-28 21:00") == "2026-03-29 05:00"
    assert until(NIGHT, "2026-03-29 04:59") == "2026-03-29 05:00"
    assert until(NIGHT, "2026-03-29 05:00") is None


def test_the_night_in_which_the_clocks_go_back_is_an_hour_longer() -> None:
    """2026-10-25, 01:00 UTC: 03:00 becomes 02:00 in Berlin."""
    assert until(NIGHT, "2026-10-24 20:00") == "2026-10-25 06:00"
    assert until(NIGHT, "2026-10-25 05:59") == "2026-10-25 06:00"


def test_an_end_that_the_clocks_skip_is_as_long_after_midnight_as_ever() -> None:
    """02:30 is not on that night: two and a half hours after midnight it is 03:30."""
    short = QuietHours(time(22), time(2, 30), BERLIN, ())

    assert until(short, "2026-03-29 00:59") == "2026-03-29 01:30"
    assert until(short, "2026-03-29 01:30") is None


def test_an_end_that_the_clocks_show_twice_is_the_first() -> None:
    """02:30 comes at 00:30 UTC and again at 01:30: the night does not begin anew."""
    short = QuietHours(time(22), time(2, 30), BERLIN, ())

    assert until(short, "2026-10-25 00:29") == "2026-10-25 00:30"
    assert until(short, "2026-10-25 00:30") is None
    assert until(short, "2026-10-25 01:15") is None


TIMES = st.times().map(lambda clock: clock.replace(second=0, microsecond=0))
ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"])


@given(TIMES, TIMES, ZONES, st.floats(utc("2020-01-01"), utc("2035-01-01")))
def test_quiet_time_ends_within_a_day_and_then_it_is_over(begin: time, end: time, zone: str, now: float) -> None:
    hours = QuietHours(begin, end, ZoneInfo(zone), ())

    told_at = hours.until("job.completed", now)

    if told_at is not None:
        assert now < told_at <= now + timedelta(hours=26).total_seconds()
        assert hours.until("job.completed", told_at) is None or begin == end
