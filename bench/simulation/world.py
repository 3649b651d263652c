"""What surrounds the daemon: jobs that end, a network that fails, receivers that forget to answer, and who saw what.

Nothing here knows how the daemon works: it goes by requests, answers and, read
only, what has been committed.
"""

import asyncio
import hashlib
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.simulation.plug import Plug
from relay.core.http import Fault, Request, Response, TransportError

PROVIDER = "plain"
LIMIT, WINDOW_S = 40, 60.0
JOBS = 10
OUTCOMES = ("completed", "completed", "failed", "cancelled", "expired")
GONE = "https://gone.example/hook"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Wish:
    """A request to follow a job and to tell one URL of its end, made at an instant."""

    at_s: float
    job_id: str
    url: str
    deadline_s: float


@dataclass(slots=True)
class Job:
    """A job at the provider; one that never ends has no outcome."""

    ends_at_s: float
    outcome: str | None


@dataclass(slots=True)
class Receipt:
    """What a receiver knows of one `webhook-id`."""

    url: str
    body: bytes
    times: int = 0
    excused: int = 0
    """How often the daemon could not know that it had arrived."""


@dataclass(slots=True)
class World:
    """Everything that outlives the daemon."""

    seed: int
    path: Path
    jobs: dict[str, Job] = field(default_factory=dict)
    wishes: list[Wish] = field(default_factory=list)
    granted: set[Wish] = field(default_factory=set)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    polled_at: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    under_way: set[str] = field(default_factory=set)
    plug: Plug | None = None
    reader: sqlite3.Connection | None = None
    chance: random.Random = field(init=False)
    outages: dict[str, tuple[float, float]] = field(default_factory=dict)
    disk_full: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        self.chance = chance = random.Random(self.seed)
        hosts = [f"https://app-{number}.example/hook" for number in (1, 2)]
        for number in range(JOBS):
            job_id, at_s = f"job-{number}", chance.uniform(0, 600)
            endless = chance.random() < 0.1
            self.jobs[job_id] = Job(at_s + chance.uniform(1, 1200), None if endless else chance.choice(OUTCOMES))
            deadline_s = 900.0 if endless else 40_000.0
            self.wishes.append(Wish(at_s, job_id, chance.choice(hosts), deadline_s))
            if chance.random() < 0.4:  # the same job again, for another URL, perhaps after its end
                url = chance.choice([*hosts, GONE])
                self.wishes.append(Wish(at_s + chance.uniform(0, 1500), job_id, url, deadline_s))
        for host in ("app-1.example", "app-2.example", "plain.example"):
            if chance.random() < 0.3:
                start = chance.uniform(0, 1500)
                self.outages[host] = (start, start + chance.uniform(60, 7200))
        if chance.random() < 0.4:
            start = chance.uniform(0, 1500)
            self.disk_full = (start, start + chance.uniform(10, 300))

    def accuse(self, what: str) -> None:
        """Write down a promise that was broken."""
        self.violations.append(f"at {_now():.3f} s: {what}")

    def disk(self) -> None:
        """Fail as SQLite does where the disk is full, sometimes."""
        start, end = self.disk_full
        if start <= _now() < end and self.chance.random() < 0.3:
            self.excuse_unsettled()
            raise sqlite3.OperationalError("database or disk is full")

    def excuse_unsettled(self) -> None:
        """Let everything come once more that has arrived without that being committed."""
        settled = {row[0] for row in self.committed("SELECT id FROM deliveries WHERE state = 'delivered'")}
        for webhook_id, receipt in self.receipts.items():
            receipt.excused += webhook_id not in settled

    def committed(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        """Return what another process reads from the database at this moment."""
        if self.reader is None:
            self.reader = sqlite3.connect(self.path, isolation_level=None)
        return self.reader.execute(sql, parameters).fetchall()

    # the network

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        """See Transport: what becomes of a request is drawn."""
        assert self.plug is not None
        await self.plug.point("before a request")
        host = urlsplit(request.url).hostname or ""
        key = request.headers.get("webhook-id", request.url)
        if key in self.under_way:
            self.accuse(f"{key} is asked about or told twice at the same time")
        self.under_way.add(key)
        try:
            return await self._travel(request, host, timeout_s)
        finally:
            self.under_way.discard(key)

    async def _travel(self, request: Request, host: str, timeout_s: float) -> Response:
        assert self.plug is not None
        if host == "plain.example":
            self._note_poll(request)
        else:
            self._note_attempt(request)
        start, end = self.outages.get(host, (0.0, 0.0))
        fates = ("answered", "reset", "lost answer", "slow")
        fate = "down" if start <= _now() < end else self.chance.choices(fates, (80, 5, 8, 7))[0]
        way_s = self.chance.uniform(0.01, 0.5)
        await asyncio.sleep(way_s)
        if fate in ("down", "reset"):
            raise TransportError(Fault.CONNECT, fate)
        answer = self._poll(request) if host == "plain.example" else self._receive(request, host)
        try:
            await self.plug.point("after a request, before its answer")
            await asyncio.sleep({"lost answer": timeout_s - way_s, "slow": timeout_s * 0.9}.get(fate, way_s))
        except BaseException:
            self._excuse(request)
            raise
        if fate == "lost answer":
            self._excuse(request)
            raise TransportError(Fault.TIMEOUT, fate)
        return answer

    def _excuse(self, request: Request) -> None:
        receipt = self.receipts.get(request.headers.get("webhook-id", ""))
        if receipt is not None:
            receipt.excused += 1

    # the provider

    def _note_poll(self, request: Request) -> None:
        self.polled_at.append(_now())
        job_id = request.url.rpartition("/")[2]
        ended = self.committed("SELECT 1 FROM watches WHERE job_id = ? AND finalized_at IS NOT NULL", job_id)
        if ended:
            self.accuse(f"{job_id} is polled after its end was committed")

    def _poll(self, request: Request) -> Response:
        job = self.jobs[request.url.rpartition("/")[2]]
        mood = self.chance.random()
        if mood < 0.05:
            return Response(503)
        if mood < 0.07:
            return Response(429, {"retry-after": "20"})
        ended = job.outcome is not None and _now() >= job.ends_at_s
        return Response(200, body=json.dumps({"status": job.outcome if ended else "running"}).encode())

    # the receivers

    def _note_attempt(self, request: Request) -> None:
        sent = request.headers["webhook-id"]
        rows = self.committed("SELECT state FROM deliveries WHERE id = ?", sent)
        if not rows:
            self.accuse(f"{sent} is sent before it was committed")
        elif rows[0][0] not in ("pending", "held"):
            self.accuse(f"{sent} is sent after it was settled")

    def _receive(self, request: Request, host: str) -> Response:
        if host == "gone.example":
            return Response(410)
        mood = self.chance.random()
        if mood < 0.1:
            return Response(self.chance.choice((500, 503, 429)), {"retry-after": "7"})
        body = request.body or b""
        receipt = self.receipts.setdefault(request.headers["webhook-id"], Receipt(request.url, body))
        receipt.times += 1
        if receipt.body != body:
            self.accuse(f"{request.headers['webhook-id']} came with other bytes than before")
        if receipt.times > 1 + receipt.excused:
            self.accuse(f"{request.headers['webhook-id']} came again although its answer had arrived")
        if mood > 0.97:  # it took the message, and says that it did not
            receipt.excused += 1
            return Response(500)
        return Response(200)

    # judgement

    def judge(self) -> None:
        """Compare what was asked, what ended, and what arrived."""
        told: Counter[tuple[str, str]] = Counter()
        for webhook_id, receipt in self.receipts.items():
            event = json.loads(receipt.body)
            data, job_id = event["data"], event["data"]["job_id"]
            expected = self.jobs[job_id].outcome or "timed_out"
            if (event["type"], data["status"]) != (f"job.{expected}", expected):
                self.accuse(f"{job_id} ended as {expected}, and {event['type']} was told")
            if webhook_id != "dlv_" + _name("evt_" + _name(data["watch_id"], event["type"]), receipt.url):
                self.accuse(f"{job_id}: the webhook-id does not follow from what is told to whom")
            told[job_id, receipt.url] += 1
            if told[job_id, receipt.url] > 1:
                self.accuse(f"{job_id} was told to {receipt.url} under two ids, one of them {webhook_id}")
        for wish in self.granted:
            if wish.url != GONE and not told[wish.job_id, wish.url]:
                self.accuse(f"{wish.job_id} was accepted, and {wish.url} never heard of its end")
        self._judge_rate(self.polled_at)

    def _judge_rate(self, at: Sequence[float]) -> None:
        for first, last in zip(at, at[LIMIT:], strict=False):
            if last - first < WINDOW_S - 1e-6:
                self.accuse(f"more than {LIMIT} polls in the {WINDOW_S:.0f} s from {first:.3f} s")
                return

    def close(self) -> None:
        """Read no more."""
        if self.reader is not None:
            self.reader.close()

    def look(self, now: float) -> bool:
        """Look for what was forgotten; return whether nothing is left to do."""
        (live,) = self.committed(
            "SELECT count(*), max(next_poll_at), max(leased_until) FROM watches WHERE finalized_at IS NULL"
        )
        (owed,) = self.committed(
            "SELECT count(*), max(next_attempt_at), max(leased_until) FROM deliveries WHERE state IN ('pending','held')"
        )
        for what, row, furthest_s in (("watch", live, 700.0), ("delivery", owed, 7300.0)):
            if row[0] and max(float(str(row[1])), float(str(row[2]))) > now + furthest_s:
                self.accuse(f"a {what} waits for longer than {furthest_s:.0f} s")
        return not (live[0] or owed[0]) and self.granted == set(self.wishes)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _name(*parts: str) -> str:
    """Return the name of a fact: the first 128 bits of SHA-256 over its lines, in Crockford's base 32."""
    number = int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:16], "big")
    digits = ""
    for _ in range(26):
        number, digit = divmod(number, 32)
        digits = _ALPHABET[digit] + digits
    return digits
