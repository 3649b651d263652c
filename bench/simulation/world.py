"""What surrounds the daemon: who asks what when, a network that fails, a disk that fills up, and what came of it.

Nothing here knows how the daemon works: it goes by requests, answers and, read
only, what has been committed.
"""

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.simulation.chats import Chats
from bench.simulation.plug import Plug
from bench.simulation.provider import Job, Provider
from bench.simulation.receivers import GONE, Receivers
from bench.simulation.time import NEVER, SimulatedClock, Window
from relay.core.http import Fault, Request, Response, TransportError

OUTCOMES = ("completed", "completed", "failed", "cancelled")
APPS = ("https://app-1.example/hook", "https://app-2.example/hook")
_JUMPS_S = (3600.0, -3600.0, 86400.0, -86400.0)


@dataclass(frozen=True, slots=True)
class Wish:
    """A request to follow a job and to tell somebody of its end: a URL, or a destination of the configuration."""

    at_s: float
    job_id: str
    url: str | None
    deadline_s: float
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Whim:
    """Something else that an application asks of a watch: to forget it, or to look now."""

    at_s: float
    job_id: str
    forget: bool


@dataclass(slots=True)
class World:
    """Everything that outlives the daemon."""

    seed: int
    path: Path
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    wishes: list[Wish] = field(default_factory=list)
    whims: list[Whim] = field(default_factory=list)
    granted: dict[Wish, str] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    """Watches that somebody asked to forget."""
    asked: set[Whim] = field(default_factory=set)
    resent: int = 0
    violations: list[str] = field(default_factory=list)
    plug: Plug | None = None
    life: int = 0
    down: list[Window] = field(default_factory=list)
    chance: random.Random = field(init=False)
    provider: Provider = field(init=False)
    receivers: Receivers = field(init=False)
    chats: Chats = field(init=False)
    outages: dict[str, Window] = field(default_factory=dict)
    broken: dict[str, Window] = field(default_factory=dict)
    """Hosts that answer, and take nothing."""
    disk_full: Window = NEVER
    _reader: sqlite3.Connection | None = None
    _under_way: set[str] = field(default_factory=set)
    _requests: int = 0
    _leaps: dict[int, float] = field(default_factory=dict)
    """By how much the wall clock is set while the request of that number is under way."""

    def __post_init__(self) -> None:
        self.chance = chance = random.Random(self.seed)
        self.provider, self.receivers, self.chats = Provider(self), Receivers(self), Chats(self)
        storm = chance.random() < 0.3
        together_s = chance.uniform(60, 900) if storm else None
        for number in range(24 if storm else 10):
            self._add_job(f"job-{number}", together_s)
        for host in ("app-1.example", "app-2.example", "shop.example", "hooks.slack.com", "discord.com"):
            self.outages[host] = self._window(0.2, 60, 7200)
            self.broken[host] = self._window(0.15, 3000, 6000)
        self.outages["api.getimg.ai"] = self._window(0.3, 60, 5400)
        self.provider.refuses = self._window(0.25, 60, 2400)
        self.provider.refusal = chance.choice((401, 403))
        self.receivers.gone = self._window(0.3, 300, 3000)
        self.chats.gone = self._window(0.15, 300, 3000)
        self.disk_full = self._window(0.4, 10, 300)
        if chance.random() < 0.4:
            for _ in range(chance.randint(1, 2)):
                self._leaps[chance.randint(1, 150)] = chance.choice(_JUMPS_S)

    def _add_job(self, job_id: str, together_s: float | None) -> None:
        chance, at_s = self.chance, self.chance.uniform(0, 600)
        endless, vanishes = chance.random() < 0.1, chance.random() < 0.1
        ends_s = at_s + (10_800.0 if endless else chance.uniform(1, 1200))
        if together_s is not None and not endless and chance.random() < 0.7:
            ends_s = together_s
        self.provider.jobs[job_id] = Job(
            known_at_s=at_s + (chance.uniform(0, 20) if chance.random() < 0.2 else -1.0),
            ends_at_s=ends_s,
            outcome=chance.choice(OUTCOMES),
            vanishes_at_s=at_s + chance.uniform(0, 1200) if vanishes else None,
        )
        deadline_s = 900.0 if endless else 40_000.0
        self.wishes.append(Wish(at_s, job_id, chance.choice(APPS), deadline_s))
        for _ in range(2):  # the same job again, for somebody else, perhaps after its end
            if chance.random() < 0.3:
                again_s = at_s + chance.uniform(0, 1500)
                name = "ops" if chance.random() < 0.3 else None
                url = None if name else chance.choice([*APPS, GONE])
                self.wishes.append(Wish(again_s, job_id, url, deadline_s, name))
        if chance.random() < 0.2:
            self.whims.append(Whim(at_s + chance.uniform(0, 1500), job_id, forget=chance.random() < 0.4))

    def _window(self, likely: float, least_s: float, most_s: float) -> Window:
        if self.chance.random() >= likely:
            return NEVER
        start_s = self.chance.uniform(0, 1500)
        return Window(start_s, start_s + self.chance.uniform(least_s, most_s))

    # what is seen

    @property
    def now_s(self) -> float:
        """The seconds since the world began."""
        return self.clock.monotonic()

    def accuse(self, what: str) -> None:
        """Write down a promise that was broken."""
        self.violations.append(f"at {self.now_s:.3f} s: {what}")

    def committed(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        """Return what another process reads from the database at this moment."""
        if self._reader is None:
            self._reader = sqlite3.connect(self.path, isolation_level=None)
        return self._reader.execute(sql, parameters).fetchall()

    def born(self) -> bool:
        """Tell whether there is a database with all its tables."""
        return self.path.exists() and bool(self.committed("SELECT 1 FROM sqlite_master WHERE name = 'conditions'"))

    def close(self) -> None:
        """Read no more."""
        if self._reader is not None:
            self._reader.close()

    # what fails

    def disk(self) -> None:
        """Fail as SQLite does where the disk is full, sometimes."""
        if self.now_s in self.disk_full and self.chance.random() < 0.3:
            self.excuse_unsettled()
            raise sqlite3.OperationalError("database or disk is full")

    def excuse_unsettled(self) -> None:
        """Let everything come once more that has arrived without that being committed."""
        settled = {row[0] for row in self.committed("SELECT id FROM deliveries WHERE state = 'delivered'")}
        self.receivers.excuse_all_but(settled)

    def cut(self) -> None:
        """Note that a life is over."""
        self._under_way.clear()
        if self.born():
            self.excuse_unsettled()

    # the network

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        """See Transport: what becomes of a request is drawn."""
        assert self.plug is not None
        await self.plug.point("before a request")
        host = urlsplit(request.url).hostname or ""
        with self._noted(request, host):
            return await self._travel(request, host, timeout_s)

    async def _travel(self, request: Request, host: str, timeout_s: float) -> Response:
        assert self.plug is not None
        self._requests += 1
        leap_s = self._leaps.get(self._requests)
        fates = ("answered", "reset", "lost answer", "slow")
        fate = "down" if self.now_s in self.outages.get(host, NEVER) else self.chance.choices(fates, (80, 5, 8, 7))[0]
        way_s = self.chance.uniform(0.01, 0.5)
        await asyncio.sleep(way_s)
        if leap_s is not None:
            self.clock.jump(leap_s)
            fate = "slow" if fate == "answered" else fate
        if fate in ("down", "reset"):
            raise TransportError(Fault.CONNECT, fate)
        answer = self._answer(request, host)
        try:
            await self.plug.point("after a request, before its answer")
            await asyncio.sleep({"lost answer": timeout_s - way_s, "slow": timeout_s * 0.9}.get(fate, way_s))
        except BaseException:
            self.receivers.excuse(request)
            raise
        if fate == "lost answer":
            self.receivers.excuse(request)
            raise TransportError(Fault.TIMEOUT, fate)
        if host == "api.getimg.ai":
            self.provider.arrived(request, answer)
        return answer

    def _answer(self, request: Request, host: str) -> Response:
        if host == "api.getimg.ai":
            return self.provider.answer(request)
        if host in ("hooks.slack.com", "discord.com"):
            return self.chats.receive(request, host, broken=self.now_s in self.broken[host])
        return self.receivers.receive(request, host, broken=self.now_s in self.broken.get(host, NEVER))

    def _noted(self, request: Request, host: str) -> "_Noted":
        if host == "api.getimg.ai":
            self.provider.note(request)
            return _Noted(self, request.url, f"{request.url} is asked about twice at the same time")
        if host in ("hooks.slack.com", "discord.com"):
            self.chats.note(request, host)
            return _Noted(self, host, f"{host} is told two things at the same time")
        self.receivers.note(request)
        webhook_id = request.headers["webhook-id"]
        return _Noted(self, webhook_id, f"{webhook_id} is told twice at the same time")

    def begin(self, key: str, accusation: str) -> None:
        """Note that a request is under way: there can be no second one."""
        if key in self._under_way:
            self.accuse(accusation)
        self._under_way.add(key)

    def end(self, key: str) -> None:
        """Note that a request is not under way any more."""
        self._under_way.discard(key)

    def windows(self) -> Iterator[Window]:
        """Yield every time of trouble that has an end."""
        yield from (*self.outages.values(), *self.broken.values(), self.disk_full)
        yield from (self.provider.refuses, self.receivers.gone, self.chats.gone)


class _Noted:
    """A request that is under way while the block runs."""

    def __init__(self, world: World, key: str, accusation: str) -> None:
        self._world, self._key = world, key
        self._world.begin(key, accusation)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._world.end(self._key)
