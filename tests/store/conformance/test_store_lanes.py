"""What is found of destinations holds their deliveries, and lets them go."""

from support.stored import HOOK, NOW, OPS, attempt, claim, ended, failing, final, let_go, outage, pending

from relay.core.condition import Answered, Condition
from relay.core.delivery import DeliveryState, VerdictKind
from relay.core.etiquette import Sign
from relay.core.ports import DeliveryFilter, LaneView, Store
from relay.core.watch import Target


class TestHealth:
    async def test_a_lane_of_which_nothing_is_known_works(self, store: Store) -> None:
        assert await store.lanes() == {}
        assert await let_go(store, NOW) == 0
        assert not await store.enable("ops", NOW)

    async def test_what_is_found_of_a_lane_is_remembered_until_it_works_again(self, store: Store) -> None:
        change = await store.settle_attempts([], failing())

        assert change is not None
        assert await store.lanes() == {HOOK.lane: LaneView(None, change.health, 0)}
        assert change.health.failures == 1
        await ended(store)
        assert [item.failures for item in await claim(store)] == [1]

        await store.settle_attempts([], failing(Sign.WORKS))
        assert await store.lanes() == {}

    async def test_what_arrived_ends_a_row_of_failures_that_began_after_it_was_claimed(self, store: Store) -> None:
        await ended(store)
        assert [item.failures for item in await claim(store)] == [None]
        await store.settle_attempts([], failing())

        await store.settle_attempts([], Answered("other.example"))
        assert HOOK.lane in await store.lanes()
        await store.settle_attempts([], Answered(HOOK.lane))
        assert await store.lanes() == {}

    async def test_what_was_claimed_before_an_outage_and_arrived_does_not_end_it(self, store: Store) -> None:
        await outage(store)

        await store.settle_attempts([], Answered(HOOK.lane))

        assert (await store.lanes())[HOOK.lane].health.condition is Condition.UNREACHABLE

    async def test_an_outage_holds_what_is_pending_and_what_comes(self, store: Store) -> None:
        await ended(store, 1)
        await ended(store, 2, targets=(OPS,))
        await outage(store)
        await ended(store, 3)

        held = await store.deliveries(DeliveryFilter(states=frozenset({DeliveryState.HELD})), before=None, limit=9)

        assert {view.delivery.target for view in held} == {HOOK}
        assert (await store.lanes())[HOOK.lane].held == len(held) == 2
        assert [item.delivery.target for item in await claim(store, NOW + 189)] == [OPS]

    async def test_an_attempt_under_way_is_held_when_it_fails(self, store: Store) -> None:
        await ended(store)
        (outgoing,) = await claim(store)
        await outage(store)

        await store.settle_attempts([(attempt(outgoing.delivery.id), pending(outgoing.delivery.id))])

        assert (await store.delivery(outgoing.delivery.id)).delivery.state is DeliveryState.HELD

    async def test_one_held_delivery_at_a_time_finds_out_whether_the_lane_is_back(self, store: Store) -> None:
        for number in range(1, 4):
            await ended(store, number)
        await outage(store)  # the last failure was at NOW + 160, the first probe is at NOW + 190

        assert await store.next_delivery_due(after=NOW + 161) == NOW + 190
        assert [await let_go(store, NOW + at) for at in (189, 190, 191)] == [0, 1, 0]
        assert len(await claim(store, NOW + 190)) == 1

    async def test_after_an_outage_batches_double_and_wait_while_eight_of_those_before_are_unsettled(
        self, store: Store
    ) -> None:
        for number in range(1, 21):
            await ended(store, number)
        await outage(store)
        back = NOW + 200
        await store.settle_attempts([], failing(Sign.WORKS, back))

        assert [await let_go(store, back + second) for second in range(5)] == [1, 2, 4, 8, 0]
        claimed = await claim(store, back + 5, limit=8)
        assert {item.delivery.retry_from for item in claimed} <= {back + second for second in range(4)}
        for item in claimed:
            await store.settle_attempts(
                [(attempt(item.delivery.id, VerdictKind.DELIVERED), final(item.delivery.id, DeliveryState.DELIVERED))]
            )
        assert await let_go(store, back + 6) == 5
        assert await store.lanes() == {}

    async def test_after_an_outage_the_time_of_a_delivery_begins_anew_and_its_gaps_go_on(self, store: Store) -> None:
        await ended(store)
        (tried,) = await claim(store)
        await store.settle_attempts([(attempt(tried.delivery.id), pending(tried.delivery.id))])
        await outage(store)
        await store.settle_attempts([], failing(Sign.WORKS, NOW + 200))

        (again,) = await claim(store, NOW + 200)

        assert (again.delivery.retry_from, again.delivery.tries) == (NOW + 200, 1)

    async def test_another_outage_while_draining_holds_what_was_let_go_of_and_not_tried_yet(self, store: Store) -> None:
        for number in range(1, 4):
            await ended(store, number)
        await outage(store)
        await store.settle_attempts([], failing(Sign.WORKS, NOW + 200))
        assert await let_go(store, NOW + 200) == 1

        for _ in range(5):
            await store.settle_attempts([], failing(at=NOW + 201))

        assert (await store.counts()).deliveries == {DeliveryState.HELD: 3}

    async def test_a_lane_switched_off_is_told_elsewhere_and_waits_for_a_person(self, store: Store) -> None:
        shop = Target("shop", "shop", name="shop")
        await ended(store, targets=(shop,))

        await store.settle_attempts([], failing(Sign.GONE, target=shop))

        (told,) = await claim(store, NOW + 9999)
        assert (told.event.type, told.event.watch_id, told.delivery.target) == ("destination.disabled", None, OPS)
        assert await let_go(store, NOW + 9e6) == 0
        (view,) = await store.deliveries(DeliveryFilter(states=frozenset({DeliveryState.HELD})), before=None, limit=9)
        await store.resend(view.delivery.id, NOW + 200)
        assert (await store.delivery(view.delivery.id)).delivery.state is DeliveryState.HELD

        assert await store.enable("shop", NOW + 300)
        assert await let_go(store, NOW + 300) == 1

    async def test_a_callback_url_that_is_gone_drops_what_waits_for_it(self, store: Store) -> None:
        other = Target("url:2", HOOK.lane, url="https://hook.example/b")
        await ended(store, 1)
        await ended(store, 2, targets=(other,))

        await store.settle_attempts([], failing(Sign.GONE))

        assert [item.delivery.target for item in await claim(store)] == [other]
        (view,) = await store.deliveries(
            DeliveryFilter(states=frozenset({DeliveryState.DROPPED})), before=None, limit=9
        )
        assert view.delivery.reason == "not sent: refused"
        assert view.delivery.finalized_at == NOW + 100
