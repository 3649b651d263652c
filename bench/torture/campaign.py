"""One run: jobs are added, the daemon is killed and started, and in the end everything is waited for."""

import asyncio
import itertools
import random
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.ports import free_port
from bench.torture.audit import untold
from bench.torture.earlier import write_first_schema
from bench.torture.plug import Daemon, Fuse, relay
from bench.torture.records import Aim, Place, Records
from bench.torture.settings import configure, destinations
from bench.torture.world import ACCOUNTS, SLOW, World

_JOB_S = (0.1, 5.0)
_SLOW_JOBS = 2
_SLOW_JOB_S_PER_KILL = 0.6
"""They run through half of the kills at least, and are asked about as often as their limit allows."""
_EARLIER_JOBS = 10
_MIGRATIONS = 8
"""One kill in so many meets a migration, each of a copy of the same database."""
_MIGRATION_S = 1.0
"""How long one of them takes; until all are over, none of its jobs is due, which only one copy would know of."""
_AIMS = (
    Aim.POLL, Aim.END, Aim.SEND, Aim.SETTLE, Aim.TELL, Aim.ANY, Aim.ACCEPT, Aim.END, Aim.SEND, Aim.SETTLE,
    Aim.TELL, Aim.BACKUP, Aim.START, Aim.RETENTION,
)  # fmt: skip
_DELAYS_S = {Aim.POLL: 0.01, Aim.END: 0.02, Aim.SEND: 0.0, Aim.SETTLE: 0.004, Aim.TELL: 0.04, Aim.ACCEPT: 0.05}
"""The longest time from the moment that is aimed at to the kill."""
_LONGEST_WAIT_S = 2.0
"""How long the world may take to come to such a moment."""
_SETTLE_S = 90.0
"""How long the last callbacks may take once nothing misbehaves any more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is made of; the same seed makes the same jobs, faults and aims, if not the same races."""

    seed: int
    jobs: int
    kills: int
    seconds: float
    """No kill after this time, however many were planned."""


class Campaign:
    """A run in a folder of its own."""

    def __init__(self, plan: Plan, folder: Path, tell: Callable[[str], None]) -> None:
        self.records = Records(
            callbacks=(Place.CALLBACK, Place.NAMED),
            limits={account.name: account.limit for account in (*ACCOUNTS, SLOW)},
        )
        self._plan = plan
        self._folder = folder
        self._tell = tell
        self._random = random.Random(plan.seed)
        port = free_port()
        self._daemon = Daemon(folder / "relay.toml", port, self.records.kills)
        self._fuse = Fuse(self._daemon.kill)
        self._world = World(plan.seed, self.records, self._fuse, chats=True)
        self._port = port
        self._wanted: asyncio.Queue[list[dict[str, object]]] = asyncio.Queue()
        self._until = time.monotonic() + plan.seconds
        self._start_s = 1.0

    async def run(self) -> Records:
        """Do it, and return what everyone saw."""
        async with self._world, self._client():
            accounts = (*ACCOUNTS, SLOW)
            configure(self._folder, self._port, self._world, accounts, more=destinations())
            await self._migrate()
            await self._start()
            regular = self._plan.jobs - len(self.records.jobs)
            left = self._plan.kills - len(self.records.kills)
            for number, aim in zip(range(left - 1), itertools.cycle(_AIMS), strict=False):
                if time.monotonic() > self._until:
                    self._tell(f"the time is over after {len(self.records.kills)} kills")
                    break
                wave = regular // (left - number)
                regular -= wave
                await self._pull(aim, wave)
            self._world.calm()
            await self._pull(Aim.ANY, regular)  # ends what still hangs
            await self._finish()
        return self.records

    async def _pull(self, aim: Aim, wave: int) -> None:
        """Add a wave of jobs, kill the daemon at the moment that is aimed at, and start it again."""
        self._add(wave)
        match aim:
            case Aim.ANY:
                await asyncio.sleep(self._random.uniform(0, 1.0))
            case Aim.BACKUP:
                await self._during_backup()
            case Aim.RETENTION:
                await self._during_retention()
            case Aim.START:
                self._daemon.kill(Aim.ANY)
                await self._daemon.ended()
                await self._daemon.launch()
                await asyncio.sleep(self._random.uniform(0.3, 1.1) * self._start_s)
            case _:
                self._fuse.arm(aim, self._random.uniform(0, _DELAYS_S[aim]))
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LONGEST_WAIT_S):
                        await self._fuse.blown.wait()
                aim = Aim.ANY
        self._fuse.disarm()
        self._daemon.kill(aim)
        await self._daemon.ended()
        await self._start()

    async def _start(self) -> None:
        began = time.monotonic()
        await self._daemon.launch()
        if not await self._daemon.ready():
            said = self._daemon.last_words()
            self.records.broken.append(f"the daemon did not start after kill {len(self.records.kills)}: {said}")
            raise RuntimeError(self.records.broken[-1])
        self._start_s = time.monotonic() - began

    async def _during_backup(self) -> None:
        target = self._folder / f"backup-{len(self.records.kills)}.db"
        process = await relay("db", "backup", str(target), "--config", str(self._folder / "relay.toml"))
        await _appears(target.parent, f"{target.name}*", lambda: process.returncode is None)
        await asyncio.sleep(self._random.uniform(0, 0.03))
        self._daemon.kill(Aim.BACKUP)
        if self._random.random() < 0.5 and process.returncode is None:
            process.kill()
        if await process.wait() == 0:
            self._check(target)
        target.unlink(missing_ok=True)

    async def _during_retention(self) -> None:
        """Wait until something was deleted, and kill about when the next round is due."""
        size = self._daemon.log.stat().st_size
        for _ in range(100):
            await asyncio.sleep(0.01)
            with self._daemon.log.open("rb") as log:
                log.seek(size)
                if b"watches.pruned" in log.read():
                    break
        await asyncio.sleep(self._random.uniform(0.18, 0.22))

    async def _migrate(self) -> None:
        """Kill it in the migration of copies of one database; the last copy is the one to go on with."""
        old, database = self._folder / "earlier.db", self._folder / "relay.db"
        watches = [self._world.submit(ACCOUNTS[0], *_JOB_S) for _ in range(_EARLIER_JOBS)]
        entropy = (self._random.randbytes(16) for _ in watches)
        migrations = max(self._plan.kills // _MIGRATIONS, 1)
        ids = write_first_schema(old, watches, entropy, due_in_s=migrations * _MIGRATION_S)
        self.records.accepted.update(ids)
        for _ in range(migrations):
            for left in self._folder.glob("relay.db*"):
                left.unlink()
            shutil.copy(old, database)
            await self._daemon.launch()
            await _appears(self._folder, "relay.db.schema-1.bak", lambda: self._daemon.running)
            await asyncio.sleep(self._random.uniform(0, 0.04))
            self._daemon.kill(Aim.MIGRATION)
            await self._daemon.ended()
            self._check(database)
            if self.records.polls:  # it came through, and began to work: another copy would know nothing of that
                break
        lasting_s = _SLOW_JOB_S_PER_KILL * self._plan.kills
        self._wanted.put_nowait([self._world.submit(SLOW, lasting_s, lasting_s) for _ in range(_SLOW_JOBS)])

    def _check(self, database: Path) -> None:
        """Note where a database is damaged."""
        connection = sqlite3.connect(database)
        try:
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        except sqlite3.Error as error:
            verdict = str(error)
        finally:
            connection.close()
        if verdict != "ok":
            self.records.broken.append(f"{database.name}: {verdict}")

    async def _finish(self) -> None:
        """Wait until every job that was accepted has been told to everyone."""
        deadline = time.monotonic() + _SETTLE_S
        await asyncio.wait_for(self._wanted.join(), _SETTLE_S)
        while time.monotonic() < deadline and untold(self.records):  # noqa: ASYNC110 - others work on it
            await asyncio.sleep(0.5)
        await asyncio.sleep(1.0)  # for what must not come any more
        if (code := await self._daemon.stop()) != 0:
            self.records.broken.append(f"the daemon ended with {code}")

    # the application that has its jobs watched

    def _add(self, number: int) -> None:
        while number > 0:
            size = min(number, self._random.choice((1, 1, 2, 5, 20)))
            accounts = [self._random.choice(ACCOUNTS) for _ in range(size)]
            self._wanted.put_nowait([self._world.submit(account, *_JOB_S) for account in accounts])
            number -= size

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)))
            workers = [asyncio.create_task(self._have_watched(session)) for _ in range(2)]
            try:
                yield
            finally:
                for worker in workers:
                    worker.cancel()

    async def _have_watched(self, session: aiohttp.ClientSession) -> None:
        """Ask for each watch again and again until relay has accepted it."""
        while True:
            watches = await self._wanted.get()
            while not await self._accepted(session, watches):  # noqa: ASYNC110 - what it waits for is another process
                await asyncio.sleep(0.05)
            self._wanted.task_done()

    async def _accepted(self, session: aiohttp.ClientSession, watches: list[dict[str, object]]) -> bool:
        self._fuse.met(Aim.ACCEPT)
        try:
            async with session.post(f"{self._daemon.url}/v1/watches/batch", json={"watches": watches}) as answer:
                if answer.status != 200:
                    return False
                items = (await answer.json())["items"]
        except (aiohttp.ClientError, TimeoutError):
            return False
        for watch, item in zip(watches, items, strict=True):
            if item["status"] not in (200, 201):
                return False
            self.records.accepted[str(watch["job_id"])] = item["id"]
        return True


async def _appears(folder: Path, pattern: str, making: Callable[[], bool]) -> None:
    """Wait until a file is there, or nobody is `making` it any more."""
    while making() and not any(folder.glob(pattern)):  # noqa: ASYNC110, ASYNC240 - another process makes it
        await asyncio.sleep(0.001)
