"""What every store must do, whatever it is made of."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from relay.core import ids
from relay.core.access import Scope, Token
from relay.core.condition import Answered, Condition, Finding
from relay.core.delivery import Attempt, DeliveryState, Settlement, Trigger, VerdictKind
from relay.core.errors import Conflict, NotFound, StoreError
from relay.core.etiquette import Sign
from relay.core.event import exhausted_event, outcome_event, overdue_event, provider_event
from relay.core.hazard import prior
from relay.core.learning import Evidence, Kind, Phase, Trace, survived
from relay.core.learning import ended as ended_trace
from relay.core.observation import Job, Observation, Output, Status
from relay.core.outlook import Demand
from relay.core.ports import (
    DeliveryFilter,
    Ending,
    EventFilter,
    KeptAnswer,
    LaneView,
    News,
    Outgoing,
    Store,
    WatchFilter,
)
from relay.core.standing import Footing, Standing
from relay.core.watch import Continue, NewWatch, Target, Watch

NOW = 1_800_000_000.0
OPS = Target("ops", "ops", name="ops")
HOOK = Target("url:1", "hook.example:443", url="https://hook.example/a")


def new(number: int = 1, **changes: object) -> NewWatch:
    made = NewWatch(
        id=ids.watch_id(NOW + number, number.to_bytes(10, "big")),
        provider="getimg",
        job=Job(f"req-{number}", {"tier": "x"}),
        deadline=NOW + 3600,
        next_poll_at=NOW + number,
        targets=(HOOK,),
        metadata={"order": str(number)},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def added(store: Store, *wanted: NewWatch) -> list[Watch]:
    return [item.watch for item in await store.add_watches(wanted, NOW)]


def polled(watch: Watch, *, seen_at: float) -> Continue:
    return Continue(
        watch_id=watch.id,
        status=Status.RUNNING,
        next_poll_at=seen_at + 1,
        demand=0.5,
        provider_status="x",
        model=None,
        progress=None,
        began_at=None,
        seen_at=seen_at,
        running_since=None,
        estimated_end_at=None,
        failed_polls=0,
        missing_polls=0,
        missing_since=None,
        last_error=None,
    )


def ending(watch: Watch, status: Status = Status.COMPLETED, routed: tuple[Target, ...] = ()) -> Ending:
    seen = Observation(status, "done", model="m1", outputs=(Output("https://files.example/a.mp4"),), raw='{"a":1}')
    return Ending(watch.id, status, "done", "m1", outcome_event(watch, seen, NOW + 50), routed)


async def ended(store: Store, number: int = 1, **changes: object) -> Watch:
    (watch,) = await added(store, new(number, **changes))
    assert await store.finalize_watch(ending(watch), NOW + 50)
    return watch


async def claim(store: Store, now: float = NOW + 100, **limits: object) -> list[Outgoing]:
    options = {
        "until": now + 30,
        "limit": 100,
        "per_lane": 100,
        "per_failing_lane": 100,
        "retries": 100,
        "limits": {},
        "busy": {},
    } | limits
    return await store.claim_due_deliveries(now, **options)  # type: ignore[arg-type]


async def let_go(store: Store, now: float) -> int:
    """Return how many held deliveries a claim at `now` lets go of; it leases nothing."""
    held = (await store.counts()).deliveries.get(DeliveryState.HELD, 0)
    await claim(store, now, until=0.0)
    return held - (await store.counts()).deliveries.get(DeliveryState.HELD, 0)


def attempt(delivery_id: str, verdict: VerdictKind = VerdictKind.RETRY, number: int = 1) -> Attempt:
    return Attempt(delivery_id, number, Trigger.SCHEDULED, NOW + 100, 0.25, verdict, 503, "busy", "try later")


def pending(delivery_id: str, at: float = NOW + 105) -> Settlement:
    return Settlement(delivery_id, DeliveryState.PENDING, at, 1, "busy", None)


def final(delivery_id: str, state: DeliveryState) -> Settlement:
    return Settlement(delivery_id, state, NOW + 100, 1, None, NOW + 101)


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


class TestPolling:
    async def test_due_watches_are_claimed_longest_overdue_first(self, store: Store) -> None:
        await added(store, new(3), new(1), new(2), new(9), new(4, provider="lumenfall"))

        claimed = await store.claim_due_watches("getimg", NOW + 5, until=NOW + 65, limit=2, retries=2, turn_s=0.0)

        assert [watch.job.id for watch in claimed] == ["req-1", "req-2"]

    async def test_a_claimed_watch_is_not_claimed_again_before_its_lease_ends(self, store: Store) -> None:
        await added(store, new(1))
        assert (
            len(await store.claim_due_watches("getimg", NOW + 5, until=NOW + 65, limit=9, retries=9, turn_s=0.0)) == 1
        )

        assert await store.claim_due_watches("getimg", NOW + 64, until=NOW + 99, limit=9, retries=9, turn_s=0.0) == []
        assert (
            len(await store.claim_due_watches("getimg", NOW + 65, until=NOW + 99, limit=9, retries=9, turn_s=0.0)) == 1
        )

    async def test_watches_whose_last_poll_failed_are_claimed_in_turn_up_to_a_limit(self, store: Store) -> None:
        """However many have been due for longer than the others; and what was planned later is due later."""
        failing = await added(store, *(new(n, next_poll_at=NOW) for n in range(1, 601)))
        failed = [replace(polled(watch, seen_at=NOW + n), failed_polls=1) for n, watch in enumerate(failing)]
        await store.record_polls(failed, NOW)
        await added(store, new(700), new(701), new(900))

        claimed = await store.claim_due_watches("getimg", NOW + 800, until=NOW + 999, limit=9, retries=2, turn_s=0.0)

        assert [watch.job.id for watch in claimed] == ["req-1", "req-2", "req-700", "req-701"]
        assert await store.next_watch_due("getimg", after=NOW + 800) == NOW + 900
        assert await store.next_watch_due("getimg", after=NOW) == NOW + 1

    async def test_a_retry_is_measured_by_its_turn_where_that_is_longer_than_its_plan(self, store: Store) -> None:
        """Asked ten seconds ago, they were due after one and two; the one that failed as if it was after twenty."""
        watches = await added(store, new(1), new(2))
        await store.record_polls(
            [replace(polled(watches[0], seen_at=NOW), failed_polls=1), polled(watches[1], seen_at=NOW + 1)], NOW
        )

        for turn_s, job_id in ((20.0, "req-2"), (0.0, "req-1")):
            claimed = await store.claim_due_watches("getimg", NOW + 10, until=NOW, limit=1, retries=1, turn_s=turn_s)
            assert [watch.job.id for watch in claimed] == [job_id]

    async def test_concurrent_claims_never_share_a_watch(self, store: Store) -> None:
        await added(store, *(new(n) for n in range(1, 41)))

        claims = await asyncio.gather(
            *(
                store.claim_due_watches("getimg", NOW + 50, until=NOW + 99, limit=7, retries=7, turn_s=0.0)
                for _ in range(8)
            )
        )

        claimed = [watch.id for claim in claims for watch in claim]
        assert len(claimed) == len(set(claimed)) == 40

    async def test_released_leases_are_due_at_once(self, store: Store) -> None:
        await added(store, new(1))
        await store.claim_due_watches("getimg", NOW + 5, until=NOW + 65, limit=9, retries=9, turn_s=0.0)

        await store.release_leases()

        assert (
            len(await store.claim_due_watches("getimg", NOW + 6, until=NOW + 65, limit=9, retries=9, turn_s=0.0)) == 1
        )

    async def test_watches_that_are_given_back_are_due_at_once_and_no_others(self, store: Store) -> None:
        """One that has ended meanwhile stays ended."""
        first, _, third = await added(store, new(1), new(2), new(3))
        await store.claim_due_watches("getimg", NOW + 5, until=NOW + 65, limit=9, retries=9, turn_s=0.0)
        await store.finalize_watch(ending(third), NOW + 5)

        await store.release_watches([first.id, third.id])

        again = await store.claim_due_watches("getimg", NOW + 6, until=NOW + 65, limit=9, retries=9, turn_s=0.0)
        assert [watch.id for watch in again] == [first.id]

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

    async def test_of_two_attempts_under_way_the_one_that_arrived_counts(self, store: Store) -> None:
        """However they come to be: a clock that is set forward ends a lease early."""
        await ended(store)
        (sent,) = await claim(store, NOW + 100)

        def settled(number: int, verdict: VerdictKind, state: DeliveryState) -> tuple[Attempt, Settlement]:
            attempt = Attempt(sent.delivery.id, number, Trigger.SCHEDULED, NOW + 100, 0.1, verdict)
            final_at = NOW + 101 if state.final else None
            return attempt, Settlement(sent.delivery.id, state, NOW + 105, 1, None, final_at)

        await store.settle_attempt(*settled(1, VerdictKind.REFUSED, DeliveryState.EXHAUSTED))
        await store.settle_attempt(*settled(2, VerdictKind.DELIVERED, DeliveryState.DELIVERED))
        await store.settle_attempt(*settled(3, VerdictKind.RETRY, DeliveryState.PENDING))

        view = await store.delivery(sent.delivery.id)
        assert view.delivery.state is DeliveryState.DELIVERED
        assert [attempt.number for attempt in view.attempts] == [1, 2, 3]

    async def test_a_poll_is_recorded_and_frees_the_watch(self, store: Store) -> None:
        (watch,) = await added(store, new(1))
        await store.claim_due_watches("getimg", NOW + 5, until=NOW + 65, limit=9, retries=9, turn_s=0.0)

        await store.record_polls(
            [
                Continue(
                    watch_id=watch.id,
                    status=Status.RUNNING,
                    next_poll_at=NOW + 9,
                    provider_status="IN_PROGRESS",
                    model="veo2",
                    progress=0.5,
                    demand=0.25,
                    began_at=NOW - 3,
                    seen_at=NOW + 6,
                    running_since=NOW + 5,
                    estimated_end_at=NOW + 70,
                    failed_polls=2,
                    missing_polls=1,
                    missing_since=NOW + 6,
                    last_error="unavailable: 503",
                )
            ],
            NOW + 6,
        )

        stored = (await store.watch(watch.id)).watch
        assert stored == replace(
            watch,
            status=Status.RUNNING,
            next_poll_at=NOW + 9,
            provider_status="IN_PROGRESS",
            model="veo2",
            progress=0.5,
            demand=0.25,
            began_at=NOW - 3,
            seen_at=NOW + 6,
            running_since=NOW + 5,
            estimated_end_at=NOW + 70,
            polls=1,
            failed_polls=2,
            missing_polls=1,
            missing_since=NOW + 6,
            last_error="unavailable: 503",
            last_poll_at=NOW + 6,
        )
        assert await store.next_watch_due("getimg", after=NOW + 8) == NOW + 9

    async def test_a_job_that_runs_unusually_long_is_told_once_with_the_poll_that_found_it(self, store: Store) -> None:
        (watch,) = await added(store, new(1))
        seen = Observation(Status.RUNNING, "IN_PROGRESS")
        step = polled(watch, seen_at=NOW + 60)
        event = overdue_event(watch, seen, 30.0, NOW + 60)

        assert await store.record_overdue(step, event, [OPS], NOW + 60)
        assert not await store.record_overdue(step, event, [OPS], NOW + 70)

        view = await store.watch(watch.id)
        assert (view.watch.overdue_at, view.watch.seen_at, view.watch.polls) == (NOW + 60, NOW + 60, 2)
        assert view.event is None
        (told,) = await claim(store)
        assert (told.event, told.delivery.target) == (event, OPS)
        assert await store.finalize_watch(ending(watch), NOW + 90)
        late = (await store.watch(watch.id)).event
        assert late is not None
        assert late.type == "job.completed"

    async def test_a_watch_that_has_ended_is_not_overdue(self, store: Store) -> None:
        watch = await ended(store)
        event = overdue_event(watch, Observation(Status.RUNNING), 30.0, NOW + 60)

        assert not await store.record_overdue(polled(watch, seen_at=NOW + 60), event, [OPS], NOW + 60)
        assert [told.event.type for told in await claim(store)] == ["job.completed"]

    async def test_the_demand_on_a_budget_is_that_of_the_live_watches_of_its_provider(self, store: Store) -> None:
        await added(store, new(1, demand=0.25), new(2, demand=0.5), new(3, provider="lumenfall", demand=8.0))
        await ended(store, 4, demand=4.0)

        assert await store.demand("getimg", 0.25) == Demand(watches=2, total=0.75)
        assert await store.demand("getimg", 0.26) == Demand(watches=2, total=0.75, patient=1, patient_total=0.25)
        assert await store.demand("nobody", 0.0) == Demand(watches=0, total=0.0)

    async def test_the_next_due_time_looks_beyond_an_instant_and_at_one_provider(self, store: Store) -> None:
        await added(store, new(1), new(7), new(3, provider="lumenfall"))

        assert await store.next_watch_due("getimg", after=NOW) == NOW + 1
        assert await store.next_watch_due("getimg", after=NOW + 1) == NOW + 7
        assert await store.next_watch_due("getimg", after=NOW + 7) is None

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


class TestEnding:
    async def test_the_end_writes_outcome_event_and_deliveries_together(self, store: Store) -> None:
        (watch,) = await added(store, new())
        end = ending(watch, routed=(OPS, HOOK))

        assert await store.finalize_watch(end, NOW + 50)

        view = await store.watch(watch.id)
        assert view.watch.status is Status.COMPLETED
        assert view.watch.finalized_at == NOW + 50
        assert (view.watch.polls, view.watch.model, view.watch.provider_status) == (1, "m1", "done")
        assert view.event == end.event
        outgoing = await claim(store)
        assert {item.delivery.target for item in outgoing} == {HOOK, OPS}
        assert {item.event for item in outgoing} == {end.event}
        assert {item.delivery.id for item in outgoing} == {
            ids.delivery_id(end.event.id, "ops"),
            ids.delivery_id(end.event.id, "url:1"),
        }

    async def test_an_ended_watch_never_changes_again(self, store: Store) -> None:
        watch = await ended(store)
        before = await store.watch(watch.id)

        assert not await store.finalize_watch(ending(watch, Status.FAILED), NOW + 60)
        late = polled(watch, seen_at=NOW + 60)
        await store.record_polls([late], NOW + 60)

        assert await store.watch(watch.id) == before
        assert (
            await store.claim_due_watches("getimg", NOW + 9999, until=NOW + 99999, limit=9, retries=9, turn_s=0.0) == []
        )
        assert len(await claim(store)) == 1

    async def test_two_workers_that_see_the_same_end_tell_it_once(self, store: Store) -> None:
        (watch,) = await added(store, new())

        results = await asyncio.gather(*(store.finalize_watch(ending(watch), NOW + 50) for _ in range(5)))

        assert sorted(results) == [False, False, False, False, True]
        assert len(await claim(store)) == 1

    async def test_a_watch_that_was_removed_meanwhile_does_not_end(self, store: Store) -> None:
        (watch,) = await added(store, new())
        await store.remove_watch(watch.id)

        assert not await store.finalize_watch(ending(watch), NOW + 50)


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
        await store.settle_attempt(
            attempt(delivery_id, VerdictKind.DELIVERED), final(delivery_id, DeliveryState.DELIVERED)
        )

        await store.remove_watch(watch.id)

        with pytest.raises(NotFound):
            await store.delivery(delivery_id)

    async def test_an_unknown_watch_cannot_be_removed(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.remove_watch("wat_nothing")


class TestDelivering:
    async def test_a_claimed_delivery_is_not_claimed_again_before_its_lease_ends(self, store: Store) -> None:
        await ended(store)
        assert len(await claim(store, NOW + 100)) == 1

        assert await claim(store, NOW + 129) == []
        assert len(await claim(store, NOW + 130)) == 1

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
            await store.settle_attempt(attempt(item.delivery.id), pending(item.delivery.id, due))

        claimed = await claim(store, NOW + 300, limit=1)

        assert [item.delivery.watch_id for item in claimed] == [second.id]

    async def test_what_is_due_for_the_same_target_keeps_company(self, store: Store) -> None:
        """Neither another target's, nor what is claimed, not due, settled, or to be sent again by itself."""
        for number in range(1, 8):
            await ended(store, number, targets=(OPS,))
        head, settled, later, manual = ours = await claim(store, limit=4)
        await ended(store, 8)
        await store.settle_attempt(
            attempt(settled.delivery.id, VerdictKind.DELIVERED), final(settled.delivery.id, DeliveryState.DELIVERED)
        )
        await store.settle_attempt(attempt(later.delivery.id), pending(later.delivery.id, NOW + 500))
        await store.settle_attempt(attempt(manual.delivery.id), pending(manual.delivery.id, NOW + 500))
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

        await store.settle_attempt(tried, pending(outgoing.delivery.id))

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

        await store.settle_attempt(attempt(delivery_id), replace(pending(delivery_id), tries=0, spared=1))
        (again,) = await claim(store, NOW + 105)
        assert (again.delivery.tries, again.delivery.spared) == (0, 1)

        await store.settle_attempt(
            attempt(delivery_id, VerdictKind.REFUSED), replace(final(delivery_id, DeliveryState.EXHAUSTED), spared=1)
        )
        await store.resend(delivery_id, NOW + 500)
        assert (await store.delivery(delivery_id)).delivery.spared == 0

    async def test_a_settled_delivery_is_not_sent_again(self, store: Store) -> None:
        await ended(store)
        (outgoing,) = await claim(store)
        delivery_id = outgoing.delivery.id

        await store.settle_attempt(
            attempt(delivery_id, VerdictKind.DELIVERED), final(delivery_id, DeliveryState.DELIVERED)
        )

        assert await claim(store, NOW + 9999) == []
        assert await store.next_delivery_due(after=0) is None
        assert (await store.delivery(delivery_id)).delivery.finalized_at == NOW + 101

    async def test_what_is_put_off_spends_neither_a_try_nor_its_time(self, store: Store) -> None:
        await ended(store)
        (first,) = await claim(store)
        await store.settle_attempt(attempt(first.delivery.id), pending(first.delivery.id, NOW + 160))
        (claimed,) = await claim(store, NOW + 160)

        await store.postpone({claimed.delivery.id: NOW + 9160}, NOW + 160)

        assert await claim(store, NOW + 9159) == []
        assert await store.next_delivery_due(after=NOW) == NOW + 9160
        (again,) = await claim(store, NOW + 9160)
        assert again.delivery == replace(
            claimed.delivery, next_attempt_at=NOW + 9160, retry_from=claimed.delivery.retry_from + 9000
        )

    async def test_a_resend_keeps_the_id_and_begins_a_fresh_budget(self, store: Store) -> None:
        await ended(store)
        (outgoing,) = await claim(store)
        delivery_id = outgoing.delivery.id
        await store.settle_attempt(
            attempt(delivery_id, VerdictKind.REFUSED), final(delivery_id, DeliveryState.EXHAUSTED)
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
        await store.settle_attempt(attempt(outgoing.delivery.id), pending(outgoing.delivery.id, NOW + 9999))

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

    async def test_an_unknown_delivery_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.delivery("dlv_nothing")
        with pytest.raises(NotFound):
            await store.resend("dlv_nothing", NOW)

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


class TestEvents:
    async def test_events_come_oldest_first_from_behind_a_place(self, store: Store) -> None:
        for number in range(1, 4):
            await ended(store, number, owner="shop" if number == 2 else None)

        everything = await store.events(EventFilter(), after=0, limit=9)

        assert [event.data["job_id"] for _, event in everything] == ["req-1", "req-2", "req-3"]
        assert await store.events(EventFilter(), after=everything[0][0], limit=1) == everything[1:2]
        assert await store.events(EventFilter(owner="shop"), after=0, limit=9) == everything[1:2]
        assert await store.last_event() == everything[-1][0]

    async def test_events_are_filtered_by_what_they_are_about(self, store: Store) -> None:
        assert await store.last_event() == 0
        watch = await ended(store, 1)
        standing = Standing(Footing.UNAUTHORIZED, NOW)
        told = provider_event("fal", "provider.unauthorized", standing, NOW)
        await store.record_standing("fal", standing, told, (), NOW)

        async def found(**wanted: Any) -> list[str]:
            return [event.type for _, event in await store.events(EventFilter(**wanted), after=0, limit=9)]

        assert await found() == ["job.completed", "provider.unauthorized"]
        assert await found(types=frozenset({"provider.unauthorized"})) == ["provider.unauthorized"]
        assert await found(provider="fal") == ["provider.unauthorized"]
        assert await found(provider=watch.provider) == ["job.completed"]
        assert await found(watch_id=watch.id) == ["job.completed"]
        assert await found(owner="shop") == []


class TestKeepingHouse:
    async def test_the_last_standing_of_a_credential_is_remembered(self, store: Store) -> None:
        resting = Standing(Footing.UNAUTHORIZED, NOW, NOW + 99, 1, 2, NOW - 5, 3, NOW - 9, "HTTP 401")
        await store.record_standing("getimg", Standing(), None, (), NOW)
        await store.record_standing("getimg", resting, None, (), NOW)

        assert await store.standings() == {"getimg": resting}

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
        await store.settle_attempt(
            attempt(delivery_id, VerdictKind.DELIVERED), final(delivery_id, DeliveryState.DELIVERED)
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
        await store.settle_attempt(attempt(outgoing.delivery.id), final(outgoing.delivery.id, DeliveryState.EXHAUSTED))
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

    async def test_a_clock_that_was_set_back_is_noticed_until_the_plans_have_been_moved(self, store: Store) -> None:
        await store.probe(NOW)
        await store.probe(NOW - 3600)
        assert await store.last_beat() == NOW

        await store.set_back(3600.0)

        assert await store.last_beat() == NOW - 3600


WHOLE, RUN, SEED = Kind("getimg", Phase.JOB), Kind("getimg", Phase.RUN), Kind("getimg", Phase.JOB, "seed-1")


def lasted(seconds: float) -> Trace:
    return ended_trace(0.0, 0.0, seconds, prior(60.0), exact=True)


class TestLearning:
    async def teach(self, store: Store, number: int, lessons: dict[Kind, tuple[Trace, ...]]) -> bool:
        (watch,) = await added(store, new(number))
        return await store.finalize_watch(replace(ending(watch), lessons=lessons), NOW + 50)

    async def test_what_an_end_teaches_is_known_from_its_commit_on(self, store: Store) -> None:
        traces = (survived(0.0, 40.0), lasted(50.0))

        await self.teach(store, 1, {WHOLE: traces, SEED: (lasted(50.0),)})

        assert await store.evidence("getimg") == {
            WHOLE: Evidence().plus(traces),
            SEED: Evidence().plus([lasted(50.0)]),
        }
        assert await store.evidence("lumenfall") == {}

    async def test_lessons_add_up_in_the_order_they_come(self, store: Store) -> None:
        for number, seconds in enumerate((50.0, 70.0, 20.0)):
            await self.teach(store, number, {WHOLE: (lasted(seconds),), RUN: (survived(0.0, seconds),)})

        known = await store.evidence("getimg")

        assert known[WHOLE].events == pytest.approx(Evidence().plus(map(lasted, (50.0, 70.0, 20.0))).events)
        assert sum(known[RUN].exposure) == pytest.approx(140.0)

    async def test_ends_that_come_at_once_all_teach(self, store: Store) -> None:
        """However many share a commit, and whoever writes them."""
        watches = await added(store, *(new(number) for number in range(40)))
        await asyncio.gather(
            *(
                store.finalize_watch(replace(ending(watch), lessons={WHOLE: (survived(0.0, 10.0),)}), NOW + 50)
                for watch in watches
            )
        )

        assert sum((await store.evidence("getimg"))[WHOLE].exposure) == pytest.approx(400.0)

    async def test_a_watch_that_had_ended_teaches_nothing_more(self, store: Store) -> None:
        watch = await ended(store)

        again = replace(ending(watch), lessons={WHOLE: (lasted(50.0),)})

        assert not await store.finalize_watch(again, NOW + 60)
        assert await store.evidence("getimg") == {}

    async def test_a_new_model_for_every_job_pushes_out_the_oldest_models_and_never_the_whole(
        self, store: Store
    ) -> None:
        await self.teach(store, 0, {WHOLE: (lasted(50.0),), SEED: (lasted(50.0),)})
        (watch,) = await added(store, new(1))
        for number in range(2, 260):
            (watch,) = await added(store, new(number))
            lessons = {Kind("getimg", Phase.JOB, f"model-{number}"): (lasted(50.0),)}
            assert await store.finalize_watch(replace(ending(watch), lessons=lessons), NOW + 50 + number)

        known = await store.evidence("getimg")

        assert len(known) == 201
        assert WHOLE in known
        assert SEED not in known
        assert Kind("getimg", Phase.JOB, "model-259") in known


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


def failing(sign: Sign = Sign.ABSENT, at: float = NOW + 100, target: Target = HOOK) -> Finding:
    return Finding(
        target, sign, at, sample=0.0, began_at=at, detail="refused", operators={"destination.disabled": (OPS,)}
    )


async def outage(store: Store, at: float = NOW + 100) -> None:
    """Find five times in a minute that nothing answers."""
    for number in range(5):
        await store.settle_attempts([], failing(at=at + number * 15))


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

        await store.settle_attempt(attempt(outgoing.delivery.id), pending(outgoing.delivery.id))

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
            await store.settle_attempt(
                attempt(item.delivery.id, VerdictKind.DELIVERED), final(item.delivery.id, DeliveryState.DELIVERED)
            )
        assert await let_go(store, back + 6) == 5
        assert await store.lanes() == {}

    async def test_after_an_outage_the_time_of_a_delivery_begins_anew_and_its_gaps_go_on(self, store: Store) -> None:
        await ended(store)
        (tried,) = await claim(store)
        await store.settle_attempt(attempt(tried.delivery.id), pending(tried.delivery.id))
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

    async def test_news_is_written_with_the_attempt_that_it_is_about(self, store: Store) -> None:
        await ended(store)
        (outgoing,) = await claim(store)
        delivery_id = outgoing.delivery.id
        news = News(exhausted_event(delivery_id, "callback", outgoing.event, "HTTP 500", NOW + 100), (OPS,))

        await store.settle_attempts([(attempt(delivery_id), final(delivery_id, DeliveryState.EXHAUSTED))], None, [news])

        (told,) = await claim(store)
        assert (told.event, told.delivery.target) == (news.event, OPS)

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
            await store.settle_attempt(attempt(item.delivery.id), pending(item.delivery.id, at))

        claimed = await claim(store, NOW + 200, retries=1, per_lane=2, busy={HOOK.lane: 2})

        assert [item.delivery.target for item in claimed] == [OPS]

    async def test_room_is_kept_for_what_was_never_tried(self, store: Store) -> None:
        for number in range(1, 5):
            await ended(store, number)
        for item in await claim(store):
            await store.settle_attempt(attempt(item.delivery.id), pending(item.delivery.id))
        await ended(store, 5)

        claimed = await claim(store, NOW + 200, retries=1)

        assert sorted(item.delivery.attempts for item in claimed) == [0, 1]


class TestResendingMany:
    async def exhausted(self, store: Store, number: int, **changes: object) -> str:
        await ended(store, number, **changes)
        (outgoing,) = await claim(store)
        delivery_id = outgoing.delivery.id
        await store.settle_attempt(attempt(delivery_id), final(delivery_id, DeliveryState.EXHAUSTED))
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
