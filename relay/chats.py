"""Chats: told one message at a time, and left alone after each."""

from collections.abc import Collection, Mapping

from relay.core.digest import Window, next_window


class Chats:
    """Which chats may be told something now.

    Kept in memory only: what a restart forgets is that a chat was to be left
    alone, and its next message comes a little early.  Times are monotonic.
    """

    def __init__(self, lanes: Collection[str]) -> None:
        self._lanes = frozenset(lanes)
        self._windows: dict[str, Window] = {}
        self._rests: dict[str, float] = {}

    def adopt(self, lanes: Collection[str]) -> None:
        """Take these for the lanes of chats from now on."""
        self._lanes = frozenset(lanes)

    def taken(self, under_way: Mapping[str, int], *, per_lane: int, now: float) -> dict[str, int]:
        """Return how many of its `per_lane` places each lane has taken; a chat has one in all, and none at rest."""
        taken = dict(under_way)
        for lane in self._lanes:
            taken[lane] = per_lane if lane in under_way or self._rests_until(lane) > now else per_lane - 1
        return taken

    def told(self, lane: str, *, widest_s: float, now: float) -> None:
        """Open the window after a message that arrived."""
        self._windows[lane] = next_window(self._windows.get(lane), widest_s=widest_s, now=now)

    def rest(self, lane: str, until: float) -> None:
        """Leave a chat alone because it asks for it."""
        self._rests[lane] = until

    def __contains__(self, lane: str) -> bool:
        return lane in self._lanes

    def next_end(self, now: float) -> float | None:
        """Return when the next chat that rests may be told something, or None where none does."""
        return min((end for lane in self._lanes if (end := self._rests_until(lane)) > now), default=None)

    def _rests_until(self, lane: str) -> float:
        window = self._windows.get(lane)
        return max(self._rests.get(lane, 0.0), window.ends_at if window else 0.0)
