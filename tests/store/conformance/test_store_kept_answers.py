"""A request that comes again gets the answer that was kept."""

import asyncio

from support.stored import NOW

from relay.core.ports import KeptAnswer, Store


class TestKeptAnswers:
    async def claim(
        self, store: Store, caller: str = "shop", request: str = "r", now: float = NOW
    ) -> KeptAnswer | None:
        return await store.claim_answer(caller, "k", request, now, asked_before=now - 60)

    async def test_a_key_is_claimed_once_and_then_keeps_the_answer(self, store: Store) -> None:
        answer = KeptAnswer("r", 201, {"Location": "/x"}, "{}")

        assert await self.claim(store) is None
        assert await self.claim(store, request="other") == KeptAnswer("r")
        await store.keep_answer("shop", "k", answer)
        assert await self.claim(store) == answer
        assert await self.claim(store, caller="other") is None

    async def test_of_claims_that_come_together_one_is_granted(self, store: Store) -> None:
        claimed = await asyncio.gather(*(self.claim(store) for _ in range(20)))

        assert claimed.count(None) == 1

    async def test_a_key_is_free_again_when_its_time_is_over_or_its_request_given_up(self, store: Store) -> None:
        await self.claim(store)
        await store.give_up_answer("shop", "k")
        assert await self.claim(store) is None
        await store.release_leases()  # as at the start after a crash
        assert await self.claim(store) is None
        await store.keep_answer("shop", "k", KeptAnswer("r", 200))
        await store.give_up_answer("shop", "k")
        await store.release_leases()

        assert await self.claim(store, now=NOW + 60) == KeptAnswer("r", 200)
        assert await self.claim(store, now=NOW + 61) is None
