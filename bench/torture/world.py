"""Providers and receivers that misbehave, and record what they see."""

import asyncio
import random
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from aiohttp import web

from bench.torture.plug import Fuse
from bench.torture.records import Aim, Arrival, Job, Limit, Place, Poll, Records, Reply
from relay.simulator import Fault, Scenario, Simulator
from relay.simulator.jobs import Jobs
from relay.simulator.serving import served


@dataclass(frozen=True, slots=True)
class Account:
    """A provider as it is configured: its preset, and what its credential may spend."""

    name: str
    preset: str
    rate: str
    limit: Limit


ACCOUNTS = (
    Account("getimg", "getimg", "1800/m", Limit(1800, 60.0)),
    Account("lumenfall", "lumenfall", "40/s", Limit(40, 1.0)),
    Account("nanogpt", "nanogpt", "25/s", Limit(25, 1.0)),
    Account("nanogpt-unified", "nanogpt-unified", "25/s", Limit(25, 1.0)),
)
SLOW = Account("getimg-slow", "getimg", "20/m", Limit(20, 60.0))
"""One whose limit a daemon that forgets what it spent would soon exceed."""

_RECEIVERS = 4
_CHATS = (None, None, Place.SLACK, Place.DISCORD)
_OUTCOMES = ("completed", "completed", "completed", "failed", "cancelled")
_TROUBLES = (
    Fault("status", code=500),
    Fault("status", code=502, body="<html>Bad gateway</html>"),
    Fault("status", code=503),
    Fault("status", code=429, headers={"Retry-After": "1"}),
    Fault("html"),
    Fault("empty"),
    Fault("garbage"),
    Fault("truncated"),
    Fault("reset"),
    Fault("hang"),
)
_LONGEST_TROUBLE_GAP_S = 0.4
_REPLIES = (Reply.HALF, Reply.FAILED, Reply.BUSY, Reply.LIMITED, Reply.RESET, Reply.SILENCE)
_MISBEHAVES = 0.12
"""How often a receiver does."""
_SILENCE_S = 25.0
"""Longer than relay waits for an answer."""


class World:
    """Everything around the daemon, for as long as the block runs; misbehaves while `hostile`.

    Where nothing `hangs`, nobody is kept waiting for an answer that never comes,
    and a run is over soon after it is calm.  With `chats`, some jobs are for
    people to hear of.
    """

    def __init__(self, seed: int, records: Records, fuse: Fuse, *, hangs: bool = True, chats: bool = False) -> None:
        self.hostile = True
        self.receivers: list[str] = []
        self.destinations: dict[Place, str] = {}
        self._chats = _CHATS if chats else (None,)
        self._troubles = [trouble for trouble in _TROUBLES if hangs or trouble.kind != "hang"]
        self._replies = [reply for reply in _REPLIES if hangs or reply is not Reply.SILENCE]
        self._records = records
        self._fuse = fuse
        self._random = random.Random(seed)
        self._simulator = Simulator()
        self._simulator.jobs = _RecordedJobs(records, fuse)
        self._numbers = 0
        self._stack = AsyncExitStack()

    def base_url(self, account: Account) -> str:
        """Return where an account's provider is."""
        return self._simulator.base_url(account.preset)

    def submit(self, account: Account, shortest_s: float, longest_s: float) -> dict[str, object]:
        """Submit a job that runs for so long, and return the request that has it watched."""
        self._numbers += 1
        outcome = self._random.choice(_OUTCOMES)
        fate = Scenario(outcome, queued_s=0.1, running_s=self._random.uniform(shortest_s, longest_s), outputs=1)
        job_id = f"{account.name}-{self._numbers:06d}"
        self._simulator.add_job(account.preset, job_id, fate)
        chat = self._random.choice(self._chats)
        self._records.jobs[job_id] = Job(account.name, job_id, outcome, chat)
        watch: dict[str, object] = {
            "provider": account.name, "job_id": job_id, "callback_url": self._random.choice(self.receivers),
            "metadata": {"chat": str(chat)},
        }  # fmt: skip
        if account.preset == "nanogpt":
            watch["params"] = {"modelSlug": "veo2-video"}
        return watch

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._simulator)
        for number in range(_RECEIVERS):
            url = await self._open("/hook", Place.CALLBACK)
            self.receivers.append(f"{url}?receiver={number}")
        self.destinations = {
            Place.NAMED: await self._open("/shop", Place.NAMED),
            Place.SLACK: await self._open("/services/T0/B0/torture", Place.SLACK),
            Place.DISCORD: await self._open("/api/webhooks/1/torture", Place.DISCORD),
        }
        self._mischief = asyncio.create_task(self._trouble())
        return self

    async def _open(self, path: str, place: Place) -> str:
        app = web.Application()
        app.add_routes([web.post(path, partial(self._receive, place))])
        return await self._stack.enter_async_context(served(app, "127.0.0.1", 0)) + path

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mischief.cancel()
        await self._stack.aclose()

    def calm(self) -> None:
        """Misbehave no more."""
        self.hostile = False
        self._simulator.faults.clear()

    async def _trouble(self) -> None:
        while self.hostile:
            await asyncio.sleep(self._random.uniform(0, _LONGEST_TROUBLE_GAP_S))
            preset = self._random.choice(ACCOUNTS).preset.removesuffix("-unified")
            fault = self._random.choice(self._troubles)
            if self.hostile and not self._simulator.faults.waiting.get(preset):
                self._simulator.faults.add(preset, Fault(fault.kind, 1, fault.code, fault.headers, fault.body))

    async def _receive(self, place: Place, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        misbehaves = self.hostile and self._random.random() < _MISBEHAVES
        reply = self._random.choice(self._replies) if misbehaves else Reply.TAKEN
        self._records.arrivals.append(Arrival(time.time(), headers, body, reply, place))
        is_chat = place in _CHATS
        self._fuse.met(Aim.TELL if is_chat else Aim.SEND)
        await asyncio.sleep(self._random.uniform(0, 0.02))
        if reply is Reply.TAKEN:
            if not is_chat:
                self._fuse.met(Aim.SETTLE)
            return web.Response(text="ok") if place is Place.SLACK else web.Response(status=204)
        return await _misbehave(reply, request)


class _RecordedJobs(Jobs):
    """The simulator's jobs, which write the providers' record and light the fuse."""

    def __init__(self, records: Records, fuse: Fuse) -> None:
        super().__init__(time.time)
        self._records = records
        self._fuse = fuse

    def asked(self, provider: str, job_id: str, http: int, state: str | None) -> None:
        """See Jobs."""
        ended = state not in (None, "queued", "running")
        self._records.polls.append(Poll(job_id, self.now(), ended))
        self._fuse.met(Aim.END if ended else Aim.POLL)


async def _misbehave(reply: Reply, request: web.Request) -> web.StreamResponse:
    match reply:
        case Reply.FAILED:
            return web.Response(status=500, text="Internal server error")
        case Reply.BUSY:
            return web.Response(status=503)
        case Reply.LIMITED:
            return web.Response(status=429, headers={"Retry-After": "1"})
        case Reply.SILENCE:
            await asyncio.sleep(_SILENCE_S)
            return web.Response(status=500)
        case Reply.HALF:
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            with suppress(ConnectionError):  # the plug was pulled meanwhile
                await response.prepare(request)
                await response.write(b"half of")
            _abort(request)
            return response
        case _:
            _abort(request)
            return web.Response()


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
