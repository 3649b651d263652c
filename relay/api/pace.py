"""How many requests a token may make."""

import math

from aiohttp import web

from relay.api.problems import ApiProblem, Problem
from relay.core.budget import Budget, Rate

PACE: web.AppKey["Pace"] = web.AppKey("pace")


class Pace:
    """What is left to each token, by its name: as many entries as there are names."""

    def __init__(self) -> None:
        self._left: dict[str, Budget] = {}

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
