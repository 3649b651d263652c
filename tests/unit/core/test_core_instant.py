"""Instants, read and written."""

import time

import pytest

from relay.core.instant import iso, parse_instant

TEN_O_CLOCK = 1_795_255_200.0
"""2026-11-21T10:00:00Z, as `date -u -d 2026-11-21T10:00:00Z +%s` tells."""


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-21T10:00:00Z",
        "2026-11-21t10:00:00z",
        "2026-11-21T10:00:00",
        "2026-11-21 10:00:00",
        "2026-11-21T11:00:00+01:00",
        "20261121T100000Z",
        " 2026-11-21T10:00:00Z ",
        1_795_255_200,
        1_795_255_200.0,
        "1795255200",
        1_795_255_200_000,
        "1795255200000",
    ],
)
def test_one_instant_has_many_spellings(value: object) -> None:
    assert parse_instant(value) == TEN_O_CLOCK


@pytest.mark.parametrize(
    ("text", "fraction"), [("10:00:00.250Z", 0.25), ("10:00:00.123456789Z", 0.123456), ("10:00:00.5", 0.5)]
)
def test_fractions_of_any_length_are_read(text: str, fraction: float) -> None:
    assert parse_instant(f"2026-11-21T{text}") == pytest.approx(TEN_O_CLOCK + fraction, abs=1e-6)


def test_text_without_a_zone_is_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_instant("2026-11-21T10:00:00") == TEN_O_CLOCK
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        -TEN_O_CLOCK,
        float("nan"),
        float("inf"),
        "nan",
        "inf",
        10**400,
        1e300,
        "9" * 400,
        "",
        "soon",
        "2026-13-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        [],
        {},
        b"1795255200",
    ],
)
def test_what_names_no_instant_is_none(value: object) -> None:
    assert parse_instant(value) is None


def test_a_number_is_milliseconds_above_the_year_5138_in_seconds() -> None:
    assert parse_instant(100_000_000_000) == 100_000_000_000.0
    assert parse_instant(100_000_000_001) == 100_000_000.001


def test_the_last_instant_is_the_end_of_the_year_9999() -> None:
    assert parse_instant("9999-12-31T23:59:59Z") == 253_402_300_799.0
    assert parse_instant(253_402_300_799_000) == 253_402_300_799.0
    assert parse_instant(253_402_300_800_000) is None


def test_relay_writes_utc_with_milliseconds() -> None:
    assert iso(TEN_O_CLOCK + 0.123) == "2026-11-21T10:00:00.123Z"
    assert iso(TEN_O_CLOCK) == "2026-11-21T10:00:00.000Z"
