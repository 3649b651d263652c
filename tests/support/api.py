"""The API served on a real socket over a real store, with its insides in hand."""

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp

from relay.api import Context, CreatedTokens, Followed, Listener, NamedDestination, Vitals, build_app
from relay.clock import SystemClock
from relay.config import Changes, Difference
from relay.core.access import Scope, Token
from relay.core.budget import Rate
from relay.core.delivery import Verdict, VerdictKind
from relay.core.errors import InvalidValue, RelayError
from relay.core.event import outcome_event
from relay.core.observation import Observation, Status
from relay.core.ports import Ending, Store, WatchFilter
from relay.core.routing import Route
from relay.core.schedule import Bounds
from relay.core.standing import Standing
from relay.core.watch import Following, Target
from relay.experience import Experience
from relay.health import Health
from relay.metrics import Metrics
from relay.signals import EndSignals, News
from relay.store import open_sqlite
from support import conformance
from support.doubles import EvenEntropy, PlainProvider

OPS = Target("ops", "ops", name="ops")
SHOP = "rly_shop-token-0123456789"
ROOT = "rly_root-token-0123456789"


def callback_target(url: str) -> Target:
    if not url.startswith("https://"):
        raise InvalidValue("callback_url", "must be https")
    return Target("url:" + url, "hook.example:443", url=url)


async def no_look_up(urls: Collection[str]) -> None:
    pass


class Api:
    """A served API with its insides in hand."""

    def __init__(self, store: Store, tokens: tuple[Token, ...] = ()) -> None:
        self.store = store
        self.clock = SystemClock()
        self.ends = EndSignals()
        self.news = News()
        self.woken: list[str] = []
        self.tick = self.clock.monotonic()
        self.headers: dict[str, str] = {}
        self.url = ""
        self.refused = ""
        self.session: aiohttp.ClientSession
        self.listener: Listener
        following = Following(60.0, Bounds(2, 1, 30), 30)
        self.experience = Experience("plain", 60.0)
        self.context = Context(
            store=store,
            clock=self.clock,
            entropy=EvenEntropy(),
            metrics=Metrics(),
            health=Health(store, self.clock, lambda: {"dispatcher": self.tick}),
            ends=self.ends,
            news=self.news,
            providers={
                "plain": Followed(
                    PlainProvider(),
                    following,
                    self.experience,
                    None,
                    600.0,
                    wake=lambda: self.woken.append("poller"),
                    planned=lambda _moment: self.woken.append("poller"),
                )
            },
            routes=[Route((OPS,), statuses=frozenset({Status.FAILED}))],
            destinations={"ops": NamedDestination(OPS, "slack", self.greet)},
            callback_target=callback_target,
            look_up=no_look_up,
            wake_dispatcher=lambda: self.woken.append("dispatcher"),
            tokens=tokens,
            created=CreatedTokens(store),
            listen_host="127.0.0.1",
            rate=Rate(60000, 60.0),
            reload=self.reload,
            measure=self.measure,
        )

    async def measure(self) -> Vitals:
        counts = await self.store.counts()
        self.context.metrics.observe(counts, self.clock.now())
        return Vitals(
            started_at=1_800_000_000.0,
            config_loaded_at=1_800_000_060.0,
            config_refused=False,
            counts=counts,
            due_lags_s={"plain": 1.5},
            standings={"plain": Standing()},
        )

    async def reload(self) -> Changes:
        if self.refused:
            raise RelayError(self.refused)
        return Changes(Difference(added=("fal",)), Difference(), ("routes",), ("server.listen",))

    async def greet(self, now: float) -> Verdict:
        return Verdict(VerdictKind.RETRY, "HTTP 500")

    async def call(self, method: str, path: str, **options: object) -> tuple[int, dict[str, object]]:
        options.setdefault("headers", self.headers)
        async with self.session.request(method, self.url + path, **options) as answer:  # type: ignore[arg-type]
            text = await answer.text()
            if answer.status >= 400:
                assert answer.content_type == "application/problem+json"
                assert json.loads(text)["status"] == answer.status
            conformance.check(method, path, answer.status, answer.content_type, json.loads(text) if text else None)
            return answer.status, json.loads(text) if text else {}

    async def add(self, **changes: object) -> tuple[int, dict[str, object]]:
        return await self.call("POST", "/v1/watches", json={"provider": "plain", "job_id": "j1"} | changes)

    async def end(self, watch_id: str, seen: Observation) -> None:
        watch = (await self.store.watch(watch_id)).watch
        now = self.clock.now()
        event = outcome_event(watch, seen, now)
        ending = Ending(watch_id, seen.status, seen.provider_status, seen.model, event)
        await self.store.finalize_watch(ending, now)
        self.ends.ended(watch_id)
        self.news.told()

    async def stored(self) -> int:
        return len(await self.store.watches(WatchFilter(), before=None, limit=99))


@asynccontextmanager
async def served(folder: Path, tokens: tuple[Token, ...] = ()) -> AsyncIterator[Api]:
    """Serve an API while the block runs."""
    async with open_sqlite(folder / "relay.db") as store, aiohttp.ClientSession() as session:
        api = Api(store, tokens)
        api.session = session
        listener = api.listener = Listener(build_app(api.context), grace_s=0.1)
        await listener.start()
        api.url = await listener.listen("127.0.0.1", 0)
        try:
            yield api
        finally:
            await listener.stop()


@contextmanager
def served_beside(folder: Path, tokens: tuple[Token, ...] = ()) -> Iterator[tuple[Api, asyncio.AbstractEventLoop]]:
    """Serve an API on a thread of its own, for clients that block."""
    ready, stopping = threading.Event(), asyncio.Event()
    found: list[tuple[Api, asyncio.AbstractEventLoop]] = []

    async def run() -> None:
        async with served(folder, tokens) as api:
            found.append((api, asyncio.get_running_loop()))
            ready.set()
            await stopping.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(20)
    try:
        yield found[0]
    finally:
        found[0][1].call_soon_threadsafe(stopping.set)
        thread.join()


def token(name: str, text: str, *scopes: Scope) -> Token:
    """Return a token as the configuration would hold it."""
    return Token(name, hashlib.sha256(text.encode()).hexdigest(), frozenset(scopes))


TOKENS = (
    token("shop", SHOP, Scope.WATCH, Scope.READ),
    token("root", ROOT, Scope.ADMIN),
    token("eyes", "rly_eyes", Scope.READ),
)


def bearer(text: str) -> dict[str, str]:
    """Return the headers that present a token."""
    return {"Authorization": f"Bearer {text}"}
