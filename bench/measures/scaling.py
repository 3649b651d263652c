"""The cost of a poll as the store grows, from a thousand watches to a million, at the same rate of dues.

Of each store up to 100,000 watches, scattered over all of it, are polled again
and again, so often that 10,000 polls a second are due: more than can be made.
The others are due in days.  The stores take turns, and each ratio compares with
the smallest store in the same round.  A claim is timed alone, between the
rounds; the start is that of the process, up to when the provider is first asked.
"""

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.loopback.processes import Child
from bench.loopback.server import seen, serving
from bench.measures.capacity import RAMP_S
from bench.measures.ground import CONCURRENCY, PROVIDER, configure, fill, folder, served
from bench.measures.options import Options
from bench.pairing import Spread, Stopwatch, Take
from bench.report import Section, number
from relay.store import open_sqlite

_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_MOST_ACTIVE = 100_000
_DUE_PER_S = 10_000
_WINDOW_S = 4.0
_ROUNDS = 3
_CLAIMS = 50
_LATER_S = 40 * 86400.0
_MEBIBYTE = 1024 * 1024
_HEADER = (
    "watches", "polls per second", "ratio (range)", "CPU us per poll", "CPU ratio (range)",
    f"claim of {CONCURRENCY}", "memory", "start to first poll", "database", "bytes per watch",
)  # fmt: skip
_TARGETS = ("target for the last", "", "0.9 or more", "", "1.1 or less", "", "300 MiB", "3 s", "", "")


@dataclass(frozen=True, slots=True)
class Run:
    """One turn of one store; `memory` in bytes, times in seconds."""

    polls: Take
    memory: int
    first_poll_s: float
    claim_s: float


@dataclass(frozen=True, slots=True)
class Store:
    """A store of some size, and its turns."""

    watches: int
    size: int
    runs: Sequence[Run]

    def row(self, smallest: "Store") -> tuple[str, ...]:
        """Return the cells of the table."""
        pairs = list(zip(self.runs, smallest.runs, strict=True))
        return (
            number(self.watches),
            number(median(run.polls.rate for run in self.runs)),
            str(Spread.of([run.polls.rate / least.polls.rate for run, least in pairs])),
            number(median(run.polls.cpu_us for run in self.runs)),
            str(Spread.of([run.polls.cpu_us / least.polls.cpu_us for run, least in pairs])),
            f"{number(median(run.claim_s for run in self.runs) * 1000)} ms",
            f"{number(max(run.memory for run in self.runs) / _MEBIBYTE)} MiB",
            f"{number(median(run.first_poll_s for run in self.runs))} s",
            f"{number(self.size / _MEBIBYTE)} MiB",
            number(self.size / self.watches),
        )


async def measure(options: Options) -> list[Section]:
    """Fill all stores, and let them take turns."""
    sizes = [options.count(size) for size in _SIZES]
    runs: dict[int, list[Run]] = {size: [] for size in sizes}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving())
        paths = {size: stack.enter_context(folder()) for size in sizes}
        active = options.count(_MOST_ACTIVE)
        ports = {size: await _fill(paths[size], server, size, min(size, active)) for size in sizes}
        for _ in range(min(options.rounds, _ROUNDS)):
            for size, path in paths.items():
                runs[size].append(await _run(path, ports[size], server, options))
        stores = [Store(size, (paths[size] / "relay.db").stat().st_size, runs[size]) for size in sizes]
    rows = (*(store.row(stores[0]) for store in stores), _TARGETS)
    return [Section("Scaling", str(__doc__).strip(), _HEADER, rows, tuple(stores))]


async def _fill(path: Path, server: Child, watches: int, active: int) -> int:
    """Return the port of the API to be."""
    port = configure(path, server.url, interval=f"{active * 1000 // _DUE_PER_S}ms")
    job_ids, later = (f"req-01HXYZ{number:08d}" for number in itertools.count()), time.time() + _LATER_S
    async with open_sqlite(path / "relay.db") as store:
        await fill(store, job_ids, watches, lambda _: later)
    with closing(sqlite3.connect(path / "relay.db")) as database, database:
        scattered = "UPDATE watches SET next_poll_at = ? WHERE rowid % ? = 0"
        database.execute(scattered, (time.time(), watches // active))
    return port


async def _run(path: Path, port: int, server: Child, options: Options) -> Run:
    claim_s = await _claim_s(path)
    await seen(server)
    began = time.time()
    async with served(path, port) as relay:
        await asyncio.sleep(options.seconds(RAMP_S))
        first_poll_at = (await seen(server)).first_poll_at
        watch = Stopwatch(relay.cpu_s)
        await asyncio.sleep(options.seconds(_WINDOW_S))
        taken = watch.take((await seen(server)).polls)
        return Run(taken, relay.memory(), first_poll_at - began, claim_s)


async def _claim_s(path: Path) -> float:
    """Return how long a claim takes that finds all it can take; the leases end as soon as they begin."""
    took = []
    async with open_sqlite(path / "relay.db") as store:
        for _ in range(_CLAIMS):
            began, now = time.perf_counter(), time.time()
            claimed = await store.claim_due_watches(
                PROVIDER, now, until=now, limit=CONCURRENCY, retries=CONCURRENCY, turn_s=0.0
            )
            took.append(time.perf_counter() - began)
            assert claimed
    return median(took)
