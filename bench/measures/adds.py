"""Durable adds per second over HTTP, beside a bare aiohttp server that parses the same bodies and returns them.

`relay serve` and the echo are processes of their own, asked in turns by the
same load generator over connections that stay open.  A 201 comes after the
commit; the echo stores nothing.
"""

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

from bench.loopback.client import load, post
from bench.loopback.echo import echoing
from bench.loopback.processes import Child
from bench.measures.ground import PROVIDER, TOKEN, configure, folder, served
from bench.measures.options import Options
from bench.pairing import Comparison, Round, Side, Stopwatch, Take, rounds, section
from bench.report import Section

CONNECTIONS = 32
_BATCH_CONNECTIONS = 2
_BATCH = 1000
_TARGET = 0.5
_NOWHERE = "http://127.0.0.1:9"

Make = Callable[[int, Iterator[int]], list[bytes]]
"""Returns so many requests, whose jobs have the next numbers."""


async def measure(options: Options) -> list[Section]:
    """Add watches one by one."""
    turns = await _compare(options, options.count(4000), singles, 1, CONNECTIONS)
    comparison = Comparison("POST /v1/watches, durable", "bare aiohttp echo", turns, _TARGET)
    return [section("Adds", str(__doc__), [comparison])]


async def measure_batches(options: Options) -> list[Section]:
    """Add watches by the thousand."""
    turns = await _compare(options, options.count(20), _batches, _BATCH, _BATCH_CONNECTIONS)
    comparison = Comparison(f"POST /v1/watches/batch of {_BATCH:,}, watches", "bare aiohttp echo", turns)
    how = "The same with batches, counted in watches; 20,000 a second are wanted."
    return [section("Adds in batches", how, [comparison])]


async def _compare(
    options: Options, requests: int, make: Make, watches_each: int, connections: int
) -> tuple[Round, ...]:
    numbers = itertools.count()

    def side(of: Child) -> Side:
        return lambda: add(of, make(requests, numbers), watches_each, connections)

    with folder() as path:
        port = configure(path, _NOWHERE)
        async with served(path, port, profile=options.profile) as relay, echoing() as echo:
            turns = await rounds(options.rounds, side(relay), side(echo))
        with closing(sqlite3.connect(path / "relay.db")) as database:
            (stored,) = database.execute("SELECT count(*) FROM watches").fetchone()
    assert stored == (options.rounds + 1) * requests * watches_each, "not everything that was accepted was stored"
    return turns


async def add(of: Child, requests: list[bytes], watches_each: int, connections: int) -> Take:
    """Send requests for so many watches each, and see that all are accepted."""
    watch = Stopwatch(of.cpu_s)
    answers = await load(of.port, iter(requests), connections)
    taken = watch.take(len(requests) * watches_each)
    assert set(answers.statuses) <= {200, 201}, answers.statuses
    return taken


def singles(number_of: int, numbers: Iterator[int]) -> list[bytes]:
    """Return requests for a watch each."""
    return [post("/v1/watches", json.dumps(_watch(next(numbers))).encode(), TOKEN) for _ in range(number_of)]


def _batches(number_of: int, numbers: Iterator[int]) -> list[bytes]:
    bodies = ({"watches": [_watch(next(numbers)) for _ in range(_BATCH)]} for _ in range(number_of))
    return [post("/v1/watches/batch", json.dumps(body).encode(), TOKEN) for body in bodies]


def _watch(number: int) -> dict[str, object]:
    return {
        "provider": PROVIDER,
        "job_id": f"req-01HXYZVIDEO{number:08d}",
        "callback_url": f"{_NOWHERE}/hooks/relay",
        "metadata": {"order": str(number)},
    }
