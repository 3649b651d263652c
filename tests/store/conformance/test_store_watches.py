"""Watches are added once, found, listed and forgotten."""

import asyncio
from dataclasses import replace

import pytest
from support.stored import HOOK, NOW, OPS, added, attempt, claim, ended, final, new, polled

from relay.core.delivery import DeliveryState, VerdictKind
from relay.core.errors import Conflict, NotFound
from relay.core.observation import Job, Status
from relay.core.ports import DeliveryFilter, Store, WatchFilter
from relay.core.watch import Watch


class TestAdding:
    async def test_a_watch_comes_back_as_it_was_added(self, store: Store) -> None:
        (item,) = await store.add_watches([new()], NOW)

        assert item.created
        view = await store.watch(item.watch.id)
        assert view.watch == item.watch
        assert view.targets == (HOOK,)
        assert view.event is None
        assert view.watch == Watch(
            id=new().id,
            provider="getimg",
            job=Job("req-1", {"tier": "x"}),
            status=Status.QUEUED,
            created_at=NOW,
            deadline=NOW + 3600,
            next_poll_at=NOW + 1,
            metadata={"order": "1"},
        )

    async def test_what_is_told_of_a_new_watch_is_what_was_stored(self, store: Store) -> None:
        wanted = new(demand=0.5, model="seed-1", owner="shop")

        (told,) = await store.add_watches([wanted], NOW)

        assert told.watch == (await store.watch(wanted.id)).watch

    async def test_a_batch_of_known_and_new_jobs_tells_which_is_which(self, store: Store) -> None:
        first, second, again = new(1), new(2), replace(new(3), job=Job("req-1"))
        await added(store, first)

        told = await store.add_watches([second, again], NOW + 9)

        assert [(item.watch.id, item.created) for item in told] == [(second.id, True), (first.id, False)]
        assert told[1].watch.created_at == NOW

    async def test_a_watch_is_found_by_provider_and_job(self, store: Store) -> None:
        (watch,) = await added(store, new())

        assert (await store.watch("getimg:req-1")).watch == watch

    async def test_the_same_job_again_is_the_same_watch(self, store: Store) -> None:
        (first,) = await added(store, new())

        (item,) = await store.add_watches([new(id="wat_other", deadline=NOW + 5, metadata={})], NOW + 9)

        assert not item.created
        assert item.watch == first

    async def test_the_same_job_again_adds_its_new_targets(self, store: Store) -> None:
        (watch,) = await added(store, new())

        await added(store, new(id="wat_other", targets=(HOOK, OPS)))

        assert set((await store.watch(watch.id)).targets) == {HOOK, OPS}

    async def test_a_target_added_after_the_end_gets_its_delivery_at_once(self, store: Store) -> None:
        watch = await ended(store)

        await added(store, new(id="wat_other", targets=(HOOK, OPS)))

        found = await store.deliveries(DeliveryFilter(watch_id=watch.id), before=None, limit=9)
        assert {view.delivery.target for view in found} == {HOOK, OPS}

    @pytest.mark.parametrize(("asker", "adds"), [("shop", True), (None, True), ("thief", False)])
    async def test_only_its_owner_and_who_has_no_limits_may_have_more_told_of_a_watch(
        self, store: Store, asker: str | None, adds: bool
    ) -> None:
        (running,) = await added(store, new(1, owner="shop"))
        over = await ended(store, 2, owner="shop")
        asked = [new(number, id=f"wat_{number}", owner=asker, targets=(OPS,)) for number in (1, 2)]

        told = await store.add_watches(asked, NOW + 60)

        assert [(item.watch.id, item.created) for item in told] == [(running.id, False), (over.id, False)]
        for watch in (running, over):
            assert (OPS in (await store.watch(watch.id)).targets) is adds
        found = await store.deliveries(DeliveryFilter(watch_id=over.id), before=None, limit=9)
        assert {view.delivery.target for view in found} == ({HOOK, OPS} if adds else {HOOK})

    async def test_a_batch_may_name_one_job_twice(self, store: Store) -> None:
        first, second = await store.add_watches([new(), new(id="wat_other", targets=(OPS,))], NOW)

        assert (first.created, second.created) == (True, False)
        assert set((await store.watch(first.watch.id)).targets) == {HOOK, OPS}

    async def test_many_at_the_same_time_make_one_watch(self, store: Store) -> None:
        results = await asyncio.gather(*(store.add_watches([new(id=f"wat_{n}")], NOW) for n in range(20)))

        assert sum(item.created for (item,) in results) == 1
        assert len({item.watch.id for (item,) in results}) == 1

    async def test_an_unknown_watch_is_not_found(self, store: Store) -> None:
        for reference in ("wat_nothing", "getimg:nothing", ""):
            with pytest.raises(NotFound):
                await store.watch(reference)


class TestListing:
    async def test_watches_come_newest_first_in_pages(self, store: Store) -> None:
        watches = await added(store, *(new(n) for n in range(1, 6)))

        first = await store.watches(WatchFilter(), before=None, limit=2)
        second = await store.watches(WatchFilter(), before=first[-1].watch.id, limit=9)

        assert [view.watch.id for view in [*first, *second]] == [watch.id for watch in reversed(watches)]

    async def test_every_condition_narrows(self, store: Store) -> None:
        await ended(store, 1, owner="shop")
        await added(store, new(2, provider="lumenfall"), new(3, metadata={"order": "3", "x y": 'q"'}))

        async def jobs(**conditions: object) -> list[str]:
            found = await store.watches(WatchFilter(**conditions), before=None, limit=9)  # type: ignore[arg-type]
            return [view.watch.job.id for view in found]

        assert await jobs(statuses=frozenset({Status.COMPLETED})) == ["req-1"]
        assert await jobs(provider="lumenfall") == ["req-2"]
        assert await jobs(metadata={"x y": 'q"'}) == ["req-3"]
        assert await jobs(metadata={"order": "4"}) == []
        assert await jobs(owner="shop") == ["req-1"]
        assert await jobs(since=NOW + 1) == []
        assert await jobs(id_prefix=new(2).id) == ["req-2"]
        assert await jobs(id_prefix="wat_") == ["req-3", "req-2", "req-1"]

    async def test_an_ended_watch_is_listed_with_its_event(self, store: Store) -> None:
        watch = await ended(store)

        (view,) = await store.watches(WatchFilter(), before=None, limit=9)

        assert view.watch.id == watch.id
        assert view.event is not None
        assert view.event.data["status"] == "completed"


class TestRemoving:
    async def test_a_live_watch_is_forgotten_and_may_come_again(self, store: Store) -> None:
        (watch,) = await added(store, new())

        await store.remove_watch(watch.id)

        with pytest.raises(NotFound):
            await store.watch(watch.id)
        (item,) = await store.add_watches([new(id="wat_other")], NOW)
        assert item.created

    async def test_a_watch_with_open_deliveries_stays(self, store: Store) -> None:
        watch = await ended(store)

        with pytest.raises(Conflict):
            await store.remove_watch(watch.id)
        assert len(await claim(store)) == 1

    async def test_a_settled_watch_goes_with_all_that_belongs_to_it(self, store: Store) -> None:
        watch = await ended(store)
        (outgoing,) = await claim(store)
        delivery_id = outgoing.delivery.id
        await store.settle_attempts(
            [(attempt(delivery_id, VerdictKind.DELIVERED), final(delivery_id, DeliveryState.DELIVERED))]
        )

        await store.remove_watch(watch.id)

        with pytest.raises(NotFound):
            await store.delivery(delivery_id)

    async def test_an_unknown_watch_cannot_be_removed(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.remove_watch("wat_nothing")


class TestPollingNow:
    async def test_poll_now_makes_a_live_watch_due(self, store: Store) -> None:
        (watch,) = await added(store, new(900))

        await store.poll_now(watch.id, NOW + 2, min_interval_s=9.0)

        assert (
            len(await store.claim_due_watches("getimg", NOW + 2, until=NOW + 65, limit=9, retries=9, turn_s=0.0)) == 1
        )

    @pytest.mark.parametrize(("planned_s", "due_s"), [(60, 5), (3, 3)])
    async def test_poll_now_waits_for_the_least_interval_since_the_last_poll_but_not_beyond_the_plan(
        self, store: Store, planned_s: float, due_s: float
    ) -> None:
        (watch,) = await added(store, new(1))
        await store.record_polls([polled(watch, seen_at=NOW + planned_s - 1)], NOW)

        await store.poll_now(watch.id, NOW + 2, min_interval_s=5.0)

        assert (await store.watch(watch.id)).watch.next_poll_at == NOW + due_s

    async def test_poll_now_refuses_an_ended_or_unknown_watch(self, store: Store) -> None:
        watch = await ended(store)

        with pytest.raises(Conflict):
            await store.poll_now(watch.id, NOW, min_interval_s=1.0)
        with pytest.raises(NotFound):
            await store.poll_now("wat_nothing", NOW, min_interval_s=1.0)
