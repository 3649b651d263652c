"""Messages by a template: in the chat's own dialect, within its limits, and never none at all."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from relay.core.delivery import Delivery
from relay.core.event import Event, greeting_event
from relay.core.retry import RetryPolicy
from relay.destinations import DiscordDestination, SlackDestination, discord_template, slack_template
from relay.destinations.fitting import units

SLACK = "https://hooks.slack.com/services/T/B/x"
DISCORD = "https://discord.com/api/webhooks/1/x"
HOSTILE = "*_~`|> <!channel> @everyone [a](https://evil) &"


def slack(source: str) -> SlackDestination:
    return SlackDestination(SLACK, RetryPolicy(), template=slack_template(source))


def discord(source: str) -> DiscordDestination:
    return DiscordDestination(DISCORD, RetryPolicy(), template=discord_template(source))


def body(destination: SlackDestination | DiscordDestination, delivery: Delivery, event: Event, now: float) -> Any:
    return json.loads(destination.request(delivery, event, now).body or b"")


def test_slack_shows_what_was_written_above_the_ids(delivery: Delivery, completed: Event, noon: float) -> None:
    written = body(slack("*{{ title }}*\n{{ outputs[0].url|link(took) }}"), delivery, completed, noon)

    assert written["text"] == "getimg job completed"
    assert written["blocks"] == [
        {
            "type": "section",
            "text": {
                "type": "mrkdwn",
                "text": "*getimg job completed*\n<https://cdn.example/a.mp4?sig=x&amp;exp=1|1m47s>",
                "verbatim": True,
            },
        },
        {
            "type": "context",
            "elements": [
                {
                    "type": "plain_text",
                    "text": f"Watch {completed.watch_id} · Delivery {delivery.id[:12]}",
                    "emoji": False,
                }
            ],
        },
    ]
    assert written["unfurl_links"] is False


def test_discord_shows_what_was_written_above_the_ids(delivery: Delivery, completed: Event, noon: float) -> None:
    written = body(discord("**{{ title }}**\n{{ outputs[0].url|link(took) }}"), delivery, completed, noon)

    assert written["embeds"] == [
        {
            "description": "**getimg job completed**\n[1m47s](https://cdn.example/a.mp4?sig=x&exp=1)",
            "color": 0x2EB67D,
            "footer": {"text": f"Watch {completed.watch_id} · Delivery {delivery.id[:12]}"},
        }
    ]
    assert written["allowed_mentions"] == {"parse": []}


def test_after_a_refused_layout_plain_text_is_what_was_written_too(
    completed: Event, noon: float, after: Callable[[str | None], Delivery]
) -> None:
    refused = after("message refused, plain text follows: x")

    assert body(slack("{{ title }}"), refused, completed, noon)["text"].startswith("getimg job completed\nWatch wat_")
    posted = body(discord("{{ title }}"), refused, completed, noon)
    assert posted["flags"] == 4  # no previews: an output may be anything
    content = posted["content"]
    assert content.startswith("getimg job completed\nWatch wat_")


def test_what_a_provider_says_cannot_act(delivery: Delivery, failing: Callable[[str], Event], noon: float) -> None:
    event = failing(HOSTILE)

    to_slack = body(slack("{{ problem }} {{ error.message }}"), delivery, event, noon)["blocks"][0]["text"]["text"]
    to_discord = body(discord("{{ problem }}"), delivery, event, noon)["embeds"][0]["description"]
    assert "<!channel>" not in to_slack
    assert "&lt;!channel&gt;" in to_slack
    assert "\\@everyone \\[a\\]\\(https://evil\\)" in to_discord


def test_a_link_that_deceives_is_none(delivery: Delivery, completed: Event, noon: float) -> None:
    source = "{{ 'https://bank.example@evil.example/'|link('bank') }} {{ 'javascript:x'|link }}"

    assert "<" not in body(slack(source), delivery, completed, noon)["blocks"][0]["text"]["text"]
    assert "](" not in body(discord(source), delivery, completed, noon)["embeds"][0]["description"]


@pytest.mark.parametrize("make", [slack, discord])
def test_what_is_too_long_is_cut_after_a_line(
    make: Callable[[str], Any], delivery: Delivery, completed: Event, noon: float
) -> None:
    written = body(make("{% for n in '0123456789' %}" + "😀&" * 250 + "\n{% endfor %}"), delivery, completed, noon)

    text = written["blocks"][0]["text"]["text"] if "blocks" in written else written["embeds"][0]["description"]
    assert units(text) <= 4096 - 205 * ("embeds" in written)
    assert units(text) <= 3000 or "embeds" in written
    assert text.endswith("&\n…")


@pytest.mark.parametrize("make", [slack, discord])
@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ error.message }}", "line 1: 'None' has no attribute 'message'"),
        ("{{ model and '' }}", "what it wrote is empty"),
        ("x" * 5000, "what it wrote is longer than a message"),
    ],
)
def test_a_template_that_fails_is_told_and_the_message_is_relays_own(
    make: Callable[[str], Any], source: str, why: str, delivery: Delivery, completed: Event, noon: float
) -> None:
    destination = make(source)
    request = destination.request(delivery, completed, noon)

    assert request.doubt == f"the template failed, and the message was relay's own: {why}"
    assert replace(request, doubt=None) == replace(destination, template=None).request(delivery, completed, noon)


def test_templates_are_for_jobs(delivery: Delivery, noon: float) -> None:
    """Trouble with a provider has other fields, and must be heard."""
    event = greeting_event("ops", noon)
    own, plain = slack("{{ outputs[0].url }}"), SlackDestination(SLACK, RetryPolicy())

    assert own.request(delivery, event, noon) == plain.request(delivery, event, noon)
