"""What becomes of a watch when a poll comes back.

`decide` is the whole law: an answer in, a transition out.  A watch that has
ended never changes again; trouble of ours or of the provider's never becomes
an outcome.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.core.learning import Phase
from relay.core.observation import Answer, Job, JobError, Observation, Status, Trouble, TroubleKind
from relay.core.outlook import Expectations, Lifetime, estimated_end_at, outlook, usual_s
from relay.core.schedule import Bounds, demand, next_poll, retry_failed_poll

MISSING_CONFIRMATIONS = 3
"""How many times in a row the provider must deny a job before we believe it; for its grace as well."""

_MISSING_RECHECK_S = 10.0
"""The longest pause between those questions, unless the provider wants fewer."""

_BLIND_MIN_S, _BLIND_MAX_S = 60.0, 86400.0
"""Bounds on how long past its deadline a watch is kept while no poll gets through."""

_UNAUTHORIZED_BLIND_S = 7 * 86400.0
"""The same while the credential is refused: someone has to bring a new key."""

BLIND_CONFIRMATIONS = 7
"""How many polls in a row must fail before that end: with their pauses they take a minute.

Where relay slept through all that time, one poll made before the network was back would else end the watch.
"""

_OLDEST_JOB_S = 30 * 86400.0
"""The provider's word that a job was made longer than this before it was watched is not believed."""


@dataclass(frozen=True, slots=True)
class Target:
    """A destination as a watch names it: one of the configuration, or a callback URL.

    `key` tells targets of one watch apart; `lane` groups those that share a
    remote host, for fairness.
    """

    key: str
    lane: str
    name: str | None = None
    url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NewWatch:
    """A request to follow a job, checked and complete, not yet stored."""

    id: str
    provider: str
    job: Job
    deadline: float
    next_poll_at: float
    targets: tuple[Target, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    owner: str | None = None
    demand: float = 0.0


@dataclass(frozen=True, slots=True)
class Watch:
    """A stored watch.

    `failed_polls` and `missing_polls` count answers in a row, and
    `missing_since` is when the latter began; `last_error` is the last trouble
    in one line, None after a poll that worked.  `began_at` is when the job was
    made, by the provider's word; `seen_at` when it was last seen not to have
    ended; `overdue_at` when that was told to be unusual; `running_since` about
    when it left the queue, None where it was never seen to wait;
    `estimated_end_at` the provider's guess.
    """

    id: str
    provider: str
    job: Job
    status: Status
    created_at: float
    deadline: float
    next_poll_at: float
    demand: float = 0.0
    metadata: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    owner: str | None = None
    provider_status: str | None = None
    progress: float | None = None
    last_poll_at: float | None = None
    began_at: float | None = None
    seen_at: float | None = None
    running_since: float | None = None
    estimated_end_at: float | None = None
    polls: int = 0
    failed_polls: int = 0
    missing_polls: int = 0
    missing_since: float | None = None
    last_error: str | None = None
    overdue_at: float | None = None
    finalized_at: float | None = None

    @property
    def life(self) -> Lifetime:
        """What the expectation of a live watch is told by."""
        return Lifetime(
            began_at=self.created_at if self.began_at is None else self.began_at,
            running_since=self.running_since,
            waiting=self.seen_at is not None and self.status is Status.QUEUED,
            estimated_end_at=self.estimated_end_at,
        )


def open_to(asker: str | None, owner: str | None) -> bool:
    """Tell whether a watch of `owner` may be seen and added to by `asker`: whoever has no limits is None."""
    return asker is None or asker == owner


def begun(new: NewWatch, now: float) -> Watch:
    """Return the watch that a request becomes when it is stored at `now`."""
    return Watch(
        id=new.id,
        provider=new.provider,
        job=new.job,
        status=Status.QUEUED,
        created_at=now,
        deadline=new.deadline,
        next_poll_at=new.next_poll_at,
        demand=new.demand,
        metadata=new.metadata,
        model=new.model,
        owner=new.owner,
    )


@dataclass(frozen=True, slots=True)
class Following:
    """How a provider's jobs are followed: how long they are said to take, the bounds of polling, and patience."""

    typical_s: float
    bounds: Bounds
    not_found_grace_s: float


@dataclass(frozen=True, slots=True)
class Continue:
    """The watch goes on; the fields are its new values.

    `demand` is what it asks of its budget until the next poll: see
    `relay.core.schedule.demand`.  `overdue_after_s` is the age past which the
    job runs unusually long, where it does and that was not told yet.
    """

    watch_id: str
    status: Status
    next_poll_at: float
    demand: float
    provider_status: str | None
    model: str | None
    progress: float | None
    began_at: float | None
    seen_at: float | None
    running_since: float | None
    estimated_end_at: float | None
    failed_polls: int
    missing_polls: int
    missing_since: float | None
    last_error: str | None
    overdue_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The watch ends; `observation` is what the event will tell."""

    watch_id: str
    observation: Observation


Transition = Continue | End


def decide(
    watch: Watch, answer: Answer, following: Following, expectations: Expectations, *, now: float, sample: float
) -> Transition:
    """Return what `answer`, which arrived at `now`, makes of a live watch.

    `expectations` are those of the watch's provider; `sample` is uniform in [0, 1) and only spreads the next poll.
    """
    if isinstance(answer, Observation):
        return _observed(watch, answer, following, expectations, now, sample)
    if answer.kind is TroubleKind.MISSING:
        return _missing(watch, answer, following, now, sample)
    failures = watch.failed_polls + 1
    if failures >= BLIND_CONFIRMATIONS and now >= watch.deadline + _blind_patience_s(watch, answer):
        return End(watch.id, _timed_out(watch, f"the deadline passed, and the last poll failed: {answer.detail}"))
    return _after_trouble(
        watch,
        answer,
        failed_polls=failures,
        missing_polls=watch.missing_polls,
        missing_since=watch.missing_since,
        next_poll_at=retry_failed_poll(
            failures=failures,
            now=now,
            deadline=watch.deadline,
            floor_s=answer.retry_after_s,
            min_interval_s=following.bounds.min_interval_s,
            sample=sample,
        ),
    )


def _observed(
    watch: Watch, seen: Observation, following: Following, expectations: Expectations, now: float, sample: float
) -> Transition:
    if seen.status.terminal:
        return End(watch.id, seen)
    if now >= watch.deadline:
        literal = seen.provider_status or seen.status
        return End(watch.id, _timed_out(watch, f'the deadline passed while the job was "{literal}"', seen))
    life = lifetime(watch, seen, now)
    model = seen.model or watch.model
    expected = outlook(life, model, expectations, now)
    next_poll_at = next_poll(
        expected,
        following.bounds,
        expectations.contention,
        now=now,
        deadline=watch.deadline,
        hint_s=seen.poll_after_s,
        sample=sample,
    )
    return Continue(
        watch_id=watch.id,
        status=seen.status,
        next_poll_at=next_poll_at,
        demand=demand(expected, next_poll_at - now),
        provider_status=seen.provider_status,
        model=model,
        progress=seen.progress if seen.progress is not None else watch.progress,
        began_at=life.began_at,
        seen_at=now,
        running_since=life.running_since,
        estimated_end_at=life.estimated_end_at,
        failed_polls=0,
        missing_polls=0,
        missing_since=None,
        last_error=None,
        overdue_after_s=_overdue_after_s(watch, life, model, expectations, now),
    )


def _overdue_after_s(
    watch: Watch, life: Lifetime, model: str | None, expectations: Expectations, now: float
) -> float | None:
    usual = None if watch.overdue_at is not None else usual_s(model, expectations)
    return usual if usual is not None and life.age_s(Phase.JOB, now) > usual else None


def lifetime(watch: Watch, seen: Observation, now: float) -> Lifetime:
    """Return the life of a watch's job as an observation of it, made at `now`, shows it.

    A job that was last seen to wait left the queue about halfway since then.
    """
    before = watch.life
    told = seen.created_at if watch.seen_at is None else None
    began_at = before.began_at
    if told is not None and watch.created_at - _OLDEST_JOB_S <= told <= now:
        began_at = told
    running_since = watch.running_since
    if before.waiting and seen.status is Status.RUNNING and watch.seen_at is not None and running_since is None:
        running_since = (watch.seen_at + now) / 2
    guess = None
    if seen.status is Status.RUNNING:
        running_for_s = max(now - (began_at if running_since is None else running_since), 0.0)
        guess = estimated_end_at(progress=seen.progress, eta_s=seen.eta_s, running_for_s=running_for_s, now=now)
    return Lifetime(began_at, running_since, waiting=seen.status is Status.QUEUED, estimated_end_at=guess)


def _missing(watch: Watch, answer: Trouble, following: Following, now: float, sample: float) -> Transition:
    missing = watch.missing_polls + 1
    since = now if watch.missing_since is None else min(watch.missing_since, now)
    if missing >= MISSING_CONFIRMATIONS and now - since >= following.not_found_grace_s:
        error = JobError(code="not_found", message=answer.detail)
        return End(
            watch.id,
            Observation(Status.NOT_FOUND, watch.provider_status, model=watch.model, error=error),
        )
    again = retry_failed_poll(
        failures=missing,
        now=now,
        deadline=watch.deadline,
        floor_s=answer.retry_after_s,
        min_interval_s=following.bounds.min_interval_s,
        sample=sample,
    )
    return _after_trouble(
        watch,
        answer,
        failed_polls=0,
        missing_polls=missing,
        missing_since=since,
        next_poll_at=min(
            again, now + max(_MISSING_RECHECK_S, following.bounds.min_interval_s, answer.retry_after_s or 0)
        ),
    )


def _after_trouble(
    watch: Watch,
    trouble: Trouble,
    *,
    failed_polls: int,
    missing_polls: int,
    missing_since: float | None,
    next_poll_at: float,
) -> Continue:
    return Continue(
        watch_id=watch.id,
        status=watch.status,
        next_poll_at=next_poll_at,
        demand=watch.demand,
        provider_status=watch.provider_status,
        model=watch.model,
        progress=watch.progress,
        began_at=watch.began_at,
        seen_at=watch.seen_at,
        running_since=watch.running_since,
        estimated_end_at=watch.estimated_end_at,
        failed_polls=failed_polls,
        missing_polls=missing_polls,
        missing_since=missing_since,
        last_error=f"{trouble.kind}: {trouble.detail}",
    )


def _blind_patience_s(watch: Watch, trouble: Trouble) -> float:
    """Return how long past its deadline a watch waits for a poll that gets through.

    As long again as it was given, within a minute and a day: an outage around
    the deadline must not turn a finished job into a timed-out one.
    """
    if trouble.kind in (TroubleKind.UNAUTHORIZED, TroubleKind.FORBIDDEN):
        return _UNAUTHORIZED_BLIND_S
    return min(max(watch.deadline - watch.created_at, _BLIND_MIN_S), _BLIND_MAX_S)


def _timed_out(watch: Watch, message: str, seen: Observation | None = None) -> Observation:
    last = seen or Observation(watch.status, watch.provider_status, model=watch.model)
    return Observation(
        status=Status.TIMED_OUT,
        provider_status=last.provider_status,
        model=last.model or watch.model,
        error=JobError(code="deadline_passed", message=message),
        cost=last.cost,
        created_at=last.created_at,
        progress=last.progress,
        raw=last.raw,
    )
