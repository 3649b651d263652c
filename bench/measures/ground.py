"""A daemon to measure: in this process, where its parts can be timed, or as a process of its own."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from bench.loopback.processes import Child, child
from bench.loopback.server import HOSTS
from bench.ports import free_port
from relay import assembly, config, log
from relay.clock import SystemClock, SystemEntropy
from relay.core import ids
from relay.core.access import digest_of
from relay.core.address import AddressPolicy
from relay.core.observation import Job
from relay.core.ports import Store
from relay.core.watch import NewWatch, Target, Watch
from relay.daemon import Daemon, running, spare_collections
from relay.destinations import callback_target
from relay.log import SecretMask
from relay.settings import load_settings

TOKEN = "rly_bench"
PROVIDER = "getimg"
TYPICAL_S = 120.0
CONCURRENCY = 64
"""Polls under way at once, ours and the baseline's."""

_DAY_S = 86400.0
_BATCH = 5000
_READY_S = 60.0


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder on the disk that a database would be on."""
    with TemporaryDirectory(prefix="relay-bench-") as path:
        yield Path(path)


def configure(folder: Path, provider_url: str, *, interval: str = "1h", more: str = "") -> int:
    """Write a configuration whose provider is at `provider_url`; return the port that its API will have.

    With an `interval` beyond the end of a measurement a job is looked at when
    the measurement wants it, and at no other time.
    """
    port = free_port()
    (folder / "key").write_text("sk-bench-0123456789")
    (folder / "key").chmod(0o600)
    (folder / "relay.toml").write_text(
        f"""[server]
listen = "127.0.0.1:{port}"
rate = "100000000/m"
[log]
format = "json"
[auth]
tokens = [{{ name = "bench", hash = "sha256:{digest_of(TOKEN)}", scopes = ["watch", "read", "admin"] }}]
[store]
url = "sqlite:///relay.db"
[callbacks]
allow_http = true
allow_networks = ["127.0.0.0/8"]
[providers.{PROVIDER}]
api_key = {{ file = "key" }}
base_url = "{provider_url}"
concurrency = {CONCURRENCY}
min_interval = "{interval}"
max_interval = "{interval}"
typical_duration = "{TYPICAL_S:.0f}s"
{more}"""
    )
    return port


@asynccontextmanager
async def daemon(folder: Path) -> AsyncIterator[Daemon]:
    """Run the configured daemon in this process while the block runs; its log goes to a file."""
    settings, mask = load_settings(folder / "relay.toml"), SecretMask()
    config.ensure_signing_secret(settings.callbacks.signing.secret, SystemEntropy().bytes)
    with (folder / "daemon.log").open("a", encoding="utf-8") as out:
        log.configure(style=settings.log.format, level=settings.log.level, mask=mask, stream=out)
        assembly.learn_secrets(settings, mask)
        spare_collections()  # as `relay serve` does; the baseline runs in this process too
        async with running(settings, SystemClock(), SystemEntropy(), mask) as life:
            yield life


@asynccontextmanager
async def served(folder: Path, port: int, *, profile: Path | None = None) -> AsyncIterator[Child]:
    """Run `relay serve` as a process of its own while the block runs."""
    profiled = ("-m", "cProfile", "-o", str(profile)) if profile else ()
    command = (sys.executable, *profiled, "-m", "relay", "serve", "--config", str(folder / "relay.toml"))
    with (folder / "daemon.log").open("ab") as out:
        async with child(*command, errors=out.fileno()) as process:
            process.port = port
            await _ready(process)
            yield process


async def _ready(process: Child) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(_READY_S):
        while process.process.returncode is None:
            try:
                async with session.get(f"{process.url}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.01)
    raise RuntimeError("the daemon ended early")


async def fill(
    store: Store, job_ids: Iterator[str], number_of: int, due_at: Callable[[int], float], port: int | None = None
) -> list[Watch]:
    """Add watches of jobs that began over the last minutes, and return them; `due_at` tells when each is looked at.

    With a `port` each has a callback to one of HOSTS in turn.
    """
    now, added = time.time(), list[Watch]()
    for begin in range(0, number_of, _BATCH):
        new = [
            NewWatch(
                id=ids.watch_id(now, os.urandom(ids.ENTROPY_BYTES)),
                provider=PROVIDER,
                job=Job(next(job_ids), {}),
                deadline=now + _DAY_S,
                next_poll_at=due_at(place),
                targets=() if port is None else (callback(place, port),),
                metadata={"order": f"{place:08d}"},
            )
            for place in range(begin, min(begin + _BATCH, number_of))
        ]
        added += [item.watch for item in await store.add_watches(new, now - TYPICAL_S * begin / number_of)]
    return added


async def until(condition: Callable[[], bool], limit_s: float = 120.0) -> None:
    """Look every other millisecond whether something holds; raises TimeoutError where it takes too long."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.002)


def callback(place: int, port: int) -> Target:
    """Return a receiver on `port`, on each of HOSTS in turn."""
    url = f"http://{HOSTS[place % len(HOSTS)]}:{port}/hook"
    return callback_target(url, allow_http=True, policy=AddressPolicy(operator=True))
