"""The daemon as `relay serve` composes it, without sockets, threads and a timetable by the system's clock."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

from aiohttp import StreamReader, web
from aiohttp.test_utils import make_mocked_request

from bench.simulation.time import SimulatedClock
from relay import config, daemon
from relay.config import Config
from relay.core.errors import StoreError
from relay.core.ports import Entropy, Transport
from relay.log import SecretMask
from relay.providers import names

SECRET = "whsec_" + "c2ltdWxhdGVkLXNlY3JldC1vZi0zMi1ieXRlcyEhISE="
_ENV = {
    "SIGNING_SECRET": SECRET,
    "PROVIDER_KEY": "key-of-the-simulation",
    "OPS_URL": "https://hooks.slack.com/services/T0000/B0000/simulated",
    "NIGHT_URL": "https://discord.com/api/webhooks/1/simulated",
}


@cache
def _settings(text: str) -> Config:
    path = Path(__file__).with_name("config.toml")
    assert text == path.read_text()
    return config.load(path, presets=names(), env=_ENV)


def settings(database: Path) -> Config:
    """Return the configuration beside this file, with its own database."""
    common = _settings(Path(__file__).with_name("config.toml").read_text())
    return replace(common, store=replace(common.store, path=database))


class _Foresight:
    """Knows nothing of any name: what it leads to is found out when something is sent there."""

    def __init__(self, *_: object) -> None:
        pass

    async def look_up(self, names: Collection[str]) -> None:
        """See Foresight."""

    def refusal(self, name: str) -> None:
        """See Foresight."""

    async def close(self) -> None:
        """See Foresight."""


class _Timetable:
    """Runs housekeeping on virtual time; `before` looks at what it may be about to delete."""

    def __init__(self, clock: SimulatedClock, before: Callable[[], None]) -> None:
        self._clock = clock
        self._before = before
        self._tasks: list[asyncio.Task[None]] = []

    def every(self, seconds: float, name: str, job: Callable[[], Awaitable[object]]) -> None:
        """See Maintenance."""
        self._tasks.append(asyncio.get_running_loop().create_task(self._run(seconds, job), name=name))

    def start(self) -> None:
        """See Maintenance."""

    def stop(self) -> None:
        """See Maintenance."""
        for task in self._tasks:
            task.cancel()

    async def _run(self, seconds: float, job: Callable[[], Awaitable[object]]) -> None:
        while True:
            await self._clock.sleep(seconds)
            self._before()
            try:
                await job()
            except StoreError:
                continue


class _Doorway:
    """Takes requests for the API from within the process."""

    def __init__(self) -> None:
        self.app: web.Application | None = None

    def open(self, app: web.Application, *, grace_s: float) -> "_Doorway":
        """Be the listener of an application."""
        app.freeze()
        self.app = app
        return self

    async def start(self) -> None:
        """See Listener."""

    async def stop(self) -> None:
        """See Listener."""
        if self.app is not None:
            await self.app.shutdown()
            self.app = None

    async def listen(self, host: str, port: int) -> str:
        """See Listener."""
        return f"http://{host}:{port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered."""

    status: int
    content: Any


class Api:
    """A client of the API, through all its layers but the socket."""

    def __init__(self, doorway: _Doorway) -> None:
        self._doorway = doorway

    async def ask(self, method: str, path: str, content: object = None) -> Answer:
        """Ask once; a daemon that takes no requests any more is one that answers 503."""
        app = self._doorway.app
        if app is None:
            return Answer(503, None)
        headers, payload = {"Host": "127.0.0.1"}, StreamReader(Mock(_reading_paused=False), 2**16)
        if content is not None:
            headers["Content-Type"] = "application/json"
            payload.feed_data(json.dumps(content).encode())
        payload.feed_eof()
        request = make_mocked_request(method, path, headers, app=app, payload=payload)
        response = await app._handle(request)
        assert isinstance(response, web.Response)
        text = response.text
        return Answer(response.status, json.loads(text) if text and response.content_type.endswith("json") else text)


@asynccontextmanager
async def running(
    database: Path,
    *,
    clock: SimulatedClock,
    entropy: Entropy,
    network: Transport,
    connect: Callable[[Path], object],
    before_chores: Callable[[], None],
) -> AsyncIterator[tuple[daemon.Daemon, Api]]:
    """Run the daemon on virtual time; leaving the block is its orderly stop."""

    @asynccontextmanager
    async def open_network(*_: object, **__: object) -> AsyncIterator[Transport]:
        yield network

    doorway = _Doorway()
    async with AsyncExitStack() as stack:
        for place, stand_in in {
            "relay.store.opening.Connection": connect,
            "relay.daemon.open_transport": open_network,
            "relay.engine.open_transport": open_network,
            "relay.engine.Foresight": _Foresight,
            "relay.daemon._CLOCK_EVERY_S": 4.0,  # for speed: hours pass, and nothing else wakes every second
            "relay.daemon.Listener": doorway.open,
            "relay.daemon.Maintenance": lambda _: _Timetable(clock, before_chores),
        }.items():
            stack.enter_context(patch(place, stand_in))
        alive = await stack.enter_async_context(daemon.running(settings(database), clock, entropy, SecretMask()))
        minding = asyncio.get_running_loop().create_task(daemon.mind_the_clock(alive.engine, clock))
        stack.callback(minding.cancel)
        yield alive, Api(doorway)
