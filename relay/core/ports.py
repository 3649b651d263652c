"""What the loops need from the world, as Protocols."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relay.core.access import Token
from relay.core.condition import Answered, Change, Finding, Health
from relay.core.delivery import Attempt, Delivery, DeliveryState, Settlement, Verdict
from relay.core.event import Event
from relay.core.http import Request, Response
from relay.core.learning import Evidence, Kind, Trace
from relay.core.observation import Answer, Job, Status
from relay.core.retry import RetryPolicy
from relay.core.standing import Standing
from relay.core.watch import Continue, NewWatch, Target, Watch


class Wakeup(Protocol):
    """A flag that one side raises and the other waits for; satisfied by asyncio.Event."""

    def set(self) -> None: ...
    def clear(self) -> None: ...
    async def wait(self) -> object: ...


class Clock(Protocol):
    """Time, and the only way to wait for it."""

    def now(self) -> float:
        """Return the wall clock, in Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`, by the monotonic clock."""
        ...

    async def wait(self, wakeup: Wakeup, seconds: float) -> None:
        """Wait until `wakeup` is raised, at most `seconds`; lowers it."""
        ...


class Entropy(Protocol):
    """Randomness."""

    def sample(self) -> float:
        """Return a number from [0, 1)."""
        ...

    def bytes(self, count: int) -> bytes:
        """Return unpredictable bytes."""
        ...


class Transport(Protocol):
    """The HTTP client."""

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        """Return the answer to one request; redirects are never followed.

        Raises TransportError where there is none.
        """
        ...


class Provider(Protocol):
    """A remote API, described purely: values in, values out."""

    @property
    def name(self) -> str:
        """The name under which the configuration enables it."""
        ...

    def check(self, job: Job) -> Job:
        """Return the job with its parameters in their documented names.

        Raises InvalidValue, naming `job_id` or `params.NAME`, for one that could not be polled.
        """
        ...

    def request(self, job: Job, secrets: Mapping[str, str], now: float) -> Request:
        """Return the request that asks about `job`."""
        ...

    def interpret(
        self, job: Job, answers: Sequence[Response], secrets: Mapping[str, str], now: float
    ) -> Answer | Request:
        """Return what the answers so far mean, or one more request that is needed to tell.

        Never raises, whatever the answers hold.
        """
        ...


class Destination(Protocol):
    """Where events go, described purely."""

    @property
    def retry(self) -> RetryPolicy:
        """How long to insist."""
        ...

    def request(self, delivery: Delivery, event: Event, now: float) -> Request:
        """Return the request of one attempt, signed for `now` where the destination signs."""
        ...

    def verdict(self, response: Response, now: float, *, plain: bool = False) -> Verdict:
        """Return what the answer means; `plain` tells whether the message was one without layout."""
        ...


@dataclass(frozen=True, slots=True)
class Added:
    """A watch as it stands after `add_watches`; `created` is False where it was there before."""

    watch: Watch
    created: bool


@dataclass(frozen=True, slots=True)
class WatchView:
    """A watch with what belongs to it: its own targets, and its outcome once it has one."""

    watch: Watch
    targets: tuple[Target, ...] = ()
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class WatchFilter:
    """Which watches to list; an empty condition matches all."""

    statuses: frozenset[Status] = frozenset()
    provider: str | None = None
    since: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    owner: str | None = None
    id_prefix: str | None = None


CALLBACK = "callback"
"""What destinations without a name, callback URLs, are called together."""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are meant; an empty condition matches all.

    `destination` is a name, or CALLBACK for callback URLs; `statuses` are those of
    the watch; `since` and `until` bound when the delivery came into being.
    """

    states: frozenset[DeliveryState] = frozenset()
    watch_id: str | None = None
    owner: str | None = None
    destination: str | None = None
    provider: str | None = None
    statuses: frozenset[Status] = frozenset()
    types: frozenset[str] = frozenset()
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list; an empty condition matches all."""

    types: frozenset[str] = frozenset()
    provider: str | None = None
    watch_id: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A delivery with the type of its event, who owns its watch, and its attempts where asked for."""

    delivery: Delivery
    event_type: str
    owner: str | None = None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A claimed delivery and what it carries.

    `failures` is how many attempts in a row had come to nothing in its lane,
    None where nothing is known of that but that it works.
    """

    delivery: Delivery
    event: Event
    failures: int | None = None


@dataclass(frozen=True, slots=True)
class News:
    """An event that is no job's, and whom to tell of it."""

    event: Event
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class LaneView:
    """How a lane is, and how many deliveries it holds; `name` is None for a host that callback URLs lead to."""

    name: str | None
    health: Health
    held: int


@dataclass(frozen=True, slots=True)
class Ending:
    """Everything that one transaction writes when a watch ends.

    The event's targets are those of the routes; the store adds the watch's own.
    `lessons` is what is to be added to what is known of durations.
    """

    watch_id: str
    status: Status
    provider_status: str | None
    model: str | None
    event: Event
    routed: tuple[Target, ...] = ()
    lessons: Mapping[Kind, Sequence[Trace]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Demand:
    """How many live watches share a budget, and the sum of what each asks of it."""

    watches: int
    total: float


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows stand where, for health, status lines and metrics.

    `stored_bytes` is what the database takes up, `commits_waiting` how many
    writes have not been committed yet.
    """

    watches: Mapping[Status, int]
    deliveries: Mapping[DeliveryState, int]
    oldest_pending_at: float | None = None
    stored_bytes: int = 0
    commits_waiting: int = 0


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer to a request that may come again, without a status while it is being made.

    `request` tells requests apart.
    """

    request: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


class Store(Protocol):
    """The durable state, named after its transitions.

    A call returns after the commit that holds its write.  All raise StoreError
    where the database fails.
    """

    async def add_watches(self, new: Sequence[NewWatch], now: float) -> list[Added]:
        """Store watches, or find those already there and add their new targets.

        A target added to a watch that has ended gets a delivery at once.  To the
        watch of another owner nothing is added, and nobody is told.
        """
        ...

    async def watch(self, reference: str) -> WatchView:
        """Return one watch by its id or as `provider:job_id`; raises NotFound."""
        ...

    async def watches(self, wanted: WatchFilter, *, before: str | None, limit: int) -> list[WatchView]:
        """Return watches newest first, from before the id `before`."""
        ...

    async def remove_watch(self, watch_id: str) -> None:
        """Forget a watch; raises NotFound, and Conflict while deliveries of it are open."""
        ...

    async def poll_now(self, watch_id: str, now: float, *, min_interval_s: float) -> None:
        """Make a live watch due at once, or that long after its last poll, and no later than it is.

        Raises NotFound, and Conflict once it has ended.
        """
        ...

    async def claim_due_watches(
        self, provider: str, now: float, *, until: float, limit: int, retries: int, turn_s: float
    ) -> list[Watch]:
        """Lease up to `limit` live watches that are due, the longest overdue by their own measure first.

        Of those whose last poll failed at most `retries`, each measured as if it was planned to wait `turn_s` seconds
        at least.
        """
        ...

    async def release_watches(self, watch_ids: Sequence[str]) -> None:
        """Return claimed watches unpolled: they are due as they were."""
        ...

    async def record_polls(self, transitions: Sequence[Continue], now: float) -> None:
        """Write what polls that were not the last told, and release the leases."""
        ...

    async def record_overdue(self, transition: Continue, event: Event, targets: Sequence[Target], now: float) -> bool:
        """Write a poll that found a job running unusually long, with the event that tells it and its deliveries.

        Returns False where that was told before, or the watch has ended.
        """
        ...

    async def finalize_watch(self, ending: Ending, now: float) -> bool:
        """End a watch: outcome, event and deliveries at once; False where it had ended before."""
        ...

    async def next_watch_due(self, provider: str, after: float) -> float | None:
        """Return when the next live watch of a provider is due, of those due later than `after`."""
        ...

    async def demand(self, provider: str) -> Demand:
        """Return what the live watches of a provider ask of its budget."""
        ...

    async def evidence(self, provider: str) -> Mapping[Kind, Evidence]:
        """Return what the jobs of a provider have taught about durations."""
        ...

    async def claim_due_deliveries(
        self,
        now: float,
        *,
        until: float,
        limit: int,
        per_lane: int,
        per_failing_lane: int,
        retries: int,
        limits: Mapping[str, int],
        busy: Mapping[str, int],
    ) -> list[Outgoing]:
        """Lease due deliveries, a place for each lane in turn, at most `per_lane` less those `busy`.

        A lane that fails gets at most `per_failing_lane`, and one of `limits` as
        many as that says; at most `retries` of all were tried before.  Of one lane,
        and of lanes equally busy, the oldest due go first; in a lane of `limits`,
        those that a person wants sent again go last.  Before that, those held are
        let go where it is time to find out whether a destination is back, or it is.
        """
        ...

    async def claim_company(self, delivery: Delivery, now: float, *, until: float, limit: int) -> list[Outgoing]:
        """Lease up to `limit` scheduled deliveries that are due for the same target, the longest overdue first.

        Their events come without `raw`, which no message about many tells.
        """
        ...

    async def settle_attempt(self, attempt: Attempt, settlement: Settlement) -> None:
        """Write an attempt and what it made of its delivery, and release the lease."""
        ...

    async def settle_attempts(
        self,
        settled: Sequence[tuple[Attempt, Settlement]],
        finding: Finding | Answered | None = None,
        news: Sequence[News] = (),
    ) -> Change | None:
        """Do the same for all deliveries that one message told of, with what follows: all of it or nothing.

        What was found of the destination changes how it is, may hold or drop its
        other deliveries, and may be an event for operators; the change is
        returned.  A delivery that is tried again is held where its lane is.
        """
        ...

    async def lanes(self) -> Mapping[str, LaneView]:
        """Return how every lane is of which something is known; all others work."""
        ...

    async def enable(self, lane: str, now: float) -> bool:
        """Let a disabled or unreachable lane be tried at once, one delivery first; False where it is neither."""
        ...

    async def postpone(self, until: Mapping[str, float], now: float) -> None:
        """Release claimed deliveries, each until an instant of its own: no try and none of their time is spent."""
        ...

    async def next_delivery_due(self, after: float) -> float | None:
        """Return when the next delivery is due, or the next of those held is let go, later than `after`."""
        ...

    async def delivery(self, delivery_id: str) -> DeliveryView:
        """Return one delivery with its attempts, oldest first; raises NotFound."""
        ...

    async def deliveries(
        self, wanted: DeliveryFilter, *, before: tuple[float, str] | None, limit: int
    ) -> list[DeliveryView]:
        """Return deliveries newest first without their attempts, from before one's `created_at` and id."""
        ...

    async def last_event(self) -> int:
        """Return the place of the newest event, 0 where there is none."""
        ...

    async def events(self, wanted: EventFilter, *, after: int, limit: int) -> list[tuple[int, Event]]:
        """Return events oldest first, each with its place in the order, from behind the place `after`."""
        ...

    async def resend_matching(self, wanted: DeliveryFilter, now: float, *, every_s: float, dry_run: bool) -> int:
        """Make deliveries due again, one each `every_s` from `now` on, the oldest first; return how many.

        Each begins a fresh budget with its turn.  Those under way are left alone,
        and those whose destination is down or switched off are held.  A dry run
        counts only.
        """
        ...

    async def drop(self, delivery_id: str, now: float) -> None:
        """Give a delivery up for good, as a person wishes; one that is final stays as it is.

        Raises NotFound, and Conflict while an attempt is under way.
        """
        ...

    async def resend(self, delivery_id: str, now: float) -> None:
        """Make a delivery due at once, with a fresh budget if it was final.

        Raises NotFound, and Conflict while an attempt is under way.
        """
        ...

    async def record_standing(
        self, provider: str, standing: Standing, event: Event | None, targets: Sequence[Target], now: float
    ) -> None:
        """Remember how a credential stands; with the event that this is worth, if any, and its deliveries."""
        ...

    async def standings(self) -> Mapping[str, Standing]:
        """Return how each credential stood when last recorded."""
        ...

    async def prune(self, *, ended_before: float, limit: int) -> int:
        """Delete up to `limit` watches that ended before an instant and owe nothing; return how many."""
        ...

    async def counts(self) -> Counts:
        """Return how many rows stand where."""
        ...

    async def probe(self, now: float) -> None:
        """Prove that a write can be committed, by one that tells that relay runs at `now`."""
        ...

    async def last_beat(self) -> float | None:
        """Return the latest instant at which relay was known to run, None where it never was."""
        ...

    async def set_back(self, seconds: float) -> None:
        """Move all that is under way along with a wall clock that was set back: its plans, leases, rests and past."""
        ...

    async def add_token(self, token: Token) -> None:
        """Keep a new token."""
        ...

    async def token(self, digest: str) -> Token | None:
        """Return the token with this digest, whatever became of it, or None where there never was one."""
        ...

    async def tokens(self) -> list[Token]:
        """Return every token that was ever made, oldest first."""
        ...

    async def revoke_token(self, token_id: str, now: float) -> Token:
        """Let a token be good for nothing from `now` on, unless it was before; raises NotFound."""
        ...

    async def claim_answer(
        self, caller: str, key: str, request: str, now: float, *, asked_before: float
    ) -> KeptAnswer | None:
        """Return what is kept under a caller's key, or None where the key was free and is the request's from now on.

        What was asked before `asked_before` is forgotten.
        """
        ...

    async def keep_answer(self, caller: str, key: str, answer: KeptAnswer) -> None:
        """Keep the answer to the request that claimed a key."""
        ...

    async def give_up_answer(self, caller: str, key: str) -> None:
        """Free a key whose request got no answer worth keeping."""
        ...

    async def release_leases(self) -> None:
        """Return the rows of workers that are gone; called when no other process can hold any."""
        ...
