"""The tests' own clock and randomness."""

import asyncio
from pathlib import Path

import aiosqlite
import pytest
from support.virtual import SeededEntropy, VirtualClock

from relay.core.ports import Clock, Entropy


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(1000.0)


async def test_sleepers_wake_in_the_order_of_their_due_times(clock: VirtualClock) -> None:
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.now()))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sleeper("slow", 5.0))
        tasks.create_task(sleeper("quick", 2.0, 2.0, 0.0))
        tasks.create_task(sleeper("same", 5.0))
        await clock.advance(4.5)
        assert (clock.now(), clock.monotonic()) == (1004.5, 4.5)
        await clock.advance(0.5)

    assert woken == [("quick", 1002.0), ("quick", 1004.0), ("quick", 1004.0), ("slow", 1005.0), ("same", 1005.0)]


async def test_a_wait_ends_by_its_wakeup_or_its_time_and_lowers_the_flag(clock: VirtualClock) -> None:
    wakeup, ends = asyncio.Event(), list[float]()

    async def loop() -> None:
        for _ in range(3):
            await clock.wait(wakeup, 10.0)
            ends.append(clock.monotonic())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop())
        await clock.advance(3.0)
        wakeup.set()
        await clock.advance(0.0)
        assert not wakeup.is_set()
        await clock.advance(9.0)
        wakeup.set()
        await clock.advance(10.0)

    assert ends == [3.0, 12.0, 22.0]


async def test_a_sleeper_that_is_cancelled_is_forgotten(clock: VirtualClock) -> None:
    task = asyncio.ensure_future(clock.wait(asyncio.Event(), 10.0))
    await clock.advance(1.0)
    task.cancel()
    await clock.advance(1.0)

    assert task.cancelled()
    with pytest.raises(TimeoutError, match="nothing is left to wait for"):
        await clock.run_until(lambda: False, 60.0)


async def test_run_until_jumps_to_the_instant_at_which_a_condition_holds(clock: VirtualClock) -> None:
    async def ticks() -> None:
        while True:
            await clock.sleep(7.0)

    task = asyncio.ensure_future(ticks())
    await clock.run_until(lambda: clock.monotonic() > 3600, 4000.0)
    assert clock.monotonic() == 3605.0
    with pytest.raises(TimeoutError, match="still waiting after 3661"):
        await clock.run_until(lambda: False, 60.0)
    task.cancel()


async def test_a_jump_of_the_wall_clock_wakes_nobody(clock: VirtualClock) -> None:
    task = asyncio.ensure_future(clock.sleep(10.0))
    clock.jump(-500.0)
    await clock.advance(9.0)

    assert (clock.now(), clock.monotonic(), task.done()) == (509.0, 9.0, False)
    await clock.advance(1.0)
    assert task.done()


async def test_drive_lets_time_stand_still_while_a_database_works(clock: VirtualClock, tmp_path: Path) -> None:
    instants: list[float] = []

    async def work() -> None:
        async with aiosqlite.connect(tmp_path / "a.db") as connection:
            await connection.execute("CREATE TABLE ticks (at REAL)")
            for _ in range(20):
                await connection.execute("INSERT INTO ticks VALUES (?)", (clock.monotonic(),))
                await connection.commit()
                await clock.sleep(60.0)
            rows = await connection.execute_fetchall("SELECT at FROM ticks")
            instants.extend(row[0] for row in rows)

    task = asyncio.ensure_future(work())
    await clock.drive(task, limit_s=3600.0)

    assert instants == [60.0 * tick for tick in range(20)]


async def test_drive_raises_what_its_task_raised_and_gives_up_at_the_limit(clock: VirtualClock) -> None:
    async def fail() -> None:
        await clock.sleep(5.0)
        raise ValueError("as planned")

    with pytest.raises(ValueError, match="as planned"):
        await clock.drive(asyncio.ensure_future(fail()), limit_s=60.0)

    sleeper = asyncio.ensure_future(clock.sleep(100.0))
    with pytest.raises(TimeoutError, match="nobody wakes before the limit"):
        await clock.drive(lambda: False, limit_s=60.0)
    sleeper.cancel()


def test_the_same_seed_gives_the_same_numbers() -> None:
    one, same, other = SeededEntropy(7), SeededEntropy(7), SeededEntropy(8)

    drawn = [(entropy.sample(), entropy.bytes(10)) for entropy in (one, same, other)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert 0 <= drawn[0][0] < 1
    assert len(drawn[0][1]) == 10


def test_both_are_what_the_loops_take() -> None:
    clock: Clock = VirtualClock()
    entropy: Entropy = SeededEntropy()

    assert clock.now() == 1_800_000_000.0
    assert entropy.sample() == SeededEntropy(0).sample()
