"""An event loop whose time passes only when everybody waits, and then at once; and a wall clock that is put right."""

import asyncio
import selectors
from dataclasses import dataclass

from relay.clock import SystemClock

EPOCH = 1_800_000_000.0
"""2027-01-15 08:00:00 UTC."""


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


@dataclass(frozen=True, slots=True)
class Jump:
    """The wall clock is set by somebody, forward or back."""

    at_s: float
    by_s: float


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when something is the case, in true time."""

    start_s: float
    end_s: float

    def __contains__(self, at_s: float) -> bool:
        return self.start_s <= at_s < self.end_s


NEVER = Window(0.0, 0.0)


class SimulatedClock(SystemClock):
    """The daemon's own clock, reading the loop's time instead of the system's; its wall clock jumps."""

    def __init__(self) -> None:
        self.jumps: list[Jump] = []

    def now(self) -> float:
        """See Clock."""
        return EPOCH + self.monotonic() + sum(jump.by_s for jump in self.jumps)

    def monotonic(self) -> float:
        """See Clock."""
        return asyncio.get_running_loop().time()

    def jump(self, by_s: float) -> None:
        """Set the wall clock."""
        self.jumps.append(Jump(self.monotonic(), by_s))

    def jumped_back(self, *, since_s: float) -> bool:
        """Tell whether the wall clock was set back since an instant of the true time."""
        return any(jump.at_s >= since_s and jump.by_s < 0 for jump in self.jumps)
