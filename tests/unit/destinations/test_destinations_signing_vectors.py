"""Signatures against published vectors.

V1 to V2 and N1 to N3 are those of the Standard Webhooks libraries (Python, Go
and Rust); the others were computed with other implementations.
"""

import base64
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from relay.core.signing import TOLERANCE_S, SigningSecret, signed_headers
from relay.core.verification import Candidate, Diagnosis, Slip, diagnose

V1_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
V1_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
V1_TIME = 1614265330
V1_BODY = b'{"test": 2432232314}'
V1_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

V2_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
V2_ID = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"
V2_TIME = 1649367553
V2_BODY = b'{"email":"test@example.com","username":"test_user"}'
V2_SIGNATURE = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="


def headers(signature: str, *, message_id: str = V1_ID, timestamp: int = V1_TIME) -> dict[str, str]:
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def look(secret: str, received: dict[str, str], body: bytes, now: float) -> Diagnosis:
    return diagnose(received, body, [Candidate("the secret", secret)], now)


def witness(secret: str, received: dict[str, str], body: bytes, now: float) -> object:
    """Let the published library verify as of `now`; it raises where the signature does not hold."""
    with patch("standardwebhooks.webhooks.datetime", wraps=datetime) as clock:
        clock.now.return_value = datetime.fromtimestamp(now, UTC)
        return Webhook(secret).verify(body, received)


@pytest.mark.parametrize(
    ("secret", "message_id", "timestamp", "body", "signature"),
    [
        pytest.param(V1_SECRET, V1_ID, V1_TIME, V1_BODY, V1_SIGNATURE, id="V1"),
        pytest.param(V2_SECRET, V2_ID, V2_TIME, V2_BODY, V2_SIGNATURE, id="V2"),
        pytest.param(V1_SECRET, V1_ID, V1_TIME, b"", "v1,v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A=", id="empty"),
        pytest.param(
            V1_SECRET,
            V1_ID,
            V1_TIME,
            '{"msg":"héllo ☃ 🌊"}'.encode(),
            "v1,r5PmU/3wcIwVcrKtnXsaTS3ELLj3iEasHHpKoNEbUU8=",
            id="UTF-8",
        ),
        pytest.param(V1_SECRET, V1_ID, V1_TIME, b"a.b.c", "v1,p8R7ura4XlhTldjN8265Y1TUx7bPDt5O5WdKYVaUK3g=", id="dots"),
        pytest.param(
            V1_SECRET, V1_ID, V1_TIME, b'{"a":1}\n', "v1,gHpkzUwAcTCAx6mVTdVP1Xcvw5OF91BO8CGnDfdstVo=", id="newline"
        ),
        pytest.param(
            V1_SECRET,
            V1_ID,
            V1_TIME,
            bytes.fromhex("fffe0062696e"),
            "v1,X/SPJjkMyDO3Rhmrqkj0psK/qGVOAPT07o9WxoY4O/k=",
            id="binary",
        ),
        pytest.param(
            V1_SECRET + "Br", V1_ID, V1_TIME, V1_BODY, "v1,yK2tMbA6BHPrMEJ1lLv7UlJJbgFoqGenJkiajZ29evg=", id="pad 2"
        ),
    ],
)
def test_the_signature_is_the_published_one(
    secret: str, message_id: str, timestamp: int, body: bytes, signature: str
) -> None:
    key = SigningSecret.parse(secret)
    assert signed_headers([key], message_id, timestamp + 0.999, body) == headers(
        signature, message_id=message_id, timestamp=timestamp
    )
    assert look(secret, headers(signature, message_id=message_id, timestamp=timestamp), body, timestamp).valid


def test_a_key_of_23_bytes_signs_as_published_but_is_not_accepted_as_a_secret() -> None:
    encoded = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"
    key = SigningSecret.of(base64.b64decode(encoded + "="))
    assert key.sign(V1_ID, V1_TIME, V1_BODY) == "v1,LVOXivKoo4FWasi/IaHvzhE/u+7/cu2AME+zS/nXqzk="
    with pytest.raises(ValueError, match="24 to 64 bytes, this one 23"):
        SigningSecret.parse("whsec_" + encoded)


def test_the_secrets_text_used_as_its_key_gives_the_known_wrong_signature() -> None:
    mistaken = SigningSecret.of(V1_SECRET.encode())
    assert mistaken.sign(V1_ID, V1_TIME, V1_BODY) == "v1,TcxlhK9b6UD6iVI1ZU2tTqp8PEVfYRseNNfa6b+LcUg="


@pytest.mark.parametrize(
    ("secret", "message_id", "timestamp", "body", "signature"),
    [
        pytest.param(
            V1_SECRET, V1_ID, V1_TIME, V1_BODY, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=", id="N1 last bit"
        ),
        pytest.param(V1_SECRET, V1_ID, V1_TIME, V1_BODY, "v1,", id="N1 bare"),
        pytest.param(
            V2_SECRET, V2_ID, V2_TIME, V2_BODY, "v1,R3PTzyfHASBKHH98a7yexTwaJ4yNIcGhFQc1yuN+BPU=", id="N3 other"
        ),
        pytest.param(
            V2_SECRET,
            V2_ID,
            V2_TIME,
            V2_BODY,
            "v1,tFtCZ5RDCPxzWQRWXWPgrCgE2frDBe9gjpbWQxnVfsQ= "
            "v1,Mm7xgUVICxZfQ3bgf0h0Dof65L/IFx+PnZvnDWPCX6Q= "
            "v1,9DfC1c3eeOrXB6w/5dIDydLNQaEyww5KalE5jLBZucE=",
            id="N3 decoys",
        ),
        pytest.param(V1_SECRET, V1_ID, V1_TIME, V1_BODY, V1_SIGNATURE.removeprefix("v1,"), id="no version"),
        pytest.param(V1_SECRET, V1_ID, V1_TIME, V1_BODY, "v2" + V1_SIGNATURE[2:], id="other version"),
        pytest.param(V1_SECRET, V1_ID, V1_TIME, V1_BODY, "v1,é,,\udcff", id="not ASCII"),
        pytest.param(V2_SECRET, V1_ID, V1_TIME, V1_BODY, V1_SIGNATURE, id="other secret"),
        pytest.param(V1_SECRET, V1_ID, V1_TIME, V1_BODY + b" ", V1_SIGNATURE, id="other body"),
        pytest.param(V1_SECRET, V2_ID, V1_TIME, V1_BODY, V1_SIGNATURE, id="other id"),
        pytest.param(V1_SECRET, V1_ID, V1_TIME + 1, V1_BODY, V1_SIGNATURE, id="other time"),
    ],
)
def test_a_signature_of_something_else_is_refused(
    secret: str, message_id: str, timestamp: int, body: bytes, signature: str
) -> None:
    received = headers(signature, message_id=message_id, timestamp=timestamp)
    assert not look(secret, received, body, timestamp).valid
    with pytest.raises((WebhookVerificationError, ValueError)):  # it lets some errors of its own out
        witness(secret, received, body, timestamp)


def test_any_matching_token_is_enough() -> None:
    other = "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="  # N2
    received = headers(f"v1,{other} v2,{other} {V1_SIGNATURE} v1,{other}")
    assert look(V1_SECRET, received, V1_BODY, V1_TIME).valid
    witness(V1_SECRET, received, V1_BODY, V1_TIME)


@pytest.mark.parametrize("off_s", [-TOLERANCE_S, 0, TOLERANCE_S])
def test_a_clock_off_by_up_to_five_minutes_is_accepted(off_s: int) -> None:
    assert look(V1_SECRET, headers(V1_SIGNATURE), V1_BODY, V1_TIME + off_s).valid


@pytest.mark.parametrize("off_s", [-301, 301])
def test_a_clock_off_by_more_is_refused(off_s: int) -> None:
    seen = look(V1_SECRET, headers(V1_SIGNATURE), V1_BODY, V1_TIME + off_s)

    assert [finding.slip for finding in seen.findings] == [Slip.CLOCK]
    assert f"301 s {'before' if off_s > 0 else 'after'} this clock" in seen.findings[0].message


@pytest.mark.parametrize(
    "stamp", ["1614265330.9", " 161_4265330 ", "01614265330", "9" * 400, "-1614265330", "١٦١٤٢٦٥٣٣٠", "now", ""]
)
def test_a_timestamp_that_is_no_whole_number_is_refused(stamp: str) -> None:
    received = {**headers(V1_SIGNATURE), "webhook-timestamp": stamp}
    assert not look(V1_SECRET, received, V1_BODY, V1_TIME).valid


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_QQ==", "whsec_!" + "A" * 31, "whsec_" + "A" * 100])
def test_a_secret_of_the_wrong_size_or_alphabet_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="a signing secret"):
        SigningSecret.parse(secret)


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        SigningSecret.of(b"")


def test_during_a_rotation_the_current_secret_signs_first() -> None:
    keys = [SigningSecret.parse(V1_SECRET), SigningSecret.parse(V2_SECRET)]
    current, previous = signed_headers(keys, V1_ID, V1_TIME, V1_BODY)["webhook-signature"].split(" ")
    assert current == V1_SIGNATURE
    assert previous == keys[1].sign(V1_ID, V1_TIME, V1_BODY)
