"""What the polls of one job teach about all of its kind."""

from collections.abc import Mapping, Sequence

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
    if seen.completed_at is not None and seen.status.terminal and seen.completed_at <= watch.created_at:
        return {}  # it had ended before we were asked to watch
    models = {None, known_model(watch.model)}
    phases = (Phase.JOB,) if life.running_since is None else (Phase.JOB, Phase.RUN)
    return {
        Kind(watch.provider, phase, model): _trace(watch, seen, life, phase, model, expectations, now)
        for phase in phases
        for model in models
    }


def added(unsaved: Mapping[Kind, Sequence[Trace]], lessons: Lessons) -> Mapping[Kind, Sequence[Trace]]:
    """Return traces with those of one more poll behind them."""
    return {
        kind: (*unsaved.get(kind, ()), *((lessons[kind],) if kind in lessons else ())) for kind in {*unsaved, *lessons}
    }


def known_model(model: str | None) -> str | None:
    """Return the model to learn under, None for one whose name is no name."""
    return model if model is not None and 0 < len(model) <= _MODEL_LIMIT else None


def _trace(
    watch: Watch,
    seen: Observation,
    life: Lifetime,
    phase: Phase,
    model: str | None,
    expectations: Expectations,
    now: float,
) -> Trace:
    watched_s = life.age_s(phase, watch.created_at)
    alive_s = max(life.age_s(phase, watch.seen_at or watch.created_at), watched_s)
    age_s = life.age_s(phase, now)
    if not seen.status.terminal:
        return survived(alive_s, age_s)
    hazard = expectations.hazard(phase, model)
    if seen.completed_at is not None:
        told_s = life.age_s(phase, seen.completed_at)
        if alive_s < told_s <= age_s:
            return ended(watched_s, alive_s, told_s, hazard, exact=True)
    return ended(watched_s, alive_s, age_s, hazard)
