"""What can go wrong at a provider, on purpose."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import web

_CHUNK = b"x" * 65536
KINDS = ("status", "html", "empty", "garbage", "truncated", "huge", "hang", "reset", "drip")


@dataclass(slots=True)
class Fault:
    """One way to answer badly, for the next `times` status requests.

    `kind` is one of KINDS; ``status`` answers `code` with `headers` and `body`.
    """

    kind: str
    times: int = 1
    code: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f'a fault is one of {", ".join(KINDS)}, not "{self.kind}"')


@dataclass(slots=True)
class Limit:
    """A rate limit as providers count it: so many requests in any window."""

    requests: int
    window_s: float
    seen: deque[float] = field(default_factory=deque)
    exceeded: int = 0

    def admit(self, now: float) -> float | None:
        """Count a request; return how long to wait where it is one too many."""
        while self.seen and self.seen[0] <= now - self.window_s:
            self.seen.popleft()
        if len(self.seen) >= self.requests:
            self.exceeded += 1
            return self.seen[0] + self.window_s - now
        self.seen.append(now)
        return None


@dataclass(slots=True)
class Faults:
    """The faults that wait, and the limits in force, by provider."""

    now: Callable[[], float]
    waiting: dict[str, deque[Fault]] = field(default_factory=dict)
    limits: dict[str, Limit] = field(default_factory=dict)

    def add(self, provider: str, fault: Fault) -> None:
        """Let the next status requests of a provider go wrong."""
        self.waiting.setdefault(provider, deque()).append(fault)

    def clear(self) -> None:
        """Let everything work again."""
        self.waiting.clear()
        self.limits.clear()

    def next(self, provider: str) -> Fault | None:
        """Return the fault that the next request meets."""
        queue = self.waiting.get(provider)
        if not queue:
            return None
        fault = queue[0]
        fault.times -= 1
        if fault.times <= 0:
            queue.popleft()
        return fault


async def perform(fault: Fault, request: web.Request) -> web.StreamResponse:
    """Answer a request badly."""
    match fault.kind:
        case "status":
            return web.Response(status=fault.code, text=fault.body, headers=fault.headers)
        case "html":
            return web.Response(text="<!doctype html><title>One moment</title>", content_type="text/html")
        case "empty":
            return web.Response()
        case "garbage":
            return web.Response(text='{"status": nonsense', content_type="application/json")
        case "truncated":
            return web.Response(text='{"id": "x", "status": "comp', content_type="application/json")
        case "huge":
            return await _stream(request, 800, 0.0)
        case "drip":
            return await _stream(request, 600, 0.1, b"x")
        case "hang":
            await asyncio.sleep(120)
            return web.Response()
        case _:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()


async def _stream(request: web.Request, chunks: int, pause_s: float, chunk: bytes = _CHUNK) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    with suppress(ConnectionError):  # a sensible client hangs up
        for _ in range(chunks):
            await response.write(chunk)
            await asyncio.sleep(pause_s)
    return response
