"""The store is pruned, counted and probed, and goes by a clock that was set back."""

from dataclasses import replace

import pytest
from support.stored import HOOK, NOW, OPS, added, attempt, claim, ended, failing, final, new, polled

from relay.core.delivery import Attempt, DeliveryState, Settlement, Trigger, VerdictKind
from relay.core.errors import NotFound
from relay.core.event import provider_event
from relay.core.observation import Status
from relay.core.ports import Store, WatchFilter
from relay.core.standing import Footing, Standing


class TestKeepingHouse:
    async def test_news_of_a_provider_is_delivered_and_pruned_when_old(self, store: Store) -> None:
        standing = Standing(Footing.UNREACHABLE, NOW, detail="HTTP 503")
        event = provider_event("getimg", "provider.unreachable", standing, NOW)
        for _ in range(2):
            await store.record_standing("getimg", standing, event, [OPS], NOW)

        (outgoing,) = await claim(store)

        assert (outgoing.event, outgoing.delivery.watch_id, outgoing.delivery.target) == (event, None, OPS)
        delivery_id = outgoing.delivery.id
        assert (await store.delivery(delivery_id)).event_type == "provider.unreachable"
        await store.prune(ended_before=NOW + 500, limit=9)
        assert (await store.delivery(delivery_id)).delivery.state is DeliveryState.PENDING
        await store.settle_attempts(
            [(attempt(delivery_id, VerdictKind.DELIVERED), final(delivery_id, DeliveryState.DELIVERED))]
        )
        await store.prune(ended_before=NOW + 500, limit=9)
        with pytest.raises(NotFound):
            await store.delivery(delivery_id)

    async def test_pruning_takes_old_settled_watches_only(self, store: Store) -> None:
        await added(store, new(1))
        owing = await ended(store, 2)
        settled = await ended(store, 3, targets=())

        assert await store.prune(ended_before=NOW + 50, limit=9) == 0
        assert await store.prune(ended_before=NOW + 51, limit=9) == 1

        left = {view.watch.id for view in await store.watches(WatchFilter(), before=None, limit=9)}
        assert settled.id not in left
        assert owing.id in left

    async def test_what_is_known_of_a_callback_host_is_forgotten_once_it_is_old_and_owed_nothing(
        self, store: Store
    ) -> None:
        await ended(store)
        await store.settle_attempts([], failing())
        await store.settle_attempts([], failing(target=OPS))

        await store.prune(ended_before=NOW + 500, limit=9)
        assert set(await store.lanes()) == {HOOK.lane, OPS.lane}
        (outgoing,) = await claim(store)
        await store.settle_attempts(
            [(attempt(outgoing.delivery.id), final(outgoing.delivery.id, DeliveryState.EXHAUSTED))]
        )
        await store.prune(ended_before=NOW + 100, limit=9)
        assert set(await store.lanes()) == {HOOK.lane, OPS.lane}
        await store.prune(ended_before=NOW + 500, limit=9)
        assert set(await store.lanes()) == {OPS.lane}

    async def test_counts_tell_what_is_live_and_what_is_owed(self, store: Store) -> None:
        await added(store, new(1), new(2))
        await ended(store, 3)

        counts = await store.counts()

        assert counts.watches == {Status.QUEUED: 2}
        assert counts.deliveries == {DeliveryState.PENDING: 1}
        assert counts.oldest_pending_at == NOW + 50

    async def test_a_probe_of_a_working_store_passes_and_tells_that_relay_ran(self, store: Store) -> None:
        assert await store.last_beat() is None

        await store.probe(NOW)

        assert await store.last_beat() == NOW

    async def test_released_leases_are_due_at_once(self, store: Store) -> None:
        await added(store, new(1))
        await store.claim_due_watches("getimg", NOW + 5, until=NOW + 65, limit=9, retries=9, turn_s=0.0)

        await store.release_leases()

        assert (
            len(await store.claim_due_watches("getimg", NOW + 6, until=NOW + 65, limit=9, retries=9, turn_s=0.0)) == 1
        )


class TestSettingBack:
    async def test_a_clock_that_was_set_back_is_noticed_until_the_plans_have_been_moved(self, store: Store) -> None:
        await store.probe(NOW)
        await store.probe(NOW - 3600)
        assert await store.last_beat() == NOW

        await store.set_back(3600.0)

        assert await store.last_beat() == NOW - 3600

    async def test_what_is_scheduled_is_brought_forward_with_a_clock_that_was_set_back(self, store: Store) -> None:
        """Due in 60 s by the old clock, due in 60 s by the new one; a lease and a rest end when they would have."""
        await added(store, new(1, next_poll_at=NOW + 60), new(2))
        await ended(store, 3)
        await store.claim_due_watches("getimg", NOW + 5, until=NOW + 65, limit=9, retries=9, turn_s=0.0)
        await store.record_standing("getimg", Standing(rest_until=NOW + 42), None, (), NOW)
        await claim(store, NOW + 100)

        await store.set_back(3600.0)

        then = NOW - 3600
        assert (await store.standings())["getimg"].rest_until == then + 42
        assert await claim(store, then + 129) == []
        assert len(await claim(store, then + 130)) == 1
        due = await store.claim_due_watches("getimg", then + 60, until=then + 61, limit=9, retries=9, turn_s=0.0)
        assert [watch.job.id for watch in due] == ["req-1"]
        assert (
            len(await store.claim_due_watches("getimg", then + 65, until=then + 99, limit=9, retries=9, turn_s=0.0))
            == 2
        )

    async def test_what_has_happened_stays_as_long_ago_when_the_clock_is_set_back(self, store: Store) -> None:
        """Or a job would be missing for less than no time, and a key have worked after every poll."""
        (watch,) = await added(store, new(1))
        await store.record_polls([replace(polled(watch, seen_at=NOW), missing_polls=1, missing_since=NOW - 7)], NOW)
        await ended(store, 2)
        await store.record_standing("getimg", Standing(since=NOW - 9, worked_at=NOW - 1), None, (), NOW)
        (sent,) = await claim(store, NOW + 100)
        attempt = Attempt(sent.delivery.id, 1, Trigger.SCHEDULED, NOW, 0.1, VerdictKind.RETRY)
        settlement = Settlement(sent.delivery.id, DeliveryState.PENDING, NOW + 200, 1, "refused", None)
        await store.settle_attempts([(attempt, settlement)], failing(target=sent.delivery.target))
        before = (await store.lanes())[sent.delivery.target.lane].health

        await store.set_back(3600.0)

        seen, standing = (await store.watch(watch.id)).watch, (await store.standings())["getimg"]
        assert (seen.created_at, seen.deadline) == (watch.created_at - 3600, watch.deadline)
        assert seen.missing_since == NOW - 3607
        assert (standing.since, standing.worked_at) == (NOW - 3609, NOW - 3601)
        assert (await store.delivery(sent.delivery.id)).delivery.retry_from == sent.delivery.retry_from - 3600
        health = (await store.lanes())[sent.delivery.target.lane].health
        assert health == replace(
            before,
            since=max(before.since - 3600, 0.0),
            failing_since=before.failing_since - 3600,
            release_at=max(before.release_at - 3600, 0.0),
        )
