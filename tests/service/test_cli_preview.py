"""`relay destinations preview`: exactly what would be sent, and nothing is."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from standardwebhooks import Webhook
from support.scripted_api import scripted_api

from relay.api.views import watch_json
from relay.cli import cli
from relay.cli.preview import retold
from relay.core.event import DATA_FIELDS, Event
from relay.core.observation import OUTCOMES, Job, Status
from relay.core.ports import WatchView
from relay.core.sample import sample_outcome
from relay.core.watch import Watch

SECRET = "whsec_" + "A" * 32
NOW = 1_795_255_200.123
CONFIG = """
[callbacks]
secret = { file = "secret" }
[destinations.ops]
type = "slack"
url = { file = "slack" }
template = "*{{ title }}* {{ metadata.order }}{% if error %} {{ error.code }}{% endif %}"
[destinations.broken]
type = "slack"
url = { file = "slack" }
template = "{{ error.code }}"
[destinations.hook]
type = "callback"
url = "https://shop.example/hooks"
headers = { X-Shop = "relay", X-Api-Key = { file = "key" } }
basic_auth = { user = "relay", password = { file = "key" } }
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "slack").write_text("https://hooks.slack.com/services/T0/B0/s3cret")
    (tmp_path / "key").write_text("p4ssw0rd")
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path / "config.toml"


def preview(config: Path, *arguments: str, url: str = "http://127.0.0.1:9") -> Result:
    command = ["--url", url, "destinations", "preview", *arguments, "--config", str(config)]
    return CliRunner().invoke(cli, command, standalone_mode=False)


def ended(event: Event) -> WatchView:
    """Return the watch of a sample as it is stored once it has ended."""
    data: Any = event.data
    watch = Watch(
        id=data["watch_id"],
        provider=data["provider"],
        job=Job(data["job_id"]),
        status=Status(data["status"]),
        created_at=NOW - 107,
        deadline=NOW,
        next_poll_at=NOW,
        metadata=data["metadata"],
        model=data["model"],
        provider_status=data["provider_status"],
        polls=data["polls"],
        finalized_at=NOW,
    )
    return WatchView(watch, event=event)


def test_the_body_is_printed_and_secrets_are_not(config: Path) -> None:
    done = preview(config, "ops", "--status", "failed")

    assert done.return_value == 0
    text = json.loads(done.stdout)["blocks"][0]["text"]["text"]
    assert text == "*getimg job failed* 42 content_policy"
    assert done.stderr.splitlines()[0] == "POST to hooks.slack.com"
    assert "s3cret" not in done.output


def test_of_a_service_only_its_kind_is_shown(config: Path) -> None:
    (config.parent / "telegram").write_text("tgram://123456789:abcdefg_hijklmnop/12315544/")
    config.write_text(CONFIG + '[destinations.phone]\ntype = "apprise"\nurl = { file = "telegram" }\n')

    done = preview(config, "phone")

    assert json.loads(done.stdout)["title"] == "getimg job completed"
    assert done.stderr == "NOTIFY to tgram://***\n"


def test_a_callback_is_signed_as_it_would_be(config: Path) -> None:
    done = preview(config, "hook")

    headers = dict(line.split(": ", 1) for line in done.stderr.splitlines()[1:])
    assert Webhook(SECRET).verify(done.stdout.removesuffix("\n"), headers)["type"] == "job.completed"
    assert headers["X-Shop"] == "relay"
    assert headers["X-Api-Key"] == "***"
    assert "p4ssw0rd" not in done.output
    assert "cmVsYXk6cDRzc3cwcmQ=" not in done.output  # relay:p4ssw0rd


def test_a_template_that_fails_is_told_beside_relays_own_message(config: Path) -> None:
    done = preview(config, "broken")

    assert done.return_value == 1
    assert json.loads(done.stdout)["text"] == "getimg job completed"
    assert done.stderr.endswith(
        "error: the template failed, and the message was relay's own: line 1: 'None' has no attribute 'code'\n"
    )


@pytest.mark.parametrize("status", OUTCOMES)
def test_the_event_of_a_watch_is_made_again_as_it_was(status: Status) -> None:
    event = sample_outcome(status, NOW)

    assert retold(json.loads(json.dumps(watch_json(ended(event), None)))) == replace(event, raw=None)
    assert tuple(event.data) == DATA_FIELDS


def test_a_watch_that_has_ended_is_shown(config: Path) -> None:
    event = sample_outcome(Status.COMPLETED, NOW)
    with scripted_api() as api:
        api.on("GET", f"/v1/watches/{event.watch_id}", (200, watch_json(ended(event), None)))
        done = preview(config, "hook", "--watch", str(event.watch_id), url=api.url)

    assert done.stdout == event.body + "\n"


def test_a_watch_that_goes_on_has_nothing_to_show(config: Path) -> None:
    going_on = replace(ended(sample_outcome(Status.COMPLETED, NOW)), event=None)
    with scripted_api() as api:
        api.on("GET", "/v1/watches/getimg:a", (200, watch_json(going_on, None)))
        api.on("GET", f"/v1/watches/{going_on.watch.id}", (200, watch_json(going_on, None)))
        done = preview(config, "hook", "--watch", "getimg:a", url=api.url)

    assert "has not ended; --status shows a made-up outcome" in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], 'no destination "nope" is configured; there is: broken, hook, ops'),
        (["ops", "--status", "failed", "--watch", "x"], "choose --watch or --status"),
    ],
)
def test_what_cannot_be_shown_is_told(config: Path, arguments: list[str], message: str) -> None:
    done = preview(config, *arguments)

    assert isinstance(done.exception, click.UsageError)
    assert done.exception.format_message() == message
