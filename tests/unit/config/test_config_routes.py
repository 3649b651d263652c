"""Which events a route takes, as it is written and as it is misspelt."""

import pytest

HOOK = 'providers.getimg.api_key = { env = "K" }\n[destinations.hook]\ntype = "callback"\nurl = "https://x.test"\n'


def test_every_condition_is_read(load_text):
    config = load_text(
        HOOK
        + """
        [[routes]]
        to = ["hook"]
        [routes.match]
        event = ["job.*", "provider.unauthorized"]
        model = ["veo-*"]
        metadata = { team = "video" }
        longer_than = "10m"
        shorter_than = "1h"
        """,
        {"K": "k"},
    )

    [route] = config.routes
    assert route.events == ("job.*", "provider.unauthorized")
    assert route.models == ("veo-*",)
    assert route.metadata == {"team": "video"}
    assert (route.longer_than_s, route.shorter_than_s) == (600, 3600)


@pytest.mark.parametrize(
    ("match", "column", "message", "hint"),
    [
        ('event = ["job.faild"]', 20, 'there is no event "job.faild"', 'did you mean "job.failed"?'),
        ('event = ["jobs.*"]', 20, 'there is no event "jobs.*"', ""),
        ('modell = ["x"]', 11, 'unknown key "modell"', 'did you mean "model"?'),
        ('longer_than = "10"', 11, '"longer_than": "10" is not a duration', ""),
        ('longer_than = 600', 11, '"longer_than": a duration needs a unit; write "600s"', ""),
        ('longer_than = "2h", shorter_than = "1h"', 11, '"longer_than" must be less than "shorter_than"', ""),
        ('metadata = { order = 42 }', 24, '"order" should be a valid string', ""),
        ('metadata = "x"', 11, '"metadata" should be a table', ""),
    ],
)  # fmt: skip
def test_a_slip_is_told_in_its_place(report, match, column, message, hint):
    shown = report(f'{HOOK}[[routes]]\nmatch = {{ {match} }}\nto = ["hook"]\n')

    assert f"config.toml:6:{column}: error: {message}" in shown
    assert hint in shown


def test_conditions_that_exclude_each_other_are_doubted(load_text):
    config = load_text(
        HOOK + '[[routes]]\nmatch = { status = ["failed"], event = ["job.completed", "provider.*"] }\nto = ["hook"]\n',
        {"K": "k"},
    )

    [warning] = [warning for warning in config.warnings if "routes" not in warning and "outcome" in warning]
    assert 'no job has an outcome of "status" and is told of by one of "event"' in warning
