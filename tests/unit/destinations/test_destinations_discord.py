"""Discord: what is posted, and what its answers mean."""

import json
from collections.abc import Callable, Mapping

import pytest

from relay.core.delivery import Delivery, VerdictKind
from relay.core.event import Event
from relay.core.http import Response
from relay.core.observation import Output
from relay.core.retry import RetryPolicy
from relay.destinations import DiscordDestination
from relay.destinations.discord import webhook_url

URL = "https://discord.com/api/webhooks/1/secret"
DISCORD = DiscordDestination(URL, RetryPolicy())
IDS = "Watch wat_01kb0000000000000000000000 · Delivery dlv_01234567"


def posted(delivery: Delivery, event: Event, now: float) -> dict[str, object]:
    return json.loads(DISCORD.request(delivery, event, now).body or b"")


def embed_of(delivery: Delivery, event: Event, now: float) -> dict[str, object]:
    embeds = posted(delivery, event, now)["embeds"]
    assert isinstance(embeds, list)
    return embeds[0]


def fields(**facts: str) -> list[dict[str, object]]:
    return [{"name": name.replace("_", " "), "value": value, "inline": True} for name, value in facts.items()]


def answer(status: int, code: int, **more: object) -> Response:
    return Response(status, body=json.dumps({"message": "no", "code": code, **more}).encode())


def test_a_completed_job_shows_its_facts_and_a_link(delivery: Delivery, completed: Event, noon: float) -> None:
    assert posted(delivery, completed, noon) == {
        "embeds": [
            {
                "title": "getimg job completed",
                "color": 0x2EB67D,
                "fields": fields(
                    Provider="getimg",
                    Model="seedance\\-v1\\-pro",
                    Took="1m47s",
                    Cost="5 for 10 video\\_second",
                    Expires="2026\\-11\\-21 12:50 UTC \\(in 50 min\\)",
                    Job="req\\-01H",
                ),
                "description": "[Output 1, video/mp4, 1920x1080, 10s](https://cdn.example/a.mp4?sig=x&exp=1)",
                "footer": {"text": IDS},
            }
        ],
        "allowed_mentions": {"parse": []},
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (URL, f"{URL}?wait=true&thread_id=1048576123456789012"),
        (f"{URL}?thread_id=7&wait=false", f"{URL}?wait=true&thread_id=1048576123456789012"),
    ],
)
def test_a_message_goes_into_a_thread(
    url: str, expected: str, delivery: Delivery, completed: Event, noon: float
) -> None:
    threaded = DiscordDestination(url, RetryPolicy(), thread="1048576123456789012")

    assert threaded.request(delivery, completed, noon).url == expected


@pytest.mark.parametrize(
    ("remaining", "reset_after", "rest_s"),
    [
        ("0", "1.5", 1.75),
        ("0", "0", 0.25),
        ("1", "1.5", 0.0),
        ("0", "soon", 0.0),
        ("0", None, 0.0),
        (None, "1.5", 0.0),
        ("0", "86400", 3600.0),
    ],
)
def test_a_webhook_is_left_alone_before_it_has_to_refuse(
    remaining: str | None, reset_after: str | None, rest_s: float, noon: float
) -> None:
    names = {"x-ratelimit-remaining": remaining, "x-ratelimit-reset-after": reset_after}
    headers = {name: value for name, value in names.items() if value is not None}

    verdict = DISCORD.verdict(Response(200, headers, b"{}"), noon)

    assert (verdict.kind, verdict.rest_s) == (VerdictKind.DELIVERED, rest_s)


def test_a_moderated_job_says_so_in_words(delivery: Delivery, moderated: Event, noon: float) -> None:
    assert embed_of(delivery, moderated, noon) == {
        "title": "nanogpt job failed",
        "color": 0xE01E5A,
        "fields": fields(Provider="nanogpt", Model="veo\\-3", Watched_for="41s", Job="run\\_7"),
        "description": "Stopped by the provider's content filter: Please change your prompt.",
        "footer": {"text": IDS},
    }


def test_a_cancelled_job_says_no_more_than_is_known(delivery: Delivery, cancelled: Event, noon: float) -> None:
    assert embed_of(delivery, cancelled, noon) == {
        "title": "lumenfall job was cancelled",
        "color": 0x95A5A6,
        "fields": fields(Provider="lumenfall", Watched_for="5s", Job="video\\_9"),
        "footer": {"text": IDS},
    }


def test_a_timed_out_job_says_where_it_stood(delivery: Delivery, timed_out: Event, noon: float) -> None:
    assert embed_of(delivery, timed_out, noon) == {
        "title": "lumenfall job timed out",
        "color": 0xECB22E,
        "fields": fields(Provider="lumenfall", Watched_for="1h00m", Job="video\\_9"),
        "description": 'the deadline passed while the job was "in\\_progress"',
        "footer": {"text": IDS},
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (URL, f"{URL}?wait=true"),
        (f"{URL}?thread_id=42", f"{URL}?thread_id=42&wait=true"),
        (f"{URL}?wait=false&thread_id=42", f"{URL}?thread_id=42&wait=true"),
        ("https://discordapp.com/api/webhooks/1/s", "https://discord.com/api/webhooks/1/s?wait=true"),
        ("https://ptb.discordapp.com/api/webhooks/1/s", "https://ptb.discord.com/api/webhooks/1/s?wait=true"),
        ("https://canary.discord.com/api/webhooks/1/s", "https://canary.discord.com/api/webhooks/1/s?wait=true"),
        ("http://127.0.0.1:8000/discordapp.com", "http://127.0.0.1:8000/discordapp.com?wait=true"),
        ("https://evildiscordapp.com/a#b", "https://evildiscordapp.com/a?wait=true"),
    ],
)
def test_the_url_asks_for_confirmation_at_the_present_domain(url: str, expected: str) -> None:
    assert webhook_url(url) == expected


def test_the_webhook_url_is_not_in_the_representation() -> None:
    assert "secret" not in repr(DISCORD)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("@everyone and @here", "\\@everyone and \\@here"),
        ("<@123> <@&4> <#5> <:x:6>", "\\<\\@123\\> \\<\\@&4\\> \\<\\#5\\> \\<:x:6\\>"),
        ("[our site](https://evil.example)", "\\[our site\\]\\(https://evil.example\\)"),
        ("**a** __b__ ~~c~~ ||d|| `e`", "\\*\\*a\\*\\* \\_\\_b\\_\\_ \\~\\~c\\~\\~ \\|\\|d\\|\\| \\`e\\`"),
        ("\\*not escaped\\*", "\\\\\\*not escaped\\\\\\*"),
        ("# big\n> quote\n- list", "\\# big \\> quote \\- list"),
        ("\x1b[31mred\x1b[0m", "\\[31mred\\[0m"),
        ("\u202egpj.exe\u2066", "gpj.exe"),
    ],
)
def test_what_a_provider_says_cannot_act(
    said: str, shown: str, delivery: Delivery, failing: Callable[[str], Event], noon: float
) -> None:
    assert embed_of(delivery, failing(said), noon)["description"] == shown


def test_a_long_message_is_cut_between_escapes(
    delivery: Delivery, failing: Callable[[str], Event], noon: float
) -> None:
    # a provider's text is cut to 1,000 characters, and 1,200 hold an ellipsis and 599 pairs
    assert embed_of(delivery, failing("*" * 10_000), noon)["description"] == "\\*" * 599 + "…"


def test_a_link_cannot_end_early(delivery: Delivery, producing: Callable[..., Event], noon: float) -> None:
    event = producing(Output("https://cdn.example/a)[b](c)\\@everyone<d>`e`", content_type="x](https://evil.example)"))
    assert embed_of(delivery, event, noon)["description"] == (
        "[Output 1](https://cdn.example/a%29%5Bb%5D%28c%29%5C%40everyone%3Cd%3E%60e%60)"
    )


def test_a_link_too_long_for_the_embed_is_counted(
    delivery: Delivery, producing: Callable[..., Event], noon: float
) -> None:
    event = producing(Output("https://cdn.example/" + "x" * 5000), Output("https://cdn.example/short"))
    assert embed_of(delivery, event, noon)["description"] == (
        "[Output 2](https://cdn.example/short)\n1 more: relay show wat_01kb0000000000000000000000"
    )


def test_after_a_refused_embed_the_next_attempt_is_plain(
    after: Callable[[str | None], Delivery], moderated: Event, noon: float
) -> None:
    errors = {"embeds": {"0": {"fields": {"1": {"value": {"_errors": [{"code": "BASE_TYPE_REQUIRED"}]}}}}}}
    refusal = DISCORD.verdict(answer(400, 50035, errors=errors), noon)
    assert refusal.kind is VerdictKind.RETRY
    assert refusal.reason == "message refused, plain text follows: HTTP 400: invalid embeds.0.fields.1.value"
    assert posted(after(refusal.reason), moderated, noon) == {
        "content": "nanogpt job failed\n"
        "Stopped by the provider's content filter: Please change your prompt.\n"
        "Provider: nanogpt\n"
        "Model: veo\\-3\n"
        "Watched for: 41s\n"
        "Job: run\\_7\n" + IDS,
        "flags": 4,
        "allowed_mentions": {"parse": []},
    }


@pytest.mark.parametrize(
    "errors", [{"content": {"_errors": []}}, {}, None, "embeds", {"_errors": 1}, {"a": {}}, {"a": {"_errors": []}}]
)
def test_an_invalid_form_is_refused_once_it_is_plain(errors: object, noon: float) -> None:
    assert DISCORD.verdict(answer(400, 50035, errors=errors), noon).kind is VerdictKind.RETRY
    assert DISCORD.verdict(answer(400, 50035, errors=errors), noon, plain=True).kind is VerdictKind.REFUSED


@pytest.mark.parametrize("code", [40005, 50006])
def test_what_only_an_embed_can_earn_is_tried_again_as_text(code: int, noon: float) -> None:
    verdict = DISCORD.verdict(answer(400, code), noon)
    assert verdict.kind is VerdictKind.RETRY
    assert verdict.reason is not None
    assert verdict.reason.startswith("message refused, plain text follows: HTTP 400: ")
    assert DISCORD.verdict(answer(400, code), noon, plain=True).kind is VerdictKind.REFUSED


@pytest.mark.parametrize("code", [40067, 50083, 50109, 160005, 200000, 220001, 220002, 220003, 220004, 240000])
def test_a_message_refused_for_good_is_not_sent_again(code: int, noon: float) -> None:
    assert DISCORD.verdict(answer(400, code), noon).kind is VerdictKind.REFUSED


@pytest.mark.parametrize("status", [200, 204])
def test_success_is_delivered(status: int, noon: float) -> None:
    verdict = DISCORD.verdict(Response(status), noon)
    assert (verdict.kind, verdict.reason) == (VerdictKind.DELIVERED, None)


@pytest.mark.parametrize(
    "response",
    [
        answer(404, 10015),
        answer(401, 50027),
        answer(404, 10003),
        answer(400, 10015),
        answer(400, 10003),
        answer(400, 10004),
        answer(403, 50001),
        answer(403, 50013),
        Response(404, body=b"<html>"),
        Response(401),
        Response(410),
    ],
)
def test_a_dead_webhook_is_refused_at_once(response: Response, noon: float) -> None:
    verdict = DISCORD.verdict(response, noon)
    assert verdict.kind is VerdictKind.REFUSED
    assert verdict.reason is not None
    assert verdict.reason.startswith(f"the Discord webhook is dead: HTTP {response.status}")


@pytest.mark.parametrize(
    ("body", "headers", "expected_s"),
    [
        ({"retry_after": 1.337, "global": False}, {"retry-after": "2"}, 1.587),
        ({"retry_after": 0}, {}, 0.25),
        ({}, {"retry-after": "65"}, 65.25),
        ({"retry_after": 64500}, {}, 64.75),  # milliseconds, as old gateways wrote
        ({"retry_after": 64500}, {"retry-after": "65"}, 65.25),
        ({"retry_after": "7"}, {"retry-after": "3"}, 3.25),
        ({"retry_after": -1}, {}, 60.0),
        ({"retry_after": True}, {}, 60.0),
        ({"retry_after": float("nan")}, {}, 60.0),
        ({"retry_after": 10**12}, {}, 86400.25),
        ({"retry_after": 10**400}, {}, 86400.25),  # more than a float holds
        ({"retry_after": 10**400}, {"retry-after": "65"}, 65.25),
        ({"retry_after": -(10**400)}, {}, 60.0),
    ],
)
def test_a_rate_limit_is_read_from_the_body_first(
    body: Mapping[str, object], headers: Mapping[str, str], expected_s: float, noon: float
) -> None:
    verdict = DISCORD.verdict(Response(429, headers, json.dumps(body).encode()), noon)
    assert verdict.kind is VerdictKind.RETRY
    assert verdict.retry_after_s == pytest.approx(expected_s)


def test_cloudflares_own_rate_limit_waits_a_minute(noon: float) -> None:
    verdict = DISCORD.verdict(Response(429, {"content-type": "text/html"}, b"<html>error 1015"), noon)
    assert (verdict.kind, verdict.retry_after_s) == (VerdictKind.RETRY, 60.0)


@pytest.mark.parametrize(
    "response",
    [
        Response(500),
        Response(502, body=b"<html>"),
        answer(503, 130000),
        answer(403, 40333),
        answer(400, 20016),
        answer(400, 40004),
        Response(400, body=b'{"code": [1]}'),
        Response(400, body=b'{"a":' * 3000),
        Response(400, body=b"[" * 16000),
        Response(400, body=b"\xff\xfe"),
        Response(301, {"location": "https://discord.com/elsewhere"}),
    ],
)
def test_anything_else_is_tried_again(response: Response, noon: float) -> None:
    assert DISCORD.verdict(response, noon).kind is VerdictKind.RETRY
