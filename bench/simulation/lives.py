"""One seed's history: lives of the daemon on one database, each cut off at a point that the seed draws."""

import asyncio
import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import structlog

from bench.simulation.plug import Connection, Plug
from bench.simulation.time import SimulatedClock, VirtualLoop
from bench.simulation.world import LIMIT, PROVIDER, WINDOW_S, Wish, World
from relay.core import ids
from relay.core.budget import Rate
from relay.core.errors import StoreError
from relay.core.http import Request, Response
from relay.core.observation import Answer, Job, Observation, Status, Trouble, TroubleKind
from relay.core.ports import Entropy, Store
from relay.core.retry import RetryPolicy
from relay.core.schedule import Bounds
from relay.core.signing import SigningSecret
from relay.core.watch import Following, NewWatch, Target
from relay.destinations import CallbackDestination
from relay.dispatcher import Dispatcher, Outlet
from relay.maintenance import prune
from relay.metrics import Metrics
from relay.poller import Account, Poller
from relay.store import open_sqlite

_MOST_LIVES = 8
_POINTS_PER_LIFE = 900
_LONGEST_S = 4 * 86400.0
_LOOK_EVERY_S = 30.0
_PRUNE_EVERY_S = 600.0
_KEEP_S = 3000.0
_SIGNERS = (SigningSecret(b"a secret of twenty-four bytes"),)
_POLICY = RetryPolicy(first_s=5.0, max_gap_s=3600.0, give_up_after_s=_LONGEST_S)
_BUGS = frozenset({"poll.failed", "attempt.failed"})
"""What the loops log where something was raised that nobody foresaw."""


@dataclass(frozen=True, slots=True)
class History:
    """What came of a seed: how often the plug was pulled, and which promises were broken."""

    seed: int
    pulled: tuple[str, ...]
    deliveries: int
    duplicates: int
    lasted_s: float
    violations: tuple[str, ...]


class _Plain:
    """A provider that answers `{"status": ...}` in relay's own words."""

    name = PROVIDER

    def check(self, job: Job) -> Job:
        return job

    def request(self, job: Job, secrets: Mapping[str, str], now: float) -> Request:
        return Request("GET", f"https://plain.example/{job.id}")

    def interpret(self, job: Job, answers: Sequence[Response], secrets: Mapping[str, str], now: float) -> Answer:
        response = answers[-1]
        if response.status == 429:
            return Trouble(TroubleKind.RATE_LIMITED, "429", float(response.headers["retry-after"]))
        if response.status != 200:
            return Trouble(TroubleKind.UNAVAILABLE, str(response.status))
        literal = json.loads(response.body)["status"]
        return Observation(Status(literal), literal, raw=response.body.decode())


class _SeededEntropy:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def sample(self) -> float:
        return self._chance.random()

    def bytes(self, count: int) -> bytes:
        return self._chance.randbytes(count)


def play(seed: int) -> History:
    """Live through one seed."""
    with (
        tempfile.TemporaryDirectory(prefix="relay-simulation-") as folder,
        structlog.testing.capture_logs() as lines,
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        history = runner.run(_Lives(seed, Path(folder) / "relay.db").run())
    bugs = tuple(f"nobody foresaw this: {line}" for line in lines if line["event"] in _BUGS)
    return replace(history, violations=history.violations + bugs)


class _Lives:
    def __init__(self, seed: int, path: Path) -> None:
        self.world = World(seed, path)
        self.clock = SimulatedClock()
        self.chance = random.Random(f"{seed} lives")
        self.entropy: Entropy = _SeededEntropy(self.chance)
        self.pulled: list[str] = []

    async def run(self) -> History:
        """Live, be cut off, wait a little and live again, until nothing is left to do."""
        world, loop = self.world, asyncio.get_running_loop()
        lives = self.chance.randrange(_MOST_LIVES)
        done = False
        while not done and not world.violations:
            pull_at = self.chance.randint(1, _POINTS_PER_LIFE) if len(self.pulled) < lives else None
            world.plug = plug = Plug(pull_at)

            def connect(path: Path, plug: Plug = plug) -> Connection:
                return plug.connect(path, world.disk)

            with patch("relay.store.opening.Connection", connect):
                life = loop.create_task(self._live())
                cut = loop.create_task(plug.pulled.wait())
                await asyncio.wait((life, cut), return_when=asyncio.FIRST_COMPLETED)
                done = life.done() and not isinstance(life.exception(), StoreError)
                if not done:
                    self.pulled.append(plug.where or "the start, for want of space")
                await plug.bury()
            if done:
                _ = life.result()
            elif world.path.exists() and world.committed("SELECT 1 FROM sqlite_master WHERE name = 'deliveries'"):
                world.excuse_unsettled()
            world.under_way.clear()
            await self.clock.sleep(self.chance.uniform(1, 60))
        world.judge()
        world.close()
        receipts = world.receipts.values()
        return History(
            world.seed, tuple(self.pulled), len(receipts), sum(receipt.times - 1 for receipt in receipts),
            self.clock.monotonic(), tuple(world.violations),
        )  # fmt: skip

    async def _live(self) -> None:
        """Run the daemon's loops as `relay serve` does, until everything is done."""
        async with open_sqlite(self.world.path) as store:
            await store.release_leases()
            metrics = Metrics()
            dispatcher = Dispatcher(
                store=store, resolve=self._outlet, clock=self.clock, entropy=self.entropy, metrics=metrics
            )
            poller = Poller(
                Account(_Plain(), Following(60.0, Bounds(5.0, 2.0, 60.0), 30.0), dict, 8, Rate(LIMIT, WINDOW_S)),
                store=store,
                transport=self.world,
                clock=self.clock,
                entropy=self.entropy,
                routes=(),
                metrics=metrics,
                on_end=lambda _: None,
                on_event=dispatcher.wakeup.set,
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(poller.run())
                tasks.create_task(dispatcher.run())
                chores = [tasks.create_task(self._prune(store))]
                for wish in self.world.wishes:
                    if wish not in self.world.granted:
                        chores.append(tasks.create_task(self._ask(store, wish, poller, dispatcher)))
                await self._watch_over()
                for chore in chores:
                    chore.cancel()
                poller.stop()
                dispatcher.stop()

    def _outlet(self, target: Target) -> Outlet:
        return Outlet(CallbackDestination(target.url or "", _SIGNERS, _POLICY), self.world)

    async def _watch_over(self) -> None:
        while not self.world.look(self.clock.now()) and not self.world.violations:
            if self.clock.monotonic() > _LONGEST_S:
                self.world.accuse("something is never done")
            await self.clock.sleep(_LOOK_EVERY_S)

    async def _prune(self, store: Store) -> None:
        while True:
            await self.clock.sleep(_PRUNE_EVERY_S)
            try:
                await prune(store, self.clock, _KEEP_S)
            except StoreError:
                continue

    async def _ask(self, store: Store, wish: Wish, poller: Poller, dispatcher: Dispatcher) -> None:
        """Ask until it is granted, as a client does that heard 503 or nothing."""
        await self.clock.sleep(wish.at_s - self.clock.monotonic())
        target = Target(wish.url, wish.url.split("/")[2] + ":443", url=wish.url)
        while wish not in self.world.granted:
            now = self.clock.now()
            watch_id = ids.watch_id(now, self.entropy.bytes(ids.ENTROPY_BYTES))
            new = NewWatch(watch_id, PROVIDER, Job(wish.job_id), now + wish.deadline_s, now, (target,))
            try:
                await store.add_watches([new], now)
                self.world.granted.add(wish)
            except StoreError:
                await self.clock.sleep(5.0)
        poller.wakeup.set()
        dispatcher.wakeup.set()
