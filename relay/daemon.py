"""The daemon's life: start, readiness, signals, and the order in which it stops."""

import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web

from relay import __version__, assembly, config, log, systemd
from relay.api import Context, build_app
from relay.clock import SystemClock, SystemEntropy
from relay.config import Config, ConfigInvalid
from relay.core.address import AddressPolicy
from relay.core.errors import RelayError, StoreError
from relay.core.ports import Clock, Entropy, Store, Transport
from relay.dispatcher import CONCURRENCY, Dispatcher
from relay.health import Health
from relay.log import SecretMask
from relay.maintenance import PRUNE_EVERY_S, Maintenance, prune
from relay.metrics import Metrics
from relay.poller import Poller
from relay.providers import names as provider_names
from relay.signals import EndSignals
from relay.store import open_sqlite
from relay.transport import open_transport

_log = structlog.get_logger("relay.daemon")

EXIT_OK, EXIT_ERROR, EXIT_CONFIG = 0, 1, 78
_STATUS_EVERY_S = 10.0
_IDLE_CONNECTIONS_S = 1.0


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon, as far as something outside of it needs to know."""

    settings: Config
    store: Store
    pollers: Mapping[str, Poller]
    dispatcher: Dispatcher
    health: Health
    address: str


def serve(config_path: Path | None) -> int:
    """Run the daemon until a signal stops it; return the exit code of `relay serve`."""
    faulthandler.enable()
    mask = SecretMask()
    log.configure(style="auto", level="info", mask=mask)
    try:
        settings = check_settings(config_path)
        config.ensure_signing_secret(settings.callbacks.secret, SystemEntropy().bytes)
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
        asyncio.run(_serve(settings, mask))
    except (RelayError, OSError) as error:
        _log.error("daemon.failed", error=str(error))
        return EXIT_ERROR
    except BaseExceptionGroup as group:
        foreseen, crash = group.split((RelayError, OSError))
        if crash is not None:  # systemd starts anew; what happened is for an engineer
            _log.critical("daemon.crashed", exc_info=crash)
        for leaf in _leaves(foreseen):
            _log.error("daemon.failed", error=str(leaf))
        return EXIT_ERROR
    return EXIT_OK


def _leaves(error: BaseException | None) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    elif error is not None:
        yield error


def check_settings(config_path: Path | None) -> Config:
    """Load the configuration and the provider files that it names; raises ConfigInvalid or RelayError."""
    settings = load_settings(config_path)
    assembly.accounts(settings, SecretMask())
    return settings


def load_settings(config_path: Path | None) -> Config:
    """Find and load the configuration; raises ConfigInvalid."""
    path = config.find(config_path, env=os.environ, cwd=Path.cwd())
    return config.load(path, presets=provider_names(), env=os.environ)


async def _serve(settings: Config, mask: SecretMask) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    clock = SystemClock()
    async with running(settings, clock, SystemEntropy(), mask) as daemon:
        loop.add_signal_handler(signal.SIGHUP, partial(_reload, daemon, mask))
        systemd.notify("READY=1")
        _log.info(
            "daemon.started",
            version=__version__,
            address=daemon.address,
            store=str(settings.store.path),
            providers=sorted(settings.providers),
            destinations=sorted(settings.destinations),
        )
        async with asyncio.TaskGroup() as tasks:
            life = tasks.create_task(_show_life(daemon, clock))
            await stopping.wait()
            life.cancel()
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
        store = await stack.enter_async_context(open_sqlite(settings.store.path))
        await store.release_leases()
        trusted = await stack.enter_async_context(open_transport(AddressPolicy(operator=True), clock, connections=0))
        policy = AddressPolicy(settings.callbacks.allow_networks)
        guarded = await stack.enter_async_context(open_transport(policy, clock, connections=CONCURRENCY))
        runner, built = _build(settings, store, trusted, guarded, (clock, entropy), mask)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        listen = settings.server.listen
        await web.TCPSite(runner, listen.host, listen.port).start()
        stack.push_async_callback(store.release_leases)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        pollers, dispatcher, health, metrics = built
        parts: list[Dispatcher | Poller] = [dispatcher, *pollers.values()]
        loops = [tasks.create_task(part.run()) for part in parts]
        maintenance = Maintenance(metrics)
        maintenance.every(PRUNE_EVERY_S, "prune", partial(prune, store, clock, settings.retention.watches_s))
        maintenance.start()
        try:
            host, port = runner.addresses[0][:2]
            shown = f"[{host}]" if ":" in host else host
            yield Daemon(settings, store, pollers, dispatcher, health, f"http://{shown}:{port}")
        finally:
            await runner.cleanup()
            maintenance.stop()
            for part in parts:
                part.stop()
            _, late = await asyncio.wait(loops, timeout=settings.server.grace_s)
            for loop in late:
                loop.cancel()


_Parts = tuple[dict[str, Poller], Dispatcher, Health, Metrics]


def _build(
    settings: Config,
    store: Store,
    trusted: Transport,
    guarded: Transport,
    time: tuple[Clock, Entropy],
    mask: SecretMask,
) -> tuple[web.AppRunner, _Parts]:
    clock, entropy = time
    metrics, ends = Metrics(), EndSignals()
    resolve = assembly.outlets(settings, trusted=trusted, guarded=guarded)
    dispatcher = Dispatcher(
        store=store,
        resolve=resolve,
        clock=clock,
        entropy=entropy,
        metrics=metrics,
    )

    pollers = {
        name: Poller(
            account,
            store=store,
            transport=trusted,
            clock=clock,
            entropy=entropy,
            routes=assembly.routes(settings),
            metrics=metrics,
            on_end=ends.ended,
            on_event=dispatcher.wakeup.set,
        )
        for name, account in assembly.accounts(settings, mask).items()
    }
    ticks = {"dispatcher": lambda: dispatcher.ticked_at}
    ticks |= {f"poller {name}": partial(_ticked_at, poller) for name, poller in pollers.items()}
    health = Health(store, clock, ticks)
    context = Context(
        store=store,
        clock=clock,
        entropy=entropy,
        metrics=metrics,
        health=health,
        ends=ends,
        providers=assembly.followed(settings, pollers),
        destinations=assembly.named_destinations(settings, resolve, clock),
        callback_target=assembly.callback_checker(settings),
        wake_dispatcher=dispatcher.wakeup.set,
        tokens=settings.auth.tokens,
        listen_host=settings.server.listen.host,
    )
    runner = web.AppRunner(
        build_app(context), access_log=None, handle_signals=False, shutdown_timeout=_IDLE_CONNECTIONS_S
    )
    return runner, (pollers, dispatcher, health, metrics)


def _ticked_at(poller: Poller) -> float:
    return poller.ticked_at


async def _show_life(daemon: Daemon, clock: Clock) -> None:
    """Feed the watchdog while everything is well, and keep the status line current.

    It runs on the event loop on purpose: a blocked loop must go unfed.
    """
    every_s = min(systemd.watchdog_interval_s() or _STATUS_EVERY_S, _STATUS_EVERY_S)
    while True:
        try:
            checks = await daemon.health.checks()
            if all(check.ok for check in checks.values()):
                systemd.notify("WATCHDOG=1")
            counts = await daemon.store.counts()
            watched, owed = sum(counts.watches.values()), sum(counts.deliveries.values())
            systemd.notify(f"STATUS=watching {watched} jobs, {owed} deliveries not delivered")
        except StoreError as error:
            systemd.notify(f"STATUS=the database fails: {error}")
        await clock.sleep(every_s)


def _reload(daemon: Daemon, mask: SecretMask) -> None:
    """Answer SIGHUP: secrets are read again; anything else that changed is named, and needs a restart."""
    for poller in daemon.pollers.values():
        poller.forget_secrets()
    try:
        fresh = load_settings(daemon.settings.path)
    except ConfigInvalid as error:
        _log.error("config.refused", report=error.report)
        return
    assembly.learn_secrets(fresh, mask)
    skipped = {"path", "warnings"}
    changed = sorted(
        field.name
        for field in fields(fresh)
        if field.name not in skipped and getattr(fresh, field.name) != getattr(daemon.settings, field.name)
    )
    _log.info("secrets.reloaded")
    if changed:
        _log.warning("config.changed", sections=changed, needs="a restart")
