"""Polls per second, from the claim to the commit, beside a bare aiohttp client that asks the same server.

Both sides run in this process, one after the other: the whole daemon with its
file on disk, idle but for what is due, and a handful of lines that GET and
parse.  All jobs are still running, which is what most polls find.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from bench.loopback.processes import Child
from bench.loopback.server import serving
from bench.measures.ground import CONCURRENCY, PROVIDER, configure, daemon, fill, folder, until
from bench.measures.options import Options
from bench.pairing import Comparison, Stopwatch, Take, profiling, rounds, section
from bench.report import Section
from relay.daemon import Daemon

_HOUR_S = 3600.0
_TARGET = 0.6


async def measure(options: Options) -> list[Section]:
    """Let both sides ask about the same number of jobs, in turns."""
    polls = options.count(4000)
    with folder() as path, profiling(options.profile) as profile:
        async with (
            serving() as server,
            _polling(path, server, polls) as life,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session,
        ):
            turns = await rounds(
                options.rounds,
                lambda: poll_all(life, polls),
                lambda: ask_all(session, server, polls),
                profile,
            )
    comparison = Comparison("polls, durable", "bare aiohttp client", turns, _TARGET)
    return [section("Polls", str(__doc__), [comparison])]


@asynccontextmanager
async def _polling(path: Path, server: Child, watches: int) -> AsyncIterator[Daemon]:
    configure(path, server.url)
    begin = time.time()
    async with daemon(path) as life:
        job_ids = (f"req-01HXYZ{number:08d}" for number in itertools.count())
        await fill(life.store, job_ids, watches, lambda _: begin + _HOUR_S)
        yield life


async def poll_all(life: Daemon, polls: int) -> Take:
    """Make every watch due, and wait until each has been polled and what came of it is in the database."""
    before, poller = answered(life), life.engine.pollers[PROVIDER]
    await life.engine.set_back(2 * _HOUR_S)
    watch = Stopwatch()
    await until(lambda: answered(life) - before == polls and not poller.under_way)
    return watch.take(polls)


def answered(life: Daemon) -> int:
    """Return how many polls of the daemon have been answered."""
    samples = (sample for family in life.metrics.polls.collect() for sample in family.samples)
    return round(sum(sample.value for sample in samples if sample.name == "relay_polls_total"))


async def ask_all(session: aiohttp.ClientSession, server: Child, polls: int) -> Take:
    """Ask about so many jobs, and parse what comes."""
    urls = iter([f"{server.url}/v2/videos/generations/req-01HXYZ{number:08d}" for number in range(polls)])

    async def ask() -> None:
        for url in urls:
            async with session.get(url, headers={"Authorization": "Bearer sk-bench-0123456789"}) as answer:
                assert (await answer.json())["status"] == "pending"

    watch = Stopwatch()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONCURRENCY):
            tasks.create_task(ask())
    return watch.take(polls)
