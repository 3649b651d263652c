"""Tokens are found by their digest, and revoked for good."""

import pytest
from support.stored import NOW

from relay.core.access import Scope, Token
from relay.core.errors import NotFound
from relay.core.ports import Store


class TestTokens:
    def token(self, token_id: str = "rly_1", **changes: object) -> Token:
        whole = {"name": "shop", "digest": token_id.ljust(64, "0"), "scopes": frozenset({Scope.READ}), "id": token_id}
        return Token(**(whole | {"created_at": NOW} | changes))  # type: ignore[arg-type]

    async def test_a_token_is_found_by_its_digest_and_listed_oldest_first(self, store: Store) -> None:
        late = self.token("rly_1", created_at=NOW + 1, expires_at=NOW + 9, scopes=frozenset(Scope))
        first = self.token("rly_2")
        for token in (late, first):
            await store.add_token(token)

        assert await store.token(late.digest) == late
        assert await store.token("f" * 64) is None
        assert await store.tokens() == [first, late]

    async def test_a_revoked_token_keeps_the_instant_of_its_first_revocation(self, store: Store) -> None:
        await store.add_token(self.token())

        await store.revoke_token("rly_1", NOW + 5)
        await store.revoke_token("rly_1", NOW + 6)

        assert await store.tokens() == [self.token(revoked_at=NOW + 5)]
        with pytest.raises(NotFound):
            await store.revoke_token("rly_2", NOW)
