"""Callbacks: what is sent, and what the receiver's answers mean."""

import base64
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest
from standardwebhooks import Webhook

from relay.core.delivery import Delivery, Trigger, VerdictKind
from relay.core.event import Event
from relay.core.http import Request, Response
from relay.core.retry import RetryPolicy
from relay.core.signing import SigningSecret
from relay.destinations import CallbackDestination

CURRENT = SigningSecret.of(bytes(range(24)))
PREVIOUS = SigningSecret.of(bytes(range(24, 48)))
URL = "https://shop.example/hooks?token=t"
CALLBACK = CallbackDestination(URL, [CURRENT], RetryPolicy())


def sent(url: str, delivery: Delivery, event: Event, now: float) -> Request:
    return CallbackDestination(url, [CURRENT], RetryPolicy()).request(delivery, event, now)


def test_the_events_own_bytes_are_posted_as_json(delivery: Delivery, completed: Event, noon: float) -> None:
    request = CALLBACK.request(delivery, completed, noon)
    assert (request.method, request.url, request.body) == ("POST", URL, completed.body.encode())
    assert set(request.headers) == {
        "Content-Type",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
    assert request.headers["Content-Type"] == "application/json"


def test_the_deliverys_id_and_the_attempts_time_are_signed(delivery: Delivery, completed: Event, noon: float) -> None:
    headers = CALLBACK.request(delivery, completed, noon + 0.9).headers
    assert headers["webhook-id"] == delivery.id
    assert headers["webhook-timestamp"] == "1795262400"  # date -u -d 2026-11-21T12:00 +%s
    assert headers["webhook-signature"] == CURRENT.sign(delivery.id, 1795262400, completed.body.encode())


def test_the_reference_library_accepts_what_is_sent(delivery: Delivery, completed: Event) -> None:
    request = CallbackDestination(URL, [CURRENT, PREVIOUS], RetryPolicy()).request(delivery, completed, time.time())
    for secret in (CURRENT, PREVIOUS):
        body = Webhook(secret.text).verify(request.body or b"", dict(request.headers))
        assert body["type"] == "job.completed"


def test_the_providers_own_body_is_sent_where_wanted_and_signed(delivery: Delivery, completed: Event) -> None:
    destination = CallbackDestination(URL, [CURRENT], RetryPolicy(), with_raw=True)
    request = destination.request(delivery, completed, time.time())
    body = Webhook(CURRENT.text).verify(request.body or b"", dict(request.headers))
    assert body["data"]["raw"] == {"status": "completed"}


def test_a_resend_by_hand_keeps_the_id_and_says_so(delivery: Delivery, completed: Event, noon: float) -> None:
    request = CALLBACK.request(replace(delivery, trigger=Trigger.MANUAL), completed, noon)
    assert (request.headers["webhook-id"], request.headers["relay-resend"]) == (delivery.id, "1")


def test_a_thin_payload_is_what_is_signed(delivery: Delivery, completed: Event) -> None:
    request = CallbackDestination(URL, [CURRENT], RetryPolicy(), thin=True).request(delivery, completed, time.time())
    body = Webhook(CURRENT.text).verify(request.body or b"", dict(request.headers))
    assert set(body["data"]) == {"watch_id", "provider", "job_id", "status"}


def test_headers_of_ones_own_go_along(delivery: Delivery, completed: Event, noon: float) -> None:
    destination = CallbackDestination(URL, [CURRENT], RetryPolicy(), headers={"X-Shop": "relay", "x-key": "k"})
    assert destination.request(delivery, completed, noon).headers == {
        "X-Shop": "relay",
        "x-key": "k",
        **CALLBACK.request(delivery, completed, noon).headers,
    }
    assert "relay" not in repr(destination)


def test_an_authorization_of_ones_own_outweighs_the_urls_user(
    delivery: Delivery, completed: Event, noon: float
) -> None:
    own = {"authorization": "Bearer t"}
    destination = CallbackDestination("https://user@shop.example/", [CURRENT], RetryPolicy(), headers=own)
    headers = destination.request(delivery, completed, noon).headers
    assert headers["authorization"] == "Bearer t"
    assert "Authorization" not in headers


def test_userinfo_becomes_basic_authorization(delivery: Delivery, completed: Event, noon: float) -> None:
    request = sent("https://us%40er:p%3Ass@shop.example:8443/h?a=%2F", delivery, completed, noon)
    assert request.url == "https://shop.example:8443/h?a=%2F"
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"us@er:p:ss").decode()


def test_a_user_without_password_sends_an_empty_one(delivery: Delivery, completed: Event, noon: float) -> None:
    request = sent("https://user@shop.example/", delivery, completed, noon)
    assert request.headers["Authorization"] == "Basic dXNlcjo="  # user:


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://Shop.Example/%7Ea//b/../c;d?x=a%20b&y=%E2%98%83&&z#",
        "https://shop.example/a@b?c=d@e:f",
        "https://[2606:4700::1111]:8443/?",
        "not a url",
        "",
    ],
)
def test_the_url_is_sent_byte_for_byte(url: str, delivery: Delivery, completed: Event, noon: float) -> None:
    request = sent(url, delivery, completed, noon)
    assert request.url == (url if "://" in url else f"{url}://")
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://bücher.example/a", "https://xn--bcher-kva.example/a"),
        ("https://faß.example/", "https://xn--fa-hia.example/"),
        ("https://shop.example/größe?q=☃", "https://shop.example/gr%C3%B6%C3%9Fe?q=%E2%98%83"),
    ],
)
def test_what_is_not_ascii_is_encoded(
    url: str, expected: str, delivery: Delivery, completed: Event, noon: float
) -> None:
    assert sent(url, delivery, completed, noon).url == expected


def test_secrets_are_not_in_the_representation() -> None:
    shown = repr(CallbackDestination("https://user:password@shop.example/", [CURRENT], RetryPolicy()))
    assert "password" not in shown
    assert CURRENT.text not in shown
    assert "key" not in shown


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered(status: int, noon: float) -> None:
    verdict = CALLBACK.verdict(Response(status, {"retry-after": "5"}, b"thanks"), noon)
    assert (verdict.kind, verdict.reason, verdict.retry_after_s) == (VerdictKind.DELIVERED, None, None)


@pytest.mark.parametrize("status", [100, 400, 401, 403, 404, 405, 408, 413, 425, 429, 500, 502, 503, 504, 599])
def test_other_answers_are_tried_again_and_quoted(status: int, noon: float) -> None:
    verdict = CALLBACK.verdict(Response(status, body=b"not\x1b[1m\n now"), noon)
    assert (verdict.kind, verdict.reason) == (VerdictKind.RETRY, f"HTTP {status}: not[1m now")


def test_an_answer_without_words_is_named_by_its_status(noon: float) -> None:
    assert CALLBACK.verdict(Response(500), noon).reason == "HTTP 500"


@pytest.mark.parametrize("body", [b"x" * 100_000, b"\xff" * 9000, "🌊".encode() * 3000, b"\n\x00" * 5000])
def test_a_long_answer_is_quoted_in_one_short_line(body: bytes, noon: float) -> None:
    reason = CALLBACK.verdict(Response(500, body=body), noon).reason
    assert reason is not None
    assert len(reason) <= 200
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("https://new.example/hooks?token=t#f", "; the new location is https://new.example/hooks"),
        ("https://user:pass@new.example/h@x", "; the new location is https://new.example/h@x"),
        ("//user@new.example/h", "; the new location is //new.example/h"),
        ("/elsewhere", "; the new location is /elsewhere"),
        ("http://[::1/\x1b[31m", "; the new location is http://[::1/[31m"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_redirect_is_a_failure_that_names_the_new_location(location: str | None, reason: str, noon: float) -> None:
    headers = {} if location is None else {"location": location}
    verdict = CALLBACK.verdict(Response(308, headers, b"moved"), noon)
    assert verdict.kind is VerdictKind.RETRY
    assert verdict.reason == f"HTTP 308: redirects are not followed{reason}"


def test_a_long_location_is_cut(noon: float) -> None:
    reason = CALLBACK.verdict(Response(301, {"location": "https://new.example/" + "a" * 8000}), noon).reason
    assert reason is not None
    assert len(reason) <= 200


def test_gone_is_refused(noon: float) -> None:
    verdict = CALLBACK.verdict(Response(410, body=b"bye"), noon)
    assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, "HTTP 410: the receiver is gone: bye")


@pytest.mark.parametrize(
    ("steering", "kind"),
    [
        ("abort-message", VerdictKind.DROPPED),
        (" Disable ", VerdictKind.REFUSED),
        ("something-else", VerdictKind.RETRY),
    ],
)
def test_a_receiver_steers_by_header(steering: str, kind: VerdictKind, noon: float) -> None:
    assert CALLBACK.verdict(Response(503, {"webhook-delivery": steering}), noon).kind is kind


def test_steering_does_not_undo_a_success(noon: float) -> None:
    assert CALLBACK.verdict(Response(200, {"webhook-delivery": "disable"}), noon).kind is VerdictKind.DELIVERED


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500, 503])
@pytest.mark.parametrize(
    ("headers", "expected_s"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "Sat, 21 Nov 2026 12:01:30 GMT"}, 90.0),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "99999999"}, 86400.0),
        ({}, None),
    ],
)
def test_retry_after_is_heard_on_any_failure(
    status: int, headers: Mapping[str, str], expected_s: float | None, noon: float
) -> None:
    assert CALLBACK.verdict(Response(status, headers), noon).retry_after_s == expected_s
