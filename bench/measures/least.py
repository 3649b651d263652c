"""What is left of each baseline when it keeps what it does in the store, and does nothing else.

The same bare clients and the same bare server, with the store's transactions
around each request: claim, ask, record; claim, post, settle; add, answer.  They
decide, check, sign and measure nothing, and trust everybody; but for those of
the second row, which read the answer and decide by it as relay does, with the
pure functions that do so, and do nothing else.  Beyond these ratios no daemon
can come that stands on this client, this server, this store and those functions.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import aiohttp

from bench.loopback.echo import echoing
from bench.loopback.server import HOSTS, serving
from bench.measures import adds, callbacks, polls
from bench.measures.ground import CONCURRENCY, PROVIDER, configure, fill, folder
from bench.measures.options import Options
from bench.pairing import Comparison, Stopwatch, Take, rounds, section
from bench.report import Section
from relay import assembly
from relay.core.delivery import Attempt, DeliveryState, Settlement, Trigger, VerdictKind
from relay.core.http import Request, Response
from relay.core.lessons import lessons
from relay.core.observation import Job, Observation, Status
from relay.core.ports import Outgoing, Store
from relay.core.standing import Standing, after_answer
from relay.core.watch import Continue, Watch, decide
from relay.experience import Experience
from relay.inquiry import Account
from relay.log import SecretMask
from relay.occupancy import LANE_CONCURRENCY
from relay.settings import load_settings
from relay.store import open_sqlite
from relay.transport.client import USER_AGENT

_STEP_S = 3600.0
_LEASE_S = 600.0
_POSTS = len(HOSTS) * LANE_CONCURRENCY

Item = TypeVar("Item")


async def measure(options: Options) -> list[Section]:
    """Compare each baseline that keeps what it does with the one that does not."""
    comparisons = [
        await _polls(options, "GET, claimed and recorded", _Trusting),
        await _polls(options, "GET, claimed, understood and recorded", _Deciding),
        await _callbacks(options),
        await _adds(options),
    ]
    return [section("The least that it costs to keep", str(__doc__), comparisons)]


class _Asking(Protocol):
    """How a status is asked for, and what the answer means."""

    def __init__(self, account: Account) -> None: ...

    def request(self, watch: Watch, now: float) -> Request: ...

    async def meaning(self, watch: Watch, answer: aiohttp.ClientResponse, now: float) -> Continue: ...


class _Trusting:
    """Asks and reads as the bare client does."""

    def __init__(self, account: Account) -> None:
        self._base_url = account.provider.request(Job("x", {}), account.read_secrets(), 0.0).url.removesuffix("/x")

    def request(self, watch: Watch, now: float) -> Request:
        return Request("GET", f"{self._base_url}/{watch.job.id}", {"Authorization": "Bearer sk-bench-0123456789"})

    async def meaning(self, watch: Watch, answer: aiohttp.ClientResponse, now: float) -> Continue:
        assert (await answer.json())["status"] == "pending"
        return _continued(watch, now + _STEP_S)


class _Deciding:
    """Asks, reads and decides as relay does."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._secrets = account.read_secrets()
        self._experience = Experience(account.name, account.following.typical_s)
        self._standing = Standing()

    def request(self, watch: Watch, now: float) -> Request:
        return self._account.provider.request(watch.job, self._secrets, now)

    async def meaning(self, watch: Watch, answer: aiohttp.ClientResponse, now: float) -> Continue:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        response = Response(answer.status, headers, await answer.read())
        seen = self._account.provider.interpret(watch.job, [response], self._secrets, now)
        assert isinstance(seen, Observation)
        self._standing = after_answer(self._standing, seen, asked_at=now, now=now, sample=0.5).standing
        self._experience.learn(lessons(watch, seen, self._experience, now))
        decided = decide(watch, seen, self._account.following, self._experience, now=now, sample=0.5)
        assert isinstance(decided, Continue)
        return decided


async def _polls(options: Options, name: str, kind: type[_Asking]) -> Comparison:
    number = options.count(4000)
    with folder() as path:
        async with (
            serving() as server,
            open_sqlite(path / "relay.db") as store,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session,
        ):
            configure(path, server.url)
            asking = kind(assembly.accounts(load_settings(path / "relay.toml"), SecretMask())[PROVIDER])
            job_ids = (f"req-01HXYZ{place:08d}" for place in itertools.count())
            begin = time.time()
            await fill(store, job_ids, number, lambda _: begin)
            moments = itertools.count(begin, _STEP_S)
            turns = await rounds(
                options.rounds,
                lambda: _ask_and_record(session, asking, store, number, next(moments)),
                lambda: polls.ask_all(session, server, number),
            )
    return Comparison(name, "bare aiohttp client", turns)


async def _ask_and_record(
    session: aiohttp.ClientSession, asking: _Asking, store: Store, number: int, now: float
) -> Take:
    told: list[Continue] = []
    recording = asyncio.Lock()

    async def claim() -> Sequence[Watch]:
        return await store.claim_due_watches(
            PROVIDER, now, until=now + _LEASE_S, limit=CONCURRENCY, retries=CONCURRENCY, turn_s=0.0
        )

    async def ask(watch: Watch) -> None:
        request = asking.request(watch, now)
        async with session.get(request.url, headers=request.headers) as answer:
            told.append(await asking.meaning(watch, answer, now))
        if not recording.locked():
            async with recording:
                while told:
                    recorded = told.copy()
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
