"""Quiet hours as they are written, and as they are misspelt."""

from datetime import time
from zoneinfo import ZoneInfo

import pytest

OPS = '[destinations.ops]\ntype = "slack"\nurl = { env = "U" }\n'


def test_quiet_hours_are_read(load_text):
    hours = 'from = "22:00", to = "07:30", timezone = "Europe/Berlin", except = ["failed", "provider.*"]'
    config = load_text(f"{OPS}quiet_hours = {{ {hours} }}", {"U": "x"})

    quiet = config.destinations["ops"].quiet
    assert (quiet.begin, quiet.end, quiet.zone) == (time(22), time(7, 30), ZoneInfo("Europe/Berlin"))
    assert quiet.urgent == ("job.failed", "provider.*")


def test_failures_and_trouble_do_not_wait_unless_it_says_otherwise(load_text):
    config = load_text(OPS + 'quiet_hours = { from = "22:00", to = "07:00", timezone = "UTC" }', {"U": "x"})

    assert config.destinations["ops"].quiet.urgent == ("job.failed", "provider.*", "destination.*", "delivery.*")


@pytest.mark.parametrize(
    ("change", "column", "message"),
    [
        ({"from": '"22"'}, 17, '"from": must be hours and minutes, as in "22:00"'),
        ({"from": '"24:00"'}, 17, '"from": must be hours and minutes, as in "22:00"'),
        ({"from": "22:00:00"}, 17, '"from": must be text, as in "22:00"'),
        ({"to": '"22:00"'}, 33, '"from" and "to" must differ: there would be no quiet time, or no other'),
        ({"timezone": '"Europe/Berln"'}, 47, '"timezone": "Europe/Berln" is no time zone; did you mean "Europe/Berli'),
        ({"timezone": '"CEST+nonsense"'}, 47, '"timezone": "CEST+nonsense" is no time zone; '),
        ({"timezone": '"../../etc/passwd"'}, 47, '"timezone": "../../etc/passwd" is no time zone; '),
        ({"except": '["faild"]'}, 85, 'there is no outcome or event "faild"'),
    ],
)
def test_a_slip_is_told_in_its_place(report, change, column, message):
    written = {"from": '"22:00"', "to": '"07:00"', "timezone": '"Europe/Berlin"', "except": '["failed"]'} | change
    line = "quiet_hours = { " + ", ".join(f"{key} = {value}" for key, value in written.items()) + " }\n"

    assert f"config.toml:4:{column}: error: {message}" in report(OPS + line)
