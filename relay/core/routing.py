"""Who is told of an event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from relay.core.event import OVERDUE
from relay.core.observation import Observation, Status
from relay.core.watch import Target, Watch


@dataclass(frozen=True, slots=True)
class Route:
    """Sends the events that match to named destinations; an empty condition matches all.

    `events` and `models` are patterns, as in ``provider.*`` and ``veo-*``;
    `metadata` are values that a watch must have; a job took longer and less
    than so many seconds.  `operators` are those of `to` that people read: they
    are told of trouble that is no job's, whatever the route says of jobs, unless
    it names its events.
    """

    to: tuple[Target, ...]
    statuses: frozenset[Status] = frozenset()
    providers: frozenset[str] = frozenset()
    operators: tuple[Target, ...] = ()
    events: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    longer_than_s: float | None = None
    shorter_than_s: float | None = None

    def matches(self, watch: Watch, seen: Observation, now: float) -> bool:
        """Tell whether this route wants how `watch` ended, as `seen` at `now`."""
        took = took_s(watch, seen, now)
        return (
            (not self.statuses or seen.status in self.statuses)
            and (not self.providers or watch.provider in self.providers)
            and _any_matches(self.events, f"job.{seen.status}")
            and _any_matches(self.models, seen.model or watch.model)
            and all(watch.metadata.get(key) == value for key, value in self.metadata.items())
            and (self.longer_than_s is None or took > self.longer_than_s)
            and (self.shorter_than_s is None or took < self.shorter_than_s)
        )

    def wants_overdue(self, watch: Watch, now: float) -> bool:
        """Tell whether this route names the event of a job that runs unusually long, and is about this watch."""
        running = replace(self, events=("*",))
        return (
            bool(self.events)
            and _any_matches(self.events, OVERDUE)
            and running.matches(watch, Observation(watch.status), now)
        )

    def operators_for(self, event_type: str, provider: str | None) -> tuple[Target, ...]:
        """Return whom this route wants told of an event about a provider, or about relay itself."""
        if self.providers and provider not in self.providers:
            return ()
        if self.events:
            return self.to if _any_matches(self.events, event_type) else ()
        return self.operators


def took_s(watch: Watch, seen: Observation, now: float) -> float:
    """Return how long a job took by the provider's word, else how long it was watched."""
    if seen.created_at is not None and seen.completed_at is not None and seen.completed_at >= seen.created_at:
        return seen.completed_at - seen.created_at
    return now - watch.created_at


def routed_targets(watch: Watch, seen: Observation, routes: Sequence[Route], now: float) -> tuple[Target, ...]:
    """Return everyone whom the routes want told, each once."""
    wanted = (target for route in routes if route.matches(watch, seen, now) for target in route.to)
    return tuple({target.key: target for target in wanted}.values())


def overdue_targets(watch: Watch, routes: Sequence[Route], now: float) -> tuple[Target, ...]:
    """Return whom to tell that the job of a watch runs unusually long, each once."""
    wanted = (target for route in routes if route.wants_overdue(watch, now) for target in route.to)
    return tuple({target.key: target for target in wanted}.values())


def operator_targets(event_type: str, routes: Sequence[Route], provider: str | None = None) -> tuple[Target, ...]:
    """Return whom to tell of trouble that is no job's, each once; `provider` is whose it is, if any's."""
    wanted = (target for route in routes for target in route.operators_for(event_type, provider))
    return tuple({target.key: target for target in wanted}.values())


def _any_matches(patterns: Sequence[str], text: str | None) -> bool:
    return not patterns or (text is not None and any(fnmatchcase(text, pattern) for pattern in patterns))
