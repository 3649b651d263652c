"""The wall clock leaps while polls and attempts are under way: nothing is stuck, doubled, stormed or signed ahead."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.doubles import EvenEntropy, PlainProvider
from support.virtual import VirtualClock

from relay.core.http import Fault, Request, Response, TransportError
from relay.core.observation import Job, Status
from relay.core.ports import Store
from relay.core.retry import RetryPolicy
from relay.core.schedule import Bounds
from relay.core.signing import SigningSecret
from relay.core.watch import Following, NewWatch, Target
from relay.destinations import CallbackDestination
from relay.dispatcher import Dispatcher, Outlet
from relay.metrics import Metrics
from relay.poller import Account, Poller
from relay.store import open_sqlite

WEEK_S = 7 * 86400.0
SHORTEST_S, LONGEST_S = 2.0, 30.0
FOLLOWING = Following(60.0, Bounds(5.0, SHORTEST_S, LONGEST_S), not_found_grace_s=30.0)
LEAPS = [3600.0, -3600.0, 86400.0, -86400.0]
JOBS = 4


@dataclass
class Network:
    """Provider and receiver; both let their callers wait while `held`, and fail where a fault is set."""

    clock: VirtualClock
    ended: set[str] = field(default_factory=set)
    polls: list[tuple[float, str]] = field(default_factory=list)
    attempts: list[tuple[str, float, float]] = field(default_factory=list)
    """Id, timestamp in the header, and the wall clock when it was sent."""
    told: list[str] = field(default_factory=list)
    fault: Fault | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        sent_at = self.clock.now()
        if request.method == "POST":
            self.attempts.append((request.headers["webhook-id"], float(request.headers["webhook-timestamp"]), sent_at))
        else:
            self.polls.append((self.clock.monotonic(), request.url))
        await self.open.wait()
        if self.fault is not None:
            raise TransportError(self.fault, "the host name does not resolve")
        if request.method == "POST":
            self.told.append(json.loads(request.body or b"")["data"]["job_id"])
            return Response(204)
        status = Status.COMPLETED if request.url.rpartition("/")[2] in self.ended else Status.RUNNING
        return Response(200, body=json.dumps({"status": status}).encode())


class Life:
    """The loops on virtual time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = VirtualClock()
        self.network = Network(self.clock)
        self.network.open.set()
        metrics, entropy = Metrics(), EvenEntropy()
        signers = (SigningSecret(b"a secret of twenty-four bytes"),)
        self.dispatcher = Dispatcher(
            store=store,
            resolve=lambda target: Outlet(CallbackDestination(target.url or "", signers, RetryPolicy()), self.network),
            clock=self.clock,
            entropy=entropy,
            metrics=metrics,
        )
        self.poller = Poller(
            Account(PlainProvider(), FOLLOWING, lambda: {"api_key": "k"}, 8),
            store=store,
            transport=self.network,
            clock=self.clock,
            entropy=entropy,
            routes=(),
            metrics=metrics,
            on_end=lambda _: None,
            on_event=self.dispatcher.wakeup.set,
        )

    async def add(self) -> None:
        now = self.clock.now()
        target = Target("url:1", "app.example:443", url="https://app.example/hook")
        jobs = [Job(f"j{number}") for number in range(JOBS)]
        watches = [NewWatch(f"wat_{job.id}", "plain", job, now + WEEK_S, now, (target,)) for job in jobs]
        await self.store.add_watches(watches, now)

    async def leap(self, seconds: float) -> None:
        """Set the wall clock, which a running daemon takes note of when it was set back."""
        self.clock.jump(seconds)
        if seconds < 0:
            await self.store.set_back(-seconds)
            self.poller.set_back(-seconds)
            self.dispatcher.wakeup.set()

    async def until(self, condition: Callable[[], object], limit_s: float) -> None:
        await self.clock.drive(condition, limit_s=limit_s)

    async def passes(self, seconds: float) -> None:
        await self.clock.drive(asyncio.ensure_future(self.clock.sleep(seconds)), limit_s=seconds)


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    async with open_sqlite(tmp_path / "relay.db") as store:
        life = Life(store)
        await life.add()
        loops = [asyncio.ensure_future(life.poller.run()), asyncio.ensure_future(life.dispatcher.run())]
        yield life
        life.network.open.set()
        life.poller.stop()
        life.dispatcher.stop()
        for loop in loops:
            await life.clock.drive(loop, limit_s=120)


@pytest.mark.parametrize("leap_s", LEAPS)
async def test_a_leap_neither_storms_nor_forgets_and_signs_what_the_clock_says(life: Life, leap_s: float) -> None:
    network = life.network
    await life.passes(120)
    before, at = len(network.polls), life.clock.monotonic()

    await life.leap(leap_s)
    await life.passes(120)

    # Each watch is due at once, once; then it is polled no more often than its bounds say.
    passed_s = life.clock.monotonic() - at
    assert JOBS <= len(network.polls) - before <= JOBS * (1 + passed_s / SHORTEST_S)
    network.ended.update(f"j{number}" for number in range(JOBS))
    await life.until(lambda: len(network.told) == JOBS, 10 * LONGEST_S)
    assert sorted(network.told) == ["j0", "j1", "j2", "j3"]
    for _, stamp, sent_at in network.attempts:
        assert 0 <= sent_at - stamp < 60  # never ahead, and not of before the leap


@pytest.mark.parametrize("leap_s", LEAPS)
async def test_what_is_under_way_when_the_clock_leaps_is_not_begun_twice(life: Life, leap_s: float) -> None:
    network = life.network
    network.open.clear()
    await life.until(lambda: len(network.polls) == JOBS, 300)
    await life.leap(leap_s)
    await life.passes(60)
    assert len(network.polls) == JOBS

    network.ended.update(f"j{number}" for number in range(JOBS))
    network.open.set()
    await life.until(lambda: network.attempts, 300)
    network.open.clear()
    await life.until(lambda: len(network.attempts) == JOBS, 300)
    await life.leap(-leap_s)
    await life.passes(60)
    assert len(network.attempts) == JOBS
    network.open.set()

    await life.until(lambda: len(network.told) == JOBS, 300)
    assert sorted(network.told) == ["j0", "j1", "j2", "j3"]
    assert len({webhook_id for webhook_id, _, _ in network.attempts}) == JOBS


async def test_what_was_under_way_in_a_life_that_ended_comes_back_whatever_the_clock_did(life: Life) -> None:
    """A lease of a process that is gone ends when it would have, counted in time that passed."""
    watches = await life.store.claim_due_watches("plain", life.clock.now() + 60, until=life.clock.now() + 100, limit=9)
    assert watches
    await life.leap(-86400.0)
    life.network.ended.update(watch.job.id for watch in watches)

    await life.until(lambda: len(life.network.told) == len(watches), 100 + 10 * LONGEST_S)
