"""How likely a job is to end at a given age.

The hazard is piecewise constant over bins of age that grow geometrically, one
set of bins for everything that relay believes and learns, so that evidence adds
up bin by bin and every integral is a sum.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from operator import mul

_FIRST_EDGE_S = 0.25
_LAST_EDGE_S = 86400.0
BINS = 128
GROWTH: float = (_LAST_EDGE_S / _FIRST_EDGE_S) ** (1 / (BINS - 2))
"""How much longer each bin is than the one before it: about a tenth."""

EDGES: tuple[float, ...] = (0.0, *(_FIRST_EDGE_S * GROWTH**step for step in range(BINS - 1)))
"""The lower ages of the bins, in seconds; the last bin has no end."""

WIDTHS: tuple[float, ...] = tuple(high - low for low, high in zip(EDGES, (*EDGES[1:], EDGES[-1] * GROWTH), strict=True))
"""The seconds each bin spans; for the last one, those it would span if it had an end."""

_PRIOR_SIGMA = 1.0
_FLOOR = 0.25
"""Share of 1/typical below which the prior hazard never falls: nothing is known yet, so keep looking."""
_LEAST_RATE = 1e-12
_MOST_RATE = 1e6


@dataclass(frozen=True)
class Hazard:
    """Ends per second in each bin of age, every rate positive and finite.

    `seen` counts the ends by bin that the rates were learned from, if any were.
    """

    rates: tuple[float, ...]
    seen: tuple[float, ...] = ()

    @classmethod
    def of(cls, rates: Iterable[float], seen: tuple[float, ...] = ()) -> "Hazard":
        """Build a hazard from one rate per bin, kept within what arithmetic bears."""
        return cls(tuple(min(max(rate, _LEAST_RATE), _MOST_RATE) for rate in rates), seen)

    @cached_property
    def ceilings(self) -> tuple[float, ...]:
        """The highest rate in each bin or any later one."""
        return tuple(accumulate(reversed(self.rates), max))[::-1]

    @cached_property
    def cumulative(self) -> tuple[float, ...]:
        """The integral of the hazard from 0 to each edge."""
        return tuple(accumulate((r * w for r, w in zip(self.rates[:-1], WIDTHS, strict=False)), initial=0.0))

    @cached_property
    def roots(self) -> tuple[float, ...]:
        """The integral of the square root of the hazard from 0 to each edge."""
        parts = (math.sqrt(r) * w for r, w in zip(self.rates[:-1], WIDTHS, strict=False))
        return tuple(accumulate(parts, initial=0.0))

    @cached_property
    def mean_inverse_root(self) -> float:
        """E[1/sqrt(h(T))] over the job's duration T, in square roots of seconds.

        T is distributed as the ends that were seen, and as the rates have it with
        the weight of one job: rates are smooth, and would have more jobs end
        where hardly any do.
        """
        survivals = [math.exp(-total) for total in self.cumulative]
        ended = [high - low for high, low in zip(survivals, (*survivals[1:], 0.0), strict=True)]
        if self.seen:
            jobs = 1 + math.fsum(self.seen)
            ended = [(share + count) / jobs for share, count in zip(ended, self.seen, strict=True)]
        return math.fsum(share / math.sqrt(rate) for share, rate in zip(ended, self.rates, strict=True))

    def root_integral(self, age: float) -> float:
        """Return the integral of sqrt(h) from 0 to `age`."""
        index = bin_of(age)
        return self.roots[index] + math.sqrt(self.rates[index]) * (age - EDGES[index])

    def integral(self, age: float) -> float:
        """Return the integral of the hazard from 0 to `age`, which is -log of the share still running."""
        index = bin_of(age)
        return self.cumulative[index] + self.rates[index] * (age - EDGES[index])

    def expected(self, exposure: Sequence[float], first: int = 0) -> float:
        """Return how many ends seconds survived in each bin, from the bin `first` on, should have brought."""
        return math.fsum(map(mul, exposure, self.rates[first : first + len(exposure)]))

    def quantile(self, share: float, *, age: float = 0.0) -> float:
        """Return the age by which `share` of the jobs still running at `age` have ended."""
        wanted = self.integral(age) - math.log1p(-share)
        index = bisect_right(self.cumulative, wanted) - 1
        return max(EDGES[index] + (wanted - self.cumulative[index]) / self.rates[index], age)


def bin_of(age: float) -> int:
    """Return the index of the bin that holds `age`, which is not negative."""
    return bisect_right(EDGES, age) - 1


def mixture(parts: Sequence[tuple[float, "Hazard"]]) -> "Hazard":
    """Return the hazard of jobs of which given shares follow given hazards; the shares add up to one."""
    rates = []
    alive = [share for share, _ in parts]
    for index, width in enumerate(WIDTHS):
        left = [
            weight * math.exp(-hazard.rates[index] * width) for weight, (_, hazard) in zip(alive, parts, strict=True)
        ]
        before, after = math.fsum(alive), math.fsum(left)
        if before <= _LEAST_RATE or after <= before * _LEAST_RATE:
            # Nobody is left to tell the parts apart by: the one that lasts longest goes on.
            rates.append(min(hazard.rates[index] for _, hazard in parts))
        else:
            rates.append(math.log(before / after) / width)
        alive = left
    return Hazard.of(rates)


def lognormal(median_s: float, sigma: float) -> Hazard:
    """Return the hazard of durations whose logarithm is normal around that of `median_s`."""
    survivals = [1.0, *(0.5 * math.erfc(math.log(edge / median_s) / (sigma * math.sqrt(2))) for edge in EDGES[1:])]
    survivals.append(0.5 * math.erfc(math.log(EDGES[-1] * GROWTH / median_s) / (sigma * math.sqrt(2))))
    rates = [0.0] * BINS
    for index in range(BINS):
        if survivals[index + 1] > _LEAST_RATE:
            rates[index] = math.log(survivals[index] / survivals[index + 1]) / WIDTHS[index]
        else:  # beyond what floats resolve: the tail's hazard falls as log(t)/t, nearly flat at this scale
            rates[index] = rates[index - 1] if index else 1 / median_s
    return Hazard.of(rates)


@lru_cache(maxsize=256)
def prior(typical_s: float) -> Hazard:
    """Return what is believed of jobs whose median duration is said to be `typical_s`.

    A lognormal spread wide enough to be wrong by a factor of three, with a
    floor that keeps relay looking at jobs far shorter or longer than said.
    """
    floor = _FLOOR / typical_s
    return Hazard.of(max(rate, floor) for rate in lognormal(typical_s, _PRIOR_SIGMA).rates)
