"""Durable adds per second over HTTP, beside a bare aiohttp server that parses the same bodies and returns them.

`relay serve` and the echo are processes of their own, asked in turns by the
same load generator over connections that stay open.  A 201 comes after the
commit; the echo stores nothing.
"""

import itertools
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench.loopback.client import load, post
from bench.loopback.echo import echoing
from bench.loopback.processes import Child
from bench.measures.ground import PROVIDER, TOKEN, configure, folder, served
from bench.measures.options import Options
from bench.pairing import Comparison, Side, Stopwatch, Take, rounds, section
from bench.report import Section

_CONNECTIONS = 32
_BATCH_CONNECTIONS = 2
_BATCH = 1000
_TARGET = 0.5
_NOWHERE = "http://127.0.0.1:9"


async def measure(options: Options) -> list[Section]:
    """Add single watches and batches."""
    with folder() as path:
        port, numbers = configure(path, _NOWHERE), itertools.count()
        async with served(path, port, profile=options.profile) as relay, echoing() as echo:
            singles, batches = options.count(4000), options.count(20)

            def side(of: Child, *, batched: bool) -> Side:
                if batched:
                    return lambda: _add(of, _batches(batches, numbers), _BATCH, _BATCH_CONNECTIONS)
                return lambda: _add(of, _singles(singles, numbers), 1, _CONNECTIONS)

            one = await rounds(options.rounds, side(relay, batched=False), side(echo, batched=False))
            many = await rounds(options.rounds, side(relay, batched=True), side(echo, batched=True))
        _check(path, options, singles, batches * _BATCH)
    comparisons = [
        Comparison("POST /v1/watches, durable", "bare aiohttp echo", one, _TARGET),
        Comparison(f"POST /v1/watches/batch of {_BATCH:,}, watches", "bare aiohttp echo", many),
    ]
    return [section("Adds", str(__doc__), comparisons)]


async def _add(of: Child, requests: list[bytes], watches_each: int, connections: int) -> Take:
    watch = Stopwatch(of.cpu_s)
    answers = await load(of.port, iter(requests), connections)
    taken = watch.take(len(requests) * watches_each)
    assert set(answers.statuses) <= {200, 201}, answers.statuses
    return taken


def _singles(number_of: int, numbers: Iterator[int]) -> list[bytes]:
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


def _check(path: Path, options: Options, singles: int, batched: int) -> None:
    """See that everything which was answered for is in the database."""
    with closing(sqlite3.connect(path / "relay.db")) as database:
        (stored,) = database.execute("SELECT count(*) FROM watches").fetchone()
    assert stored == (options.rounds + 1) * (singles + batched), stored
