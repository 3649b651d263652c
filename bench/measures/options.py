"""How long and how closely to measure."""

import math
from dataclasses import dataclass
from pathlib import Path

_LEAST_S = 0.3


@dataclass(frozen=True, slots=True)
class Options:
    """`share` is how much of the usual work is done; `profile` is where what our side spends its time on is written."""

    rounds: int = 5
    share: float = 1.0
    profile: Path | None = None

    def count(self, usual: int) -> int:
        """Return how many operations to do where `usual` are usual."""
        return math.ceil(usual * self.share)

    def seconds(self, usual: float) -> float:
        """Return how long to wait or watch where `usual` is usual."""
        return max(usual * self.share, _LEAST_S)
