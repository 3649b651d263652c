"""Knows which polls under way are slow: those give their slots to others."""

SLOW_AFTER_S = 5.0


class SlowPolls:
    """The polls under way by when they began, and the slow among them: by the monotonic clock, in seconds.

    What takes longer than five seconds mostly hangs until it is given up.
    """

    def __init__(self) -> None:
        self._quick: dict[str, float] = {}
        self._slow: set[str] = set()

    def __len__(self) -> int:
        return len(self._slow)

    def begin(self, watch_id: str, now: float) -> None:
        """Note that a poll begins; none begins before those noted earlier."""
        self._quick[watch_id] = now

    def end(self, watch_id: str) -> bool:
        """Note that a poll is over, and return whether it was among the slow."""
        self._quick.pop(watch_id, None)
        was_slow = watch_id in self._slow
        self._slow.discard(watch_id)
        return was_slow

    def look(self, now: float, at_most: int) -> list[str]:
        """Return those that are slow from now on: the oldest first, and no more than `at_most` with those before."""
        found: list[str] = []
        for watch_id, began in self._quick.items():
            if began + SLOW_AFTER_S > now or len(self._slow) + len(found) >= at_most:
                break
            found.append(watch_id)
        for watch_id in found:
            del self._quick[watch_id]
        self._slow.update(found)
        return found

    def next_in_s(self, now: float, at_most: int) -> float:
        """Return how long no other poll can become slow, but for one of those that ends."""
        if len(self._slow) >= at_most:
            return SLOW_AFTER_S
        return max(next(iter(self._quick.values()), now) + SLOW_AFTER_S - now, 0.0)
