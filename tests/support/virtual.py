"""Time that passes when a test says so, and randomness that repeats itself."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from relay.core.ports import Wakeup

_TURNS = 20
"""Turns of the event loop in which a chain of tasks without I/O comes to rest."""
_QUIET_TURNS = 10
"""Turns of a real millisecond without progress after which no I/O is thought to be under way."""
_STUCK_TURNS = 10_000
"""The same, after which a test that waits for nothing in particular has failed."""


class VirtualClock:
    """Implements `relay.core.ports.Clock`; sleepers wake in the order of their due times.

    Only `advance`, `run_until` and `drive` move time.  Timeouts of asyncio's
    own run on real time as ever.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._epoch = now
        self._elapsed = 0.0
        self._sleepers: dict[asyncio.Future[None], float] = {}

    def now(self) -> float:
        """See Clock."""
        return self._epoch + self._elapsed

    def monotonic(self) -> float:
        """See Clock."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        alarm = asyncio.get_running_loop().create_future()
        self._sleepers[alarm] = self._elapsed + seconds
        try:
            await alarm
        finally:
            self._sleepers.pop(alarm, None)

    async def wait(self, wakeup: Wakeup, seconds: float) -> None:
        """See Clock."""
        waits = [asyncio.ensure_future(wakeup.wait()), asyncio.ensure_future(self.sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
            wakeup.clear()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back; the monotonic one, and with it every sleeper, does not notice."""
        self._epoch += seconds

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, waking who is due on the way; for tasks without real I/O."""
        end = self._elapsed + seconds
        await _settle()
        while (due := self._next_due()) is not None and due <= end:
            self._move_to(due)
            await _settle()
        self._move_to(end)

    async def run_until(self, condition: Callable[[], object], limit_s: float) -> None:
        """Jump from one due sleeper to the next until `condition` holds; for tasks without real I/O.

        Raises TimeoutError where it does not within `limit_s`, or nobody sleeps.
        """
        end = self._elapsed + limit_s
        await _settle()
        while not condition():
            self._jump_to_next_due(end)
            await _settle()

    async def drive(self, goal: asyncio.Future[Any] | Callable[[], object], *, limit_s: float) -> None:
        """Do the same for tasks with real I/O, until a task is done or a condition holds.

        Time stands still while any task gets on, and jumps once none has for a
        few real milliseconds.  A task's exception is raised.
        """
        end = self._elapsed + limit_s
        reached = goal.done if isinstance(goal, asyncio.Future) else goal
        seen, quiet = _progress(), 0
        while not reached():
            await asyncio.sleep(0.001)
            now_seen = _progress()
            seen, quiet = now_seen, quiet + 1 if now_seen == seen else 0
            if quiet >= _STUCK_TURNS or (quiet >= _QUIET_TURNS and self._sleepers and not reached()):
                self._jump_to_next_due(end)
                quiet = 0
        if isinstance(goal, asyncio.Future):
            goal.result()

    def _next_due(self) -> float | None:
        return min((due for alarm, due in self._sleepers.items() if not alarm.done()), default=None)

    def _jump_to_next_due(self, end: float) -> None:
        due = self._next_due()
        if due is None:
            raise TimeoutError("nothing is left to wait for")
        if due > end:
            raise TimeoutError(f"still waiting after {self._elapsed:.1f} s, and nobody wakes before the limit")
        self._move_to(due)

    def _move_to(self, moment: float) -> None:
        self._elapsed = max(self._elapsed, moment)
        for alarm, due in sorted(self._sleepers.items(), key=lambda sleeper: sleeper[1]):
            if due <= self._elapsed and not alarm.done():
                alarm.set_result(None)


class SeededEntropy:
    """Implements `relay.core.ports.Entropy`: the same seed, the same numbers."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def sample(self) -> float:
        """See Entropy."""
        return self._random.random()

    def bytes(self, count: int) -> bytes:
        """See Entropy."""
        return self._random.randbytes(count)


async def _settle() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _progress() -> dict[Hashable, Awaitable[object] | None]:
    """Return what each task waits for: a task that has run since waits for something new."""
    mine = asyncio.current_task()
    return {task: getattr(task, "_fut_waiter", None) for task in asyncio.all_tasks() if task is not mine}
