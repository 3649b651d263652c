"""Deliveries are claimed by one worker at a time, in turn, and settled with all that follows."""

import asyncio
from dataclasses import replace

import pytest
from support.stored import HOOK, NOW, OPS, attempt, claim, ended, failing, final, pending

from relay.core.delivery import Attempt, DeliveryState, Settlement, Trigger, VerdictKind
from relay.core.errors import StoreError
from relay.core.event import exhausted_event
from relay.core.ports import News, Store


class TestClaiming:
    async def test_a_claimed_delivery_is_not_claimed_again_before_its_lease_ends(self, store: Store) -> None:
        await ended(store)
        assert len(await claim(store, NOW + 100)) == 1

        assert await claim(store, NOW + 129) == []
        assert len(await claim(store, NOW + 130)) == 1

    async def test_what_is_due_for_the_same_target_keeps_company(self, store: Store) -> None:
        """Neither another target's, nor what is claimed, not due, settled, or to be sent again by itself."""
        for number in range(1, 8):
            await ended(store, number, targets=(OPS,))
        head, settled, later, manual = ours = await claim(store, limit=4)
        await ended(store, 8)
        await store.settle_attempts(
            [(attempt(settled.delivery.id, VerdictKind.DELIVERED), final(settled.delivery.id, DeliveryState.DELIVERED))]
        )
        await store.settle_attempts([(attempt(later.delivery.id), pending(later.delivery.id, NOW + 500))])
        await store.settle_attempts([(attempt(manual.delivery.id), pending(manual.delivery.id, NOW + 500))])
        await store.resend(manual.delivery.id, NOW + 90)

        company = await store.claim_company(head.delivery, NOW + 100, until=NOW + 130, limit=2)
        rest = await store.claim_company(head.delivery, NOW + 100, until=NOW + 130, limit=9)

        assert [len(company), len(rest)] == [2, 1]
        assert [item.event.raw for item in (head, *company)] == [head.event.raw, None, None]
        assert head.event.raw is not None
        assert {item.delivery.target for item in (*company, *rest)} == {OPS}
        assert not {item.delivery.id for item in (*company, *rest)} & {item.delivery.id for item in ours}
        assert await store.claim_company(head.delivery, NOW + 129, until=NOW + 160, limit=9) == []
        assert len(await store.claim_company(head.delivery, NOW + 130, until=NOW + 160, limit=9)) == 4

    async def test_no_lane_gets_more_than_its_share(self, store: Store) -> None:
        for number in range(1, 6):
            await ended(store, number)
        await ended(store, 9, targets=(OPS,))

        lanes = [item.delivery.target.lane for item in await claim(store, per_lane=3, busy={"hook.example:443": 1})]

        assert sorted(lanes) == ["hook.example:443", "hook.example:443", "ops"]

    async def test_the_limit_takes_the_longest_due(self, store: Store) -> None:
        first, second = await ended(store, 1), await ended(store, 2)
        for item in await claim(store):
            due = NOW + (200 if item.delivery.watch_id == first.id else 150)
            await store.settle_attempts([(attempt(item.delivery.id), pending(item.delivery.id, due))])

        claimed = await claim(store, NOW + 300, limit=1)

        assert [item.delivery.watch_id for item in claimed] == [second.id]

    async def test_places_go_round_and_a_lane_that_failed_five_times_in_a_row_has_few(self, store: Store) -> None:
        for number in range(1, 9):
            await ended(store, number)
        await ended(store, 9, targets=(OPS,))

        taken = await claim(store, limit=2, until=NOW + 100)
        assert {item.delivery.target for item in taken} == {HOOK, OPS}
        for _ in range(4):
            await store.settle_attempts([], failing())
        assert len(await claim(store, per_lane=5, per_failing_lane=2, until=NOW + 100)) == 6
        await store.settle_attempts([], failing())
        assert len(await claim(store, per_failing_lane=2, until=NOW + 100)) == 3
        assert len(await claim(store, limits={HOOK.lane: 4, OPS.lane: 0}, busy={HOOK.lane: 1}, until=NOW + 100)) == 3

    async def test_retries_that_find_no_place_take_no_turn_of_those_that_do(self, store: Store) -> None:
        for number in range(1, 4):
            await ended(store, number)
        await ended(store, 4, targets=(OPS,))
        for item in await claim(store):
            at = NOW + 110 if item.delivery.target == OPS else NOW + 105
            await store.settle_attempts([(attempt(item.delivery.id), pending(item.delivery.id, at))])

        claimed = await claim(store, NOW + 200, retries=1, per_lane=2, busy={HOOK.lane: 2})

        assert [item.delivery.target for item in claimed] == [OPS]

    async def test_room_is_kept_for_what_was_never_tried(self, store: Store) -> None:
        for number in range(1, 5):
            await ended(store, number)
        for item in await claim(store):
            await store.settle_attempts([(attempt(item.delivery.id), pending(item.delivery.id))])
        await ended(store, 5)

        claimed = await claim(store, NOW + 200, retries=1)

        assert sorted(item.delivery.attempts for item in claimed) == [0, 1]


class TestSettling:
    async def test_what_one_message_told_of_is_settled_at_once_or_not_at_all(self, store: Store) -> None:
        for number in range(1, 4):
            await ended(store, number, targets=(OPS,))
        claimed = [item.delivery.id for item in await claim(store)]
        told = [(attempt(each), pending(each, NOW + 200)) for each in claimed]

        with pytest.raises(StoreError):
            await store.settle_attempts([*told[:2], (told[2][0], replace(told[2][1], tries=-1))])
        assert [(await store.delivery(each)).attempts for each in claimed] == [(), (), ()]

        await store.settle_attempts(told)
        assert [len((await store.delivery(each)).attempts) for each in claimed] == [1, 1, 1]
        assert await store.next_delivery_due(after=NOW) == NOW + 200

    async def test_messages_that_are_settled_at_the_same_time_fail_each_alone(self, store: Store) -> None:
        for number in range(1, 100):
            await ended(store, number, targets=(OPS,))
        claimed = [item.delivery.id for item in await claim(store)]
        settled = {each: (attempt(each), pending(each, NOW + 200)) for each in claimed}
        bad = claimed[5]
        settled[bad] = (attempt(bad), replace(settled[bad][1], tries=-1))

        results = await asyncio.gather(
            *(store.settle_attempts([pair]) for pair in settled.values()), return_exceptions=True
        )

        assert [each for each, result in zip(claimed, results, strict=True) if result is not None] == [bad]
        assert isinstance(results[5], StoreError)
        kept = [len((await store.delivery(each)).attempts) for each in claimed]
        assert kept == [1, 1, 1, 1, 1, 0] + [1] * (len(claimed) - 6)

    async def test_a_retry_is_recorded_and_comes_due_when_it_says(self, store: Store) -> None:
        await ended(store)
        (outgoing,) = await claim(store)
        tried = attempt(outgoing.delivery.id)

        await store.settle_attempts([(tried, pending(outgoing.delivery.id))])

        view = await store.delivery(outgoing.delivery.id)
        assert view.attempts == (tried,)
        assert view.event_type == "job.completed"
        assert view.delivery == replace(
            outgoing.delivery, next_attempt_at=NOW + 105, attempts=1, tries=1, reason="busy"
        )
        assert await store.next_delivery_due(after=NOW + 100) == NOW + 105
        assert await claim(store, NOW + 104) == []
        assert len(await claim(store, NOW + 105)) == 1

    async def test_what_overload_spared_is_remembered_until_a_fresh_budget(self, store: Store) -> None:
        await ended(store)
        (outgoing,) = await claim(store)
        delivery_id = outgoing.delivery.id

        await store.settle_attempts([(attempt(delivery_id), replace(pending(delivery_id), tries=0, spared=1))])
        (again,) = await claim(store, NOW + 105)
        assert (again.delivery.tries, again.delivery.spared) == (0, 1)

        given_up = replace(final(delivery_id, DeliveryState.EXHAUSTED), spared=1)
        await store.settle_attempts([(attempt(delivery_id, VerdictKind.REFUSED), given_up)])
        await store.resend(delivery_id, NOW + 500)
        assert (await store.delivery(delivery_id)).delivery.spared == 0

    async def test_a_settled_delivery_is_not_sent_again(self, store: Store) -> None:
        await ended(store)
        (outgoing,) = await claim(store)
        delivery_id = outgoing.delivery.id

        await store.settle_attempts(
            [(attempt(delivery_id, VerdictKind.DELIVERED), final(delivery_id, DeliveryState.DELIVERED))]
        )

        assert await claim(store, NOW + 9999) == []
        assert await store.next_delivery_due(after=0) is None
        assert (await store.delivery(delivery_id)).delivery.finalized_at == NOW + 101

    async def test_what_is_put_off_spends_neither_a_try_nor_its_time(self, store: Store) -> None:
        await ended(store)
        (first,) = await claim(store)
        await store.settle_attempts([(attempt(first.delivery.id), pending(first.delivery.id, NOW + 160))])
        (claimed,) = await claim(store, NOW + 160)

        await store.postpone({claimed.delivery.id: NOW + 9160}, NOW + 160)

        assert await claim(store, NOW + 9159) == []
        assert await store.next_delivery_due(after=NOW) == NOW + 9160
        (again,) = await claim(store, NOW + 9160)
        assert again.delivery == replace(
            claimed.delivery, next_attempt_at=NOW + 9160, retry_from=claimed.delivery.retry_from + 9000
        )

    async def test_of_two_attempts_under_way_the_one_that_arrived_counts(self, store: Store) -> None:
        """However they come to be: a clock that is set forward ends a lease early."""
        await ended(store)
        (sent,) = await claim(store, NOW + 100)

        def settled(number: int, verdict: VerdictKind, state: DeliveryState) -> tuple[Attempt, Settlement]:
            attempt = Attempt(sent.delivery.id, number, Trigger.SCHEDULED, NOW + 100, 0.1, verdict)
            final_at = NOW + 101 if state.final else None
            return attempt, Settlement(sent.delivery.id, state, NOW + 105, 1, None, final_at)

        await store.settle_attempts([settled(1, VerdictKind.REFUSED, DeliveryState.EXHAUSTED)])
        await store.settle_attempts([settled(2, VerdictKind.DELIVERED, DeliveryState.DELIVERED)])
        await store.settle_attempts([settled(3, VerdictKind.RETRY, DeliveryState.PENDING)])

        view = await store.delivery(sent.delivery.id)
        assert view.delivery.state is DeliveryState.DELIVERED
        assert [attempt.number for attempt in view.attempts] == [1, 2, 3]

    async def test_news_is_written_with_the_attempt_that_it_is_about(self, store: Store) -> None:
        await ended(store)
        (outgoing,) = await claim(store)
        delivery_id = outgoing.delivery.id
        news = News(exhausted_event(delivery_id, "callback", outgoing.event, "HTTP 500", NOW + 100), (OPS,))

        await store.settle_attempts([(attempt(delivery_id), final(delivery_id, DeliveryState.EXHAUSTED))], None, [news])

        (told,) = await claim(store)
        assert (told.event, told.delivery.target) == (news.event, OPS)
