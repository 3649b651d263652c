"""Why a watch stands where it stands, in sentences and in figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from relay.core.budget import Rate
from relay.core.delivery import Delivery, DeliveryState
from relay.core.duration import format_duration
from relay.core.event import Event
from relay.core.learning import Phase
from relay.core.observation import OUTCOMES, Observation, Status
from relay.core.outlook import Expectations, Outlook, outlook
from relay.core.routing import Route, routed_targets
from relay.core.schedule import Bounds, best_next_age, price_of_lag, retry_gap_s
from relay.core.standing import Footing, Standing
from relay.core.text import counted
from relay.core.watch import MISSING_CONFIRMATIONS, Target, Watch

_NEAR = 1.03
"""Two intervals within this ratio are the same one: polls are spread by a fortieth to either side."""


@dataclass(frozen=True, slots=True)
class Eta:
    """When a job is likely to end: half do by `likely`, one in ten before `earliest` or after `latest`.

    It rests on `jobs` that ended; with none, on what the provider's description says.
    """

    earliest: float
    likely: float
    latest: float
    jobs: int


@dataclass(frozen=True, slots=True)
class History:
    """How long jobs took before this one, in seconds; `model` is None where it is all jobs of the provider."""

    jobs: int
    model: str | None
    half_done_s: float
    nine_in_ten_s: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else bears on a watch: how its provider is polled, its credential, who is told, and how that goes."""

    bounds: Bounds
    expectations: Expectations
    standing: Standing
    routes: Sequence[Route]
    targets: Sequence[Target]
    deliveries: Sequence[Delivery]
    rate: Rate | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to "why": `sentences` for people, the rest for programs.

    `next_poll_reason` is None once the watch has ended.
    """

    sentences: tuple[str, ...]
    history: History | None
    eta: Eta | None
    next_poll_reason: str | None
    told: Mapping[str, tuple[Status, ...]]


def eta(watch: Watch, expectations: Expectations) -> Eta | None:
    """Return when a job is likely to end, by what was known when it was last seen; None once it has."""
    if watch.status.terminal:
        return None
    seen_at = watch.created_at if watch.seen_at is None else watch.seen_at
    expected = outlook(watch.life, watch.model, expectations, seen_at)
    earliest, likely, latest = (seen_at + expected.remaining_s(share) for share in (0.1, 0.5, 0.9))
    return Eta(earliest, likely, latest, round(_jobs(expectations, watch.life.phase, watch.model)[0]))


def _jobs(expectations: Expectations, phase: Phase, model: str | None) -> tuple[float, str | None]:
    """Return how many ended jobs an expectation rests on, and their model where they are of one."""
    own = 0.0 if model is None else expectations.jobs(phase, model)
    return (own, model) if own >= 1 else (expectations.jobs(phase, None), None)


def explain(watch: Watch, around: Surroundings, event: Event | None, now: float) -> Explanation:
    """Return why a watch stands where it stands at `now`; `event` is its outcome once it has one."""
    told = _told(watch, around)
    if watch.status.terminal:
        return Explanation(_ended(watch, around, event, now), None, None, None, told)
    history = _history(watch, around.expectations)
    expected = eta(watch, around.expectations)
    reason = _reason(watch, around, now)
    sentences = [_known(watch, history), _running(watch, expected, now)]
    due = max(watch.next_poll_at, around.standing.rest_until) - now
    sentences.append(f"{_capital(_due(due))} because {reason}.")
    sentences.append(
        "It ends when the provider tells its outcome, and at the latest as timed_out "
        f"{'now' if watch.deadline <= now else 'in ' + format_duration(watch.deadline - now)}, at its deadline."
    )
    sentences.append(_audience(told))
    if watch.last_error is not None:
        times = max(watch.failed_polls, watch.missing_polls)
        sentences.append(f"The last {'poll' if times == 1 else f'{times} polls'} failed: {watch.last_error}.")
    else:
        sentences.append("No poll has failed since the last good one." if watch.polls else "It was not polled yet.")
    return Explanation(tuple(sentences), history, expected, reason, told)


def explain_orphan(watch: Watch) -> Explanation:
    """Return why nothing happens to a live watch whose provider the configuration does not name."""
    reason = f"{watch.provider} is not configured: nobody asks about its jobs"
    way_out = f"Put [providers.{watch.provider}] back, and it goes on; or forget the watch with relay rm {watch.id}."
    return Explanation((f"{_capital(reason)}.", way_out), None, None, reason, {})


def _history(watch: Watch, expectations: Expectations) -> History:
    jobs, model = _jobs(expectations, Phase.JOB, watch.model)
    hazard = expectations.hazard(Phase.JOB, watch.model)
    return History(round(jobs), model, half_done_s=hazard.quantile(0.5), nine_in_ten_s=hazard.quantile(0.9))


def _known(watch: Watch, history: History) -> str:
    half, most = format_duration(history.half_done_s), format_duration(history.nine_in_ten_s)
    if history.jobs == 0:
        return f"No job of {watch.provider} has ended yet; by its description half are done by {half}."
    whose = history.model or watch.provider
    jobs = f"{history.jobs} earlier {'job' if history.jobs == 1 else 'jobs'}"
    return f"{jobs} of {whose}: half done by {half}, nine in ten by {most}."


def _running(watch: Watch, expected: Eta | None, now: float) -> str:
    life = watch.life
    age = format_duration(life.age_s(Phase.JOB, now))
    state = f"waits, for {age} so far" if life.waiting else f"has run {age}"
    if life.phase is Phase.RUN:
        state = f"has run {format_duration(life.age_s(Phase.RUN, now))}, {age} with its wait"
    if watch.seen_at is None:
        state = f"is {age} old"
    if expected is None:
        return f"This one {state}."
    early, late = (format_duration(moment - now) for moment in (expected.earliest, expected.latest))
    if expected.latest <= now:
        return f"This one {state}; nine in ten would have ended by now."
    if expected.earliest <= now:
        return f"This one {state}; it is likely done within {late}."
    return f"This one {state}; it is likely done in {early} to {late}."


def _due(seconds: float) -> str:
    return f"the next look is in {format_duration(seconds)}" if seconds > 0 else "the next look is due now"


def _reason(watch: Watch, around: Surroundings, now: float) -> str:
    """Return why the next look is when it is: the first of the rules, in the order in which they override."""
    standing = around.standing
    if standing.rest_until > max(now, watch.next_poll_at):
        rest = format_duration(standing.rest_until - now)
        return f"the credential, {_trouble(standing)}, rests for another {rest}"
    if watch.missing_polls:
        return (
            f"the provider does not know the job, and has to deny it {MISSING_CONFIRMATIONS} times, "
            f"for a while, to be believed ({watch.missing_polls} so far)"
        )
    if watch.failed_polls:
        pause = watch.next_poll_at - (watch.last_poll_at or watch.created_at)
        if pause > retry_gap_s(watch.failed_polls, around.bounds.min_interval_s, 1.0) * _NEAR:
            return "the last poll failed, and the provider asked for that pause"
        return "the last poll failed, and is repeated after ever longer pauses up to a minute"
    asked_at = watch.seen_at or watch.created_at
    interval = watch.next_poll_at - asked_at
    if watch.next_poll_at >= watch.deadline:
        return "that is its deadline"
    return _reason_of_interval(outlook(watch.life, watch.model, around.expectations, asked_at), around, interval)


def _trouble(standing: Standing) -> str:
    if standing.footing is not Footing.WORKING:
        return f"which is {standing.footing}"
    return "which was refused" if standing.doubted else "whose polls the provider limits"


def _reason_of_interval(expected: Outlook, around: Surroundings, interval: float) -> str:
    bounds, terms = around.bounds, around.expectations.contention
    fair = price_of_lag(expected.hazard, bounds.detection_lag_s)
    lag = format_duration(bounds.detection_lag_s)
    wanted = best_next_age(expected.hazard, expected.age_s, max(fair, terms.price)) - expected.age_s
    longest = max(bounds.max_interval_s, terms.longest_s)
    shared = f"many watches share {_spoken(around.rate)}"
    if interval <= bounds.min_interval_s * _NEAR and wanted < bounds.min_interval_s:
        return f"polls of this provider are at least {format_duration(bounds.min_interval_s)} apart"
    if interval <= expected.soonest_s * _NEAR and wanted < expected.soonest_s:
        return "it waits in the queue, and cannot end before it has run a while"
    if interval * _NEAR >= longest > bounds.max_interval_s:
        return f"{shared}, and each gets its turn within {format_duration(longest)}"
    if interval * _NEAR >= longest:
        return f"no job is left alone for longer than {format_duration(longest)}"
    if interval > wanted * _NEAR:
        return "the provider asked for that pause"
    if terms.price > fair:
        return f"{shared}, and those about to end come first"
    return f"that finds its end about {lag} late on average with the fewest polls"


def _spoken(rate: Rate | None) -> str:
    return "a budget" if rate is None else f"{rate.limit} polls per {format_duration(rate.window_s)}"


def _told(watch: Watch, around: Surroundings) -> Mapping[str, tuple[Status, ...]]:
    """Return who hears of which outcomes, by the name of the destination; of some, only if it takes long enough."""
    told = {_name(target): OUTCOMES for target in around.targets}
    whatever_it_takes = [replace(route, longer_than_s=None, shorter_than_s=None) for route in around.routes]
    for outcome in OUTCOMES:
        for target in routed_targets(watch, Observation(outcome), whatever_it_takes, watch.created_at):
            if outcome not in told.get(_name(target), ()):
                told[_name(target)] = (*told.get(_name(target), ()), outcome)
    return told


def _name(target: Target) -> str:
    return target.name or f"callback to {target.lane}"


def _audience(told: Mapping[str, tuple[Status, ...]]) -> str:
    if not told:
        return "Nobody will be told: no destination was named, and no route matches."
    parts = [
        name if outcomes == OUTCOMES else f"{name} (if {', '.join(outcomes)})"
        for name, outcomes in sorted(told.items())
    ]
    return f"To be told: {'; '.join(parts)}."


def _ended(watch: Watch, around: Surroundings, event: Event | None, now: float) -> tuple[str, ...]:
    since = format_duration(max(now - (watch.finalized_at or now), 0.0))
    sentences = [f"It has ended as {watch.status} {since} ago, after {counted(watch.polls, 'poll')}."]
    error = event.data["error"] if event is not None else None
    if isinstance(error, dict):
        reason = str(error.get("message") or error.get("code")).rstrip(".")
        sentences.append(f"The reason given: {reason}.")
    if not around.deliveries:
        sentences.append("Nobody was to be told.")
    for delivery in around.deliveries:
        sentences.append(_delivery(delivery, now))
    return tuple(sentences)


def _delivery(delivery: Delivery, now: float) -> str:
    name, times = _name(delivery.target), counted(delivery.attempts, "attempt")
    reason = f": {delivery.reason}" if delivery.reason else ""
    if delivery.state is DeliveryState.DELIVERED:
        return f"{_capital(name)} was told, with {times}."
    if delivery.state.final:
        return f"{_capital(name)} was not told ({delivery.state} after {times}){reason}."
    due = max(delivery.next_attempt_at - now, 0.0)
    return f"{_capital(name)} is yet to be told ({delivery.state}, {times}), next in {format_duration(due)}{reason}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
