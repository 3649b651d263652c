"""What is left of each baseline when it keeps what it does in the store, and does nothing else.

The same bare clients and the same bare server, with the store's transactions
around each request: claim, ask, record; claim, post, settle; add, answer.  They
decide, check, sign and measure nothing, and trust everybody.  Beyond these
ratios no daemon can come that stands on this client, this server and this store.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import aiohttp

from bench.loopback.echo import echoing
from bench.loopback.processes import Child
from bench.loopback.server import HOSTS, serving
from bench.measures import adds, callbacks, polls
from bench.measures.ground import CONCURRENCY, PROVIDER, fill, folder
from bench.measures.options import Options
from bench.pairing import Comparison, Stopwatch, Take, rounds, section
from bench.report import Section
from relay.core.delivery import Attempt, DeliveryState, Settlement, Trigger, VerdictKind
from relay.core.http import Request
from relay.core.observation import Status
from relay.core.ports import Outgoing, Store
from relay.core.watch import Continue, Watch
from relay.occupancy import LANE_CONCURRENCY
from relay.store import open_sqlite
from relay.transport.client import USER_AGENT

_STEP_S = 3600.0
_LEASE_S = 600.0
_POSTS = len(HOSTS) * LANE_CONCURRENCY

Item = TypeVar("Item")


async def measure(options: Options) -> list[Section]:
    """Compare each baseline that keeps what it does with the one that does not."""
    comparisons = [await _polls(options), await _callbacks(options), await _adds(options)]
    return [section("The least that it costs to keep", str(__doc__), comparisons)]


async def _polls(options: Options) -> Comparison:
    number = options.count(4000)
    with folder() as path:
        async with (
            serving() as server,
            open_sqlite(path / "relay.db") as store,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session,
        ):
            job_ids = (f"req-01HXYZ{place:08d}" for place in itertools.count())
            begin = time.time()
            await fill(store, job_ids, number, lambda _: begin)
            moments = itertools.count(begin, _STEP_S)
            turns = await rounds(
                options.rounds,
                lambda: _ask_and_record(session, server, store, number, next(moments)),
                lambda: polls.ask_all(session, server, number),
            )
    return Comparison("GET, claimed and recorded", "bare aiohttp client", turns)


async def _ask_and_record(session: aiohttp.ClientSession, server: Child, store: Store, number: int, now: float) -> Take:
    told: list[Watch] = []
    recording = asyncio.Lock()

    async def claim() -> Sequence[Watch]:
        return await store.claim_due_watches(
            PROVIDER, now, until=now + _LEASE_S, limit=CONCURRENCY, retries=CONCURRENCY, turn_s=0.0
        )

    async def ask(watch: Watch) -> None:
        url = f"{server.url}/v2/videos/generations/{watch.job.id}"
        async with session.get(url, headers={"Authorization": "Bearer sk-bench-0123456789"}) as answer:
            assert (await answer.json())["status"] == "pending"
        told.append(watch)
        if not recording.locked():
            async with recording:
                while told:
                    recorded = [_continued(each, now + _STEP_S) for each in told]
                    told.clear()
                    await store.record_polls(recorded, now)

    watch = Stopwatch()
    await _work(claim, ask, CONCURRENCY)
    return watch.take(number)


def _continued(watch: Watch, next_poll_at: float) -> Continue:
    return Continue(
        watch_id=watch.id,
        status=Status.RUNNING,
        next_poll_at=next_poll_at,
        demand=watch.demand,
        provider_status="pending",
        model=watch.model,
        progress=None,
        began_at=watch.began_at,
        seen_at=next_poll_at - _STEP_S,
        running_since=watch.running_since,
        estimated_end_at=None,
        failed_polls=0,
        missing_polls=0,
        missing_since=None,
        last_error=None,
    )


async def _callbacks(options: Options) -> Comparison:
    each = options.count(3000)
    with folder() as path:
        async with (
            serving() as server,
            open_sqlite(path / "relay.db") as store,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            begin = time.time()
            watches = await callbacks.have_due(store, server.port, each, turns=options.rounds + 1)
            requests = callbacks.requests_for(watches, server.port, ())
            moments = itertools.count(begin + _STEP_S, _STEP_S)
            turns = await rounds(
                options.rounds,
                lambda: _post_and_settle(session, requests, store, next(moments)),
                lambda: callbacks.post_all(session, requests),
            )
    return Comparison("POST to receivers, claimed and settled", "bare aiohttp client, same bytes", turns)


async def _post_and_settle(session: aiohttp.ClientSession, requests: list[Request], store: Store, now: float) -> Take:
    ready = iter(requests)

    async def claim() -> Sequence[Outgoing]:
        return await store.claim_due_deliveries(
            now,
            until=now + _LEASE_S,
            limit=_POSTS,
            per_lane=LANE_CONCURRENCY,
            per_failing_lane=1,
            retries=_POSTS,
            limits={},
            busy={},
        )

    async def post(outgoing: Outgoing) -> None:
        request, delivery = next(ready), outgoing.delivery
        headers = {**request.headers, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        async with session.post(request.url, data=request.body, headers=headers) as answer:
            await answer.read()
            assert answer.status == 204
        attempt = Attempt(delivery.id, 1, Trigger.SCHEDULED, now, 0.0, VerdictKind.DELIVERED, 204)
        await store.settle_attempts([(attempt, Settlement(delivery.id, DeliveryState.DELIVERED, now, 1, None, now))])

    watch = Stopwatch()
    await _work(claim, post, _POSTS)
    return watch.take(len(requests))


async def _work(
    claim: Callable[[], Awaitable[Sequence[Item]]], deal_with: Callable[[Item], Awaitable[None]], at_once: int
) -> None:
    """Deal with all that there is to claim, so many at once, and claim no more than is dealt with soon."""
    claimed: asyncio.Queue[Item | None] = asyncio.Queue(at_once)

    async def feed() -> None:
        while items := await claim():
            for item in items:
                await claimed.put(item)
        for _ in range(at_once):
            await claimed.put(None)

    async def work() -> None:
        while (item := await claimed.get()) is not None:
            await deal_with(item)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(feed())
        for _ in range(at_once):
            tasks.create_task(work())


async def _adds(options: Options) -> Comparison:
    number, numbers = options.count(4000), itertools.count()
    with folder() as path:
        async with echoing(path / "relay.db") as keeping, echoing() as echo:
            turns = await rounds(
                options.rounds,
                lambda: adds.add(keeping, adds.singles(number, numbers), 1, adds.CONNECTIONS),
                lambda: adds.add(echo, adds.singles(number, numbers), 1, adds.CONNECTIONS),
            )
    return Comparison("POST, stored as a watch and echoed", "bare aiohttp echo", turns)
