"""Knows which places attempts under way have taken, and where more may be due than there were places."""

from collections import Counter
from collections.abc import Mapping, Sequence

from relay.core.condition import FAILURES_BEFORE_HOLD
from relay.core.delivery import Delivery
from relay.core.ports import Outgoing

CONCURRENCY = 256
LANE_CONCURRENCY = 16
"""Attempts under way to one host: a hung one holds these, and no more."""
FAILING_LANE_CONCURRENCY = 2
"""The same, once as many attempts there in a row came to nothing as `relay.core.condition` says."""
RETRY_CONCURRENCY = 192
"""Attempts under way that are not the first: the other places are for news."""


class Occupancy:
    """The places that are taken, in all and by lane.

    More is claimed when places get free where the last claim may have left
    something for want of them.
    """

    def __init__(self) -> None:
        self._busy: Counter[str] = Counter()
        self._retrying = 0
        self._full = False
        """Whether there may be more to claim as soon as any place is free."""
        self._crowded: dict[str, int] = {}
        """The lanes of which there may be more to claim as soon as there is room, each with how many are under way."""

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._busy.total()

    @property
    def free(self) -> int:
        """How many places are free, whatever the lane."""
        return CONCURRENCY - self._busy.total()

    @property
    def free_for_retries(self) -> int:
        """How many of them what was tried before may take."""
        return max(RETRY_CONCURRENCY - self._retrying, 0)

    @property
    def crowded(self) -> bool:
        """Whether more may be due than the last claim found places for."""
        return self._full or bool(self._crowded)

    def by_lane(self) -> Mapping[str, int]:
        """Return how many places of each lane are taken at this moment."""
        return self._busy.copy()

    def take(
        self, claimed: Sequence[Outgoing], *, filled: bool, busy: Mapping[str, int], limits: Mapping[str, int]
    ) -> None:
        """Take places for what was claimed.

        The claim went by `busy`, the places taken then, and by `limits`, the places
        of lanes that have a number of their own; where it `filled` all that were
        free, there may be more.
        """
        self._retrying += sum(outgoing.delivery.attempts > 0 for outgoing in claimed)
        self._full = filled or self._retrying >= RETRY_CONCURRENCY
        self._crowded = _crowded(claimed, busy, limits)
        self._busy.update(outgoing.delivery.target.lane for outgoing in claimed)

    def leave(self, delivery: Delivery) -> bool:
        """Give up a place, and return whether it is time to claim more.

        Claiming one by one, as places of a lane get free, would cost a transaction for each.
        """
        lane = delivery.target.lane
        self._retrying -= delivery.attempts > 0
        self._busy[lane] -= 1
        left = self._busy[lane]
        if not left:
            del self._busy[lane]
        return self._full or (lane in self._crowded and left <= self._crowded[lane] // 2)


def _crowded(claimed: Sequence[Outgoing], busy: Mapping[str, int], limits: Mapping[str, int]) -> dict[str, int]:
    """Return the lanes of which more may be due than a claim found places for, each with how many are under way.

    `busy` were under way before it.  A lane of which it claimed none may have
    fewer places than when those began, as it has failed since.
    """
    taken, places = Counter(busy), dict[str, int]()
    for outgoing in claimed:
        lane = outgoing.delivery.target.lane
        taken[lane] += 1
        failing = (outgoing.failures or 0) >= FAILURES_BEFORE_HOLD
        places[lane] = limits.get(lane, FAILING_LANE_CONCURRENCY if failing else LANE_CONCURRENCY)
    fewest = {lane: places.get(lane, limits.get(lane, FAILING_LANE_CONCURRENCY)) for lane in taken}
    return {lane: number for lane, number in taken.items() if number >= fewest[lane]}
