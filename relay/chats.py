"""Chats: told one message at a time, and left alone after each."""

from collections.abc import Mapping

from relay.core.digest import Window, next_window


class Chats:
    """Which chats may be told something now.

    Kept in memory only: what a restart forgets is that a chat was to be left
    alone, and its next message comes a little early.  Times are monotonic;
    `services` tells of each lane what kind of chat it leads to.
    """

    def __init__(self, services: Mapping[str, str]) -> None:
        self._services = services
        self._windows: dict[str, Window] = {}
        self._rests: dict[str, float] = {}

    def adopt(self, services: Mapping[str, str]) -> None:
        """Take these for the lanes of chats from now on."""
        self._services = services

    def limits(self, now: float) -> dict[str, int]:
        """Return how many places the lane of each chat has: one in all, and none at rest."""
        return {lane: int(self._rests_until(lane) <= now) for lane in self._services}

    def told(self, lane: str, *, widest_s: float, now: float) -> None:
        """Open the window after a message."""
        self._windows[lane] = next_window(self._windows.get(lane), widest_s=widest_s, now=now)

    def narrow(self, lane: str, now: float) -> None:
        """Begin anew with the narrowest window: a chat that nothing reaches has not been told too much."""
        if lane in self._windows:
            self._windows[lane] = next_window(None, widest_s=self._windows[lane].width_s, now=now)

    def rest(self, lane: str, until: float, *, widely: bool) -> None:
        """Leave a chat alone because it asks for it, with all others of its service where it asks `widely`."""
        for other, service in self._services.items():
            if other == lane or (widely and service == self._services[lane]):
                self._rests[other] = max(self._rests.get(other, 0.0), until)

    def __contains__(self, lane: str) -> bool:
        return lane in self._services

    def next_end(self, now: float) -> float | None:
        """Return when the next chat that rests may be told something, or None where none does."""
        return min((end for lane in self._services if (end := self._rests_until(lane)) > now), default=None)

    def _rests_until(self, lane: str) -> float:
        window = self._windows.get(lane)
        return max(self._rests.get(lane, 0.0), window.ends_at if window else 0.0)
