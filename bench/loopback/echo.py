"""The baseline of the API, a bare aiohttp server that parses JSON and returns it: `python -m bench.loopback.echo`.

Its standard output tells its port.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from bench.loopback.processes import Child, child
from relay.simulator.serving import served

_MOST_BYTES = 64 * 1024 * 1024


async def _echo(request: web.Request) -> web.Response:
    return web.json_response(await request.json(), status=201)


async def _serve() -> None:
    app = web.Application(client_max_size=_MOST_BYTES)
    app.add_routes([web.post("/{path:.*}", _echo)])
    async with served(app, "127.0.0.1", 0) as url:
        print(url.rpartition(":")[2], flush=True)
        await asyncio.Event().wait()


@asynccontextmanager
async def echoing() -> AsyncIterator[Child]:
    """Run it as a process of its own while the block runs."""
    async with child(sys.executable, "-m", "bench.loopback.echo") as process:
        await process.listening()
        yield process


if __name__ == "__main__":
    asyncio.run(_serve())
