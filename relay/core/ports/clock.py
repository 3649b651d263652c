"""Time, and chance."""

from typing import Protocol


class Wakeup(Protocol):
    """A flag that one side raises and the other waits for; satisfied by asyncio.Event."""

    def set(self) -> None: ...
    def clear(self) -> None: ...
    async def wait(self) -> object: ...


class Clock(Protocol):
    """Time, and the only way to wait for it."""

    def now(self) -> float:
        """Return the wall clock, in Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`, by the monotonic clock."""
        ...

    async def wait(self, wakeup: Wakeup, seconds: float) -> None:
        """Wait until `wakeup` is raised, at most `seconds`; lowers it."""
        ...


class Entropy(Protocol):
    """Randomness."""

    def sample(self) -> float:
        """Return a number from [0, 1)."""
        ...

    def bytes(self, count: int) -> bytes:
        """Return unpredictable bytes."""
        ...
