"""An event loop whose time passes only when everybody waits, and then at once."""

import asyncio
import selectors

from relay.clock import SystemClock

EPOCH = 1_800_000_000.0


class _Leap(selectors.SelectSelector):
    """Waits for nothing: what would have been waiting moves the loop's time instead."""

    elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See selectors; there is no I/O in a simulated world."""
        if timeout is None:
            raise RuntimeError("everybody waits for somebody else")
        self.elapsed += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs tasks without real I/O; the same tasks take the same turns every time."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        """Return the seconds since the world began."""
        return self._leap.elapsed


class SimulatedClock(SystemClock):
    """The daemon's own clock, reading the loop's time instead of the system's."""

    def now(self) -> float:
        """See Clock."""
        return EPOCH + self.monotonic()

    def monotonic(self) -> float:
        """See Clock."""
        return asyncio.get_running_loop().time()
