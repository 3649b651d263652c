"""The daemon's life: start, readiness, signals, and the order in which it stops."""

import asyncio
import errno
import faulthandler
import gc
import math
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import structlog

from relay import __version__, assembly, config, log, systemd
from relay.api import Listener, build_app
from relay.clock import SystemClock, SystemEntropy
from relay.config import Config, ConfigInvalid, Listen, SecretUnreadable
from relay.core.address import AddressPolicy
from relay.core.errors import RelayError, StoreError
from relay.core.ports import Clock, Entropy, Housekeeping, Store
from relay.engine import Engine, Ground
from relay.log import SecretMask
from relay.maintenance import OVERDUE_EVERY_S, PRUNE_EVERY_S, Maintenance, Overdue, prune
from relay.metrics import Metrics
from relay.settings import load_settings
from relay.store import open_sqlite
from relay.transport import open_transport

_log = structlog.get_logger("relay.daemon")

EXIT_OK, EXIT_ERROR, EXIT_CONFIG = 0, 1, 78
_STATUS_EVERY_S = 10.0
_LAG_EVERY_S = 1.0
_CLOCK_EVERY_S = 1.0
_CLOCK_STEP_S = 2.0
"""Less than this is a correction that nobody notices."""
_IDLE_CONNECTIONS_S = 1.0
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REFUSALS_TOLD_S = 60.0


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon, as far as something outside of it needs to know."""

    engine: Engine
    store: Store
    metrics: Metrics
    address: str


def serve(config_path: Path | None) -> int:
    """Run the daemon until a signal stops it; return the exit code of `relay serve`."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold every secret
    mask = SecretMask()
    log.configure(style="auto", level="info", mask=mask)
    try:
        settings = load_settings(config_path)
        config.ensure_signing_secret(settings.callbacks.signing.secret, SystemEntropy().bytes)
        assembly.learn_secrets(settings, mask)
    except ConfigInvalid as error:
        print(error.report, file=sys.stderr)  # noqa: T201 - the report is for a person, and keeps its lines
        return EXIT_CONFIG
    except RelayError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - likewise
        return EXIT_CONFIG
    log.configure(style=settings.log.format, level=settings.log.level, mask=mask)
    for warning in settings.warnings:
        _log.warning("config.doubted", warning=warning)
    try:
        spare_collections()
        with asyncio.Runner(loop_factory=fastest_loop()) as runner:
            runner.run(_serve(settings, mask))
    except (RelayError, OSError) as error:
        _log.error("daemon.failed", error=str(error))
        return EXIT_CONFIG if isinstance(error, SecretUnreadable) else EXIT_ERROR
    except BaseExceptionGroup as group:
        foreseen, crash = group.split((RelayError, OSError))
        if crash is not None:  # systemd starts anew; what happened is for an engineer
            _log.critical("daemon.crashed", exc_info=crash)
        for leaf in _leaves(foreseen):
            _log.error("daemon.failed", error=str(leaf))
        return EXIT_ERROR
    return EXIT_OK


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's event loop, where that is installed (the extra `speed`), or None for asyncio's own."""
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return None
    maker: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return maker


def spare_collections() -> None:
    """Have the garbage collector look at what was imported no more, and after every 20,000 new objects only.

    A thousand watches in one request are many objects and no garbage: adding
    them takes a fifth less time so.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def _leaves(error: BaseException | None) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    elif error is not None:
        yield error


class LoopErrors:
    """Tells of errors that nobody was there to catch.

    Without a file left for a connection asyncio tries again every second, and
    tells each time for every place in the queue: one line is enough.  It tries
    again too where the listener was closed meanwhile, which is no news.
    """

    def __init__(self) -> None:
        self._refused_at = -math.inf

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, ValueError) and "_start_serving" in context["message"]:
            return
        if not (isinstance(error, OSError) and error.errno in _NO_ROOM and "socket" in context):
            loop.default_exception_handler(context)
        elif loop.time() - self._refused_at >= _REFUSALS_TOLD_S:
            self._refused_at = loop.time()
            _log.error("connections.refused", error=error.strerror)


async def _serve(settings: Config, mask: SecretMask) -> None:
    stopping, hangup = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    loop.set_exception_handler(LoopErrors())
    clock = SystemClock()
    async with running(settings, clock, SystemEntropy(), mask) as daemon:
        systemd.notify("READY=1")
        _log.info(
            "daemon.started",
            version=__version__,
            loop=type(loop).__module__.partition(".")[0],
            address=daemon.address,
            store=str(settings.store.path),
            providers=sorted(settings.providers),
            destinations=sorted(settings.destinations),
        )
        async with asyncio.TaskGroup() as tasks:
            chores = [
                tasks.create_task(_show_life(daemon, clock)),
                tasks.create_task(_reload(daemon.engine, hangup)),
                tasks.create_task(_beat(daemon.engine, clock)),
                tasks.create_task(_measure_lag(daemon.metrics, clock)),
                tasks.create_task(mind_the_clock(daemon.engine, clock)),
            ]
            await stopping.wait()
            for chore in chores:
                chore.cancel()
        systemd.notify("STOPPING=1")
        _log.info("daemon.stopping", grace_s=settings.server.grace_s)
    _log.info("daemon.stopped")


@asynccontextmanager
async def running(settings: Config, clock: Clock, entropy: Entropy, mask: SecretMask) -> AsyncIterator[Daemon]:
    """Run everything while the block runs.

    Leaving it stops in order: no new requests, no new claims, what is under way
    within the grace period, leases, clients, store.  An error in a loop cancels
    the block.
    """
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        store = await stack.enter_async_context(open_sqlite(settings.store.path, timed=metrics.commit_seconds.time))
        await store.release_leases()
        await catch_up(store, clock)
        egress = assembly.egress(settings)
        trusted = await stack.enter_async_context(
            open_transport(AddressPolicy(operator=True), clock, connections=0, egress=egress)
        )
        tasks = asyncio.TaskGroup()
        engine = Engine(Ground(store, trusted, egress, clock, entropy, mask, metrics), stack, tasks)
        await engine.start(settings)
        listener = Listener(build_app(engine.context), grace_s=_IDLE_CONNECTIONS_S)
        await listener.start()
        stack.push_async_callback(listener.stop)
        address = await _listen(listener, settings.server.listen)
        if settings.server.socket is not None:
            await _listen_locally(listener, settings.server.socket)
        stack.push_async_callback(_release_leases, store)
        await stack.enter_async_context(tasks)
        engine.run()
        maintenance = Maintenance(metrics)
        maintenance.every(PRUNE_EVERY_S, "prune", partial(_prune, engine, store, clock))
        maintenance.every(OVERDUE_EVERY_S, "overdue", Overdue(store, clock).look)
        maintenance.start()
        try:
            yield Daemon(engine, store, metrics, address)
        finally:
            await listener.stop()
            maintenance.stop()
            await engine.stop()


async def _release_leases(store: Housekeeping) -> None:
    """Leave nothing claimed for the next start, which sees to it otherwise."""
    try:
        await store.release_leases()
    except StoreError as error:
        _log.warning("leases.kept", until="the next start", error=str(error))


async def _listen(listener: Listener, where: Listen) -> str:
    """Open the address of the configuration, and return its URL; raises RelayError where it cannot be had."""
    try:
        return await listener.listen(where.host, where.port)
    except OSError as error:
        number = error.errno or 0
        words = os.strerror(number) if number in errno.errorcode else error.strerror
        way_out = "stop the program that has it, or name" if number == errno.EADDRINUSE else "name"
        raise RelayError(
            f"server.listen: {where.host}, port {where.port}: {words}; {way_out} another address"
        ) from error


async def _listen_locally(listener: Listener, path: Path) -> None:
    """Open the socket; without it the API is there all the same."""
    try:
        await listener.listen_locally(path)
    except OSError as error:
        _log.warning("socket.refused", path=str(path), error=str(error))


async def _prune(engine: Engine, store: Housekeeping, clock: Clock) -> None:
    await prune(store, clock, engine.settings.retention.watches_s)


async def _show_life(daemon: Daemon, clock: Clock) -> None:
    """Feed the watchdog while everything is well, and keep the status line current.

    It runs on the event loop on purpose: a blocked loop must go unfed.
    """
    every_s = min(systemd.watchdog_interval_s() or _STATUS_EVERY_S, _STATUS_EVERY_S)
    while True:
        try:
            checks = await daemon.engine.health.checks()
            if all(check.ok for check in checks.values()):
                systemd.notify("WATCHDOG=1")
            counts = await daemon.store.counts()
            watched, owed = sum(counts.watches.values()), sum(counts.deliveries.values())
            systemd.notify(f"STATUS=watching {watched} jobs, {owed} deliveries not delivered")
        except StoreError as error:
            systemd.notify(f"STATUS=the database fails: {error}")
        await clock.sleep(every_s)


async def _beat(engine: Engine, clock: Clock) -> None:
    """Give a sign of life as often as the configuration in force says."""
    while True:
        await engine.beat()
        await clock.sleep(engine.settings.heartbeat.every_s)


async def _measure_lag(metrics: Metrics, clock: Clock) -> None:
    """Measure how much later than asked for the event loop wakes a sleeper."""
    while True:
        asleep = clock.monotonic()
        await clock.sleep(_LAG_EVERY_S)
        metrics.loop_lag_seconds.observe(max(clock.monotonic() - asleep - _LAG_EVERY_S, 0.0))


async def catch_up(store: Housekeeping, clock: Clock) -> None:
    """Notice that the wall clock was set back while relay did not run, as `mind_the_clock` does while it does.

    Raises StoreError.
    """
    last = await store.last_beat()
    back_s = 0.0 if last is None else last - clock.now()
    if back_s > _CLOCK_STEP_S:
        await store.set_back(back_s)
        _log.warning("clock.set_back", seconds=round(back_s, 1), since="the last run")


async def mind_the_clock(engine: Engine, clock: Clock) -> None:
    """Notice when the wall clock is set back: what is due soon must not wait until it has caught up.

    Set forward it makes things due early, which costs polls and loses nothing.
    """
    ahead = clock.now() - clock.monotonic()
    while True:
        await clock.sleep(_CLOCK_EVERY_S)
        now_ahead = clock.now() - clock.monotonic()
        back_s = ahead - now_ahead
        try:
            if back_s > _CLOCK_STEP_S:
                await engine.set_back(back_s)
                _log.warning("clock.set_back", seconds=round(back_s, 1))
        except StoreError as error:  # seen again at the next look, as the difference stands
            _log.error("clock.set_back_failed", seconds=round(back_s, 1), error=str(error))
            continue
        ahead = now_ahead


async def _reload(engine: Engine, hangup: asyncio.Event) -> None:
    """Answer each SIGHUP; the log tells what came of it."""
    while True:
        await hangup.wait()
        hangup.clear()
        with suppress(RelayError):
            await engine.reload()
