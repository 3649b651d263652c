"""Asymmetric signatures of Standard Webhooks 1.0.0: `v1a`, by ed25519 (RFC 8032).

The receiver holds a public key only, and so can verify but not forge.  The
arithmetic is that of the library `cryptography`, which the extra `ed25519`
brings; it is imported when the first key is read.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relay.core.errors import ExtraMissing
from relay.core.signing import signed_content

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

VERSION = "v1a"
PRIVATE_PREFIX = "whsk_"
PUBLIC_PREFIX = "whpk_"
_SEED_BYTES = 32
_PAIR_BYTES = 64
_MISSING = 'ed25519 signatures need an extra: pip install "status-relay[ed25519]"'


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What a receiver verifies with."""

    raw: bytes
    _key: "Ed25519PublicKey" = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """Read ``whpk_`` and the standard base64 of 32 bytes; raises ValueError, and ExtraMissing."""
        raw = _decoded(text, PUBLIC_PREFIX)
        if len(raw) != _SEED_BYTES:
            raise ValueError(f"a public key holds 32 bytes, this one {len(raw)}")
        return cls.of(raw)

    @classmethod
    def of(cls, raw: bytes) -> "PublicKey":
        """Wrap the 32 bytes of a key."""
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError:
            raise ExtraMissing(_MISSING) from None
        return cls(raw, Ed25519PublicKey.from_public_bytes(raw))

    @property
    def text(self) -> str:
        """The key as receivers configure it."""
        return PUBLIC_PREFIX + base64.b64encode(self.raw).decode()

    def signed(self, content: bytes, signature: bytes) -> bool:
        """Tell whether `signature` is the holder's of `content`."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, content)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, never shown."""

    seed: bytes = field(repr=False)
    _key: "Ed25519PrivateKey" = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Read ``whsk_`` and the standard base64 of the 32 bytes of a seed, or of a seed and its public key.

        Raises ValueError, without the key in it, and ExtraMissing.
        """
        raw = _decoded(text, PRIVATE_PREFIX)
        if len(raw) not in (_SEED_BYTES, _PAIR_BYTES):
            raise ValueError(f"a signing key holds 32 or 64 bytes, this one {len(raw)}")
        key = cls.of(raw[:_SEED_BYTES])
        if len(raw) == _PAIR_BYTES and raw[_SEED_BYTES:] != key.public.raw:
            raise ValueError("the two halves of this signing key do not belong together")
        return key

    @classmethod
    def of(cls, seed: bytes) -> "SigningKey":
        """Wrap the 32 bytes of a seed; raises ExtraMissing."""
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ImportError:
            raise ExtraMissing(_MISSING) from None
        return cls(seed, Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> PublicKey:
        """The key that receivers verify with."""
        return PublicKey.of(self._key.public_key().public_bytes_raw())

    @property
    def text(self) -> str:
        """The key as relay's configuration takes it: the seed and its public key, as other senders write it."""
        return PRIVATE_PREFIX + base64.b64encode(self.seed + self.public.raw).decode()

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """Return the ``v1a`` signature token of one message."""
        signature = self._key.sign(signed_content(message_id, timestamp, body))
        return f"{VERSION},{base64.b64encode(signature).decode()}"


def _decoded(text: str, prefix: str) -> bytes:
    head, found, encoded = text.strip().partition(prefix)
    rule = f'a key of this kind is "{prefix}" followed by standard base64'
    if head or not found:
        raise ValueError(rule)
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(rule) from None
