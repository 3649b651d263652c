"""Constant churn: jobs come, end and are forgotten, callbacks fail, configurations change, people look."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench.ports import free_port
from bench.soak.samples import Sample, look
from bench.torture.plug import Daemon, Fuse
from bench.torture.records import Records, Reply
from bench.torture.settings import configure
from bench.torture.world import ACCOUNTS, World

_JOB_S = (0.5, 10.0)
_JOBS_PER_S = 16.0
_ADD_EVERY_S = 0.25
_RELOAD_EVERY_S = 5.0
_LOOK_EVERY_S = 1.0
_LAGS = ("150ms", "200ms")
"""What the configurations that follow one another differ in, beside a destination that comes and goes."""
_SETTLE_S = 90.0
"""How long the last callbacks may take."""
_TELL_EVERY = 60
_CLIENTS = 4


@dataclass(slots=True)
class Soaked:
    """What was seen."""

    records: Records
    samples: list[Sample] = field(default_factory=list)
    reloads: int = 0


class Churn:
    """A run in a folder of its own, for so many seconds."""

    def __init__(
        self, seed: int, seconds: float, folder: Path, tell: Callable[[str], None], *, hangs: bool = True
    ) -> None:
        self._seconds = seconds
        self._folder = folder
        self._tell = tell
        self._random = random.Random(seed)
        self._port = free_port()
        self.seen = Soaked(Records(limits={account.name: account.limit for account in ACCOUNTS}))
        self._daemon = Daemon(folder / "relay.toml", self._port, self.seen.records.kills)
        self._world = World(seed, self.seen.records, Fuse(self._daemon.kill), hangs=hangs)

    async def run(self) -> Soaked:
        """Do it, and return what was seen."""
        timeout = aiohttp.ClientTimeout(30)
        async with self._world, aiohttp.ClientSession(self._daemon.url, timeout=timeout) as session:
            self._configure(0)
            await self._daemon.launch()
            if not await self._daemon.ready():
                raise RuntimeError(f"the daemon did not start: see {self._daemon.log}")
            try:
                await self._churn(session)
                self._world.calm()
                await self._all_told()
            finally:
                code = await self._daemon.stop()
            if code != 0:
                self.seen.records.broken.append(f"the daemon ended with {code}")
        return self.seen

    async def _churn(self, session: aiohttp.ClientSession) -> None:
        until = time.monotonic() + self._seconds
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._add(session, until))
            lasting = [tasks.create_task(self._ask(session)) for _ in range(_CLIENTS)]
            lasting += [tasks.create_task(self._reload()), tasks.create_task(self._follow_events(session))]
            while time.monotonic() < until:
                await asyncio.sleep(_LOOK_EVERY_S)
                database = self._folder / "relay.db"
                sample = await look(session, self._daemon.url, self._daemon.pid, database)
                self.seen.samples.append(sample)
                if len(self.seen.samples) % _TELL_EVERY == 0:
                    self._tell(f"{until - time.monotonic():.0f} s left: {sample}")
            for task in lasting:
                task.cancel()

    async def _add(self, session: aiohttp.ClientSession, until: float) -> None:
        """Add jobs; never cancelled, as the daemon may have accepted what was not answered yet."""
        while time.monotonic() < until:
            accounts = self._random.choices(ACCOUNTS, k=round(_JOBS_PER_S * _ADD_EVERY_S))
            watches = [self._world.submit(account, *_JOB_S) for account in accounts]
            async with session.post("/v1/watches/batch", json={"watches": watches}) as answer:
                items = (await answer.json())["items"]
            for watch, item in zip(watches, items, strict=True):
                self.seen.records.accepted[str(watch["job_id"])] = item["id"]
            await asyncio.sleep(_ADD_EVERY_S)

    async def _reload(self) -> None:
        while True:
            await asyncio.sleep(_RELOAD_EVERY_S)
            self.seen.reloads += 1
            self._configure(self.seen.reloads)
            self._daemon.reload()

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        """Look at one thing after the other; some hang up before there is an answer."""
        while True:
            await asyncio.sleep(self._random.uniform(0, 0.5))
            watch_id = self._random.choice(list(self.seen.records.accepted.values()) or ["wat_none"])
            paths = ("/v1/watches?limit=20", f"/v1/watches/{watch_id}?wait=2", f"/v1/watches/{watch_id}/explanation",
                     "/v1/deliveries?limit=20", "/v1/events", "/readyz")  # fmt: skip
            try:
                async with asyncio.timeout(self._random.choice((0.05, 5.0))):
                    async with session.get(self._random.choice(paths)) as answer:
                        await answer.read()
            except TimeoutError:
                continue

    async def _follow_events(self, session: aiohttp.ClientSession) -> None:
        """Follow the stream of events for a moment, time and again."""
        while True:
            async with session.get("/v1/events", headers={"Accept": "text/event-stream"}) as stream:
                for _ in range(self._random.randrange(20)):
                    await stream.content.readline()

    async def _all_told(self) -> None:
        """Wait until every job that was accepted has been told."""
        until = time.monotonic() + _SETTLE_S
        while time.monotonic() < until and not self._told() >= self.seen.records.accepted.keys():  # noqa: ASYNC110 - others tell
            await asyncio.sleep(1.0)

    def _told(self) -> set[str]:
        took = (arrival.body for arrival in self.seen.records.arrivals if arrival.reply in (Reply.TAKEN, Reply.HALF))
        return {body.partition(b'"job_id":"')[2].partition(b'"')[0].decode() for body in took}

    def _configure(self, turn: int) -> None:
        unused = f'[destinations.unused]\ntype = "callback"\nurl = "{self._world.receivers[0]}"\n'
        lag, more = _LAGS[turn % len(_LAGS)], unused if turn % 2 else ""
        configure(self._folder, self._port, self._world, ACCOUNTS, lag=lag, more=more)
