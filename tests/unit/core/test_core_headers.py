"""Headers that a destination may have, and those that it may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.headers import basic_authorization, checked_name, checked_value, is_secretive


@pytest.mark.parametrize("name", ["X-Api-Key", "Authorization", "User-Agent", "x", "Cookie", "Date", "Forwarded"])
def test_headers_of_the_receivers_are_free(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "Host", "HOST", "Content-Type", "content-length", "Content-Encoding", "webhook-id", "Webhook-Anything",
        "relay-resend", "Connection", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer",
        "Transfer-Encoding", "Upgrade", "Expect", "Accept-Encoding",
    ],
)  # fmt: skip
def test_headers_of_the_message_and_the_connection_are_reserved(name: str) -> None:
    with pytest.raises(ValueError, match="is reserved"):
        checked_name(name)


@pytest.mark.parametrize("name", ["", "X Y", "X:", "X\r\nY", "Ü", "X\n", "(x)"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a header"):
        checked_name(name)


@pytest.mark.parametrize("value", ["", " a", "a ", "a\r\nHost: b", "a\nb", "a\0", "é", "a\x7f"])
def test_a_value_cannot_begin_another_header(value: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII") as refused:
        checked_value(value)
    assert str(refused.value) == "must be visible ASCII, without white space around it"


@given(st.text())
def test_a_value_that_is_accepted_is_one_line_as_it_is(value: str) -> None:
    try:
        assert checked_value(value) == value.strip()
    except ValueError:
        return
    assert value.isascii()
    assert not set(value) & set("\r\n\0")


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key", "cookie", "x-token", "X-Shop-Secret"])
def test_names_of_secrets_are_recognised(name: str) -> None:
    assert is_secretive(name)
    assert not is_secretive("X-Shop")


def test_basic_authorization_is_that_of_the_standard() -> None:
    """The example of RFC 7617, section 2."""
    assert basic_authorization(b"Aladdin", b"open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
