"""Receivers that mean harm: each attempt ends as documented, in bounded time and memory, and no one else waits.

`pytest -s` shows what it cost, and what it cost the healthy receiver beside it.
"""

import asyncio
import gzip
import socket
import statistics
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.doubles import EvenEntropy
from support.raw_server import Serve, answering, http, server

from relay.clock import SystemClock
from relay.core.address import AddressPolicy, parse_networks
from relay.core.delivery import VerdictKind
from relay.core.event import outcome_event
from relay.core.http import Request, Response
from relay.core.observation import Job, Observation, Status
from relay.core.ports import DeliveryFilter, DeliveryView, Destination, Ending, Store, Transport
from relay.core.retry import RetryPolicy
from relay.core.signing import SigningSecret
from relay.core.watch import NewWatch, Target
from relay.destinations import CallbackDestination, SlackDestination
from relay.dispatcher import Dispatcher
from relay.metrics import Metrics
from relay.outlet import Outlet
from relay.store import open_sqlite
from relay.transport import open_transport

MESSAGES = 12
TIMEOUT_S = 0.8
"""For receivers that run into it."""
PATIENCE_S = 20.0
"""For those that must not, however busy this machine is."""
MOST_MEMORY_MB = 64.0
LOOPBACK = AddressPolicy(parse_networks(["127.0.0.0/8", "::1/128"]))
ONCE = RetryPolicy(first_s=3600.0, max_gap_s=3600.0)
SECRET = SigningSecret.of(bytes(24))
Make = Callable[[str], Destination]


@dataclass
class Hurried:
    """A transport whose caller is in more of a hurry than the dispatcher."""

    inner: Transport
    most_s: float

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        return await self.inner.send(request, timeout_s=min(timeout_s, self.most_s), max_body=max_body)


@dataclass
class Healthy:
    """A receiver that answers at once, and notes when each event arrived."""

    arrived: dict[str, float] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            body = (await reader.readexactly(length)).decode()
            self.arrived[body.partition('"watch_id":"')[2].partition('"')[0]] = time.monotonic()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


class World:
    """A real store, dispatcher and transport between a healthy and a hostile receiver."""

    def __init__(self, store: Store, transport: Transport, healthy: Healthy) -> None:
        self.store = store
        self.healthy = healthy
        self.outlets: dict[str, Outlet] = {}
        self._transport = transport
        self._count = 0
        self.dispatcher = Dispatcher(
            store=store,
            resolve=lambda target: self.outlets.get(str(target.name)),
            clock=SystemClock(),
            entropy=EvenEntropy(),
            metrics=Metrics(),
        )

    def lead(self, name: str, destination: Destination, timeout_s: float = PATIENCE_S) -> Target:
        self.outlets[name] = Outlet(destination, Hurried(self._transport, timeout_s))
        return Target(name, name, name=name)

    async def outcomes(self, target: Target, count: int = MESSAGES) -> dict[str, float]:
        """End some watches; return when each was committed, by its id."""
        ended = {}
        for _ in range(count):
            self._count += 1
            now = time.time()
            new = NewWatch(f"wat_{self._count:04}", "plain", Job(f"j{self._count}"), now + 60, now, (target,))
            (added,) = await self.store.add_watches([new], now)
            event = outcome_event(added.watch, Observation(Status.COMPLETED, "done"), now)
            await self.store.finalize_watch(Ending(new.id, Status.COMPLETED, "done", None, event), now)
            ended[new.id] = time.monotonic()
        self.dispatcher.wakeup.set()
        return ended

    async def settled(self, watch_ids: dict[str, float]) -> list[DeliveryView]:
        """Return the deliveries of some watches once each has had an attempt."""
        views = []
        for watch_id in watch_ids:
            (found,) = await self.store.deliveries(DeliveryFilter(watch_id=watch_id), before=None, limit=2)
            views.append(await self._attempted(found.delivery.id))
        return views

    async def _attempted(self, delivery_id: str) -> DeliveryView:
        while True:
            view = await self.store.delivery(delivery_id)
            if view.attempts:
                return view
            await asyncio.sleep(0.005)

    async def latencies_ms(self, ended: dict[str, float]) -> list[float]:
        """Return how long the healthy receiver waited for each event after its commit."""
        await self.settled(ended)
        return [(self.healthy.arrived[watch_id] - committed) * 1000 for watch_id, committed in ended.items()]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    healthy = Healthy()
    async with (
        open_sqlite(tmp_path / "relay.db") as store,
        open_transport(LOOPBACK, SystemClock(), connections=128) as transport,
        server(healthy.serve) as url,
    ):
        made = World(store, transport, healthy)
        made.lead("healthy", CallbackDestination(url.replace("127.0.0.1", "localhost"), [SECRET], ONCE))
        with capture_logs():
            running = asyncio.get_running_loop().create_task(made.dispatcher.run())
            yield made
            made.dispatcher.stop()
            await running


# the receivers


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def drip(start: bytes, drop: bytes = b"x") -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(TIMEOUT_S / 4)  # within any timeout that begins anew with each byte

    return serve


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    await writer.drain()
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by RST
    writer.transport.abort()


def endless(start: bytes, chunk: bytes, megabytes: int = 1000) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start)
        for _ in range(megabytes * 1_000_000 // len(chunk)):
            writer.write(chunk)
            await writer.drain()

    return serve


BOMB = gzip.compress(b"0" * 200_000_000, compresslevel=1)


def callback(url: str) -> Destination:
    return CallbackDestination(f"{url}/hook", [SECRET], ONCE)


def slack(url: str) -> Destination:
    return SlackDestination(f"{url}/services/T0/B0/token", ONCE)


@dataclass(frozen=True)
class Case:
    """A receiver, and how an attempt on it has to end: `reason` is how the reason begins."""

    name: str
    serve: Serve
    verdict: VerdictKind
    reason: str | None
    tls: bool = False
    make: Make = callback
    aimed_at: Callable[[str], Serve] | None = None
    """Makes `serve` where it has to know the port that nobody may come to."""


RETRY, DELIVERED, REFUSED = VerdictKind.RETRY, VerdictKind.DELIVERED, VerdictKind.REFUSED
TIMED_OUT = f"timeout: no complete answer within {TIMEOUT_S:g} s"
NOT_FOLLOWED = "HTTP 307: redirects are not followed; the new location is "
CASES = [
    Case("hangs before the headers", hang, RETRY, TIMED_OUT),
    Case("drips its headers", drip(b"HTTP/1.1 200 OK\r\nX-Slow: "), RETRY, TIMED_OUT),
    Case("drips its body", drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"), RETRY, TIMED_OUT),
    Case("resets after the headers", reset, RETRY, "disconnected: "),
    Case(
        "sends 1 GB",
        endless(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", b"x" * 65536),
        DELIVERED,
        None,
    ),
    Case(
        "fails with 1 GB in chunks",
        endless(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        RETRY,
        "HTTP 500: xxx",
    ),
    Case("sends a header without end", endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 65536), RETRY, "protocol: "),
    Case("sends headers without end", endless(b"HTTP/1.1 200 OK\r\n", b"X-Many: 1\r\n" * 5000), RETRY, "protocol: "),
    Case(
        "sends long headers without end",
        endless(b"HTTP/1.1 200 OK\r\n", (b"X-Long: " + b"x" * 50_000 + b"\r\n") * 4),
        RETRY,
        "protocol: ",
    ),
    Case("sends hints without end", endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50), RETRY, "protocol: "),
    Case("drips hints without end", drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), RETRY, TIMED_OUT),
    Case("sends a gzip bomb", answering(http(BOMB, "Content-Encoding: gzip")), DELIVERED, None),
    Case(
        "fails with a gzip bomb",
        answering(http(BOMB, "Content-Encoding: gzip", status="503 No")),
        RETRY,
        "HTTP 503: 000",
    ),
    Case(
        "sends 1 GB behind a small gzip",
        endless(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"ok"), b"x" * 65536),
        DELIVERED,
        None,
    ),
    Case("says gzip of what is none", answering(http(b"ok", "Content-Encoding: gzip")), DELIVERED, None),
    Case(
        "fails, and says gzip of what is none",
        answering(http(b"no", "Content-Encoding: gzip", status="503 No")),
        RETRY,
        "HTTP 503",
    ),
    Case(
        "redirects to loopback",
        hang,
        RETRY,
        f"{NOT_FOLLOWED}http://127.0.0.1:",
        aimed_at=lambda trap: answering(http(b"", f"Location: {trap}/x?token=1", status="307 Go")),
    ),
    Case(
        "redirects to a metadata service",
        answering(http(b"", "Location: http://169.254.169.254/latest/meta-data/", status="307 Go")),
        RETRY,
        f"{NOT_FOLLOWED}http://169.254.169.254/latest/meta-data/",
    ),
    Case("shows a wrong certificate", answering(http(b"ok")), RETRY, "certificate: ", tls=True),
    Case("speaks HTTP/0.9", answering(b"<html>hello</html>\r\n"), RETRY, "protocol: "),
    Case("speaks garbage", answering(bytes(range(256)) * 64), RETRY, "protocol: "),
    Case(
        "is Slack, and 200 no_service", answering(http(b"no_service")), REFUSED, "the Slack webhook is dead", make=slack
    ),
    Case(
        "is Slack, and 200 invalid_blocks",
        answering(http(b"invalid_blocks")),
        RETRY,
        "message refused, plain text follows: ",
        make=slack,
    ),
    Case(
        "is Slack, and 200 ratelimited",
        answering(http(b'{"ok":false,"error":"ratelimited"}')),
        RETRY,
        "HTTP 200: ",
        make=slack,
    ),
    Case(
        "is Slack, and 200 anything else",
        answering(http(b"<html>Welcome to the hotel</html>")),
        DELIVERED,
        "Slack did not say ok: HTTP 200: <html>Welcome",
        make=slack,
    ),
]


def peak_mb() -> float:
    """Return the most memory that this process held since `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) / 1000


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # proc(5)


@asynccontextmanager
async def trapped(case: Case) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve a case, beside a port that nobody may come to."""
    visitors: list[bytes] = []
    async with server(answering(http(b""), visitors)) as trap:
        serve = case.aimed_at(trap) if case.aimed_at else case.serve
        async with server(serve, tls=case.tls) as url:
            yield url, visitors


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_it_ends_as_documented_and_the_healthy_receiver_waits_for_nobody(world: World, case: Case) -> None:
    healthy = Target("healthy", "healthy", name="healthy")
    async with asyncio.timeout(60), trapped(case) as (url, visitors):
        hostile = world.lead("hostile", case.make(url), TIMEOUT_S if case.reason == TIMED_OUT else PATIENCE_S)
        alone = await world.latencies_ms(await world.outcomes(healthy))
        forget_peak()
        before = peak_mb()
        started = time.monotonic()
        attacked = await world.outcomes(hostile)
        beside = await world.latencies_ms(await world.outcomes(healthy))
        views = await world.settled(attacked)
        took = time.monotonic() - started
        grown = peak_mb() - before

    assert {view.attempts[0].verdict for view in views} == {case.verdict}
    attempt = views[0].attempts[0]
    print(  # noqa: T201 - what it cost, for whoever asks with -s
        f"{case.name:32} {attempt.verdict:9} {took:5.2f} s {grown:5.1f} MB   "
        f"healthy: {statistics.median(alone):5.1f} ms alone, {statistics.median(beside):5.1f} beside "
        f"(at most {max(beside):.1f})   {attempt.reason or ''}"
    )
    for view in views:
        assert str(view.attempts[0].reason or "").startswith(case.reason or "")
        assert len(view.attempts[0].response or "") <= 2000
    assert (case.reason is None) == (attempt.reason is None)
    assert grown < MOST_MEMORY_MB
    assert visitors == []


async def test_names_whose_servers_never_answer_hold_up_nobody_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up, released = socket.getaddrinfo, threading.Event()

    def never(host: str, *rest: object, **options: object) -> object:
        if str(host).endswith(".dead.example"):
            released.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up(host, *rest, **options)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(socket, "getaddrinfo", never)
    try:
        async with asyncio.timeout(60):
            attacked = {}
            for number in range(24):
                target = world.lead(f"dead{number}", callback(f"http://n{number}.dead.example"), TIMEOUT_S)
                attacked |= await world.outcomes(target, 1)
            beside = await world.latencies_ms(await world.outcomes(Target("healthy", "healthy", name="healthy")))
            views = await world.settled(attacked)
    finally:
        released.set()

    print(  # noqa: T201 - what it cost, for whoever asks with -s
        f"{'24 names that never resolve':32} healthy: {statistics.median(beside):.1f} ms beside"
    )
    assert {view.attempts[0].reason for view in views} == {TIMED_OUT}
