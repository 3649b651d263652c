"""A signature that does not hold is explained by what really happened to it."""

import base64
import hashlib
import hmac
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.ed25519 import SigningKey
from relay.core.errors import ExtraMissing
from relay.core.signing import SigningSecret, signed_headers
from relay.core.verification import Candidate, Diagnosis, Slip, diagnose

NOW = 1_795_255_200
BODY = '{"type":"job.completed","timestamp":"2026-11-21T10:00:00.123Z","data":{"z":"é/☃","a":[1,2.5]}}'.encode()
CURRENT, PREVIOUS, OTHER = (SigningSecret.of(letter * 24) for letter in (b"c", b"p", b"o"))
KEY = SigningKey.of(bytes(32))


def signed(body: bytes = BODY, *signers: SigningSecret | SigningKey) -> dict[str, str]:
    return signed_headers(signers or [CURRENT], "dlv_1", NOW, body)


def look(
    headers: dict[str, str], body: bytes = BODY, *secrets: str, now: float = NOW, tolerance_s: float = 300
) -> Diagnosis:
    candidates = [Candidate(f"secret {number}", text) for number, text in enumerate(secrets or (CURRENT.text,), 1)]
    return diagnose(headers, body, candidates, now, tolerance_s)


def slips(seen: Diagnosis) -> list[Slip]:
    return [finding.slip for finding in seen.findings]


def only(seen: Diagnosis) -> str:
    """Return the sentence of the one finding of a message that is not valid."""
    assert not seen.valid
    [finding] = seen.findings
    return finding.message


def forged(content: bytes, key: bytes = CURRENT.key) -> str:
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def test_a_message_as_it_was_sent_is_valid() -> None:
    seen = look(signed(), now=NOW + 12)

    assert (seen.valid, seen.message_id, seen.signed_by, seen.age_s) == (True, "dlv_1", "secret 1", 12)
    assert seen.findings == ()


def test_header_names_are_read_in_any_case() -> None:
    assert look({name.title(): value for name, value in signed().items()}).valid


def test_a_public_key_verifies_the_asymmetric_signature() -> None:
    assert look(signed(BODY, CURRENT, KEY), BODY, KEY.public.text).valid
    assert look(signed(BODY, CURRENT, KEY), BODY, KEY.text).valid
    assert slips(look(signed(BODY, CURRENT, KEY), BODY + b"\n", KEY.public.text)) == [Slip.BODY_CHANGED]


def test_an_asymmetric_signature_is_never_the_first_and_that_is_no_finding() -> None:
    assert look(signed(BODY, CURRENT, KEY), BODY, KEY.public.text).findings == ()


def test_a_public_key_needs_an_asymmetric_signature() -> None:
    assert only(look(signed(), BODY, KEY.public.text)) == (
        "webhook-signature holds no v1a signature, which is what was given a key for"
    )


def test_a_public_key_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    text = KEY.public.text
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)

    with pytest.raises(ExtraMissing, match="status-relay"):
        look(signed(), BODY, text)


def test_during_a_rotation_every_secret_that_is_known_will_do() -> None:
    assert look(signed(BODY, CURRENT, PREVIOUS)).findings == ()
    assert look(signed(BODY, CURRENT, PREVIOUS), BODY, CURRENT.text, PREVIOUS.text).findings == ()


def test_a_signature_by_the_previous_secret_is_told() -> None:
    seen = look(signed(BODY, PREVIOUS), BODY, CURRENT.text, PREVIOUS.text)

    assert (seen.valid, seen.signed_by) == (True, "secret 2")
    assert [finding.message for finding in seen.findings] == ["it is signed by secret 2, and not by secret 1"]


def test_a_signature_that_is_not_the_first_is_told() -> None:
    seen = look(signed(BODY, CURRENT, PREVIOUS), BODY, PREVIOUS.text)

    assert seen.valid
    assert [finding.message for finding in seen.findings] == [
        "the signature that holds is number 2 in webhook-signature"
    ]


def test_another_secret_is_likely_where_the_body_looks_untouched() -> None:
    assert only(look(signed(), BODY, OTHER.text)) == (
        "no secret given made this signature, and the body looks untouched: the secret is another one"
    )


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("hunter2!", 'secret 1: a signing secret is "whsec_" followed by standard base64'),
        ("\udcff", 'secret 1: a signing secret is "whsec_" followed by standard base64'),
        ("whsec_QUJD", "secret 1: a signing secret holds 24 to 64 bytes, this one 3"),
        ("whpk_QUJD", "secret 1: a public key holds 32 bytes, this one 3"),
    ],
)
def test_what_is_no_secret_is_told_as_that(secret: str, message: str) -> None:
    assert only(look(signed(), BODY, secret)) == message


@pytest.mark.parametrize(
    ("key", "how"),
    [
        (CURRENT.text, "the text of the secret was used as the key, whsec_ included"),
        (CURRENT.text.removeprefix("whsec_"), "the text behind whsec_ was used as the key"),
        (f"{CURRENT.text}\n", "the text of the secret was used as the key, with the line break that ends its file"),
    ],
)
def test_a_secret_used_as_text_is_recognised(key: str, how: str) -> None:
    seen = look(signed(BODY, SigningSecret.of(key.encode())), BODY, CURRENT.text)

    assert only(seen) == f"secret 1: {how}"
    assert seen.signed_by == "secret 1"


def test_the_known_wrong_signature_of_the_published_vector_is_recognised() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,TcxlhK9b6UD6iVI1ZU2tTqp8PEVfYRseNNfa6b+LcUg=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    assert slips(look(headers, b'{"test": 2432232314}', secret, now=1614265330)) == [Slip.SECRET_AS_TEXT]


def test_a_clock_is_off_by_so_much_and_this_way() -> None:
    assert only(look(signed(), now=NOW + 412.4)) == (
        "it was signed 412 s before this clock (receivers allow 300 s): it is old, or this clock is fast"
    )
    assert only(look(signed(), now=NOW - 412)) == (
        "it was signed 412 s after this clock (receivers allow 300 s): this clock is slow, or the sender's is fast"
    )
    assert look(signed(), now=NOW + 412, tolerance_s=600).valid


VALUE = json.loads(BODY)


@pytest.mark.parametrize(
    ("arrived", "what"),
    [
        (json.dumps(VALUE), "parsed and written again; what was signed is compact JSON"),
        (json.dumps(VALUE, ensure_ascii=False), "parsed and written again; what was signed is compact JSON"),
        (json.dumps(VALUE, indent=2), "parsed and written again; what was signed is compact JSON"),
        (BODY.decode().replace("/", "\\/"), "parsed and written again; what was signed is compact JSON"),
        (BODY.decode() + "\n", "a line break was added to its end"),
        (BODY.decode() + "\r\n", "a line break was added to its end"),
        (f"  {BODY.decode()}\t", "white space was added around it"),
        ("\ufeff" + BODY.decode(), "a byte order mark was put before it"),
        (base64.b64encode(BODY).decode(), "it was encoded in base64, as gateways to functions do"),
        (json.dumps(BODY.decode()), "it was encoded as JSON a second time, as a text"),
        (BODY.decode("latin-1"), "it is UTF-8, and was read as Latin-1 and written again"),
    ],
)
def test_what_happened_to_a_body_is_found_out(arrived: str, what: str) -> None:
    message = only(look(signed(), arrived.encode()))

    assert message.startswith("the body is not what was signed: ")
    assert what in message


@pytest.mark.parametrize(
    ("computed_of", "what"),
    [
        (json.dumps(VALUE), "JSON with a space after each comma and colon with \\u escapes"),
        (json.dumps(VALUE, ensure_ascii=False), "JSON with a space after each comma and colon"),
        (json.dumps(VALUE, indent=4), "JSON indented by 4 with \\u escapes"),
        (json.dumps(VALUE, indent="\t", ensure_ascii=False), "JSON indented by a tab"),
        (BODY.decode() + "\n", "the line break at its end was removed"),
        ("", "nothing of it was read: the signature is of an empty body"),
    ],
)
def test_a_signature_of_something_that_the_receiver_wrote_itself_is_found_out(computed_of: str, what: str) -> None:
    """A receiver's own computation is explained as well, given in place of the sender's."""
    assert only(look(signed(computed_of.encode()))).endswith(what)


def test_line_breaks_that_were_changed_are_found_out() -> None:
    assert "from LF to CRLF" in only(look(signed(b'{\n"a":1\n}'), b'{\r\n"a":1\r\n}'))
    assert "from CRLF to LF" in only(look(signed(b'{\r\n"a":1\r\n}'), b'{\n"a":1\n}'))


def test_a_body_that_cannot_be_put_back_is_told_by_its_looks() -> None:
    assert "keys are in alphabetical order" in only(look(signed(), json.dumps(VALUE, sort_keys=True).encode()))
    assert "the body is no JSON" in only(look(signed(), BODY[:-7]))
    assert "the secret is another one, or the body was changed" in only(look(signed(), b'{"type": "x"}'))


def test_a_body_of_another_length_than_announced_is_told() -> None:
    seen = look({**signed(), "Content-Length": "96"}, BODY[:-7])

    assert slips(seen) == [Slip.BODY_LENGTH, Slip.BODY_CHANGED]
    assert seen.findings[0].message == f"content-length announces 96 bytes, the body has {len(BODY) - 7}"


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (f"{NOW}.dlv_1.".encode() + BODY, "with the time before the id"),
        (f"dlv_1{NOW}".encode() + BODY, "without the dots between its parts"),
        (f"{NOW}.".encode() + BODY, "without the id"),
        (b"dlv_1." + BODY, "without the time"),
        (BODY, "of the body alone"),
    ],
)
def test_what_was_put_together_otherwise_is_found_out(content: bytes, how: str) -> None:
    seen = look({**signed(), "webhook-signature": f"v1,{forged(content)}"})

    assert only(seen) == f"the signature was made {how}"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("v1={}", 'the signature is written "v1=...": a token is "v1," and base64'),
        ("v1:{}", 'the signature is written "v1:...": a token is "v1," and base64'),
        ("sha256={}", 'the signature is written "sha256=...": a token is "v1," and base64'),
        ("{}", 'the signature has no version before it: a token is "v1," and base64'),
        ("v1,AAAAAAAAAAAAAAAAAAAAAAAA,v1,{}", "the signatures are not separated by single spaces"),
        ('"v1,{}"', "the signatures are not separated by single spaces"),
    ],
)
def test_a_token_in_another_form_is_recognised(written: str, message: str) -> None:
    token = signed()["webhook-signature"].removeprefix("v1,")

    assert only(look({**signed(), "webhook-signature": written.format(token)})) == message


def test_another_encoding_of_a_signature_is_recognised() -> None:
    key = next(key for key in (SigningSecret.of(bytes([n]) * 24) for n in range(99)) if "+" in key.sign("m", 1, b"{}"))
    headers = signed_headers([key], "m", 1, b"{}")
    encoded = headers["webhook-signature"].removeprefix("v1,")

    def told(token: str) -> str:
        return only(look({**headers, "webhook-signature": f"v1,{token}"}, b"{}", key.text, now=1))

    assert told(base64.b64decode(encoded).hex()) == "the signature is hexadecimal: it must be base64"
    assert told(encoded.rstrip("=")) == "the signature lacks the = that base64 ends with"
    assert "the alphabet for URLs" in told(encoded.replace("+", "-").replace("/", "_"))


@pytest.mark.parametrize("signature", ["nothing", "v1,", "v1", "é"])
def test_a_header_without_a_signature_is_told(signature: str) -> None:
    assert only(look({**signed(), "webhook-signature": signature})) == (
        "webhook-signature holds nothing that could be a signature"
    )


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
def test_a_missing_header_is_told(name: str) -> None:
    headers = signed()
    del headers[f"webhook-{name}"]

    assert f"the header webhook-{name} is missing" in [finding.message for finding in look(headers).findings]
    assert not look(headers).valid


def test_headers_under_the_names_of_another_sender_are_recognised() -> None:
    seen = look({name.replace("webhook-", "svix-"): value for name, value in signed().items()})

    assert slips(seen) == [Slip.HEADER_RENAMED] * 3
    assert (seen.valid, seen.signed_by) == (False, "secret 1")


def test_headers_that_hold_each_others_values_are_recognised() -> None:
    headers = {**signed(), "webhook-id": str(NOW), "webhook-timestamp": "dlv_1"}

    assert only(look(headers)) == "webhook-id and webhook-timestamp hold each other's values"


@pytest.mark.parametrize(
    ("stamp", "message"),
    [
        (f"{NOW}000", "is in milliseconds"),
        (f"{NOW}.5", "is a time, but no whole number"),
        ("2026-11-21T10:00:00Z", "is a time, but no whole number"),
        ("now", "is no number of seconds"),
    ],
)
def test_a_timestamp_in_another_form_is_recognised(stamp: str, message: str) -> None:
    seen = look({**signed(), "webhook-timestamp": stamp})

    assert not seen.valid
    assert seen.findings[0].message == f"webhook-timestamp {message}; it must be whole seconds since 1970"


def test_a_signature_of_other_seconds_than_the_header_writes_is_found_out() -> None:
    seen = look({**signed(), "webhook-timestamp": f"{NOW}000"})

    assert seen.signed_by == "secret 1"
    assert [finding.message for finding in seen.findings] == [
        "webhook-timestamp is in milliseconds; it must be whole seconds since 1970",
        "the signature was made with the time as whole seconds, not as the header says",
    ]


def test_two_slips_at_once_are_told_apart() -> None:
    """The text as the key, over a body written anew, in hexadecimal."""
    token = forged(f"dlv_1.{NOW}.".encode() + json.dumps(VALUE).encode(), CURRENT.text.encode())
    seen = look({**signed(), "webhook-signature": f"v1={base64.b64decode(token).hex()}"})

    assert slips(seen) == [Slip.SECRET_AS_TEXT, Slip.BODY_CHANGED, Slip.SIGNATURE_FORM, Slip.SIGNATURE_FORM]


def test_three_slips_at_once_are_too_many_to_be_believed() -> None:
    """The text as the key, without the dots, over a body written anew."""
    token = forged(f"dlv_1{NOW}".encode() + json.dumps(VALUE).encode(), CURRENT.text.encode())

    assert slips(look({**signed(), "webhook-signature": f"v1,{token}"})) == [Slip.WRONG_SECRET]


def test_a_secret_is_never_told() -> None:
    seen = look(signed(BODY, SigningSecret.of(CURRENT.text.encode())))

    assert CURRENT.text.removeprefix("whsec_") not in repr(seen)
    assert CURRENT.text not in repr(Candidate("x", CURRENT.text))


NAMES = st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "svix-id", "content-length"])


@given(
    st.dictionaries(NAMES, st.one_of(st.text(), st.just("v1," + "A" * 43 + "="), st.integers().map(str))),
    st.one_of(st.binary(), st.text().map(lambda text: json.dumps(text).encode())),
    st.lists(st.one_of(st.text(), st.just(CURRENT.text)), max_size=2),
)
def test_whatever_arrives_is_diagnosed_and_never_valid_by_chance(
    headers: dict[str, str], body: bytes, secrets: list[str]
) -> None:
    seen = diagnose(headers, body, [Candidate("s", text) for text in secrets], NOW)

    assert not seen.valid


@given(st.binary(), st.binary(min_size=24, max_size=64), st.integers(0, 10**11))
def test_whatever_is_signed_is_valid(body: bytes, key: bytes, second: int) -> None:
    secret = SigningSecret.of(key)

    assert look(signed_headers([secret], "dlv_1", second, body), body, secret.text, now=second).findings == ()


@pytest.mark.parametrize(
    ("secret", "stamp", "body", "token", "expected"),
    [
        pytest.param(  # docs.github.com, "Validating webhook deliveries"
            "It's a Secret to Everybody",
            "1",
            b"Hello, World!",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            [Slip.SECRET_AS_TEXT, Slip.CONTENT, Slip.SIGNATURE_FORM, Slip.SIGNATURE_FORM],
            id="GitHub",
        ),
        pytest.param(  # github.com/hook0/hook0, its own vector
            "secret",
            "1636936200",
            b"hello !",
            "1b3d69df55f1e52f05224ba94a5162abeb17ef52cd7f4948c390f810d6a87e98",
            [Slip.SECRET_AS_TEXT, Slip.CONTENT, Slip.SIGNATURE_FORM, Slip.SIGNATURE_FORM],
            id="hook0",
        ),
        pytest.param(  # github.com/frain-dev/convoy, pkg/signature/testdata
            "convoy-webhook-secret",
            "1700000000",
            b'{"event":"charge.success","amount":1000,"currency":"NGN"}',
            "244449b7f48cbc2709060c9dcdc2b3aa47a78f540430579015c579fb12defbb4",
            [Slip.SECRET_AS_TEXT, Slip.CONTENT, Slip.SIGNATURE_FORM, Slip.SIGNATURE_FORM],
            id="Convoy",
        ),
    ],
)
def test_a_message_of_another_scheme_is_explained(
    secret: str, stamp: str, body: bytes, token: str, expected: list[Slip]
) -> None:
    """Their published vectors: the text as the key, other parts put together, in hexadecimal."""
    headers = {"webhook-id": "m", "webhook-timestamp": stamp, "webhook-signature": token}

    assert slips(look(headers, body, secret, now=int(stamp))) == expected
