"""What the jobs of one provider have taught so far, ready for the next decision."""

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from relay.core.hazard import Hazard, prior
from relay.core.learning import Evidence, Kind, Phase, Trace, Traces, corrected, shaped
from relay.core.lessons import Lessons
from relay.core.outlook import Contention

MODELS = 100
"""How many kinds of duration are kept at once; of more, the ones longest out of use are forgotten."""

_STALE_SHARE = 0.02
"""A belief is formed anew when what was learned since is this share of what it rests on."""


class _Belief:
    """Evidence of one kind, and the hazard last made of it.

    News are counted in jobs: those that ended, and those that should have by
    the shape that the hazard was made from.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.hazard: Hazard | None = None
        self.jobs = evidence.jobs
        self._evidence = evidence
        self._since = Traces()
        self._shape: Hazard | None = None
        self._known = 0.0
        self._news = 0.0

    def add(self, trace: Trace) -> None:
        self._since.add(trace)
        ended = 0.0 if trace.surprise is None else math.fsum(trace.events)
        self.jobs += ended
        if self._shape is not None:
            self._news += ended + self._shape.expected(trace.exposure, trace.first)

    def form(self, base: Hazard) -> Hazard:
        """Return the hazard, made anew where it no longer tells what is known."""
        if self.hazard is None or self._news > _STALE_SHARE * self._known:
            evidence = self._evidence = self._evidence.plus(self._since)
            self._shape = shaped(evidence, base)
            self.hazard = corrected(evidence, self._shape)
            self.jobs = evidence.jobs
            self._known = max(self.jobs, self._shape.expected(evidence.exposure), 1.0)
            self._since, self._news = Traces(), 0.0
        return self.hazard


class Experience:
    """Implements `relay.core.outlook.Expectations` for one provider.

    Kinds of duration are its jobs as a whole and those of each model, which
    lean on the whole as long as there are few of them.
    """

    def __init__(self, provider: str, typical_s: float) -> None:
        self.contention = Contention()
        self._provider = provider
        self._typical_s = typical_s
        self._beliefs: OrderedDict[Kind, _Belief] = OrderedDict()
        self._unsaved: dict[Kind, Traces] = {}

    def expect(self, typical_s: float) -> None:
        """Take another word on how long jobs take before any was seen."""
        if typical_s != self._typical_s:
            self._typical_s = typical_s
            for belief in self._beliefs.values():
                belief.hazard = None

    def remember(self, evidence: Mapping[Kind, Evidence]) -> None:
        """Start from what was learned earlier."""
        for kind, known in evidence.items():
            self._beliefs[kind] = _Belief(known)
        self._forget()

    def hazard(self, phase: Phase, model: str | None) -> Hazard:
        """See Expectations."""
        whole = self._form(Kind(self._provider, phase), prior(self._typical_s))
        return whole if model is None else self._form(Kind(self._provider, phase, model), whole)

    def jobs(self, phase: Phase, model: str | None) -> float:
        """See Expectations."""
        belief = self._beliefs.get(Kind(self._provider, phase, model))
        return 0.0 if belief is None else belief.jobs

    def learn(self, lessons: Lessons, *, saved: bool = False) -> None:
        """Add what a poll taught; unless it is saved already, the next `take` has it."""
        for kind, trace in lessons.items():
            if kind not in self._beliefs:
                self._beliefs[kind] = _Belief(Evidence())
                self._forget()
            self._beliefs[kind].add(trace)
            if not saved:
                self._unsaved.setdefault(kind, Traces()).add(trace)

    def take(self) -> dict[Kind, list[Trace]]:
        """Return what is to be saved, which from now on counts as saved."""
        taken, self._unsaved = self._unsaved, {}
        return {kind: list(traces) for kind, traces in taken.items()}

    def give_back(self, taken: Mapping[Kind, Iterable[Trace]]) -> None:
        """Undo `take` for what could not be saved."""
        for kind, traces in taken.items():
            for trace in traces:
                self._unsaved.setdefault(kind, Traces()).add(trace)

    def _form(self, kind: Kind, base: Hazard) -> Hazard:
        belief = self._beliefs.get(kind)
        if belief is None:
            return base
        if kind.model is not None:
            self._beliefs.move_to_end(kind)
        return belief.form(base)

    def _forget(self) -> None:
        models = [kind for kind in self._beliefs if kind.model is not None]
        for kind in models[: max(len(models) - MODELS, 0)]:
            del self._beliefs[kind]
            self._unsaved.pop(kind, None)
