"""Who may use the API, and for what."""

import base64
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from relay.core.duration import LONGEST_S, parse_duration
from relay.core.instant import iso, parse_instant

TOKEN_BYTES = 32
_PREFIX = "rly_"
_SHOWN = len(_PREFIX) + 8
"""48 bits that tell tokens apart; the 208 that follow are the secret."""


class Scope(StrEnum):
    """What a token may do; `admin` may everything, on everyone's watches."""

    WATCH = "watch"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Token:
    """A token: `digest` is the SHA-256 of its text, in lower-case hexadecimal.

    The configuration's have a name, a digest and scopes; the others also an
    `id`, the beginning of their text.  Tokens of one name see the same watches,
    so that one can take over from another.
    """

    name: str
    digest: str = field(repr=False)
    scopes: frozenset[Scope]
    id: str | None = None
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None

    def refusal(self, now: float) -> str | None:
        """Return why the token is good for nothing at `now`, or None where it is."""
        if self.revoked_at is not None:
            return f"the token was revoked at {iso(self.revoked_at)}"
        if self.expires_at is not None and now >= self.expires_at:
            return f"the token expired at {iso(self.expires_at)}"
        return None


def token_text(entropy: bytes) -> str:
    """Return the text of a new token from TOKEN_BYTES random bytes."""
    if len(entropy) != TOKEN_BYTES:
        raise ValueError(f"a token takes {TOKEN_BYTES} random bytes, not {len(entropy)}")
    return _PREFIX + base64.urlsafe_b64encode(entropy).rstrip(b"=").decode()


def token_id(text: str) -> str:
    """Return the part of a token that may be shown."""
    return text[:_SHOWN]


def is_whole_token(text: str) -> bool:
    """Tell whether a text looks like a token with more than may be shown of it."""
    return text.startswith(_PREFIX) and len(text) > _SHOWN


def digest_of(text: str) -> str:
    """Return what is kept of a token: all of its bits are random, so a plain hash needs no salt."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def new_token(
    text: str, name: str | None, scopes: frozenset[Scope], *, now: float, expires_at: float | None = None
) -> Token:
    """Return the token whose text is `text`; without a name it is called by its id."""
    return Token(name or token_id(text), digest_of(text), scopes, token_id(text), now, expires_at)


def expiry(text: str, now: float) -> float:
    """Return the instant that "90d" or an RFC 3339 time names; raises ValueError unless it lies ahead."""
    instant = parse_instant(text) if "-" in text else None
    moment = now + parse_duration(text) if instant is None else instant
    if not now < moment <= now + LONGEST_S:
        raise ValueError("must lie in the future, at most a hundred years ahead")
    return moment
