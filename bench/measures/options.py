"""How long and how closely to measure."""

import math
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """`share` is how much of the usual work is done; `profile` is where what our side spends its time on is written."""

    rounds: int = 5
    share: float = 1.0
    profile: Path | None = None

    def count(self, usual: int) -> int:
        """Return how many operations to do where `usual` are usual."""
        return math.ceil(usual * self.share)
