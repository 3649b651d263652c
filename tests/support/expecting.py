"""Expectations that stay as they are."""

from dataclasses import dataclass, field

from relay.core.hazard import BINS, Hazard
from relay.core.learning import Phase
from relay.core.outlook import Contention


def constant(mean_s: float) -> Hazard:
    """Jobs that end at any age alike, `mean_s` on average."""
    return Hazard.of([1 / mean_s] * BINS)


@dataclass
class Fixed:
    """Implements Expectations with one hazard a phase, whatever the model."""

    whole: Hazard
    running: Hazard | None = None
    seen: float = 0.0
    contention: Contention = field(default_factory=Contention)

    def hazard(self, phase: Phase, model: str | None) -> Hazard:
        return self.running if self.running is not None and phase is Phase.RUN else self.whole

    def jobs(self, phase: Phase, model: str | None) -> float:
        return self.seen
