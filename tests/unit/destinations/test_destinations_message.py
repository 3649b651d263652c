"""What a person is told of an event, before any chat's markup."""

import json
from collections.abc import Callable, Mapping

import pytest

from relay.core.delivery import Delivery
from relay.core.event import Event
from relay.destinations.fitting import fit, packed, units
from relay.destinations.message import Notice, notice


@pytest.fixture
def tell(delivery: Delivery, noon: float) -> Callable[..., Notice]:
    """Returns what is told at noon of an event with this data."""

    def told(data: Mapping[str, object], event_type: str = "job.completed") -> Notice:
        body = json.dumps({"type": event_type, "timestamp": "2026-11-21T12:00:00.000Z", "data": data})
        return notice(delivery, Event("evt_1", event_type, "wat_1", noon, body), noon)

    return told


def fact(told: Notice, name: str) -> str | None:
    return next((fact.value for fact in told.facts if fact.name == name), None)


@pytest.mark.parametrize(
    ("status", "title"),
    [
        ("completed", "getimg job completed"),
        ("failed", "getimg job failed"),
        ("cancelled", "getimg job was cancelled"),
        ("expired", "getimg job expired"),
        ("not_found", "getimg job was not found"),
        ("timed_out", "getimg job timed out"),
        ("of_a_later_relay", "getimg job of a later relay"),
    ],
)
def test_the_title_says_the_outcome_in_words(status: str, title: str, tell: Callable[..., Notice]) -> None:
    assert tell({"provider": "getimg", "status": status}).title == title


def test_a_job_that_runs_unusually_long_is_told_with_what_is_usual(tell: Callable[..., Notice]) -> None:
    data = {"provider": "getimg", "status": "running", "usual_s": 107.25}
    times = {"watched_at": "2026-11-21T11:57:00.000Z", "observed_at": "2026-11-21T12:00:00.000Z"}

    told = tell(data | times, "job.overdue")

    assert told.title == "getimg job takes unusually long"
    assert (fact(told, "Watched for"), fact(told, "Usually within")) == ("3m00s", "1m47s")


def test_an_event_without_data_is_told_by_its_type(tell: Callable[..., Notice]) -> None:
    told = tell({}, "job.failed")
    assert (told.title, told.facts, told.links) == ("A job failed", (), ())


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        ({"amount": 0.25, "currency": "USD"}, "0.25 USD"),
        ({"amount": 0.1 + 0.2, "currency": "USD"}, "0.3 USD"),
        ({"amount": 5, "unit": "credits"}, "5 credits"),
        ({"amount": 5, "currency": None, "unit": "video_second", "quantity": 10}, "5 for 10 video_second"),
        ({"amount": 5, "currency": "EUR", "unit": "video_second", "quantity": 10}, "5 EUR for 10 video_second"),
        ({"amount": 0, "currency": "USD"}, "0 USD"),
        ({"amount": 1234567.89}, "1234567.89"),
        ({"amount": None, "currency": "USD", "unit": "second", "unit_price": 1, "quantity": 2}, None),
        ({"amount": True, "currency": "USD"}, None),
        ({"amount": "5"}, None),
        ({"amount": float("nan")}, None),
        ({"amount": float("inf")}, None),
        ({"amount": 10**400}, None),
        (None, None),
        ([5], None),
    ],
)
def test_the_cost_is_told_where_it_is_known(cost: object, shown: str | None, tell: Callable[..., Notice]) -> None:
    assert fact(tell({"cost": cost}), "Cost") == shown


@pytest.mark.parametrize(
    ("after_s", "shown"),
    [
        (3000, "2026-11-21 12:50 UTC (in 50 min)"),
        (0, "2026-11-21 12:00 UTC (in 0 s)"),
        (59, "2026-11-21 12:00 UTC (in 59 s)"),
        (119, "2026-11-21 12:01 UTC (in 1 min)"),
        (7199, "2026-11-21 13:59 UTC (in 119 min)"),
        (7200, "2026-11-21 14:00 UTC (in 2 h)"),
        (172799, "2026-11-23 11:59 UTC (in 47 h)"),
        (86400 * 30, "2026-12-21 12:00 UTC (in 30 days)"),
        (-720, "2026-11-21 11:48 UTC (12 min ago)"),
    ],
)
def test_the_expiry_is_a_time_and_what_is_left_of_it(
    after_s: float, shown: str, tell: Callable[..., Notice], noon: float
) -> None:
    assert fact(tell({"outputs": [{"url": "https://a.example/", "expires_at": noon + after_s}]}), "Expires") == shown


def test_the_first_expiry_counts(tell: Callable[..., Notice]) -> None:
    outputs = [{"expires_at": "2026-11-22T00:00:00Z"}, {"expires_at": "2026-11-21T13:00:00Z"}, {"expires_at": None}]
    assert fact(tell({"outputs": outputs}), "Expires") == "2026-11-21 13:00 UTC (in 60 min)"


@pytest.mark.parametrize(
    ("times", "name", "shown"),
    [
        (("11:58:13", "11:59:00", "12:00:00", "12:00:02"), "Took", "1m47s"),
        ((None, "11:59:00", "12:00:00", "12:00:02"), "Watched for", "1m02s"),
        (("11:58:13", "11:59:00", None, "12:00:02"), "Watched for", "1m02s"),
        (("12:00:01", "11:59:00", "12:00:00", "12:00:02"), "Watched for", "1m02s"),
        (("never", "11:59:00", "12:00:00", "12:00:02"), "Watched for", "1m02s"),
    ],
)
def test_the_duration_is_the_providers_where_it_gives_both_ends(
    times: tuple[str | None, ...], name: str, shown: str, tell: Callable[..., Notice]
) -> None:
    names = ("created_at", "watched_at", "completed_at", "observed_at")
    told = tell({key: at and f"2026-11-21T{at}Z" for key, at in zip(names, times, strict=True)})
    assert [(fact.name, fact.value) for fact in told.facts] == [(name, shown)]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"code": "c", "message": "m", "user_message": "u", "moderated": False}, "u"),
        ({"code": "c", "message": "m", "user_message": None}, "m"),
        ({"code": "c", "message": " \x1b ", "user_message": ""}, "c"),
        ({"message": "m", "moderated": True}, "Stopped by the provider's content filter: m"),
        ({"moderated": True}, "Stopped by the provider's content filter."),
        ({"moderated": "yes"}, "The provider gave no reason."),
        (None, "The provider gave no reason."),
    ],
)
def test_the_error_is_in_plain_words(error: object, words: str, tell: Callable[..., Notice]) -> None:
    assert tell({"status": "failed", "error": error}).error == words


def test_only_a_failure_owes_a_reason(tell: Callable[..., Notice]) -> None:
    assert tell({"status": "cancelled", "error": None}).error is None


def test_an_output_is_labelled_by_what_is_known_of_it(tell: Callable[..., Notice]) -> None:
    outputs = [
        {"url": "https://a.example/1", "content_type": "image/png", "width": 512, "height": 512},
        {"url": "https://a.example/2", "duration_s": 10.5, "width": 512},
        {"url": 7},
        "not an object",
    ]
    told = tell({"outputs": outputs})
    assert [link.label for link in told.links] == ["Output 1, image/png, 512x512", "Output 2, 10s", "Output 3"]
    assert told.outputs == 3


@pytest.mark.parametrize(
    ("content_type", "label"),
    [
        ("video/mp4", "Output 1, video/mp4"),
        ("image/svg+xml", "Output 1, image/svg+xml"),
        ("application/vnd.ms-excel", "Output 1, application/vnd.ms-excel"),
        ("https://bank.example/login", "Output 1"),
        ("bank.example/login", "Output 1"),
        ("video/mp4 https://bank.example", "Output 1"),
        ("", "Output 1"),
        (7, "Output 1"),
    ],
)
def test_a_link_is_not_called_after_another_address(
    content_type: object, label: str, tell: Callable[..., Notice]
) -> None:
    told = tell({"outputs": [{"url": "https://a.example/1", "content_type": content_type}]})
    assert [link.label for link in told.links] == [label]


def test_text_is_cut_after_its_escapes_are_counted() -> None:
    assert fit("a&b", 7, {"&": "&amp;"}) == "a&amp;b"
    assert fit("a&b", 6, {"&": "&amp;"}) == "a…"
    assert fit("a& b&", 9, {"&": "&amp;"}) == "a&amp; b…"
    assert fit("🌊🌊🌊", 5, {}) == "🌊🌊…"


def test_lines_are_kept_while_there_is_room() -> None:
    assert packed(["12345", "1234567890", "12"], 9) == ["12345", "12"]


def test_length_is_counted_in_utf_16_units() -> None:
    assert (units("a☃"), units("🌊")) == (2, 2)
