"""A wall clock that is set back under a running daemon."""

import asyncio
from pathlib import Path
from typing import cast

import pytest
from support.virtual import VirtualClock

from relay.core.errors import StoreError
from relay.core.observation import Job
from relay.core.watch import NewWatch
from relay.daemon import catch_up, mind_the_clock
from relay.engine import Engine
from relay.store import open_sqlite


class Recording:
    """Stands in for the engine, and remembers by how much it was set back."""

    def __init__(self, failures: int = 0) -> None:
        self.steps: list[float] = []
        self.failures = failures

    async def set_back(self, seconds: float) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        self.steps.append(round(seconds, 3))


async def minded(clock: VirtualClock, engine: Recording, *jumps: float) -> list[float]:
    task = asyncio.ensure_future(mind_the_clock(cast(Engine, engine), clock))
    await clock.advance(3)
    for jump in jumps:
        clock.jump(jump)
        await clock.advance(10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return engine.steps


async def test_each_step_back_moves_the_plan_along_once() -> None:
    assert await minded(VirtualClock(), Recording(), -3600.0, -86400.0) == [3600.0, 86400.0]


async def test_a_step_forward_and_a_small_correction_change_nothing() -> None:
    assert await minded(VirtualClock(), Recording(), 3600.0, -1.5, 0.2) == []


async def test_a_step_back_after_one_forward_is_a_step_back() -> None:
    assert await minded(VirtualClock(), Recording(), 3600.0, -3600.0) == [3600.0]


async def test_a_step_that_could_not_be_stored_is_taken_later() -> None:
    assert await minded(VirtualClock(), Recording(failures=2), -3600.0) == [3600.0]


async def test_a_clock_set_back_while_relay_did_not_run_moves_the_plan_at_the_start(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with open_sqlite(tmp_path / "relay.db") as store:
        now = clock.now()
        await store.add_watches([NewWatch("wat_1", "plain", Job("a"), now + 9e9, now + 30)], now)
        await store.probe(now)
        clock.jump(-86400.0)

        await catch_up(store, clock)
        await catch_up(store, clock)

        assert await store.next_watch_due("plain", after=0.0) == pytest.approx(now - 86400 + 30, abs=1e-3)


async def test_a_start_after_a_rest_or_a_small_correction_moves_nothing(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with open_sqlite(tmp_path / "relay.db") as store:
        now = clock.now()
        await store.add_watches([NewWatch("wat_1", "plain", Job("a"), now + 9e9, now + 30)], now)
        await catch_up(store, clock)
        await store.probe(now)
        clock.jump(-1.5)
        await catch_up(store, clock)
        clock.jump(7200.0)
        await catch_up(store, clock)

        assert await store.next_watch_due("plain", after=0.0) == now + 30
