"""Whether something grows: a straight line through figures over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import correlation, linear_regression


@dataclass(frozen=True, slots=True)
class Trend:
    """The least-squares line through some figures: how much they change per second, and how straight they lie (R²)."""

    per_s: float
    straightness: float

    @classmethod
    def of(cls, points: Sequence[tuple[float, float]]) -> "Trend":
        """Return that of at least two figures, each behind its time in seconds."""
        times, figures = zip(*points, strict=True)
        slope = linear_regression(times, figures).slope
        level = min(figures) == max(figures)
        return cls(slope, 1.0 if level else min(correlation(times, figures) ** 2, 1.0))
