"""What a receiver repeats of a request is taken out of its answer."""

import pytest

from relay.core.echo import without_echo
from relay.core.http import Request, Response


def told(url: str, body: str, **headers: str) -> str:
    request = Request("POST", url, {name.replace("_", "-"): value for name, value in headers.items()})
    return without_echo(Response(500, {}, body.encode(), 0.1), request).body.decode()


@pytest.mark.parametrize(
    ("url", "body", "kept"),
    [
        ("https://hooks.slack.com/services/T0/B0/XXXXXXXXXXXXXXXXXXXXXXXX", "no XXXXXXXXXXXXXXXXXXXXXXXX", "no ***"),
        ("https://shop.example/hook?token=s3cr3t-1", "POST /hook?token=s3cr3t-1", "POST /hook?***"),
        ("https://shop.example/hook?token=s3cr3t-1&a=b", "token is s3cr3t-1", "token is ***"),
        ("https://me:pass-word@shop.example/hook", "hello me:pass-word, or pass-word", "hello ***, or ***"),
        ("https://shop.example/hook?token=s3%2Fcr3t+1", "token is s3/cr3t 1, s3/cr3t+1", "token is ***, ***"),
        ("https://shop.example/hook/s3cr3t%2Dt0k%65n", "no s3cr3t-t0ken here", "no *** here"),
        ("https://shop.example/hook", "Cannot POST /hook at shop.example", "Cannot POST /hook at shop.example"),
        ("https://shop.example/hook?a=b", "a=b", "a=b"),
    ],
)
def test_tokens_and_passwords_of_the_url_are_veiled_and_its_words_are_not(url: str, body: str, kept: str) -> None:
    assert told(url, body) == kept


def test_credentials_in_headers_are_veiled_with_and_without_their_scheme() -> None:
    body = "Basic cmVsYXk6cHc=, then cmVsYXk6cHc= and key-0123"

    assert told("https://a.example/", body, Authorization="Basic cmVsYXk6cHc=", X_Api_Key="key-0123") == (
        "***, then *** and ***"
    )


def test_a_password_is_veiled_as_a_receiver_reads_it() -> None:
    body = "no user relay with hunter-22 (relay:hunter-22)"

    assert (
        told("https://a.example/", body, Authorization="Basic cmVsYXk6aHVudGVyLTIy") == "no user relay with *** (***)"
    )
    assert told("https://a.example/", body, Authorization="Basic !cmVsYXk6aHVudGVyLTIy") == body


def test_what_signs_nothing_secret_is_left_as_it_is() -> None:
    body = "dlv_0123456789 application/json"

    assert told("https://a.example/", body, webhook_id="dlv_0123456789", content_type="application/json") == body


def test_a_redirect_to_the_same_address_tells_no_token() -> None:
    url = "https://hooks.slack.com/services/T0/B0/XXXXXXXXXXXXXXXXXXXXXXXX"
    answer = without_echo(Response(302, {"location": f"{url}/"}, b"", 0.1), Request("POST", url, {}))

    assert answer.headers == {"location": "https://hooks.slack.com/services/T0/B0/***/"}
