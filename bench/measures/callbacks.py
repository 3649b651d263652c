"""Callbacks per second, from the claim to the settled delivery, beside a bare aiohttp client that posts the same.

Both sides run in this process and post to the same receivers, eight hosts on
loopback; the bare client posts requests that were made and signed beforehand,
over as many connections.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence

import aiohttp

from bench.loopback.server import HOSTS, serving
from bench.measures.ground import callback, configure, daemon, fill, folder, until
from bench.measures.options import Options
from bench.pairing import Comparison, Stopwatch, Take, profiling, rounds, section
from bench.report import Section
from relay.config import read_signers
from relay.core.delivery import first_delivery
from relay.core.event import outcome_event
from relay.core.http import Request
from relay.core.observation import Cost, Observation, Output, Status
from relay.core.ports import Ending, Store
from relay.core.retry import RetryPolicy
from relay.core.signing import Signer
from relay.core.watch import Watch
from relay.daemon import Daemon
from relay.destinations import CallbackDestination
from relay.occupancy import LANE_CONCURRENCY
from relay.transport.client import USER_AGENT

_STEP_S = 3600.0
_NEVER_S = 1e6
_TARGET = 0.6
SEEN = Observation(
    Status.COMPLETED,
    "completed",
    model="seedance-v1-pro",
    outputs=(
        Output(
            "https://cdn.getimg.ai/v2/downloads/req-01HXYZ/0?exp=1760000000&sig=MEUCIQDfWhl2m",
            content_type="video/mp4", width=1920, height=1080, duration_s=5.0, fps=24.0, has_audio=True,
        ),
    ),
    cost=Cost(0.25, unit="video_second", unit_price=0.05, quantity=5.0),
)  # fmt: skip


async def measure(options: Options) -> list[Section]:
    """Let both sides post the same number of callbacks, in turns."""
    each = options.count(3000)
    with folder() as path, profiling(options.profile) as profile:
        async with serving() as server:
            configure(path, server.url)
            async with daemon(path) as life:
                watches = await have_due(life.store, server.port, each, turns=options.rounds + 1)
                signers = read_signers(life.engine.settings.callbacks.signing)
                requests = requests_for(watches, server.port, signers)
                async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                    turns = await rounds(
                        options.rounds,
                        lambda: deliver_all(life, each),
                        lambda: post_all(session, requests),
                        profile,
                    )
    comparison = Comparison("callbacks, signed and settled", "bare aiohttp client, same bytes", turns, _TARGET)
    return [section("Callbacks", str(__doc__), [comparison])]


async def have_due(store: Store, port: int, each: int, turns: int) -> list[Watch]:
    """End jobs, so that with every step of the clock the callbacks of as many are due; return the last watches."""
    now, job_ids = time.time(), (f"req-{number:08d}" for number in itertools.count())
    for turn in range(turns):
        watches = await fill(store, job_ids, each, lambda _: now + _NEVER_S, port)
        at = now + (turn + 0.5) * _STEP_S
        await asyncio.gather(*(store.finalize_watch(ending, at) for ending in endings(watches, at)))
    return watches


def endings(watches: list[Watch], at: float) -> list[Ending]:
    """Return what ends watches, as the poller has it."""
    return [
        Ending(watch.id, SEEN.status, SEEN.provider_status, SEEN.model, outcome_event(watch, SEEN, at))
        for watch in watches
    ]


async def deliver_all(life: Daemon, each: int) -> Take:
    """Make the callbacks of the next step due, and wait until all are settled."""
    before = settled(life)
    await life.engine.set_back(_STEP_S)
    watch = Stopwatch()
    await until(lambda: settled(life) - before == each)
    return watch.take(each)


def settled(life: Daemon) -> int:
    """Return how many deliveries were settled for good."""
    samples = (sample for family in life.metrics.settled.collect() for sample in family.samples)
    return round(sum(sample.value for sample in samples if sample.name == "relay_deliveries_settled_total"))


def requests_for(watches: list[Watch], port: int, signers: Sequence[Signer]) -> list[Request]:
    """Return what the daemon sends of such watches."""
    now = time.time()
    requests = []
    for place, watch in enumerate(watches):
        event = outcome_event(watch, SEEN, now)
        target = callback(place, port)
        destination = CallbackDestination(str(target.url), signers, RetryPolicy())
        requests.append(destination.request(first_delivery(event, target, now), event, now))
    return requests


async def post_all(session: aiohttp.ClientSession, requests: list[Request]) -> Take:
    """Post what was made beforehand."""
    waiting = iter(requests)

    async def post() -> None:
        for request in waiting:
            headers = {**request.headers, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
            async with session.post(request.url, data=request.body, headers=headers) as answer:
                await answer.read()
                assert answer.status == 204

    watch = Stopwatch()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(len(HOSTS) * LANE_CONCURRENCY):
            tasks.create_task(post())
    return watch.take(len(requests))
