"""How likely a job is to end at a given age.

The hazard is piecewise constant over bins of age that grow geometrically, which
makes every integral of the inspection law a sum.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

_FIRST_EDGE_S = 0.25
_LAST_EDGE_S = 86400.0
_BINS = 96
_PRIOR_SIGMA = 1.0
_FLOOR = 0.25
"""Share of 1/typical below which the prior hazard never falls: nothing is known yet, so keep looking."""


@dataclass(frozen=True, slots=True)
class Hazard:
    """Ends per second at each age of a job.

    `edges` are the lower ages of the bins in seconds, from 0; the last bin has
    no end.  `roots` is the integral of the square root of the hazard up to each
    edge; `mean_inverse_root` is E[1/sqrt(h(T))] over the job's duration T.
    """

    edges: tuple[float, ...]
    rates: tuple[float, ...]
    roots: tuple[float, ...]
    mean_inverse_root: float

    @classmethod
    def of(cls, edges: tuple[float, ...], rates: tuple[float, ...]) -> "Hazard":
        """Build a hazard from its bins; every rate is positive."""
        roots, alive, expectation = [0.0], 1.0, 0.0
        for index, rate in enumerate(rates[:-1]):
            width = edges[index + 1] - edges[index]
            survives = math.exp(-rate * width)
            expectation += alive * (1 - survives) / math.sqrt(rate)
            alive *= survives
            roots.append(roots[-1] + math.sqrt(rate) * width)
        return cls(edges, rates, tuple(roots), expectation + alive / math.sqrt(rates[-1]))

    def root_integral(self, age: float) -> float:
        """Return the integral of sqrt(h) from 0 to `age`."""
        index = bisect_right(self.edges, age) - 1
        return self.roots[index] + math.sqrt(self.rates[index]) * (age - self.edges[index])

    def age_at(self, root: float) -> float:
        """Return the age at which the integral of sqrt(h) reaches `root`."""
        index = bisect_right(self.roots, root) - 1
        return self.edges[index] + (root - self.roots[index]) / math.sqrt(self.rates[index])


@lru_cache(maxsize=256)
def prior(typical_s: float) -> Hazard:
    """Return what is believed of jobs whose median duration is said to be `typical_s`.

    A lognormal spread wide enough to be wrong by a factor of three, with a
    floor that keeps relay looking at jobs far shorter or longer than said.
    """
    ratio = (_LAST_EDGE_S / _FIRST_EDGE_S) ** (1 / (_BINS - 2))
    edges = (0.0, *(_FIRST_EDGE_S * ratio**step for step in range(_BINS - 1)))
    floor = _FLOOR / typical_s
    rates = tuple(
        max(_lognormal_hazard(low, high, typical_s), floor)
        for low, high in zip(edges, (*edges[1:], edges[-1] * ratio), strict=True)
    )
    return Hazard.of(edges, rates)


def _lognormal_hazard(low: float, high: float, median: float) -> float:
    alive, later = _lognormal_survival(low, median), _lognormal_survival(high, median)
    if alive <= 0 or later <= 0:
        return 0.0
    return math.log(alive / later) / (high - low)


def _lognormal_survival(age: float, median: float) -> float:
    if age <= 0:
        return 1.0
    return 0.5 * math.erfc(math.log(age / median) / (_PRIOR_SIGMA * math.sqrt(2)))
