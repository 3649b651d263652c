"""The real loops on virtual time: the wall clock leaps by an hour or a day, and for an hour no name resolves."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest
from support.doubles import EvenEntropy, PlainProvider

from bench.simulation.plug import Connection, Plug
from bench.simulation.time import SimulatedClock, VirtualLoop
from relay.core.http import Fault, Request, Response, TransportError
from relay.core.observation import Job, Status
from relay.core.ports import Store
from relay.core.retry import RetryPolicy
from relay.core.schedule import Bounds
from relay.core.signing import SigningSecret
from relay.core.watch import Following, NewWatch, Target
from relay.daemon import mind_the_clock
from relay.destinations import CallbackDestination
from relay.dispatcher import Dispatcher
from relay.engine import Engine
from relay.inquiry import Account
from relay.metrics import Metrics
from relay.outlet import Outlet
from relay.poller import Poller
from relay.store import open_sqlite

WEEK_S = 7 * 86400.0
SHORTEST_S, LONGEST_S = 2.0, 30.0
NOTICED_S = 1.0
"""A step back is looked for this often."""
JOBS = 4
NAMES = [f"j{number}" for number in range(JOBS)]
LEAPS = [3600.0, -3600.0, 86400.0, -86400.0]


class LeapingClock(SimulatedClock):
    """A wall clock that can be set while the monotonic one goes on."""

    skew_s = 0.0

    def now(self) -> float:
        return super().now() + self.skew_s


@dataclass
class Network:
    """Provider and receiver: requests by a method in `hanging` wait, those in `nameless` find no address."""

    clock: LeapingClock
    ended: set[str] = field(default_factory=set)
    polls: list[str] = field(default_factory=list)
    attempts: list[tuple[str, int, float]] = field(default_factory=list)
    """Id and timestamp of each callback, and the wall clock when it was sent."""
    told: list[str] = field(default_factory=list)
    nameless: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        if request.method == "POST":
            headers = request.headers
            self.attempts.append((headers["webhook-id"], int(headers["webhook-timestamp"]), self.clock.now()))
        else:
            self.polls.append(request.url.rpartition("/")[2])
        await asyncio.sleep(0.01)
        while request.method in self.hanging:  # noqa: ASYNC110 - virtual time: looking costs nothing
            await asyncio.sleep(0.1)
        if request.method in self.nameless:
            raise TransportError(Fault.DNS, "the host name does not resolve")
        if request.method == "POST":
            self.told.append(json.loads(request.body or b"")["data"]["job_id"])
            return Response(204)
        status = Status.COMPLETED if request.url.rpartition("/")[2] in self.ended else Status.RUNNING
        return Response(200, body=json.dumps({"status": status}).encode())


class Life:
    """The daemon's loops, and what surrounds them."""

    def __init__(self, store: Store, path: Path) -> None:
        self.store = store
        self.path = path
        self.clock = LeapingClock()
        self.network = Network(self.clock)
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
            Account(
                PlainProvider(),
                Following(60.0, Bounds(5.0, SHORTEST_S, LONGEST_S), not_found_grace_s=30.0),
                lambda: {"api_key": "k"},
                concurrency=8,
                deadline_s=600.0,
            ),
            store=store,
            transport=self.network,
            clock=self.clock,
            entropy=entropy,
            routes=(),
            metrics=metrics,
            on_end=lambda _: None,
            on_event=self.dispatcher.wakeup.set,
        )

    async def set_back(self, seconds: float) -> None:
        """As the engine does it."""
        await self.store.set_back(seconds)
        self.poller.set_back(seconds)
        self.dispatcher.wakeup.set()

    async def until(self, condition: Callable[[], object], limit_s: float) -> None:
        async with asyncio.timeout(limit_s):
            while not condition():
                await self.clock.sleep(0.1)

    def stored(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


def live(tmp_path: Path, story: Callable[[Life], Coroutine[Any, Any, None]]) -> None:
    """Let a story happen to four jobs that run, while the loops follow them."""
    path = tmp_path / "relay.db"

    async def run() -> None:
        plug = Plug(None)

        def connect(path: Path) -> Connection:
            return plug.connect(path, lambda: None)

        with patch("relay.store.opening.Connection", connect):
            async with open_sqlite(path) as store:
                life, now = Life(store, path), LeapingClock().now()
                target = Target("url:1", "app.example:443", url="https://app.example/hook")
                await store.add_watches(
                    [NewWatch(f"wat_{name}", "plain", Job(name), now + WEEK_S, now, (target,)) for name in NAMES], now
                )
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(life.poller.run())
                    tasks.create_task(life.dispatcher.run())
                    minding = tasks.create_task(mind_the_clock(cast(Engine, life), life.clock))
                    await story(life)
                    minding.cancel()
                    life.poller.stop()
                    life.dispatcher.stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


@pytest.mark.parametrize("leap_s", LEAPS)
def test_a_leap_neither_storms_nor_forgets_and_is_signed_by_what_the_clock_says(tmp_path: Path, leap_s: float) -> None:
    async def story(life: Life) -> None:
        network, clock = life.network, life.clock
        await clock.sleep(120)
        before = len(network.polls)

        clock.skew_s = leap_s
        await clock.sleep(120)

        # Each is polled at once where the clock went forward; then none more often than its bounds say.
        assert JOBS * 2 <= len(network.polls) - before <= JOBS * (1 + 120 / SHORTEST_S)
        network.ended.update(NAMES)
        await life.until(lambda: len(network.told) == JOBS, LONGEST_S + 5)
        assert sorted(network.told) == NAMES
        for _, stamp, sent_at in network.attempts:
            assert stamp == int(sent_at)
        assert {row[0] for row in life.stored("SELECT status FROM watches")} == {"completed"}

    live(tmp_path, story)


@pytest.mark.parametrize("leap_s", LEAPS)
def test_what_is_under_way_when_the_clock_leaps_is_not_begun_twice(tmp_path: Path, leap_s: float) -> None:
    async def story(life: Life) -> None:
        network, clock = life.network, life.clock
        network.hanging = {"GET", "POST"}
        await life.until(lambda: len(network.polls) == JOBS, 60)
        clock.skew_s = leap_s
        await clock.sleep(32)
        assert len(network.polls) == JOBS

        network.ended.update(NAMES)
        network.hanging = {"POST"}
        await life.until(lambda: len(network.attempts) == JOBS, 60)
        clock.skew_s = 0.0
        await clock.sleep(32)
        assert len(network.attempts) == JOBS
        network.hanging = set()

        await life.until(lambda: len(network.told) == JOBS, 60)
        await clock.sleep(60)
        assert sorted(network.told) == NAMES
        assert len(network.attempts) == JOBS

    live(tmp_path, story)


@pytest.mark.parametrize("leap_s", LEAPS)
def test_a_lease_that_nobody_holds_any_more_ends_when_it_would_have(tmp_path: Path, leap_s: float) -> None:
    async def story(life: Life) -> None:
        network, clock = life.network, life.clock
        await life.until(lambda: len(network.polls) == JOBS, 60)
        now = clock.now()
        left = await life.store.claim_due_watches(
            "plain", now + LONGEST_S, until=now + 100, limit=JOBS, retries=JOBS, turn_s=0.0
        )
        assert len(left) == JOBS
        clock.skew_s = leap_s
        network.ended.update(NAMES)

        await life.until(lambda: len(network.told) == JOBS, 100 + LONGEST_S + NOTICED_S)

    live(tmp_path, story)


def test_an_hour_without_names_ends_no_job_gives_nothing_up_and_is_made_up_for(tmp_path: Path) -> None:
    async def story(life: Life) -> None:
        network, clock = life.network, life.clock
        await clock.sleep(60)
        network.nameless = {"POST"}
        network.ended.update(NAMES[:2])
        await life.until(lambda: len({told for told, _, _ in network.attempts}) == 2, LONGEST_S + 5)
        network.nameless = {"GET", "POST"}
        network.ended.update(NAMES[2:])
        polls, attempts = len(network.polls), len(network.attempts)
        await clock.sleep(3600)

        assert network.told == []
        assert sorted(life.stored("SELECT status, count(*) FROM watches GROUP BY status")) == [
            ("completed", 2),
            ("running", 2),
        ]
        assert life.stored("SELECT count(*) FROM events WHERE type LIKE 'job.%'") == [(2,)]
        assert {row[0] for row in life.stored("SELECT state FROM deliveries")} <= {"pending", "held"}
        # One poll and one attempt at a time find out: a minute apart at most, and then a quarter of an hour.
        assert 3600 / 60 <= len(network.polls) - polls <= 100
        assert 4 <= len(network.attempts) - attempts <= 20

        network.nameless = set()
        await life.until(lambda: len(network.told) == JOBS, 15 * 60 * 1.2 + 60)
        await clock.sleep(60)
        assert sorted(network.told) == NAMES
        assert life.stored("SELECT DISTINCT status FROM watches") == [("completed",)]
        assert life.stored("SELECT DISTINCT state FROM deliveries") == [("delivered",)]

    live(tmp_path, story)
