"""Slack: what is posted, and what its answers mean."""

import json
from collections.abc import Callable

import pytest

from relay.core.delivery import Delivery, VerdictKind
from relay.core.event import Event
from relay.core.http import Response
from relay.core.observation import Output
from relay.core.retry import RetryPolicy
from relay.destinations import SlackDestination

URL = "https://hooks.slack.com/services/T0/B0/secret"
SLACK = SlackDestination(URL, RetryPolicy())
IDS = "Watch wat_01kb0000000000000000000000 · Delivery dlv_01234567"


def plain(text: str) -> dict[str, object]:
    return {"type": "plain_text", "text": text, "emoji": False}


def posted(delivery: Delivery, event: Event, now: float) -> dict[str, object]:
    return json.loads(SLACK.request(delivery, event, now).body or b"")


def message(text: str, *blocks: object) -> dict[str, object]:
    return {"text": text, "blocks": list(blocks), "unfurl_links": False, "unfurl_media": False}


def test_a_completed_job_shows_its_facts_and_a_link(delivery: Delivery, completed: Event, noon: float) -> None:
    fields = [
        plain("Provider: getimg"),
        plain("Model: seedance-v1-pro"),
        plain("Took: 1m47s"),
        plain("Cost: 5 for 10 video_second"),
        plain("Expires: 2026-11-21 12:50 UTC (in 50 min)"),
        plain("Job: req-01H"),
    ]
    link = "<https://cdn.example/a.mp4?sig=x&amp;exp=1|Output 1, video/mp4, 1920x1080, 10s>"
    assert posted(delivery, completed, noon) == message(
        "getimg job completed",
        {"type": "header", "text": plain("getimg job completed")},
        {"type": "section", "fields": fields},
        {"type": "section", "text": {"type": "mrkdwn", "text": link, "verbatim": True}},
        {"type": "context", "elements": [plain(IDS)]},
    )


def test_a_moderated_job_says_so_in_words(delivery: Delivery, moderated: Event, noon: float) -> None:
    error = "Stopped by the provider's content filter: Please change your prompt."
    fields = [plain("Provider: nanogpt"), plain("Model: veo-3"), plain("Watched for: 41s"), plain("Job: run_7")]
    assert posted(delivery, moderated, noon) == message(
        f"nanogpt job failed: {error}",
        {"type": "header", "text": plain("nanogpt job failed")},
        {"type": "section", "fields": fields},
        {"type": "section", "text": plain(error)},
        {"type": "context", "elements": [plain(IDS)]},
    )


def test_a_cancelled_job_says_no_more_than_is_known(delivery: Delivery, cancelled: Event, noon: float) -> None:
    fields = [plain("Provider: lumenfall"), plain("Watched for: 5s"), plain("Job: video_9")]
    assert posted(delivery, cancelled, noon) == message(
        "lumenfall job was cancelled",
        {"type": "header", "text": plain("lumenfall job was cancelled")},
        {"type": "section", "fields": fields},
        {"type": "context", "elements": [plain(IDS)]},
    )


def test_a_timed_out_job_says_where_it_stood(delivery: Delivery, timed_out: Event, noon: float) -> None:
    error = 'the deadline passed while the job was "in_progress"'
    fields = [plain("Provider: lumenfall"), plain("Watched for: 1h00m"), plain("Job: video_9")]
    assert posted(delivery, timed_out, noon) == message(
        f"lumenfall job timed out: {error}",
        {"type": "header", "text": plain("lumenfall job timed out")},
        {"type": "section", "fields": fields},
        {"type": "section", "text": plain(error)},
        {"type": "context", "elements": [plain(IDS)]},
    )


def test_the_request_goes_to_the_webhook_as_json(delivery: Delivery, completed: Event, noon: float) -> None:
    request = SLACK.request(delivery, completed, noon)
    assert (request.method, request.url, request.headers["Content-Type"]) == ("POST", URL, "application/json")


def test_the_webhook_url_is_not_in_the_representation() -> None:
    assert "secret" not in repr(SLACK)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("<!channel> <!here> <@U123>", "&lt;!channel&gt; &lt;!here&gt; &lt;@U123&gt;"),
        ("<https://evil.example|our site>", "&lt;https://evil.example|our site&gt;"),
        ("a &lt;b&gt; & c", "a &amp;lt;b&amp;gt; &amp; c"),
        ("\x1b[31mred\x1b[0m\x07", "[31mred[0m"),
        ("\u202egpj.exe\u2066", "gpj.exe"),
        ("one\r\ntwo\n\nWatch wat_forged", "one two Watch wat_forged"),
    ],
)
def test_what_a_provider_says_cannot_act(
    said: str, shown: str, delivery: Delivery, failing: Callable[[str], Event], noon: float
) -> None:
    blocks = posted(delivery, failing(said), noon)["blocks"]
    assert isinstance(blocks, list)
    assert blocks[2] == {"type": "section", "text": plain(shown)}


def test_a_long_message_is_cut_between_entities(
    delivery: Delivery, failing: Callable[[str], Event], noon: float
) -> None:
    blocks = posted(delivery, failing("&" * 10_000), noon)["blocks"]
    assert isinstance(blocks, list)
    # 1,500 characters hold one ellipsis and 299 entities of five characters each
    assert blocks[2]["text"]["text"] == "&amp;" * 299 + "…"


def test_a_link_cannot_end_early(delivery: Delivery, producing: Callable[..., Event], noon: float) -> None:
    event = producing(Output("https://cdn.example/a|b>c<!channel>", content_type="a>b|c"))
    text = json.dumps(posted(delivery, event, noon))
    assert "<https://cdn.example/a%7Cb%3Ec%3C!channel%3E|Output 1>" in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("gs://bucket/a.mp4", "Output 1: gs://bucket/a.mp4"),
        ("javascript:alert(1)", "Output 1: javascript:alert(1)"),
        ("https://bank.example@evil.example/", "Output 1: https://bank.example@evil.example/"),
        ("https://evil.example/\u202egpj", "Output 1: https://evil.example/gpj"),
        ("https://evil.example/a b", "Output 1: https://evil.example/a b"),
        ("https:///a", "Output 1: https:///a"),
    ],
)
def test_only_plain_web_urls_become_links(
    url: str, shown: str, delivery: Delivery, producing: Callable[..., Event], noon: float
) -> None:
    blocks = posted(delivery, producing(Output(url)), noon)["blocks"]
    assert isinstance(blocks, list)
    assert blocks[2]["text"]["text"] == shown


def test_links_that_find_no_room_are_counted(delivery: Delivery, producing: Callable[..., Event], noon: float) -> None:
    outputs = [Output(f"https://cdn.example/{number}") for number in range(12)]
    outputs[1] = Output("https://cdn.example/" + "x" * 3000)
    blocks = posted(delivery, producing(*outputs), noon)["blocks"]
    assert isinstance(blocks, list)
    lines = blocks[2]["text"]["text"].split("\n")
    assert lines[:2] == ["<https://cdn.example/0|Output 1>", "<https://cdn.example/2|Output 3>"]
    # ten at most are listed, of which the long one is left out, and the last two
    assert lines[-1] == "3 more: relay show wat_01kb0000000000000000000000"
    assert len(lines) == 10


def test_long_links_are_spread_over_sections(delivery: Delivery, producing: Callable[..., Event], noon: float) -> None:
    outputs = [Output(f"https://cdn.example/{number}?" + "s" * 1600) for number in range(4)]
    blocks = posted(delivery, producing(*outputs), noon)["blocks"]
    assert isinstance(blocks, list)
    assert [block["type"] for block in blocks] == ["header", *["section"] * 5, "context"]


def test_after_refused_blocks_the_next_attempt_is_plain(
    after: Callable[[str | None], Delivery], completed: Event, noon: float
) -> None:
    refusal = SLACK.verdict(Response(400, body=b"invalid_blocks"), noon)
    assert refusal.kind is VerdictKind.RETRY
    assert posted(after(refusal.reason), completed, noon) == {
        "text": "getimg job completed\n"
        "Provider: getimg\n"
        "Model: seedance-v1-pro\n"
        "Took: 1m47s\n"
        "Cost: 5 for 10 video_second\n"
        "Expires: 2026-11-21 12:50 UTC (in 50 min)\n"
        "Job: req-01H\n"
        "<https://cdn.example/a.mp4?sig=x&amp;exp=1|Output 1, video/mp4, 1920x1080, 10s>\n" + IDS,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def test_a_message_goes_into_a_thread(after: Callable[[str | None], Delivery], completed: Event, noon: float) -> None:
    threaded = SlackDestination("https://hooks.slack.com/services/T0/B0/x", RetryPolicy(), thread="1503435956.000247")

    for reason in (None, SLACK.verdict(Response(400, body=b"invalid_blocks"), noon).reason):
        message = json.loads(threaded.request(after(reason), completed, noon).body or b"")
        assert message["thread_ts"] == "1503435956.000247"


def test_other_reasons_leave_the_layout_alone(
    after: Callable[[str | None], Delivery], completed: Event, noon: float
) -> None:
    failure = SLACK.verdict(Response(500, body=b"rollup_error"), noon)
    assert "blocks" in posted(after(failure.reason), completed, noon)


def test_ok_is_delivered(noon: float) -> None:
    verdict = SLACK.verdict(Response(200, body=b"ok"), noon)
    assert (verdict.kind, verdict.reason) == (VerdictKind.DELIVERED, None)


def test_success_that_does_not_say_ok_is_delivered_with_a_warning(noon: float) -> None:
    verdict = SLACK.verdict(Response(200, body=b"<html>proxy login"), noon)
    assert verdict.kind is VerdictKind.DELIVERED
    assert verdict.reason == "Slack did not say ok: HTTP 200: <html>proxy login"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"no_service", VerdictKind.REFUSED),
        (b'{"ok":false,"error":"invalid_token"}', VerdictKind.REFUSED),
        (b"channel_is_archived", VerdictKind.REFUSED),
        (b"invalid_blocks", VerdictKind.RETRY),
        (b"user_not_found", VerdictKind.RETRY),
        (b'{"ok":false,"error":"ratelimited"}', VerdictKind.RETRY),
        (b"rate_limited", VerdictKind.RETRY),
        (b"rollup_error", VerdictKind.RETRY),
        (b'{"ok":false,"error":"fatal_error"}', VerdictKind.RETRY),
        (b'{"ok":false,"error":"internal_error"}', VerdictKind.RETRY),
        (b'{"ok":false,"error":"service_unavailable"}', VerdictKind.RETRY),
    ],
)
def test_an_error_counts_even_where_the_status_is_200(body: bytes, kind: VerdictKind, noon: float) -> None:
    assert SLACK.verdict(Response(200, body=body), noon).kind is kind


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "no_service"),
        (404, "no_service_id"),
        (404, "no_active_hooks"),
        (404, "no_team"),
        (403, "team_disabled"),
        (403, "invalid_token"),
        (410, "channel_is_archived"),
        (404, "channel_not_found"),
        (403, "action_prohibited"),
        (400, "posting_to_general_channel_denied"),
        (410, "whatever"),
    ],
)
def test_a_dead_webhook_is_refused_at_once(status: int, code: str, noon: float) -> None:
    verdict = SLACK.verdict(Response(status, body=code.encode()), noon)
    assert verdict.kind is VerdictKind.REFUSED
    assert verdict.reason == f"the Slack webhook is dead: HTTP {status}: {code}"


REFUSED = [
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_attachments",
    "too_many_attachments",
    "invalid_payload",
    "msg_blocks_too_long",
]


@pytest.mark.parametrize("code", REFUSED)
def test_a_refused_message_is_tried_again_as_text(code: str, noon: float) -> None:
    verdict = SLACK.verdict(Response(400, body=code.encode()), noon)
    assert verdict.kind is VerdictKind.RETRY
    assert verdict.reason == f"message refused, plain text follows: HTTP 400: {code}"


@pytest.mark.parametrize("code", [*REFUSED, "no_text", "user_not_found"])
def test_a_message_refused_even_as_text_is_not_sent_again(code: str, noon: float) -> None:
    verdict = SLACK.verdict(Response(400, body=code.encode()), noon, plain=True)
    assert verdict.kind is VerdictKind.REFUSED
    assert verdict.reason == f"message refused: HTTP 400: {code}"


@pytest.mark.parametrize("response", [Response(200, body=b"ok"), Response(500), Response(400, body=b"no_text")])
def test_a_webhook_is_left_alone_for_a_second_after_every_message(response: Response, noon: float) -> None:
    assert SLACK.verdict(response, noon).rest_s == 1.0


def test_a_rate_limit_is_obeyed(noon: float) -> None:
    body = b'{"ok":false,"error":"ratelimited"}'
    verdict = SLACK.verdict(Response(429, {"retry-after": "30"}, body), noon)
    assert (verdict.kind, verdict.retry_after_s) == (VerdictKind.RETRY, 30.0)


def test_a_code_in_json_is_read(noon: float) -> None:
    verdict = SLACK.verdict(Response(404, body=b'{"ok":false,"error":"no_service"}'), noon)
    assert verdict.kind is VerdictKind.REFUSED


@pytest.mark.parametrize(
    "response", [Response(500, body=b"rollup_error"), Response(503), Response(404, body=b"<html>")]
)
def test_anything_else_is_tried_again(response: Response, noon: float) -> None:
    assert SLACK.verdict(response, noon).kind is VerdictKind.RETRY
