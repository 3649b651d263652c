"""Stand-ins behind relay's own Protocols."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from relay.core.delivery import Delivery, Verdict, VerdictKind
from relay.core.errors import InvalidValue
from relay.core.event import Event
from relay.core.http import Request, Response
from relay.core.observation import Answer, Job, Observation, Status, Trouble, TroubleKind
from relay.core.retry import RetryPolicy


class ManualClock:
    """A clock that stands still until it is moved; waiting returns at once."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now
        self.skew = 0.0

    def now(self) -> float:
        return self.time + self.skew

    def monotonic(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds

    def jump(self, seconds: float) -> None:
        """Move the wall clock only, as an administrator does."""
        self.skew += seconds

    async def sleep(self, seconds: float) -> None:
        self.time += seconds

    async def wait(self, wakeup: object, seconds: float) -> None:
        self.time += seconds


class EvenEntropy:
    """Always the same sample, and bytes that count up."""

    def __init__(self) -> None:
        self._count = 0

    def sample(self) -> float:
        return 0.0

    def bytes(self, count: int) -> bytes:
        pieces = []
        for start in range(0, count, 10):
            self._count += 1
            pieces.append(self._count.to_bytes(min(count - start, 10), "big"))
        return b"".join(pieces)


Reply = Response | Exception


@dataclass
class ScriptedTransport:
    """Answers each request by a function, and remembers it, for how long and how much was to be read of the answer."""

    answer: Callable[[Request], Reply]
    sent: list[Request] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        self.sent.append(request)
        self.timeouts.append(timeout_s)
        self.limits.append(max_body)
        reply = self.answer(request)
        if isinstance(reply, Exception):
            raise reply
        return reply


@dataclass
class PlainProvider:
    """A provider whose body is `{"status": ...}` in relay's own words."""

    name: str = "plain"

    def check(self, job: Job) -> Job:
        if "/" in job.id:
            raise InvalidValue("job_id", "must not contain '/'")
        return job

    def request(self, job: Job, secrets: Mapping[str, str], now: float) -> Request:
        return Request("GET", f"https://plain.example/{job.id}", {"authorization": secrets["api_key"]})

    def interpret(
        self, job: Job, answers: Sequence[Response], secrets: Mapping[str, str], now: float
    ) -> Answer | Request:
        response = answers[-1]
        kinds = {
            401: TroubleKind.UNAUTHORIZED,
            403: TroubleKind.FORBIDDEN,
            404: TroubleKind.MISSING,
            429: TroubleKind.RATE_LIMITED,
        }
        if response.status != 200:
            retry_after = response.headers.get("retry-after")
            kind = kinds.get(response.status, TroubleKind.UNAVAILABLE)
            return Trouble(kind, str(response.status), float(retry_after) if retry_after else None)
        literal = json.loads(response.body)["status"]
        known = literal in list(Status)
        status = Status(literal) if known else Status.RUNNING
        return Observation(status, literal, known=known, raw=response.body.decode())


@dataclass
class PlainDestination:
    """Posts the body as it is; 200 is delivered, 410 refused, all else tried again."""

    url: str
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def request(self, delivery: Delivery, event: Event, now: float) -> Request:
        return Request("POST", self.url, {"webhook-id": delivery.id}, event.payload(with_raw=False))

    def verdict(self, response: Response, now: float, *, plain: bool = False) -> Verdict:
        if response.status == 200:
            return Verdict(VerdictKind.DELIVERED)
        if response.status == 410:
            return Verdict(VerdictKind.REFUSED, "gone")
        return Verdict(VerdictKind.RETRY, f"HTTP {response.status}")
