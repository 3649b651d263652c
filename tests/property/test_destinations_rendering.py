"""Whatever an event holds, what is posted keeps the documented limits and cannot act."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.core.delivery import Delivery, DeliveryState
from relay.core.event import Event
from relay.core.http import Response
from relay.core.observation import Status
from relay.core.ports import Destination, Outgoing
from relay.core.retry import RetryPolicy
from relay.core.signing import SigningSecret
from relay.core.watch import Target
from relay.destinations import CallbackDestination, DiscordDestination, SlackDestination

untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()
SLACK = SlackDestination("https://hooks.slack.com/services/T0/B0/x", RetryPolicy())
DISCORD = DiscordDestination("https://discord.com/api/webhooks/1/x", RetryPolicy())
CALLBACK = CallbackDestination("https://hook.example/", [SigningSecret.of(bytes(24))], RetryPolicy())

HOSTILE = [
    "@everyone",
    "@here",
    "<!channel>",
    "<@U123>",
    "<https://evil.example|our site>",
    "[our site](https://evil.example)",
    "\x1b[2J\x1b]8;;https://evil.example\x07",
    "\u202e\u2066",
    "```",
    "&amp;lt;!channel&amp;gt;",
    "\\",
    "🌊",
    "\n\n",
]
text = st.lists(st.one_of(st.text(max_size=20), st.sampled_from(HOSTILE)), max_size=8).map("".join) | st.builds(
    lambda part, count: part * count, st.sampled_from(HOSTILE), st.sampled_from([10, 100, 1000, 5000])
)
numbers = st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400)
anything = st.recursive(
    numbers | text, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=5
)
instants = st.none() | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat) | numbers | text
urls = st.builds(
    lambda scheme, rest: scheme + rest,
    st.sampled_from(["https://cdn.example/", "http://", "https://user@", "gs://", "javascript:", ""]),
    text,
)
outputs = st.fixed_dictionaries(
    {},
    optional={
        "url": urls | anything,
        "content_type": text | anything,
        "width": numbers | anything,
        "height": numbers | anything,
        "duration_s": numbers | anything,
        "expires_at": instants | anything,
    },
)
errors = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("code", "message", "user_message", "moderated"), text | anything)
)
costs = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("amount", "currency", "unit", "unit_price", "quantity"), numbers | text)
)
datas = st.fixed_dictionaries(
    {},
    optional={
        "provider": text | anything,
        "job_id": text | anything,
        "status": st.sampled_from(list(Status)) | text | anything,
        "model": text | anything,
        "outputs": st.lists(outputs | anything, max_size=15) | anything,
        "error": errors | anything,
        "cost": costs | anything,
        **dict.fromkeys(("created_at", "watched_at", "completed_at", "observed_at"), instants | anything),
    },
)
reasons = st.sampled_from([None, "HTTP 500", "message refused, plain text follows: HTTP 400"])


def outgoing_of(data: object, reason: str | None) -> Outgoing:
    delivery = Delivery(
        id="dlv_0123456789abcdefghjkmnpqrs",
        event_id="evt_0123456789abcdefghjkmnpqrs",
        watch_id="wat_01kb0000000000000000000000",
        target=Target("ops", "ops", name="ops"),
        state=DeliveryState.PENDING,
        created_at=NOON,
        next_attempt_at=NOON,
        retry_from=NOON,
        reason=reason,
    )
    body = json.dumps({"type": "job.completed", "timestamp": "", "data": data})
    event = Event("evt_0123456789abcdefghjkmnpqrs", "job.completed", delivery.watch_id, NOON, body)
    return Outgoing(delivery, event)


def posted(destination: Destination, data: object, reason: str | None) -> dict[str, object]:
    outgoing = outgoing_of(data, reason)
    return json.loads(destination.request(outgoing.delivery, outgoing.event, NOON).body or b"")


def posted_digest(destination: SlackDestination | DiscordDestination, parts: list[object], reason: str | None) -> Any:
    outgoing = [outgoing_of(data, reason) for data in parts]
    return json.loads(destination.digest(outgoing, NOON).body or b"")


def length(value: object) -> int:
    return len(str(value).encode("utf-16-le")) // 2


def texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def check_slack_limits(message: dict[str, object]) -> None:
    assert 0 < length(message["text"]) <= 4000
    blocks = message.get("blocks", [])
    assert isinstance(blocks, list)
    assert len(blocks) <= 50
    total = 0
    for block in blocks:
        limit = {"header": 150, "section": 3000, "context": 3000}[block["type"]]
        assert len(block.get("fields", [])) <= 10
        assert len(block.get("elements", [])) <= 10
        for shown in [*block.get("fields", []), *block.get("elements", []), block.get("text")]:
            if shown is not None:
                assert 0 < length(shown["text"]) <= (2000 if "fields" in block else limit)
                assert shown["type"] == "plain_text" or shown["verbatim"] is True
                total += length(shown["text"])
    assert total <= 12_000


def check_discord_limits(message: dict[str, object]) -> None:
    assert message["allowed_mentions"] == {"parse": []}
    if "content" in message:
        assert 0 < length(message["content"]) <= 1900
        return
    (embed,) = message["embeds"]  # type: ignore[misc]  # JSON
    assert 0 < length(embed["title"]) <= 243
    assert length(embed.get("description", "")) <= 3891
    assert length(embed["footer"]["text"]) <= 1945
    assert len(embed["fields"]) <= 25
    for field in embed["fields"]:
        assert 0 < length(field["name"]) <= 243
        assert 0 < length(field["value"].strip()) <= 972
    parts = [embed["title"], embed.get("description", ""), embed["footer"]["text"]]
    parts += [text for field in embed["fields"] for text in (field["name"], field["value"])]
    assert sum(map(length, parts)) <= 5700


@untimed
@given(data=datas, reason=reasons)
def test_messages_keep_every_limit(data: object, reason: str | None) -> None:
    check_slack_limits(posted(SLACK, data, reason))
    check_discord_limits(posted(DISCORD, data, reason))


@pytest.mark.parametrize("reason", [None, "message refused, plain text follows: HTTP 400"])
@pytest.mark.parametrize("url_length", [200, 400, 700, 1100, 1500, 2000, 2800, 3500, 8000])
@pytest.mark.parametrize("filling", ["&", "*", "x", "🌊"])
def test_a_message_with_every_part_at_its_longest_keeps_every_limit(
    filling: str, url_length: int, reason: str | None
) -> None:
    longest = filling * 10_000
    url = "https://cdn.example/" + "x" * (url_length - 20)
    data = {
        "provider": longest,
        "job_id": longest,
        "status": longest,
        "model": longest,
        "outputs": [{"url": url, "content_type": longest, "expires_at": NOON}] * 15,
        "error": {"user_message": longest, "moderated": True},
        "cost": {"amount": 1e300, "currency": longest, "unit": longest, "quantity": 1e-300},
        "watched_at": "2000-01-01T00:00:00Z",
        "observed_at": "2026-11-21T12:00:00Z",
    }
    check_slack_limits(posted(SLACK, data, reason))
    check_discord_limits(posted(DISCORD, data, reason))


@settings(untimed, max_examples=30)
@given(parts=st.lists(datas, min_size=1, max_size=13), reason=reasons)
def test_digests_keep_every_limit(parts: list[object], reason: str | None) -> None:
    check_slack_limits(posted_digest(SLACK, parts, reason))
    check_discord_limits(posted_digest(DISCORD, parts, reason))


@pytest.mark.parametrize("reason", [None, "message refused, plain text follows: HTTP 400"])
@pytest.mark.parametrize("filling", ["&", "*", "x", "🌊"])
def test_a_digest_with_every_part_at_its_longest_keeps_every_limit(filling: str, reason: str | None) -> None:
    longest = filling * 10_000
    parts: list[object] = [
        {
            "provider": f"{number}{longest}",
            "job_id": longest,
            "status": status,
            "error": {"user_message": longest, "moderated": True},
            "outputs": [{"url": "https://cdn.example/" + "x" * 70 * number, "content_type": longest}],
            "watched_at": "2000-01-01T00:00:00Z",
        }
        for number in range(30)
        for status in Status
    ]
    check_slack_limits(posted_digest(SLACK, parts, reason))
    check_discord_limits(posted_digest(DISCORD, parts, reason))


@settings(untimed, max_examples=30)
@given(parts=st.lists(datas, min_size=1, max_size=13), reason=reasons)
def test_digests_cannot_mention_anyone_or_forge_a_link(parts: list[object], reason: str | None) -> None:
    for shown in texts(posted_digest(SLACK, parts, reason)):
        bare = re.sub(r"<https?://[^<>|\s]+\|[^<>]*Output \d+[^<>]*>", "", shown, flags=re.IGNORECASE)
        assert "<" not in bare
        assert ">" not in bare
        assert not re.search(r"&(?!amp;|lt;|gt;)", shown)
    for shown in texts(posted_digest(DISCORD, parts, reason)):
        literal = re.sub(r"\\[^0-9A-Za-z\s]", "", shown)
        link = r"\[[^\[\]]*Output \d+[^\[\]]*\]\(https?://[^()<>\s]+\)"
        unlinked = re.sub(link, "", literal, flags=re.IGNORECASE).replace("dlv_01234567", "")
        assert not re.search(r"[\\*_~`|>#\[\]()<@]", unlinked)


@untimed
@given(data=datas, reason=reasons)
def test_slack_messages_cannot_mention_anyone_or_forge_a_link(data: object, reason: str | None) -> None:
    for shown in texts(posted(SLACK, data, reason)):
        bare = re.sub(r"<https?://[^<>|\s]+\|Output \d+[^<>]*>", "", shown, flags=re.IGNORECASE)
        assert "<" not in bare
        assert ">" not in bare
        assert not re.search(r"&(?!amp;|lt;|gt;)", shown)


@untimed
@given(data=datas, reason=reasons)
def test_discord_messages_cannot_mention_anyone_or_forge_a_link(data: object, reason: str | None) -> None:
    for shown in texts(posted(DISCORD, data, reason)):
        literal = re.sub(r"\\[^0-9A-Za-z\s]", "", shown)
        unlinked = re.sub(r"\[Output \d+[^\[\]]*\]\(https?://[^()<>\s]+\)", "", literal, flags=re.IGNORECASE)
        unmarked = unlinked.replace("wat_01kb0000000000000000000000", "").replace("dlv_01234567", "")
        assert not re.search(r"[\\*_~`|>#\[\]()<@]", unmarked)


@pytest.mark.parametrize("destination", [SLACK, DISCORD])
@untimed
@given(data=datas, reason=reasons)
def test_messages_hold_nothing_invisible_that_steers(
    destination: Destination, data: object, reason: str | None
) -> None:
    for shown in texts(posted(destination, data, reason)):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", shown)


responses = st.builds(
    Response,
    st.integers(100, 599),
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "location", "webhook-delivery"]),
        text | st.sampled_from(["0", "-1", "inf", "nan", "1e308", "http://[", "abort-message"]),
    ),
    st.binary(max_size=200)
    | anything.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries({}, optional=dict.fromkeys(("code", "error", "errors", "retry_after"), anything)).map(
        lambda value: json.dumps(value).encode()
    ),
)


@pytest.mark.parametrize("destination", [SLACK, DISCORD, CALLBACK])
@untimed
@given(response=responses)
def test_any_answer_has_a_verdict_in_one_line(destination: Destination, response: Response) -> None:
    verdict = destination.verdict(response, NOON)
    assert verdict.reason is None or (len(verdict.reason) <= 250 and "\n" not in verdict.reason)
    assert verdict.retry_after_s is None or 0 <= verdict.retry_after_s <= 86401
