"""How things are shown."""

import json
import time
from datetime import UTC, datetime

import pytest

from relay.cli import output


def instant(distance_s: float) -> str:
    return datetime.fromtimestamp(time.time() + distance_s, UTC).isoformat()


@pytest.mark.parametrize(
    ("distance_s", "shown"),
    [(-10830, "3h00m ago"), (-3 * 86400 - 5400, "3d1h ago"), (10830, "in 3h00m"), (2 * 86400 + 5400, "in 2d1h")],
)
def test_instants_are_told_by_their_distance(distance_s: float, shown: str) -> None:
    assert output.ago(instant(distance_s)) == shown


def test_no_instant_is_a_dash() -> None:
    assert output.ago(None) == "-"


@pytest.mark.parametrize(
    ("watch", "shown"),
    [
        ({"outputs": [{"url": "https://a/1"}, {"url": "https://a/2"}], "error": None}, "https://a/1"),
        ({"outputs": [], "error": {"user_message": "Blocked.", "message": "E7", "code": "x"}}, "Blocked."),
        ({"outputs": None, "error": {"user_message": None, "message": "E7", "code": "x"}}, "E7"),
        ({"error": {"user_message": None, "message": None, "code": "x"}}, "x"),
        ({}, ""),
    ],
)
def test_an_ended_watch_is_its_first_output_or_the_plainest_reason(watch: dict[str, object], shown: str) -> None:
    assert output.summary(watch) == shown


def test_json_keeps_every_character_and_sends_none_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\x1b[2J \x9b31m \u202e 海 \U0001f600"

    output.json_line({"message": text})

    line = capsys.readouterr().out
    assert line.isascii()
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert json.loads(line) == {"message": text}


def test_an_error_is_one_line_that_a_terminal_can_bear(capsys: pytest.CaptureFixture[str]) -> None:
    output.error("no \x1b[31mwatch\nhint: run this", "relay ls")

    assert capsys.readouterr().err == "error: no [31mwatch hint: run this\nhint: relay ls\n"


def test_programs_get_fields_by_tabs_whole_and_without_a_header(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 3000

    output.table(("id", "job"), [("wat_1", long), ("wat_2", "a\tb\nc\x07")])

    assert capsys.readouterr().out == f"wat_1\t{long}\nwat_2\ta b c\n"
