"""The real daemon under a wall clock that is set by an hour or a day, one way and back."""

import asyncio
import signal
import time

import pytest
from acceptance_world import World
from sickness import NEVER, UNEASY, ask, end_now, told
from support.daemon import relay_process, until

from relay.simulator import Receiver

JOBS = [f"req-{number}" for number in range(6)]
SHORTEST_S = 0.1
"""The least between two polls of a job, in the configuration of these tests."""

LOOKS_S = 1.5
"""Relay looks at the clock once a second: a leap that is undone before that is none, whatever was planned by it."""

LEAPS_S = [3600.0, -3600.0, 86400.0, -86400.0, 0.0]
"""Where the clock is set to, one after the other: each is a leap of an hour to two days."""


async def test_a_clock_that_is_set_forward_and_back_neither_storms_nor_loses_nor_signs_ahead(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    skew, skew_s, ahead = world.folder / "skew", 0.0, []

    def verifies(_: Receiver, headers: dict[str, str], body: bytes) -> bool:
        ahead.append(float(headers["webhook-timestamp"]) - (time.time() + skew_s))
        return True

    monkeypatch.setattr(Receiver, "verifies", verifies)
    configuration = world.configuration().replace('"100ms"\n', '"100ms"\nmax_interval = "300ms"\ndeadline = "7d"\n')
    async with relay_process(world.folder, configuration, {"RELAY_TEST_SKEW": str(skew)}, program=UNEASY) as relay:
        await relay.start()
        began_at = time.monotonic()
        for job_id in JOBS:
            world.simulator.add_job("getimg", job_id, NEVER)
            assert (await ask(relay, world, job_id))[0] == 201

        for number, skew_s in enumerate(LEAPS_S):
            skew.write_text(str(skew_s))
            relay.send_signal(signal.SIGUSR1)
            await until(lambda: not skew.exists(), 10)
            await asyncio.sleep(LOOKS_S)
            polls = len(world.simulator.jobs.requests)
            await until(lambda seen=polls: len(world.simulator.jobs.requests) > seen + 12, 20)  # type: ignore[misc]
            end_now(world, JOBS[number])
            await until(lambda ended=number: len(told(world)) == ended + 1, 20)  # type: ignore[misc]

        passed_s = time.monotonic() - began_at
        assert len(world.simulator.jobs.requests) <= len(JOBS) * (5 + passed_s / SHORTEST_S)
        assert told(world).keys() == {*JOBS[:5]}
        assert all(len(ids) == 1 for ids in told(world).values())
        assert all(-20.0 < seconds <= 0.0 for seconds in ahead)
        assert await relay.stop() == 0
