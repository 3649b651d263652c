"""Live watches are claimed by one poller at a time, and end once, with all that follows."""

import asyncio
from dataclasses import replace

import pytest
from support.stored import HOOK, NOW, OPS, added, claim, ended, ending, new, polled

from relay.core import ids
from relay.core.event import overdue_event
from relay.core.hazard import prior
from relay.core.learning import Evidence, Kind, Phase, Trace, survived
from relay.core.learning import ended as ended_trace
from relay.core.observation import Observation, Status
from relay.core.outlook import Demand
from relay.core.ports import Store
from relay.core.standing import Footing, Standing
from relay.core.watch import Continue


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

    async def test_watches_that_are_given_back_are_due_at_once_and_no_others(self, store: Store) -> None:
        """One that has ended meanwhile stays ended."""
        first, _, third = await added(store, new(1), new(2), new(3))
        await store.claim_due_watches("getimg", NOW + 5, until=NOW + 65, limit=9, retries=9, turn_s=0.0)
        await store.finalize_watch(ending(third), NOW + 5)

        await store.release_watches([first.id, third.id])

        again = await store.claim_due_watches("getimg", NOW + 6, until=NOW + 65, limit=9, retries=9, turn_s=0.0)
        assert [watch.id for watch in again] == [first.id]

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


class TestEnding:
    async def test_the_end_writes_outcome_event_and_deliveries_together(self, store: Store) -> None:
        (watch,) = await added(store, new())
        end = ending(watch, routed=(OPS, HOOK))

        assert await store.finalize_watch(end, NOW + 50)

        view = await store.watch(watch.id)
        assert view.watch.status is Status.COMPLETED
        assert view.watch.finalized_at == NOW + 50
        assert (view.watch.polls, view.watch.model, view.watch.provider_status) == (1, "m1", "done")
        assert view.event == replace(end.event, raw=None)
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


class TestStandings:
    async def test_the_last_standing_of_a_credential_is_remembered(self, store: Store) -> None:
        resting = Standing(Footing.UNAUTHORIZED, NOW, NOW + 99, 1, 2, NOW - 5, 3, NOW - 9, "HTTP 401")
        await store.record_standing("getimg", Standing(), None, (), NOW)
        await store.record_standing("getimg", resting, None, (), NOW)

        assert await store.standings() == {"getimg": resting}
