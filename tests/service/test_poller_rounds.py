"""The poller's rounds, on a real store and a scripted provider."""

import asyncio
import json
import math
import random
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import structlog
from support.daemon import until
from support.doubles import EvenEntropy, ManualClock, PlainProvider, Reply, ScriptedTransport

from relay.core import ids
from relay.core.budget import Rate
from relay.core.errors import RelayError, StoreError
from relay.core.hazard import prior
from relay.core.http import Fault, Request, Response, TransportError
from relay.core.learning import Evidence, Kind, Phase, Trace, ended
from relay.core.observation import Job, Status
from relay.core.outlook import Lifetime, outlook
from relay.core.ports import Ending, EventFilter, Store, Transport, Wakeup
from relay.core.routing import Route
from relay.core.schedule import Bounds, demand
from relay.core.standing import Footing
from relay.core.watch import Continue, Following, NewWatch, Target
from relay.inquiry import Account
from relay.metrics import Metrics
from relay.poller import Poller
from relay.store import open_sqlite

FOLLOWING = Following(60.0, Bounds(2.0, 1.0, 30.0), not_found_grace_s=30.0)
OPS = Target("ops", "ops", name="ops")


def says(status: str) -> Response:
    return Response(200, body=json.dumps({"status": status}).encode())


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_sqlite(tmp_path / "relay.db") as opened:
        yield opened


class Bench:
    """A poller with everything around it in hand."""

    def __init__(self, store: Store, **account: object) -> None:
        self.store = store
        self.clock = ManualClock()
        self.replies: dict[str, Callable[[], Reply]] = {}
        self.transport = ScriptedTransport(self._answer)
        self.ended: list[str] = []
        self.keys = iter(f"key-{n}" for n in range(1, 99))
        options = {"concurrency": 4, "deadline_s": 600.0, "rate": None} | account
        self.account = Account(PlainProvider(), FOLLOWING, lambda: {"api_key": next(self.keys)}, **options)  # type: ignore[arg-type]
        self.poller = self.new_poller()
        self.clock.advance(60)

    def new_poller(self, *routes: Route) -> Poller:
        return Poller(
            self.account,
            store=self.store,
            transport=self.transport,
            clock=self.clock,
            entropy=EvenEntropy(),
            routes=routes or [Route((OPS,), statuses=frozenset({Status.FAILED}), operators=(OPS,))],
            metrics=Metrics(),
            on_end=self.ended.append,
            on_event=lambda: None,
        )

    def _answer(self, request: Request) -> Reply:
        return self.replies[request.url.rpartition("/")[2]]()

    async def watch(self, job_id: str, *replies: Reply, deadline_s: float = 3600.0) -> str:
        """Add a watch that is due now, and what the provider will say, the last for ever."""
        queue = list(replies)
        self.replies[job_id] = lambda: queue.pop(0) if len(queue) > 1 else queue[0]
        now = self.clock.now()
        new = NewWatch(ids.watch_id(now, EvenEntropy().bytes(10)) + job_id, "plain", Job(job_id), now + deadline_s, now)
        (added,) = await self.store.add_watches([new], now)
        return added.watch.id

    async def step(self, seconds: float = 0.0) -> int:
        """Let time pass, then one round."""
        self.clock.advance(seconds)
        return await self.poller.run_once()

    async def status(self, watch_id: str) -> Status:
        return (await self.store.watch(watch_id)).watch.status


@pytest.fixture
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


async def test_a_job_is_followed_to_its_end_and_no_further(bench: Bench) -> None:
    watch_id = await bench.watch("a", says("queued"), says("running"), says("completed"))

    polls = [await bench.step(30) for _ in range(5)]

    assert polls == [1, 1, 1, 0, 0]
    view = await bench.store.watch(watch_id)
    assert view.watch.status is Status.COMPLETED
    assert view.event is not None
    assert view.event.type == "job.completed"
    assert view.event.data["polls"] == 3
    assert bench.ended == [watch_id]


async def test_a_route_adds_its_destination_to_the_outcomes_it_matches(bench: Bench) -> None:
    await bench.watch("a", says("failed"))
    await bench.watch("b", says("completed"))

    await bench.step()

    claimed = await bench.store.claim_due_deliveries(
        bench.clock.now(), until=9e9, limit=9, per_lane=9, per_failing_lane=9, retries=9, limits={}, busy={}
    )
    assert [(item.delivery.target, item.event.type) for item in claimed] == [(OPS, "job.failed")]


async def test_a_failed_poll_is_repeated_soon_and_ends_nothing(bench: Bench) -> None:
    trouble = TransportError(Fault.DNS, "the host name does not resolve")
    watch_id = await bench.watch("a", trouble, Response(502), says("running"))

    assert await bench.step() == 1
    watch = (await bench.store.watch(watch_id)).watch
    assert (watch.status, watch.failed_polls) == (Status.QUEUED, 1)
    assert watch.last_error == "unavailable: dns: the host name does not resolve"
    assert watch.next_poll_at == bench.clock.now() + 1.0
    assert [await bench.step(1.0), await bench.step(2.0)] == [1, 1]
    watch = (await bench.store.watch(watch_id)).watch
    assert (watch.status, watch.failed_polls, watch.last_error) == (Status.RUNNING, 0, None)


async def test_a_rate_limit_rests_the_whole_credential_for_as_long_as_it_says(bench: Bench) -> None:
    limited = Response(429, {"retry-after": "42"})
    await bench.watch("a", limited, says("completed"))
    await bench.step()
    other = await bench.watch("b", says("completed"))

    assert await bench.step(41.9) == 0
    assert await bench.step(0.2) == 2
    assert await bench.status(other) is Status.COMPLETED


async def test_a_rest_survives_a_restart(bench: Bench) -> None:
    await bench.watch("a", Response(429, {"retry-after": "42"}))
    await bench.step()

    standing = (await bench.store.standings())["plain"]

    assert standing.rest_until == bench.clock.now() + 42
    assert standing.footing is Footing.WORKING


async def test_a_refused_key_ends_no_watch_and_is_read_again(bench: Bench) -> None:
    watch_id = await bench.watch("a", Response(401), says("completed"))

    await bench.step()
    assert await bench.status(watch_id) is Status.QUEUED
    assert await bench.step(4.9) == 0
    assert await bench.step(0.2) == 1

    assert await bench.status(watch_id) is Status.COMPLETED
    assert [request.headers["authorization"] for request in bench.transport.sent] == ["key-1", "key-2"]


async def test_another_configuration_ends_a_rest_for_want_of_a_key_but_not_one_that_the_provider_asked_for(
    bench: Bench,
) -> None:
    limited = Response(429, {"retry-after": "42"})
    watch_id = await bench.watch("a", Response(401), says("running"), limited, says("completed"))
    await bench.step()

    bench.poller.adopt(bench.account, [])
    assert await bench.step(1.1) == 1  # otherwise after 5 s
    assert await bench.step(30) == 1
    await bench.watch("b", says("completed"))
    bench.poller.adopt(bench.account, [])
    assert await bench.step(41) == 0
    assert await bench.step(2) == 2

    assert await bench.status(watch_id) is Status.COMPLETED


async def test_another_configuration_ends_the_rest_of_a_key_that_was_told_to_be_refused(bench: Bench) -> None:
    watch_id = await bench.watch("a", Response(401), Response(401), says("completed"))
    assert [await bench.step(), await bench.step(5.1)] == [1, 1]

    bench.poller.adopt(bench.account, [])

    assert await bench.step(2.6) == 1  # otherwise after 5 s
    assert await bench.status(watch_id) is Status.COMPLETED


async def test_another_rate_and_concurrency_hold_from_the_next_claim_on(bench: Bench) -> None:
    for number in range(20):
        await bench.watch(f"j{number}", says("running"))
    assert await bench.step() == 8

    bench.poller.adopt(replace(bench.account, concurrency=1), [])
    assert await bench.step() == 2
    bench.poller.adopt(replace(bench.account, rate=Rate(1, 3600.0)), [])
    assert await bench.step() == 0
    assert await bench.step(4000) == 1
    assert await bench.step() == 0


async def test_an_unreadable_key_ends_no_watch(bench: Bench) -> None:
    watch_id = await bench.watch("a", says("completed"))
    bench.keys = iter(())
    bench.account = Account(PlainProvider(), FOLLOWING, _unreadable, concurrency=4, deadline_s=600.0)
    bench.poller = bench.new_poller()

    await bench.step(10)

    watch = (await bench.store.watch(watch_id)).watch
    assert watch.status is Status.QUEUED
    assert watch.last_error == "unauthorized: the credential cannot be read: no such file"
    assert bench.transport.sent == []


def _unreadable() -> dict[str, str]:
    raise RelayError("no such file")


async def test_as_much_is_read_of_an_answer_as_the_account_says(store: Store) -> None:
    bench = Bench(store, max_body=2**24)
    await bench.watch("a", says("completed"))

    await bench.step()

    assert bench.transport.limits == [2**24]


async def test_an_unknown_status_keeps_polling_and_warns_once(bench: Bench) -> None:
    watch_id = await bench.watch("a", says("TELEPORTING"))
    await bench.watch("b", says("TELEPORTING"))

    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await bench.step(30)

    warnings = [line for line in logs if line["event"] == "status.unknown"]
    assert [(line["provider_status"], line["log_level"]) for line in warnings] == [("TELEPORTING", "warning")]
    assert await bench.status(watch_id) is Status.RUNNING


async def test_a_job_denied_three_times_and_for_its_grace_is_not_found(bench: Bench) -> None:
    watch_id = await bench.watch("a", Response(404))

    for _ in range(30):
        await bench.step(1)
    assert await bench.status(watch_id) is Status.QUEUED
    for _ in range(12):
        await bench.step(1)

    view = await bench.store.watch(watch_id)
    assert view.watch.status is Status.NOT_FOUND
    assert view.event is not None
    assert view.event.type == "job.not_found"


async def test_a_running_job_that_is_denied_for_some_seconds_goes_on(bench: Bench) -> None:
    """Denied five times within twenty seconds, as by a proxy whose service is being replaced."""
    watch_id = await bench.watch("a", says("running"), *[Response(404)] * 5, says("completed"))

    await bench.step(30)
    for _ in range(40):
        await bench.step(1)

    assert await bench.status(watch_id) is Status.COMPLETED


async def test_the_deadline_ends_a_watch_whose_job_still_runs(bench: Bench) -> None:
    watch_id = await bench.watch("a", says("running"), deadline_s=20)

    for _ in range(19):
        await bench.step(1)
    assert await bench.status(watch_id) is Status.RUNNING
    await bench.step(1)

    assert await bench.status(watch_id) is Status.TIMED_OUT


async def test_a_rate_holds_however_much_is_due(store: Store) -> None:
    bench = Bench(store, concurrency=50, rate=Rate.parse("60/m"))
    for number in range(200):
        await bench.watch(f"j{number}", says("running"))

    minute = sum([await bench.step(0.1) for _ in range(600)])

    assert 54 <= minute <= 60


async def test_claims_stop_at_two_rounds_of_the_concurrency(store: Store) -> None:
    bench = Bench(store, concurrency=3)
    for number in range(20):
        await bench.watch(f"j{number}", says("running"))

    assert await bench.step() == 6


@dataclass
class Gate:
    """Holds requests back until it is opened, and counts those under way, the most of them after that too."""

    passed_to: Transport
    open: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    most: int = 0

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        self.waiting += 1
        if self.open.is_set():
            self.most = max(self.most, self.waiting)
        await self.open.wait()
        await asyncio.sleep(0)
        self.waiting -= 1
        return await self.passed_to.send(request, timeout_s=timeout_s, max_body=max_body)


def gated(bench: Bench) -> Gate:
    gate = Gate(replace(bench.transport))
    bench.transport.send = gate.send  # type: ignore[method-assign]
    return gate


async def test_no_more_requests_are_under_way_than_there_are_slots_also_where_those_get_fewer(bench: Bench) -> None:
    for number in range(8):
        await bench.watch(f"j{number}", says("running"))
    gate = gated(bench)

    round_ = asyncio.create_task(bench.step())
    await until(lambda: gate.waiting > 0, 5)
    for _ in range(50):
        await asyncio.sleep(0)
    assert gate.waiting == 4
    bench.poller.adopt(replace(bench.account, concurrency=1), [])
    gate.open.set()

    assert await round_ == 8
    assert gate.most == 1
    assert len(bench.transport.sent) == 8


async def test_what_a_stopped_poller_had_queued_is_the_next_ones_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider is taken out of the configuration and put back; what was asked already is asked to the end."""
    bench = Bench(store, concurrency=1)
    for number in range(2):
        await bench.watch(f"j{number}", says("running"))
    gate = gated(bench)

    async def woken(wakeup: asyncio.Event, _seconds: float) -> None:
        await wakeup.wait()
        wakeup.clear()

    monkeypatch.setattr(bench.clock, "wait", woken)
    running = asyncio.create_task(bench.poller.run())
    await until(lambda: gate.waiting > 0, 5)
    assert bench.poller.under_way == 2

    bench.poller.stop()
    await until(lambda: bench.poller.under_way == 1, 5)
    bench.poller = bench.new_poller()
    bench.clock.advance(4)
    round_ = asyncio.create_task(bench.step())
    await until(lambda: gate.waiting == 2, 5)
    gate.open.set()

    assert await round_ == 1
    await running
    assert [(await store.watch(f"plain:j{number}")).watch.polls for number in range(2)] == [1, 1]


async def test_polls_that_wait_for_their_commit_keep_no_other_from_being_asked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(store, concurrency=1)
    for number in range(2):
        await bench.watch(f"j{number}", says("running"))
    record, slow = store.record_polls, asyncio.Event()

    async def record_slowly(transitions: Sequence[Continue], now: float) -> None:
        await slow.wait()
        await record(transitions, now)

    monkeypatch.setattr(store, "record_polls", record_slowly)
    round_ = asyncio.create_task(bench.step())
    await until(lambda: len(bench.transport.sent) == 2, 5)
    assert bench.poller.under_way == 2
    slow.set()

    assert await round_ == 2
    assert bench.poller.under_way == 0
    assert [(await store.watch(f"plain:j{number}")).watch.polls for number in range(2)] == [1, 1]


async def test_polls_whose_shared_commit_fails_are_each_told_of_and_made_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        await bench.watch(f"j{number}", says("running"))

    async def fail(_transitions: Sequence[Continue], _now: float) -> None:
        raise StoreError("the database failed: disk full")

    with monkeypatch.context() as patched, structlog.testing.capture_logs() as logs:
        patched.setattr(bench.store, "record_polls", fail)
        await bench.step()

    failed = [line["watch_id"] for line in logs if line["event"] == "poll.commit_failed"]
    assert len(set(failed)) == len(failed) == 4
    assert bench.poller.under_way == 0
    assert [await bench.step(seconds) for seconds in (30, 71)] == [0, 4]


@dataclass
class Hanging:
    """Leaves requests about some jobs unanswered until those are let go; the others are answered at once."""

    passed_to: Transport
    held: set[str]
    asked: list[str] = field(default_factory=list)
    over: dict[str, asyncio.Event] = field(default_factory=dict)

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        job_id = request.url.rpartition("/")[2]
        self.asked.append(job_id)
        if job_id in self.held:
            over = self.over[job_id] = asyncio.Event()
            await over.wait()
        return await self.passed_to.send(request, timeout_s=timeout_s, max_body=max_body)

    def let_go(self, *job_ids: str) -> None:
        for job_id in job_ids:
            self.over[job_id].set()


def hanging(bench: Bench, *job_ids: str) -> Hanging:
    held = Hanging(replace(bench.transport), set(job_ids))
    bench.transport.send = held.send  # type: ignore[method-assign]
    return held


class StillClock(ManualClock):
    """A clock that only a test moves: whoever waits is woken, or waits for ever."""

    async def wait(self, wakeup: Wakeup, seconds: float) -> None:  # type: ignore[override]
        await wakeup.wait()
        wakeup.clear()


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[None]:
    """Have the poller's own loop run, on a clock that stands still."""
    bench.clock = StillClock(bench.clock.now())
    bench.poller = bench.new_poller()
    bench.clock.advance(60)
    async with asyncio.TaskGroup() as loops:
        loops.create_task(bench.poller.run())
        yield
        bench.poller.stop()


@pytest.mark.usefixtures("quiet")
async def test_a_poll_that_hangs_gives_its_slot_after_five_seconds_to_what_is_claimed(store: Store) -> None:
    bench = Bench(store, concurrency=2)
    held = hanging(bench, "h0", "h1")

    async with asyncio.TaskGroup() as polls:
        await bench.watch("h0", says("running"))
        await bench.poller._round(polls)
        await until(lambda: "h0" in held.over, 5)
        bench.clock.advance(2)
        for job_id in ("h1", "a", "b"):
            await bench.watch(job_id, says("completed"))
        await bench.poller._round(polls)
        await until(lambda: "h1" in held.over, 5)
        assert await bench.poller._round(polls) == 3.0
        bench.clock.advance(2.9)
        assert await bench.poller._round(polls) == pytest.approx(0.1)
        assert held.asked == ["h0", "h1"]
        bench.clock.advance(0.1)
        await bench.poller._round(polls)
        await until(lambda: len(bench.ended) == 2, 5)
        held.let_go("h0", "h1")

    assert held.asked == ["h0", "h1", "a", "b"]


@pytest.mark.usefixtures("quiet")
async def test_no_more_than_three_polls_for_each_slot_hang_beside_those_that_hold_one(store: Store) -> None:
    bench = Bench(store, concurrency=1)
    for number in range(8):
        await bench.watch(f"h{number}", says("running"))
    held = hanging(bench, *(f"h{number}" for number in range(8)))

    async with asyncio.TaskGroup() as polls:
        asked = []
        for _ in range(6):
            await bench.poller._round(polls)
            for _ in range(50):
                await asyncio.sleep(0)
            asked.append(len(held.over))
            bench.clock.advance(5)
        assert asked == [1, 2, 3, 4, 4, 4]
        assert await bench.poller._round(polls) == 5.0
        bench.poller.stop()
        held.let_go(*held.over)


@pytest.mark.usefixtures("quiet")
async def test_a_slow_poll_that_ends_makes_room_for_the_next_to_be_slow_with_no_look_by_the_clock(store: Store) -> None:
    bench = Bench(store, concurrency=1)
    jobs = [f"h{number}" for number in range(5)]
    for job_id in jobs:
        await bench.watch(job_id, says("completed"))
    held = hanging(bench, *jobs)

    async with running(bench):
        for number in range(1, 5):
            await until(lambda number=number: len(held.over) == number, 5)  # type: ignore[misc]
            bench.clock.advance(5)
            bench.poller.wakeup.set()
        held.let_go(held.asked[0])
        await until(lambda: len(held.over) == 5, 5)
        bench.poller.stop()
        held.let_go(*held.over)


@pytest.mark.usefixtures("quiet")
async def test_watches_whose_last_poll_failed_take_half_of_the_slots_at_most(bench: Bench) -> None:
    failing = [f"f{number}" for number in range(8)]
    for job_id in failing:
        await bench.watch(job_id, Response(500), says("running"))
    await bench.step()
    bench.clock.advance(5)
    for number in range(3):
        await bench.watch(f"a{number}", says("running"))
    held = hanging(bench, *failing, "a0", "a1", "a2")

    async with asyncio.TaskGroup() as polls:
        await bench.poller._round(polls)
        await until(lambda: len(held.over) == 4, 5)
        assert len(set(held.asked) & set(failing)) == 2
        bench.poller.stop()
        held.let_go(*held.over)


@pytest.mark.usefixtures("quiet")
async def test_a_retry_that_ends_lets_the_next_begin_with_no_look_by_the_clock(bench: Bench) -> None:
    for number in range(8):
        await bench.watch(f"f{number}", Response(500), says("completed"))
    await bench.step()
    bench.clock.advance(5)

    async with running(bench):
        await until(lambda: len(bench.ended) == 8, 5)


@pytest.mark.usefixtures("quiet")
async def test_a_retry_that_hangs_keeps_another_waiting_for_five_seconds(store: Store) -> None:
    bench = Bench(store, concurrency=1)
    for job_id in ("h0", "h1"):
        await bench.watch(job_id, Response(500), says("completed"))
    await bench.step()
    bench.clock.advance(5)
    held = hanging(bench, "h0")

    async with asyncio.TaskGroup() as polls:
        await bench.poller._round(polls)
        await until(lambda: "h0" in held.over, 5)
        assert await bench.poller._round(polls) == 5.0
        assert held.asked == ["h0"]
        bench.clock.advance(5)
        await bench.poller._round(polls)
        await until(lambda: held.asked == ["h0", "h1"], 5)
        held.let_go("h0")


@pytest.mark.usefixtures("quiet")
async def test_jobs_that_always_fail_take_turns_with_the_others_on_a_scarce_budget(store: Store) -> None:
    """20 of 40 watches fail, on a poll a second: a retry is due in seconds, and would be before all others."""
    bench = Bench(store, concurrency=4, rate=Rate.parse("60/m"))
    polls: dict[str, int] = {}

    def answer(request: Request) -> Reply:
        job_id = request.url.rpartition("/")[2]
        polls[job_id] = polls.get(job_id, 0) + 1
        return Response(500) if job_id.startswith("f") else says("running")

    bench.transport.answer = answer
    for number in range(20):
        await bench.watch(f"f{number}", says("running"))
        await bench.watch(f"a{number}", says("running"))
    for _ in range(600):
        await bench.step(1)

    failing, others = (sum(count for job_id, count in polls.items() if job_id[0] == kind) for kind in "fa")
    assert failing < 1.5 * others


async def told(bench: Bench) -> list[str]:
    """Return the news of the provider that went out so far."""
    claimed = await bench.store.claim_due_deliveries(
        bench.clock.now(), until=9e9, limit=99, per_lane=99, per_failing_lane=99, retries=99, limits={}, busy={}
    )
    return [item.event.type for item in claimed if item.event.watch_id is None]


@pytest.mark.usefixtures("quiet")
async def test_a_refusal_that_could_not_be_stored_is_told_by_one_that_came_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four polls find a quota spent at once, and the commit of the first fails while the others are answered."""
    for number in range(4):
        await bench.watch(f"j{number}", Response(429, {"retry-after": "86400"}))
    record, failures = bench.store.record_standing, [StoreError("the disk is full")]

    async def once(*change: Any) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        if failures:
            raise failures.pop()
        await record(*change)

    monkeypatch.setattr(bench.store, "record_standing", once)
    await bench.step()

    assert await told(bench) == ["provider.quota_exhausted"]
    assert bench.poller.account.name in await bench.store.standings()


async def test_a_refused_key_is_told_once_probed_by_one_poll_and_its_return_told_too(bench: Bench) -> None:
    for number in range(4):
        await bench.watch(f"j{number}", says("completed"))
        bench.replies[f"j{number}"] = lambda: Response(401) if bench.clock.now() < mended_at else says("completed")
    mended_at = bench.clock.now() + 8

    assert [await bench.step(seconds) for seconds in (0, 4.9, 0.2, 4.8, 0.3, 0.1, 0.1)] == [4, 0, 1, 0, 1, 2, 1]

    assert await told(bench) == ["provider.unauthorized", "provider.recovered"]
    assert {await bench.status((await bench.store.watch(f"plain:j{n}")).watch.id) for n in range(4)} == {
        Status.COMPLETED
    }


async def test_a_key_that_was_refused_by_chance_rests_and_is_not_told(bench: Bench) -> None:
    for number in range(4):
        await bench.watch(f"j{number}", Response(401), says("running"))

    assert [await bench.step(seconds) for seconds in (0, 4.9, 0.2, 0.1, 0.1)] == [4, 0, 1, 2, 1]

    assert await told(bench) == []


async def test_a_job_that_is_always_refused_does_not_rest_the_others_again_and_again(bench: Bench) -> None:
    alien = await bench.watch("alien", says("running"), Response(401))
    ours = [await bench.watch(f"j{number}", says("running")) for number in range(5)]

    polls = [await bench.step(1) for _ in range(200)]
    rests = [asked for asked, seconds in groupby(polls, bool) if not asked and len(list(seconds)) >= 4]

    assert await bench.status(alien) is Status.RUNNING
    assert {await bench.status(watch_id) for watch_id in ours} == {Status.RUNNING}
    assert len(rests) <= 3


async def test_the_second_refusal_of_a_job_is_its_own_once_another_has_been_answered(bench: Bench) -> None:
    await bench.watch("alien", Response(401))
    await bench.step()
    await bench.watch("ours", says("running"))
    assert [await bench.step(5.1), await bench.step(0.1)] == [1, 1]
    assert len(bench.transport.sent) == 3
    assert bench.transport.sent[-1].url.endswith("alien")

    await bench.watch("news", says("running"))

    assert await bench.step(0.1) == 1


async def test_an_outage_is_told_once_however_many_watches_it_hits(bench: Bench) -> None:
    for number in range(30):
        await bench.watch(f"j{number}", says("running"))
    over_at = bench.clock.now() + 60
    bench.transport.answer = lambda _: says("running") if bench.clock.now() > over_at else Response(503)

    for _ in range(600):
        await bench.step(1)

    assert await told(bench) == ["provider.unreachable", "provider.recovered"]


async def test_a_hiccup_of_many_polls_at_once_is_no_outage(bench: Bench) -> None:
    for number in range(30):
        await bench.watch(f"j{number}", Response(503), says("running"))

    for _ in range(60):
        await bench.step(0.2)

    assert await told(bench) == []


async def test_a_day_long_rate_limit_is_a_spent_quota(bench: Bench) -> None:
    await bench.watch("a", Response(429, {"retry-after": "86400"}), says("completed"))
    await bench.step()

    assert await told(bench) == ["provider.quota_exhausted"]
    assert await bench.step(86399) == 0
    assert await bench.step(2) == 1


async def test_rate_limits_without_end_or_wish_are_told_once_and_probed_once_a_minute(bench: Bench) -> None:
    for number in range(20):
        await bench.watch(f"j{number}", *[Response(429)] * 20, says("running"))

    early = [await bench.step(1) for _ in range(310)]
    late = [await bench.step(1) for _ in range(310)]

    assert await told(bench) == ["provider.quota_exhausted"]
    assert (early[0], sum(early[5:]), sum(late)) == (8, 8 + 6, 6)


async def test_a_row_of_rate_limits_that_ended_is_over_after_a_restart_too(bench: Bench) -> None:
    await bench.watch("a", *[Response(429)] * 3, says("running"))
    for _ in range(60):
        await bench.step(1)

    assert (await bench.store.standings())["plain"].rests == 0


async def test_a_job_forbidden_among_others_that_work_is_not_found(bench: Bench) -> None:
    alien = await bench.watch("alien", Response(403))
    ours = await bench.watch("ours", says("running"))

    for _ in range(60):
        await bench.step(1)

    assert await bench.status(alien) is Status.NOT_FOUND
    assert await bench.status(ours) is Status.RUNNING
    assert await told(bench) == []


async def test_a_403_for_everything_is_the_key_and_ends_nothing(bench: Bench) -> None:
    watches = [await bench.watch(f"j{number}", Response(403)) for number in range(3)]

    for _ in range(300):
        await bench.step(1)

    assert {await bench.status(watch_id) for watch_id in watches} == {Status.QUEUED}
    assert await told(bench) == ["provider.unauthorized"]


async def test_a_bug_about_one_watch_stops_no_other(bench: Bench) -> None:
    bench.replies["bad"] = lambda: Response(200, body=b'{"no": "status"}')
    bad = await bench.watch("bad", Response(200, body=b'{"no": "status"}'))
    good = await bench.watch("good", says("completed"))

    await bench.step()

    assert await bench.status(good) is Status.COMPLETED
    assert await bench.status(bad) is Status.QUEUED
    assert await bench.step(101) == 1


async def test_a_jump_of_the_wall_clock_neither_stops_nor_storms(store: Store) -> None:
    bench = Bench(store, concurrency=50, rate=Rate.parse("60/m"))
    for number in range(50):
        await bench.watch(f"j{number}", says("running"))
    await bench.step(10)

    bench.clock.jump(3600)
    ahead = [await bench.step(1) for _ in range(10)]
    bench.clock.jump(-3600)
    behind = [await bench.step(1) for _ in range(60)]

    assert sum(ahead) <= 16
    assert sum(behind) > 0


async def test_what_jobs_took_is_learned_stored_with_their_end_and_known_after_a_restart(bench: Bench) -> None:
    for number in range(12):
        await bench.watch(f"j{number}", says("running"), says("running"), says("completed"))
    for _ in range(8):
        await bench.step(10)

    known = await bench.store.evidence("plain")

    assert set(known) == {Kind("plain", Phase.JOB)}
    assert known[Kind("plain", Phase.JOB)].jobs == pytest.approx(12, rel=0.02)
    reborn = bench.new_poller()
    async with asyncio.TaskGroup() as loops:
        loops.create_task(reborn.run())
        await asyncio.sleep(0)
        reborn.stop()
    assert reborn.experience.jobs(Phase.JOB, None) == pytest.approx(12, rel=0.02)


async def test_an_end_that_could_not_be_stored_teaches_once_all_the_same(bench: Bench) -> None:
    await bench.watch("a", says("running"), says("completed"))
    await bench.step(5)
    finalize = bench.store.finalize_watch

    async def full(ending: Ending, now: float) -> bool:
        raise StoreError("the disk is full")

    bench.store.finalize_watch = full  # type: ignore[method-assign]
    for _ in range(4):
        assert await bench.step(101) == 1
    bench.store.finalize_watch = finalize  # type: ignore[method-assign]
    assert await bench.step(101) == 1

    assert (await bench.store.evidence("plain"))[Kind("plain", Phase.JOB)].jobs == pytest.approx(1.0)
    assert bench.poller.experience.jobs(Phase.JOB, None) == pytest.approx(1.0)


def lasted(seconds: float) -> Trace:
    return replace(ended(0.0, 0.0, seconds, prior(60.0), exact=True), surprise=0.0)


@dataclass
class Fleet:
    """Jobs of one provider that end by themselves, and what a provider's own counter sees of the polls."""

    clock: ManualClock
    ends: dict[str, float] = field(default_factory=dict)
    polls: list[tuple[float, str]] = field(default_factory=list)
    found: dict[str, float] = field(default_factory=dict)

    def answer(self, request: Request) -> Reply:
        job_id, now = request.url.rpartition("/")[2], self.clock.now()
        self.polls.append((now, job_id))
        if now < self.ends[job_id]:
            return says("running")
        self.found[job_id] = now
        return says("completed")


@pytest.mark.usefixtures("quiet")
async def test_500_watches_on_60_polls_a_minute_all_get_their_turn_and_the_soonest_first(store: Store) -> None:
    """100 jobs of about a minute among 400 of about two hours, told apart by their model.

    54 polls a minute keep any minute within 60: nobody waits longer than
    2 * 500 / 0.9 s, and the queue of those that were added at once.
    """
    bench = Bench(store, concurrency=20, rate=Rate.parse("60/m"))
    fleet = Fleet(bench.clock)
    bench.transport.answer = fleet.answer
    draw = random.Random(6)
    short, long = (
        [60 * math.exp(0.3 * draw.gauss(0, 1)) for _ in range(300)],
        [7200 * math.exp(0.3 * draw.gauss(0, 1)) for _ in range(700)],
    )
    known = {
        Kind("plain", Phase.JOB): Evidence().plus(map(lasted, [*short[:200], *long[:200]])),
        Kind("plain", Phase.JOB, "short"): Evidence().plus(map(lasted, short[:200])),
        Kind("plain", Phase.JOB, "long"): Evidence().plus(map(lasted, long[:200])),
    }
    bench.poller.experience.remember(known)

    async def add(kind: str, seconds: float) -> None:
        now = bench.clock.now()
        job_id = f"{kind}-{len(fleet.ends)}"
        fleet.ends[job_id] = now + seconds
        expected = outlook(Lifetime(now), kind, bench.poller.experience, now)
        new = NewWatch(ids.watch_id(now, draw.randbytes(10)), "plain", Job(job_id), now + 86400, now, model=kind)
        await store.add_watches([replace(new, demand=demand(expected, 60.0))], now)

    for seconds in long[200:600]:
        await add("long", seconds)
    for _ in range(900):
        await bench.step(1)
    for seconds in short[200:300]:
        await add("short", seconds)
        for _ in range(20):
            await bench.step(1)

    moments = [moment for moment, _ in fleet.polls]
    for index, moment in enumerate(moments):
        assert bisect_right(moments, moment + 59.999) - index <= 60
    turns: dict[str, float] = {}
    for moment, job_id in fleet.polls:
        assert moment - turns.get(job_id, moment) <= 2 * 500 / 0.9 + 600
        turns[job_id] = moment
    assert turns.keys() == fleet.ends.keys()
    lags = [
        fleet.found[job_id] - end
        for job_id, end in fleet.ends.items()
        if job_id.startswith("short") and job_id in fleet.found
    ]
    assert len(lags) > 90
    assert sum(lags) / len(lags) < 15  # by turns it would be half of 500 / 0.9 s


@pytest.mark.usefixtures("quiet")
async def test_jobs_that_are_all_alike_use_the_budget_that_they_share(store: Store) -> None:
    """60 jobs that end at any age alike, at 60 polls a minute: 54 keep any minute within 60."""
    bench = Bench(store, concurrency=20, rate=Rate.parse("60/m"))
    lives = [-600 * math.log((index + 0.5) / 200) for index in range(200)]
    bench.poller.experience.remember({Kind("plain", Phase.JOB): Evidence().plus(map(lasted, lives))})
    fleet = Fleet(bench.clock)
    bench.transport.answer = fleet.answer
    now = bench.clock.now()
    for index in range(60):
        fleet.ends[f"job-{index}"] = math.inf
        new = NewWatch(ids.watch_id(now, index.to_bytes(10)), "plain", Job(f"job-{index}"), now + 86400, now)
        await store.add_watches([new], now)

    for _ in range(720):
        await bench.step(1)

    late = [moment for moment, _ in fleet.polls if moment > now + 120]
    assert 50 <= len(late) / 10 <= 54


async def test_a_job_that_runs_unusually_long_is_told_once_to_a_route_that_names_it_and_its_end_as_ever(
    store: Store,
) -> None:
    """40 jobs took 50 s; this one runs for ten minutes, with a deadline of an hour."""
    bench = Bench(store)
    bench.poller = bench.new_poller(Route((OPS,), events=("job.overdue", "job.completed")))
    bench.poller.experience.remember({Kind("plain", Phase.JOB): Evidence().plus([lasted(50.0)] * 40)})
    await bench.watch("slow", *[says("running")] * 20, says("completed"))

    for _ in range(21):
        await bench.step(31)

    claimed = await store.claim_due_deliveries(
        bench.clock.now(), until=9e9, limit=9, per_lane=9, per_failing_lane=9, retries=9, limits={}, busy={}
    )
    assert [(item.delivery.target, item.event.type) for item in claimed] == [
        (OPS, "job.overdue"),
        (OPS, "job.completed"),
    ]
    assert claimed[0].event.data["polls"] == 2


async def test_nobody_hears_of_overdue_jobs_who_did_not_ask(bench: Bench) -> None:
    bench.poller.experience.remember({Kind("plain", Phase.JOB): Evidence().plus([lasted(50.0)] * 40)})
    watch_id = await bench.watch("slow", says("running"))

    for _ in range(20):
        await bench.step(31)

    assert (await bench.store.watch(watch_id)).watch.overdue_at is None
    assert await bench.store.events(EventFilter(), after=0, limit=9) == []


async def test_a_watch_that_falls_due_while_others_are_claimed_is_claimed_next_and_not_slept_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim takes time on a busy machine: what comes due meanwhile is neither claimed nor in the future."""
    await bench.watch("a", says("completed"))
    bench.clock.advance(0.5)
    await bench.watch("b", says("completed"))
    bench.clock.advance(-0.5)
    claim = bench.store.claim_due_watches

    async def slowly(*arguments: object, **options: object) -> object:
        claimed = await claim(*arguments, **options)  # type: ignore[arg-type]
        bench.clock.advance(1.0)
        return claimed

    monkeypatch.setattr(bench.store, "claim_due_watches", slowly)
    async with asyncio.TaskGroup() as polls:
        idle_s = await bench.poller._round(polls)

    assert len(bench.ended) == 1
    assert idle_s == 0.05


@pytest.mark.parametrize("leap_s", [86400.0, -86400.0])
async def test_a_leap_of_the_clock_while_an_answer_is_awaited_delays_no_next_look(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, leap_s: float
) -> None:
    """The loop sleeps half a minute, as nothing else is due; the answer plans a look in seconds, by another clock."""
    await bench.watch("a", says("running"), says("completed"), deadline_s=7 * 86400.0)
    asked, leapt, send = asyncio.Event(), asyncio.Event(), bench.transport.send

    async def late(request: Request, *, timeout_s: float, max_body: int) -> Response:
        asked.set()
        await leapt.wait()
        return await send(request, timeout_s=timeout_s, max_body=max_body)

    monkeypatch.setattr(bench.transport, "send", late)
    async with asyncio.TaskGroup() as polls:
        assert await bench.poller._round(polls) == 30.0
        await asked.wait()
        bench.poller.wakeup.clear()
        bench.clock.jump(leap_s)
        leapt.set()

    assert bench.poller.wakeup.is_set()
