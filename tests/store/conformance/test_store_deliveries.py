"""Deliveries are listed, sent again and dropped."""

import pytest
from support.stored import NOW, OPS, attempt, claim, ended, final, outage, pending

from relay.core.delivery import DeliveryState, Trigger, VerdictKind
from relay.core.errors import Conflict, NotFound
from relay.core.observation import Status
from relay.core.ports import DeliveryFilter, Store


class TestListing:
    async def test_deliveries_come_newest_first_in_pages_and_by_state(self, store: Store) -> None:
        for number in range(1, 4):
            await ended(store, number, owner="shop" if number == 2 else None)
        everything = await store.deliveries(DeliveryFilter(), before=None, limit=9)
        last = everything[0].delivery

        rest = await store.deliveries(DeliveryFilter(), before=(last.created_at, last.id), limit=9)

        assert rest == everything[1:]
        states = frozenset({DeliveryState.DELIVERED})
        assert await store.deliveries(DeliveryFilter(states=states), before=None, limit=9) == []
        assert len(await store.deliveries(DeliveryFilter(owner="shop"), before=None, limit=9)) == 1

    async def test_an_unknown_delivery_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.delivery("dlv_nothing")
        with pytest.raises(NotFound):
            await store.resend("dlv_nothing", NOW)


class TestResending:
    async def test_a_resend_keeps_the_id_and_begins_a_fresh_budget(self, store: Store) -> None:
        await ended(store)
        (outgoing,) = await claim(store)
        delivery_id = outgoing.delivery.id
        await store.settle_attempts(
            [(attempt(delivery_id, VerdictKind.REFUSED), final(delivery_id, DeliveryState.EXHAUSTED))]
        )

        await store.resend(delivery_id, NOW + 500)

        (again,) = await claim(store, NOW + 500)
        assert again.delivery.id == delivery_id
        assert again.event == outgoing.event
        assert (again.delivery.trigger, again.delivery.tries, again.delivery.attempts) == (Trigger.MANUAL, 0, 1)
        assert again.delivery.retry_from == NOW + 500

    async def test_a_resend_of_a_waiting_delivery_keeps_its_budget(self, store: Store) -> None:
        await ended(store)
        (outgoing,) = await claim(store)
        await store.settle_attempts([(attempt(outgoing.delivery.id), pending(outgoing.delivery.id, NOW + 9999))])

        await store.resend(outgoing.delivery.id, NOW + 500)

        (again,) = await claim(store, NOW + 500)
        assert (again.delivery.trigger, again.delivery.tries) == (Trigger.MANUAL, 1)
        assert again.delivery.retry_from == NOW + 50

    async def test_a_dropped_delivery_is_final_until_it_is_resent(self, store: Store) -> None:
        watch = await ended(store)
        (view,) = await store.deliveries(DeliveryFilter(), before=None, limit=9)
        delivery_id = view.delivery.id

        await store.drop(delivery_id, NOW + 60)
        await store.drop(delivery_id, NOW + 61)

        dropped = (await store.delivery(delivery_id)).delivery
        assert (dropped.state, dropped.reason, dropped.finalized_at) == (
            DeliveryState.DROPPED,
            "given up by hand",
            NOW + 60,
        )
        assert await claim(store, NOW + 9e6) == []
        await store.resend(delivery_id, NOW + 70)
        assert [item.delivery.watch_id for item in await claim(store)] == [watch.id]

    async def test_a_delivery_under_way_cannot_be_dropped_and_one_that_is_none_is_not_found(self, store: Store) -> None:
        await ended(store)
        (item,) = await claim(store)

        with pytest.raises(Conflict):
            await store.drop(item.delivery.id, NOW + 101)
        with pytest.raises(NotFound):
            await store.drop("dlv_none", NOW)

    async def test_a_resend_during_an_attempt_is_refused(self, store: Store) -> None:
        await ended(store)
        (outgoing,) = await claim(store)

        with pytest.raises(Conflict):
            await store.resend(outgoing.delivery.id, NOW + 101)


class TestResendingMany:
    async def exhausted(self, store: Store, number: int, **changes: object) -> str:
        await ended(store, number, **changes)
        (outgoing,) = await claim(store)
        delivery_id = outgoing.delivery.id
        await store.settle_attempts([(attempt(delivery_id), final(delivery_id, DeliveryState.EXHAUSTED))])
        return delivery_id

    async def resend(self, store: Store, wanted: DeliveryFilter, *, dry_run: bool = False) -> int:
        return await store.resend_matching(wanted, NOW + 500, every_s=2.0, dry_run=dry_run)

    @pytest.mark.parametrize("at_once", [2, 2000])
    async def test_all_that_match_go_one_after_the_other_with_fresh_budgets(
        self, store: Store, at_once: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("relay.store.deliveries._RESENT_AT_ONCE", at_once)
        sent = {await self.exhausted(store, number) for number in range(1, 4)}
        everything = DeliveryFilter(states=frozenset({DeliveryState.EXHAUSTED}))

        assert await self.resend(store, everything) == 3

        turns = [(await store.delivery(each)).delivery for each in sent]
        assert sorted(turn.next_attempt_at for turn in turns) == [NOW + 500, NOW + 502, NOW + 504]
        assert {(turn.state, turn.trigger, turn.tries) for turn in turns} == {
            (DeliveryState.PENDING, Trigger.MANUAL, 0)
        }
        assert all(turn.retry_from == turn.next_attempt_at for turn in turns)
        assert [len(await claim(store, NOW + at)) for at in (500, 503, 504)] == [1, 1, 1]
        assert await self.resend(store, everything) == 0

    async def test_a_dry_run_counts_only(self, store: Store) -> None:
        delivery_id = await self.exhausted(store, 1)

        assert await self.resend(store, DeliveryFilter(), dry_run=True) == 1
        assert (await store.delivery(delivery_id)).delivery.state is DeliveryState.EXHAUSTED

    @pytest.mark.parametrize(
        ("wanted", "number"),
        [
            (DeliveryFilter(), 3),
            (DeliveryFilter(destination="ops"), 1),
            (DeliveryFilter(destination="callback"), 2),
            (DeliveryFilter(provider="getimg"), 2),
            (DeliveryFilter(statuses=frozenset({Status.COMPLETED})), 3),
            (DeliveryFilter(statuses=frozenset({Status.FAILED})), 0),
            (DeliveryFilter(types=frozenset({"job.completed"}), provider="mine"), 1),
            (DeliveryFilter(types=frozenset({"job.failed"})), 0),
            (DeliveryFilter(owner="shop"), 1),
            (DeliveryFilter(since=NOW + 50, until=NOW + 50), 3),
            (DeliveryFilter(since=NOW + 51), 0),
            (DeliveryFilter(until=NOW + 49), 0),
            (DeliveryFilter(states=frozenset({DeliveryState.DELIVERED})), 0),
        ],
    )
    async def test_every_condition_narrows(self, store: Store, wanted: DeliveryFilter, number: int) -> None:
        await self.exhausted(store, 1)
        await self.exhausted(store, 2, targets=(OPS,), owner="shop")
        await self.exhausted(store, 3, provider="mine")

        assert await self.resend(store, wanted, dry_run=True) == number
        assert len(await store.deliveries(wanted, before=None, limit=9)) == number

    async def test_what_is_under_way_is_left_alone_and_what_is_down_is_held(self, store: Store) -> None:
        delivery_id = await self.exhausted(store, 1)
        await outage(store)
        await ended(store, 2, targets=(OPS,))
        await claim(store, NOW + 490)

        assert await self.resend(store, DeliveryFilter()) == 1
        assert (await store.delivery(delivery_id)).delivery.state is DeliveryState.HELD
