"""The tokens that were made."""

from typing import Protocol

from relay.core.access import Token


class Tokens(Protocol):
    """The part of `Store` that knows the tokens that were made."""

    async def add_token(self, token: Token) -> None:
        """Keep a new token."""
        ...

    async def token(self, digest: str) -> Token | None:
        """Return the token with this digest, whatever became of it, or None where there never was one."""
        ...

    async def tokens(self) -> list[Token]:
        """Return every token that was ever made, oldest first."""
        ...

    async def revoke_token(self, token_id: str, now: float) -> Token:
        """Let a token be good for nothing from `now` on, unless it was before; raises NotFound."""
        ...
