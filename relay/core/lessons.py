"""What the polls of one job teach about all of its kind."""

from collections.abc import Mapping, Sequence

from relay.core.hazard import Hazard
from relay.core.learning import Kind, Phase, Trace, ended, survived
from relay.core.observation import Observation
from relay.core.outlook import Expectations, Lifetime
from relay.core.watch import Watch, lifetime

_MODEL_LIMIT = 100
"""A model with a longer name is not learned on its own."""

Lessons = Mapping[Kind, Trace]


def lessons(watch: Watch, seen: Observation, expectations: Expectations, now: float) -> Lessons:
    """Return what an observation of a live watch teaches, by kind of duration.

    Counted under the model that was known before, as the poll was planned by
    it.  The provider's word on the end is exact where it falls between our last
    look and this one.
    """
    life = lifetime(watch, seen, now)
    if watch.seen_at is None and _had_ended(seen, watch.created_at):
        return {}
    if _clock_is_behind(watch, seen) and life.began_at != watch.created_at:
        return {}  # the same clock told when the job was made
    models = {None, known_model(watch.model)}
    phases = (Phase.JOB,) if life.running_since is None else (Phase.JOB, Phase.RUN)
    if not seen.status.terminal:
        running = {phase: survived(*_ages_s(watch, life, phase, now)[1:]) for phase in phases}
        return {Kind(watch.provider, phase, model): trace for phase, trace in running.items() for model in models}
    return {
        Kind(watch.provider, phase, model): _ended(watch, seen, life, phase, expectations.hazard(phase, model), now)
        for phase in phases
        for model in models
    }


def detection_lag_s(watch: Watch, seen: Observation, now: float) -> float | None:
    """Return how long after its end, or the beginning of its watch, a job was seen to have ended.

    None where the provider does not tell when that was, or tells an instant at which the job was seen to go on: then
    its clock is not ours.
    """
    if seen.completed_at is None or _clock_is_behind(watch, seen):
        return None
    return max(now - max(seen.completed_at, watch.created_at), 0.0)


def _clock_is_behind(watch: Watch, seen: Observation) -> bool:
    return watch.seen_at is not None and _had_ended(seen, watch.seen_at)


def _had_ended(seen: Observation, before: float) -> bool:
    return seen.status.terminal and seen.completed_at is not None and seen.completed_at <= before


def added(unsaved: Mapping[Kind, Sequence[Trace]], lessons: Lessons) -> Mapping[Kind, Sequence[Trace]]:
    """Return traces with those of one more poll behind them."""
    return {
        kind: (*unsaved.get(kind, ()), *((lessons[kind],) if kind in lessons else ())) for kind in {*unsaved, *lessons}
    }


def known_model(model: str | None) -> str | None:
    """Return the model to learn under, None for one whose name is no name."""
    return model if model is not None and 0 < len(model) <= _MODEL_LIMIT else None


def _ages_s(watch: Watch, life: Lifetime, phase: Phase, now: float) -> tuple[float, float, float]:
    """Return how old the job was when relay came to know of it, when it was last seen to run, and now."""
    watched_s = life.age_s(phase, watch.created_at)
    alive_s = max(life.age_s(phase, watch.seen_at or watch.created_at), watched_s)
    return watched_s, alive_s, life.age_s(phase, now)


def _ended(watch: Watch, seen: Observation, life: Lifetime, phase: Phase, hazard: Hazard, now: float) -> Trace:
    watched_s, alive_s, age_s = _ages_s(watch, life, phase, now)
    if seen.completed_at is not None:
        told_s = life.age_s(phase, seen.completed_at)
        if alive_s < told_s <= age_s:
            return ended(watched_s, alive_s, told_s, hazard, exact=True)
    return ended(watched_s, alive_s, age_s, hazard)
