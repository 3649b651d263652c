"""Twice as many polls due as can be made, with adds and callbacks going on: does relay stay itself?

What `relay serve` sustains is measured right before.  Then jobs fall due twice
as fast, each once.  Meanwhile the API is asked for a watch and has watches
added, one request after the other; some jobs end, at a steady pace; and halfway
a backlog of callbacks falls due at once.  "lag" is relay's own metric: how long
the watch that is due longest waits.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from bench.loopback.processes import Child
from bench.loopback.server import ENDING, seen, serving
from bench.measures.callbacks import endings
from bench.measures.capacity import RAMP_S, sustainable
from bench.measures.ground import PROVIDER, TOKEN, configure, fill, folder, served
from bench.measures.latency import quantile
from bench.measures.options import Options
from bench.pairing import Spread
from bench.report import Section, number
from bench.trend import Trend
from relay.store import open_sqlite

_TIMES = 2.0
_PHASE_S = 8.0
"""How long it is watched before the backlog falls due, and how long from then on."""
_ENDS_PER_S = 20.0
_BACKLOG = 4000
_LATER_S = 3600.0
_PROBE_EVERY_S = 0.02
_LOOK_EVERY_S = 1.0
_MEBIBYTE = 1024 * 1024
_HEADER = ("what", "measured", "wanted")


@dataclass(slots=True)
class Seen:
    """What the bench saw of the daemon: milliseconds of the API, lags with their times, bytes of memory."""

    reads_ms: list[float] = field(default_factory=list)
    adds_ms: list[float] = field(default_factory=list)
    lags: list[tuple[float, float]] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    ready: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Overload:
    """The figures; rates are per second, `callback_lags_s` from the answer that told an end to the callback."""

    sustainable: float
    polls_before: float
    polls_with_backlog: float
    callbacks_with_backlog: float
    callback_lags_s: list[float]
    saw: Seen

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """Return the table."""
        lag, memory = Trend.of(self.saw.lags), [figure / _MEBIBYTE for figure in self.saw.memory]
        return (
            ("polls due per second", number(_TIMES * self.sustainable), ""),
            (
                "polls made per second",
                f"{number(self.polls_before)}, {self.polls_before / self.sustainable:.2f} of what it sustains alone",
                "",
            ),
            ("lag", f"grows by {lag.per_s:.2f} s a second, R² = {lag.straightness:.3f}", "evenly"),
            ("GET /v1/watches/{id}", _milliseconds(self.saw.reads_ms), "100 ms at the median"),
            ("POST /v1/watches", _milliseconds(self.saw.adds_ms), "100 ms at the median"),
            ("callback after its job's end", _milliseconds([lag_s * 1000 for lag_s in self.callback_lags_s]), ""),
            (
                "with a backlog of callbacks, too",
                f"{number(self.callbacks_with_backlog)} callbacks and {number(self.polls_with_backlog)} polls a second",
                "neither starves the other",
            ),
            ("memory", f"{Spread.of(memory)} MiB", "bounded"),
            ("answers of /readyz", ", ".join(f"{status}: {times}" for status, times in self.saw.ready.items()), ""),
        )


async def measure(options: Options) -> list[Section]:
    """Find out what it sustains, and let twice as much be due."""
    found = await _overload(await sustainable(options), options)
    return [Section("Under twice the load", str(__doc__).strip(), _HEADER, found.rows(), found)]


async def _overload(rate: float, options: Options) -> Overload:
    phase_s, ramp_s = options.seconds(_PHASE_S), options.seconds(RAMP_S)
    with folder() as path:
        async with serving() as server:
            port = configure(path, server.url)
            await _fill(path, server.port, options, rate, ramp_s + phase_s, ramp_s + 2 * phase_s)
            async with served(path, port) as relay, _watching(relay) as saw:
                await asyncio.sleep(ramp_s)
                await seen(server)
                before = time.monotonic()
                await asyncio.sleep(phase_s)
                plain, between = await seen(server), time.monotonic()
                busy, called = await _until_called(server, options.count(_BACKLOG), phase_s)
                end = time.monotonic()
    return Overload(
        sustainable=rate,
        polls_before=plain.polls / (between - before),
        polls_with_backlog=busy / (end - between),
        callbacks_with_backlog=called / (end - between),
        callback_lags_s=plain.lags_s,
        saw=saw,
    )


async def _fill(path: Path, port: int, options: Options, rate: float, backlog_s: float, lasts_s: float) -> None:
    """Prepare everything an hour ahead, and put it off to now at once."""
    begin = time.time() + _LATER_S
    jobs = round(_TIMES * rate * lasts_s)
    running = (f"req-01HXYZ{number:08d}" for number in itertools.count())
    ending = (f"{ENDING}{number:08d}" for number in itertools.count())
    async with open_sqlite(path / "relay.db") as store:
        await fill(store, running, jobs, lambda place: begin + place / jobs * lasts_s)
        await fill(store, ending, round(_ENDS_PER_S * lasts_s), lambda place: begin + place / _ENDS_PER_S, port)
        ended = await fill(store, ending, options.count(_BACKLOG), lambda _: begin + _LATER_S, port)
        at = begin + backlog_s
        await asyncio.gather(*(store.finalize_watch(each, at) for each in endings(ended, at)))
        await store.set_back(begin - time.time())


async def _until_called(server: Child, number_of: int, most_s: float) -> tuple[int, int]:
    """Return how many polls and callbacks there were until so many of the latter, or for so long."""
    polls = calls = 0
    until = time.monotonic() + most_s
    while calls < number_of and time.monotonic() < until:
        await asyncio.sleep(0.05)
        saw = await seen(server)
        polls, calls = polls + saw.polls, calls + saw.calls
    return polls, calls


@asynccontextmanager
async def _watching(relay: Child) -> AsyncIterator[Seen]:
    """Ask the daemon, and look at it, while the block runs."""
    saw, headers = Seen(), {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(relay.url, headers=headers) as session, asyncio.TaskGroup() as tasks:
        await _look(session, relay, saw)
        watchers = [tasks.create_task(_probe(session, saw)), tasks.create_task(_keep_looking(session, relay, saw))]
        try:
            yield saw
        finally:
            for watcher in watchers:
                watcher.cancel()
        await _look(session, relay, saw)


async def _probe(session: aiohttp.ClientSession, saw: Seen) -> None:
    for number_of in itertools.count():
        began = time.perf_counter()
        async with session.post("/v1/watches", json={"provider": PROVIDER, "job_id": f"req-new-{number_of}"}) as answer:
            watch_id = (await answer.json())["id"]
        added = time.perf_counter()
        async with session.get(f"/v1/watches/{watch_id}") as answer:
            await answer.read()
        saw.adds_ms.append((added - began) * 1000)
        saw.reads_ms.append((time.perf_counter() - added) * 1000)
        await asyncio.sleep(_PROBE_EVERY_S)


async def _keep_looking(session: aiohttp.ClientSession, relay: Child, saw: Seen) -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        await _look(session, relay, saw)


async def _look(session: aiohttp.ClientSession, relay: Child, saw: Seen) -> None:
    async with session.get("/metrics") as answer:
        families = list(text_string_to_metric_families(await answer.text()))
    async with session.get("/readyz") as answer:
        saw.ready[answer.status] += 1
    samples = (sample for each in families for sample in each.samples)
    lag = next(sample.value for sample in samples if sample.name == "relay_due_lag_seconds")
    saw.lags.append((time.monotonic(), lag))
    saw.memory.append(relay.memory())


def _milliseconds(figures: list[float]) -> str:
    if not figures:
        return "none came in time"
    ordered = sorted(figures)
    return f"p50 {number(quantile(ordered, 0.5))} ms, p99 {number(quantile(ordered, 0.99))} ms"
