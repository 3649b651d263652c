"""Text that others wrote."""

import pytest

from relay.core.text import MESSAGE_LIMIT, clean, counted, one_line


@pytest.mark.parametrize(
    "hidden",
    ["\x00", "\x1b", "\r", "\x0b", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\u2066", "\u2069", "\ud800", "\ufeff"],
)
def test_control_characters_overrides_and_lone_surrogates_go(hidden: str) -> None:
    assert clean(f"a{hidden}b") == "ab"


def test_an_escape_sequence_loses_its_power_but_not_its_letters() -> None:
    assert clean("\x1b[31mred\x1b[0m") == "[31mred[0m"


def test_tabs_newlines_and_all_scripts_stay_and_the_ends_are_trimmed() -> None:
    assert clean("  día\n\t日本 🎬 ") == "día\n\t日本 🎬"


def test_what_is_too_long_ends_in_an_ellipsis_within_the_limit() -> None:
    assert clean("abcde", 5) == "abcde"
    assert clean("abcdef", 5) == "abcd…"
    assert len(clean("x" * 100_000)) == MESSAGE_LIMIT


def test_one_line_folds_all_white_space() -> None:
    assert one_line(" a\r\n\tb \u00a0 c\n") == "a b c"


def test_one_line_is_cut_as_well() -> None:
    assert one_line("ab\ncdef", 5) == "ab c…"


def test_one_thing_has_its_name_and_any_other_number_that_of_many() -> None:
    assert [counted(number, "poll") for number in (0, 1, 2, 1234)] == ["0 polls", "1 poll", "2 polls", "1,234 polls"]
