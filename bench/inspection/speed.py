"""How long a decision takes, and forming a belief: on this machine, so no part of the figures."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from bench.inspection.exact import PRICE_S
from bench.inspection.replay import Terms, history
from bench.inspection.shapes import SHAPES
from relay.core.hazard import Hazard, prior
from relay.core.learning import Evidence, Phase, believed, ended
from relay.core.outlook import Contention, Outlook
from relay.core.schedule import Bounds, next_poll

_ROUNDS = 5
_DECISIONS, _BELIEFS = 20_000, 200


@dataclass(frozen=True)
class Speed:
    """`decisions_per_s` of `next_poll` at all ages of a job, and `belief_us`, microseconds to form a belief anew."""

    decisions_per_s: float
    belief_us: float


def measure() -> Speed:
    """Time what the poller does for each poll, and once in a while when jobs end; the best of several rounds."""
    *_, experience = islice(history(SHAPES["narrow"], 0, Terms(price=PRICE_S)), 201)
    base = prior(60.0)
    hazard = experience.hazard(Phase.JOB, None)
    evidence = Evidence().plus(ended(0.0, age, age + 5.0, base) for age in range(30, 90))

    def decide() -> None:
        for step in range(_DECISIONS):
            _decision(hazard, step / _DECISIONS * 120.0)

    def form() -> None:
        for _ in range(_BELIEFS):
            believed(evidence, base)

    return Speed(_DECISIONS / _quickest(decide), _quickest(form) / _BELIEFS * 1e6)


def _decision(hazard: Hazard, age_s: float) -> float:
    return next_poll(
        Outlook(hazard, age_s),
        Bounds(2.0, 1.0, 60.0),
        Contention(),
        now=age_s,
        deadline=math.inf,
        hint_s=None,
        sample=0.5,
    )


def _quickest(work: Callable[[], None]) -> float:
    times = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
