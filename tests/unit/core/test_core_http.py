"""What headers ask us to wait."""

import time
from collections.abc import Iterator

import pytest

from relay.core.http import rate_reset_s, retry_after_s

SAVED = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT, the instant of the examples in RFC 9110, section 5.6.7."""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("86400", 86_400.0),
        ("86401", 86_400.0),
        ("1e9", 86_400.0),
        ("inf", 86_400.0),
        ("-5", 0.0),
        ("nan", None),
        ("1_000", None),
        ("", None),
        ("soon", None),
        ("12 minutes", None),
        ("Sun, 06 Nov 1994 08:49:97 GMT", None),
        ("Sun, 06 Nov 99999999999999999999 08:49:37 GMT", None),
        ("1, 2", None),
    ],
)
def test_retry_after_is_a_number_of_seconds_at_most_a_day(value: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": value}, SAVED) == seconds


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Tokyo"])
def time_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("time_zone")
@pytest.mark.parametrize(
    "date",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 -0000",
    ],
)
def test_all_three_forms_of_an_http_date_are_utc_wherever_relay_runs(date: str) -> None:
    assert retry_after_s({"retry-after": date}, SAVED - 90) == 90.0
    assert retry_after_s({"retry-after": date}, SAVED + 90) == 0.0
    assert retry_after_s({"retry-after": date}, SAVED - 900_000) == 86_400.0


def test_milliseconds_come_before_seconds_where_they_can_be_read() -> None:
    assert retry_after_s({"retry-after-ms": "1500", "retry-after": "9"}, SAVED) == 1.5
    assert retry_after_s({"retry-after-ms": "-1", "retry-after": "9"}, SAVED) == 0.0
    assert retry_after_s({"retry-after-ms": "nan", "retry-after": "9"}, SAVED) == 9.0
    assert retry_after_s({"retry-after-ms": "1_5", "retry-after": "9"}, SAVED) == 9.0


def test_no_header_asks_for_nothing() -> None:
    assert retry_after_s({}, SAVED) is None


NOW = 1_795_255_200.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1795255230000", 30.0),  # Unix milliseconds
        ("1795255230", 30.0),  # Unix seconds
        ("30", 30.0),  # seconds from now
        ("0.25", 0.25),
        ("1795255100000", 0.0),
        ("1795255100", 0.0),
        ("-1", 0.0),
        ("1000000000", 86_400.0),  # still seconds from now
        ("1000000000000", 86_400.0),  # still Unix seconds, far ahead
        ("inf", 86_400.0),
        ("nan", None),
        ("1s", None),
        (None, None),
    ],
)
def test_a_rate_limit_reset_is_told_apart_by_size(value: str | None, seconds: float | None) -> None:
    assert rate_reset_s(value, NOW) == seconds
