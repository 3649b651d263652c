"""Signatures by Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks).

Written here rather than taken from its Python library, which signs an aware
datetime outside UTC with a wrong time, and lets errors of its own out of
`verify` for hostile headers.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)
_SECONDS = re.compile(r"0|[1-9][0-9]{0,11}")
TOLERANCE_S = 300
"""How far a timestamp may be from the receiver's clock, either way."""


class Signer(Protocol):
    """Makes one of the signatures that a message carries."""

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """Return the signature token of one message: its version, a comma, and base64."""
        ...


def signed_content(message_id: str, timestamp: int | str, body: bytes) -> bytes:
    """Return the bytes that a signature is of."""
    return f"{message_id}.{timestamp}.".encode() + body


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A symmetric key, never shown."""

    key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "SigningSecret":
        """Read ``whsec_`` and standard base64, padded or not.

        Raises ValueError, without the secret in it, unless that holds 24 to 64
        bytes, as the specification asks.
        """
        encoded = text.strip().removeprefix(_PREFIX)
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError('a signing secret is "whsec_" followed by standard base64') from None
        if len(key) not in _KEY_BYTES:
            raise ValueError(f"a signing secret holds 24 to 64 bytes, this one {len(key)}")
        return cls(key)

    @classmethod
    def of(cls, key: bytes) -> "SigningSecret":
        """Wrap the bytes of a key, of any length but none."""
        if not key:
            raise ValueError("a signing secret must not be empty")
        return cls(key)

    @property
    def text(self) -> str:
        """The secret as receivers configure it."""
        return _PREFIX + base64.b64encode(self.key).decode()

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """Return the ``v1`` signature token of one message."""
        signed = signed_content(message_id, timestamp, body)
        return "v1," + base64.b64encode(hmac.digest(self.key, signed, hashlib.sha256)).decode()


def signed_headers(signers: Sequence[Signer], message_id: str, now: float, body: bytes) -> dict[str, str]:
    """Return the three headers for an attempt made at `now`.

    The first signer is the current secret: receivers that read only the first
    token then keep working while a second secret is rotated out, and where a
    ``v1a`` follows.
    """
    timestamp = int(now)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signer.sign(message_id, timestamp, body) for signer in signers),
    }


class SignatureMismatch(ValueError):
    """A message is not what the holder of the secret sent, or not from about now."""


def verify(secret: SigningSecret, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Return the id of a message whose signature holds; header names are in lower case.

    Raises SignatureMismatch, saying which check failed.
    """
    try:
        message_id, stamp, tokens = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise SignatureMismatch(f"the header {error.args[0]} is missing") from None
    if not _SECONDS.fullmatch(stamp):
        raise SignatureMismatch("webhook-timestamp is not a number of seconds")
    if abs(int(stamp) - now) > TOLERANCE_S:
        raise SignatureMismatch(f"webhook-timestamp is {abs(int(stamp) - now):.0f} s from this clock")
    if not message_id.isascii():  # an undecodable byte of a header, which no sender signs
        raise SignatureMismatch("webhook-id is not ASCII")
    expected = secret.sign(message_id, int(stamp), body).encode()
    if not any(hmac.compare_digest(expected, token.encode(errors="replace")) for token in tokens.split(" ")):
        raise SignatureMismatch("no signature in webhook-signature is of this secret and body")
    return message_id
