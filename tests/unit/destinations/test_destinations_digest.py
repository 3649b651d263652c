"""Digests: many events in one message of Slack or Discord."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from relay.core.delivery import Delivery
from relay.core.event import Event, greeting_event
from relay.core.http import Response
from relay.core.ports import Outgoing
from relay.core.retry import RetryPolicy
from relay.destinations import AppriseDestination, DiscordDestination, SlackDestination
from relay.destinations.digest import digest
from relay.destinations.message import Fact

SLACK = SlackDestination("https://hooks.slack.com/services/T0/B0/x", RetryPolicy())
DISCORD = DiscordDestination("https://discord.com/api/webhooks/1/x", RetryPolicy())


@pytest.fixture
def storm(
    delivery: Delivery, completed: Event, moderated: Event, cancelled: Event, timed_out: Event
) -> Callable[[int], list[Outgoing]]:
    """Makes so many completed jobs, and one each that failed, was cancelled and timed out."""

    def make(count: int) -> list[Outgoing]:
        events = [completed] * count + [moderated, cancelled, timed_out]
        return [Outgoing(replace(delivery, id=f"dlv_{number:08}abcdef"), event) for number, event in enumerate(events)]

    return make


def test_a_digest_counts_and_shows_the_worst_first(storm: Callable[[int], list[Outgoing]], noon: float) -> None:
    told = digest(storm(2), noon)

    assert told.title == "5 jobs ended: 1 failed, 1 timed out, 1 cancelled, 2 completed"
    assert told.tallies == (
        Fact("getimg", "2 completed"),
        Fact("lumenfall", "1 timed out, 1 cancelled"),
        Fact("nanogpt", "1 failed"),
    )
    assert told.items == (
        "nanogpt job failed · run_7 · Stopped by the provider's content filter: Please change your prompt.",
        'lumenfall job timed out · video_9 · the deadline passed while the job was "in_progress"',
        "lumenfall job was cancelled · video_9",
        "getimg job completed · req-01H",
        "getimg job completed · req-01H",
    )
    assert (told.status, told.rest) == ("failed", None)
    assert told.ids == "5 deliveries, from dlv_00000000 to dlv_00000004"


def test_the_rest_is_a_command_away(storm: Callable[[int], list[Outgoing]], noon: float) -> None:
    """Three worse ones and seven of the twenty are shown; all twenty were added at 11:58:20."""
    told = digest(storm(20), noon)

    assert len(told.items) == 10
    assert told.rest == "13 more: relay ls --status completed --provider getimg --since 2026-11-21T11:58:20.000Z --all"


def test_news_that_is_not_about_one_job_comes_first(
    storm: Callable[[int], list[Outgoing]], delivery: Delivery, noon: float
) -> None:
    told = digest([*storm(1), Outgoing(delivery, greeting_event("ops", noon))], noon)

    assert told.title == "4 jobs ended: 1 failed, 1 timed out, 1 cancelled, 1 completed · 1 notice"
    assert told.items[0] == "relay says hello: this destination works"


def test_many_providers_are_counted_together(delivery: Delivery, completed: Event, noon: float) -> None:
    events = [replace(completed, body=completed.body.replace('"getimg"', f'"p{number:02}"')) for number in range(12)]

    told = digest([Outgoing(delivery, event) for event in events], noon)

    assert [tally.name for tally in told.tallies] == [*(f"p{number:02}" for number in range(8)), "4 others"]
    assert told.tallies[-1].value == "4 completed"


def test_a_name_that_a_shell_would_read_is_left_out_of_the_command(
    delivery: Delivery, completed: Event, noon: float
) -> None:
    evil = replace(completed, body=completed.body.replace('"getimg"', '"$(reboot)"'))

    told = digest([Outgoing(delivery, evil)] * 11, noon)

    assert told.rest == "1 more: relay ls --status completed --since 2026-11-21T11:58:20.000Z --all"


def test_slack_shows_a_digest_in_blocks(storm: Callable[[int], list[Outgoing]], noon: float) -> None:
    message = json.loads(SLACK.digest(storm(20), noon).body or b"")

    header, tallies, items, links, rest, ids = message["blocks"]
    assert [block["type"] for block in message["blocks"]] == ["header", *["section"] * 4, "context"]
    assert items["text"] | {"text": ""} == {"type": "plain_text", "text": "", "emoji": False}
    assert (
        header["text"]["text"] == message["text"] == "23 jobs ended: 1 failed, 1 timed out, 1 cancelled, 20 completed"
    )
    assert tallies["fields"][0]["text"] == "getimg: 20 completed"
    assert items["text"]["text"].count("\n") == 9
    assert (
        links["text"]["text"].split("\n")
        == ["<https://cdn.example/a.mp4?sig=x&amp;exp=1|req-01H: Output 1, video/mp4, 1920x1080, 10s>"] * 7
    )
    assert rest["text"]["text"].startswith("13 more: relay ls --status completed")
    assert ids["elements"][0]["text"] == "23 deliveries, from dlv_00000000 to dlv_00000022"
    assert (message["unfurl_links"], message["unfurl_media"]) == (False, False)


def test_discord_shows_a_digest_in_an_embed(storm: Callable[[int], list[Outgoing]], noon: float) -> None:
    message = json.loads(DISCORD.digest(storm(20), noon).body or b"")

    (embed,) = message["embeds"]
    assert embed["title"] == "23 jobs ended: 1 failed, 1 timed out, 1 cancelled, 20 completed"
    assert embed["color"] == 0xE01E5A
    assert embed["footer"] == {"text": "23 deliveries, from dlv_00000000 to dlv_00000022"}
    assert embed["fields"][0] == {"name": "getimg", "value": "20 completed"}
    lines = embed["description"].split("\n")
    assert lines[0].startswith("- nanogpt job failed · run\\_7")
    assert lines[10].startswith("13 more: relay ls \\-\\-status completed")
    assert lines[11] == ("[req\\-01H: Output 1, video/mp4, 1920x1080, 10s](https://cdn.example/a.mp4?sig=x&exp=1)")
    assert message["allowed_mentions"] == {"parse": []}


def test_other_services_are_told_a_digest_in_plain_text(storm: Callable[[int], list[Outgoing]], noon: float) -> None:
    message = json.loads(AppriseDestination("json://x", RetryPolicy()).digest(storm(20), noon).body or b"")

    assert message["title"] == "23 jobs ended: 1 failed, 1 timed out, 1 cancelled, 20 completed"
    assert message["type"] == "failure"
    lines = message["body"].split("\n")
    assert lines[0] == "getimg: 20 completed"
    assert lines[13] == "req-01H: Output 1, video/mp4, 1920x1080, 10s: https://cdn.example/a.mp4?sig=x&exp=1"
    assert lines[-2].startswith("13 more: relay ls --status completed")
    assert len(lines) == 3 + 10 + 7 + 1 + 1


@pytest.mark.parametrize(
    ("destination", "refusal", "key"),
    [
        (SLACK, Response(400, body=b"invalid_blocks"), "text"),
        (DISCORD, Response(400, body=b'{"code":40005,"message":"too large"}'), "content"),
    ],
)
def test_a_digest_that_was_refused_is_plain_the_next_time(
    destination: SlackDestination | DiscordDestination,
    refusal: Response,
    key: str,
    storm: Callable[[int], list[Outgoing]],
    noon: float,
) -> None:
    outgoing = storm(20)
    reason = destination.verdict(refusal, noon).reason
    again = [replace(item, delivery=replace(item.delivery, reason=reason)) for item in outgoing[:20]] + outgoing[20:]

    message = json.loads(destination.digest(again, noon).body or b"")

    assert not {"blocks", "embeds"} & message.keys()
    assert (message.get("flags") == 4) == (key == "content")  # Discord previews no link
    lines = message[key].split("\n")
    assert lines[0] == "23 jobs ended: 1 failed, 1 timed out, 1 cancelled, 20 completed"
    assert len(lines) == 1 + 3 + 10 + 1 + 1
    assert "more: relay ls" in lines[-2]
