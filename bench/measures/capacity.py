"""How many polls a second the daemon makes when more are due than it can make: what other measurements load it by."""

import asyncio
import itertools
import time
from pathlib import Path

from bench.loopback.server import seen, serving
from bench.measures.ground import configure, fill, folder, served
from bench.measures.options import Options
from relay.store import open_sqlite

RAMP_S = 4.0
"""How long after its start the daemon has opened all places."""
_WINDOW_S = 3.0
_MOST_PER_S = 15_000


async def sustainable(options: Options) -> float:
    """Return the polls per second of a daemon with nothing else to do."""
    lasts_s = options.seconds(RAMP_S) + options.seconds(_WINDOW_S)
    with folder() as path:
        async with serving() as server:
            port = configure(path, server.url)
            await fill_offline(path, round(lasts_s * _MOST_PER_S))
            async with served(path, port):
                await asyncio.sleep(options.seconds(RAMP_S))
                await seen(server)
                began = time.monotonic()
                await asyncio.sleep(options.seconds(_WINDOW_S))
                return (await seen(server)).polls / (time.monotonic() - began)


async def fill_offline(path: Path, number_of: int, spread_s: float = 0.0) -> None:
    """Have running jobs watched, due from now on over `spread_s`, by a daemon that is not running."""
    job_ids, begin = (f"req-01HXYZ{number:08d}" for number in itertools.count()), time.time()
    async with open_sqlite(path / "relay.db") as store:
        await fill(store, job_ids, number_of, lambda place: begin + place / number_of * spread_s)
