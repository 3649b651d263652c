"""The baseline of the API, a bare aiohttp server that parses JSON and returns it: `python -m bench.loopback.echo`.

With a FILE it adds a watch to that store before it answers, and checks nothing.
Its standard output tells its port.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from bench.loopback.processes import Child, child
from relay.api.operation import Handler
from relay.core import ids
from relay.core.observation import Job
from relay.core.ports import Store
from relay.core.watch import NewWatch, Target
from relay.daemon import spare_collections
from relay.simulator.serving import served
from relay.store import open_sqlite

_MOST_BYTES = 64 * 1024 * 1024
_DAY_S = 86400.0


async def _echo(request: web.Request) -> web.Response:
    return web.json_response(await request.json(), status=201)


def _keep(store: Store) -> Handler:
    async def keep(request: web.Request) -> web.Response:
        wanted, now = await request.json(), time.time()
        target = Target(key="url", lane="127.0.0.1:9", url=wanted["callback_url"])
        new = NewWatch(
            id=ids.watch_id(now, os.urandom(ids.ENTROPY_BYTES)),
            provider=wanted["provider"],
            job=Job(wanted["job_id"]),
            deadline=now + _DAY_S,
            next_poll_at=now + _DAY_S,
            targets=(target,),
            metadata=wanted["metadata"],
        )
        await store.add_watches([new], now)
        return web.json_response(wanted, status=201)

    return keep


async def _serve(handler: Handler) -> None:
    app = web.Application(client_max_size=_MOST_BYTES)
    app.add_routes([web.post("/{path:.*}", handler)])
    async with served(app, "127.0.0.1", 0) as url:
        print(url.rpartition(":")[2], flush=True)
        await asyncio.Event().wait()


async def _serve_store(path: Path) -> None:
    spare_collections()  # as `relay serve` does
    async with open_sqlite(path) as store:
        await _serve(_keep(store))


@asynccontextmanager
async def echoing(store: Path | None = None) -> AsyncIterator[Child]:
    """Run it as a process of its own while the block runs."""
    async with child(sys.executable, "-m", "bench.loopback.echo", *([] if store is None else [str(store)])) as process:
        await process.listening()
        yield process


if __name__ == "__main__":
    asyncio.run(_serve_store(Path(sys.argv[1])) if len(sys.argv) > 1 else _serve(_echo))
