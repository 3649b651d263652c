"""Durations as people write them."""

import pytest

from relay.core.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("90s", 90.0),
        ("1.5h", 5400.0),
        ("1h30m", 5400.0),
        ("30m1h", 5400.0),
        (" 1 h 30 m ", 5400.0),
        ("2d", 172_800.0),
        ("1w", 604_800.0),
        ("0s", 0.0),
    ],
)
def test_numbers_with_units_add_up(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "5", "s", "-5s", "+5s", "5 parsecs", "1h30", "1.s", ".5s", "1e3s", "5S", "5s!"]
)
def test_anything_else_is_refused_with_its_text_and_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration") as refused:
        parse_duration(text)

    assert str(refused.value).startswith(f'"{text}"')
    assert '"1h30m"' in str(refused.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.4, "0.4s"),
        (2.0, "2s"),
        (9.97, "10s"),
        (41.2, "41s"),
        (59.6, "1m00s"),
        (107, "1m47s"),
        (3599.6, "1h00m"),
        (7500, "2h05m"),
        (86_399.9, "1d0h"),
        (273_600, "3d4h"),
        (-107, "-1m47s"),
    ],
)
def test_a_duration_is_shown_in_at_most_two_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("text", ["0.4s", "41s", "1m47s", "2h05m", "3d4h"])
def test_what_is_shown_can_be_read_again(text: str) -> None:
    assert format_duration(parse_duration(text)) == text
