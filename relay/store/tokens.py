"""The tokens that were made."""

from relay.core.access import Token
from relay.core.errors import NotFound
from relay.store import rows
from relay.store.part import Part
from relay.store.writer import Transaction


class SqliteTokens(Part):
    """Implements `relay.core.ports.Tokens`."""

    async def add_token(self, token: Token) -> None:
        """See Tokens."""
        columns = rows.token_columns(token)
        await self._writer.commit(lambda transaction: transaction.fetch("insert_token", **columns))

    async def token(self, digest: str) -> Token | None:
        """See Tokens."""
        return next(map(rows.token, await self._read("token_by_digest", digest=digest)), None)

    async def tokens(self) -> list[Token]:
        """See Tokens."""
        return [rows.token(row) for row in await self._read("list_tokens")]

    async def revoke_token(self, token_id: str, now: float) -> Token:
        """See Tokens."""

        def write(transaction: Transaction) -> Token:
            for row in transaction.fetch("revoke_token", id=token_id, now=now):
                return rows.token(row)
            raise NotFound(f'no token "{token_id}"')

        return await self._writer.commit(write)
