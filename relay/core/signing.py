"""Signatures by Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks).

Written here rather than taken from its Python library, which signs an aware
datetime outside UTC with a wrong time, and lets errors of its own out of
`verify` for hostile headers.  Verifying is `relay.core.verification`.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)
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
