"""How many requests a token may make, and how many of them it may hold open."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from relay.api.problems import ApiProblem, Problem
from relay.core.budget import Budget, Rate

PACE: web.AppKey["Pace"] = web.AppKey("pace")
HELD_AT_MOST = 100
_HELD_RETRY_S = 5


class Pace:
    """What is left to each token, by its name: as many entries as there are names."""

    def __init__(self) -> None:
        self._left: dict[str, Budget] = {}
        self._held: Counter[str] = Counter()

    def spend(self, name: str, rate: Rate, now: float) -> None:
        """Take one request from what a token may make; raises ApiProblem where nothing is left."""
        left = self._left.get(name)
        if left is None or left.rate != rate:
            left = Budget(rate, due_at=now)
        if not left.available(now):
            wait_s = max(math.ceil(left.next_at(now) - now), 1)
            raise ApiProblem(
                Problem.RATE_LIMITED,
                f"the token makes more than {rate.limit} requests in {rate.window_s:.0f} s",
                headers={"Retry-After": str(wait_s)},
            )
        self._left[name] = left.spend(1, now)

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Count one request of a token as held open while the block runs; raises ApiProblem where it holds too many.

        Those without a token have no name, and may hold what they like.
        """
        if name and self._held[name] >= HELD_AT_MOST:
            raise ApiProblem(
                Problem.RATE_LIMITED,
                f"the token holds {HELD_AT_MOST} event streams and waiting requests already",
                headers={"Retry-After": str(_HELD_RETRY_S)},
            )
        self._held[name] += 1
        try:
            yield
        finally:
            self._held[name] -= 1
