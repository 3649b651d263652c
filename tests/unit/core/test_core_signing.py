"""Verification of signatures, and the reading of secrets."""

import base64

import pytest

from relay.core.signing import TOLERANCE_S, SignatureMismatch, SigningSecret, signed_headers, verify

NOW = 1_795_255_200.75
BODY = b'{"type":"job.completed"}'
OLD, NEW = SigningSecret.of(b"o" * 24), SigningSecret.of(b"n" * 24)


def headers(**changed: str) -> dict[str, str]:
    return signed_headers([NEW], "dlv_1", NOW, BODY) | {f"webhook-{name}": value for name, value in changed.items()}


def test_a_signed_message_verifies_and_gives_its_id() -> None:
    assert verify(NEW, headers(), BODY, NOW) == "dlv_1"


def test_during_a_rotation_both_secrets_verify_and_the_current_one_signs_first() -> None:
    both = signed_headers([NEW, OLD], "dlv_1", NOW, BODY)

    assert verify(NEW, both, BODY, NOW) == verify(OLD, both, BODY, NOW) == "dlv_1"
    assert both["webhook-signature"].split(" ")[0] == headers()["webhook-signature"]


@pytest.mark.parametrize("off_s", [-TOLERANCE_S, TOLERANCE_S])
def test_a_clock_may_be_five_minutes_off_either_way_and_no_more(off_s: int) -> None:
    signed = signed_headers([NEW], "dlv_1", 1_795_255_200, BODY)

    assert verify(NEW, signed, BODY, 1_795_255_200 + off_s) == "dlv_1"
    with pytest.raises(SignatureMismatch, match="webhook-timestamp is 301 s from this clock"):
        verify(NEW, signed, BODY, 1_795_255_200 + off_s * 301 / 300)


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
def test_each_header_is_needed(name: str) -> None:
    lacking = headers()
    del lacking[f"webhook-{name}"]

    with pytest.raises(SignatureMismatch, match=f"the header webhook-{name} is missing"):
        verify(NEW, lacking, BODY, NOW)


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "now",
        "1795255200.0",
        " 1795255200",
        "+1795255200",
        "-1",
        "01795255200",
        "1_795_255_200",
        "\u0661\u0667",  # Arabic digits
        "9" * 400,
        "9" * 5000,
    ],
)
def test_a_timestamp_is_whole_seconds_as_the_sender_signed_them(stamp: str) -> None:
    with pytest.raises(SignatureMismatch, match="webhook-timestamp is not a number of seconds"):
        verify(NEW, headers(timestamp=stamp), BODY, NOW)


def test_an_id_with_an_undecodable_byte_is_a_mismatch() -> None:
    with pytest.raises(SignatureMismatch, match="webhook-id is not ASCII"):
        verify(NEW, headers(id="dlv_\udcff"), BODY, NOW)


@pytest.mark.parametrize("tokens", ["", "v1", "v1,", "v1,A", "v1,a,b", "v2,AAAA", "v1,\udcff", "é", "v1a,AAAA  v1,"])
def test_no_token_however_odd_is_more_than_a_mismatch(tokens: str) -> None:
    with pytest.raises(SignatureMismatch, match="no signature in webhook-signature"):
        verify(NEW, headers(signature=tokens), BODY, NOW)


def test_another_secret_body_id_or_time_is_a_mismatch() -> None:
    with pytest.raises(SignatureMismatch):
        verify(OLD, headers(), BODY, NOW)
    with pytest.raises(SignatureMismatch):
        verify(NEW, headers(), BODY + b" ", NOW)
    with pytest.raises(SignatureMismatch):
        verify(NEW, headers(id="dlv_2"), BODY, NOW)
    with pytest.raises(SignatureMismatch):
        verify(NEW, headers(timestamp="1795255201"), BODY, NOW)


@pytest.mark.parametrize("length", [24, 25, 32, 64])
def test_a_secret_is_read_with_its_prefix_or_without_padded_or_not(length: int) -> None:
    key = bytes(range(length))
    text = base64.b64encode(key).decode()

    for spelling in (text, text.rstrip("="), f"whsec_{text}", f" whsec_{text}\n"):
        assert SigningSecret.parse(spelling).key == key
    assert SigningSecret.of(key).text == f"whsec_{text}"


@pytest.mark.parametrize("length", [0, 1, 23, 65])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"holds 24 to 64 bytes, this one {length}"):
        SigningSecret.parse("whsec_" + base64.b64encode(bytes(length)).decode())


@pytest.mark.parametrize(
    "text", ["whsec_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_", "whsec_hunter2 hunter2 hunter2 hunter2", "whsec_ééé", "A" * 33]
)
def test_a_secret_that_is_not_base64_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match='"whsec_" followed by standard base64') as refused:
        SigningSecret.parse(text)

    assert text.removeprefix("whsec_") not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_bare_key_may_be_of_any_length_but_none() -> None:
    assert SigningSecret.of(b"k").key == b"k"
    with pytest.raises(ValueError, match="must not be empty"):
        SigningSecret.of(b"")


def test_a_secret_does_not_show_its_key() -> None:
    assert repr(NEW) == "SigningSecret()"
