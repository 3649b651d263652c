"""A simulated world, and a daemon that runs in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from acceptance_world import World
from support.daemon import SECRET, RelayProcess, relay_process

from relay.simulator import Receiver, Simulator


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with Simulator() as simulator, Receiver(SECRET) as receiver:
        yield World(simulator, receiver, tmp_path)


@pytest.fixture
async def relay(world: World) -> AsyncIterator[RelayProcess]:
    async with relay_process(world.folder, world.configuration()) as process:
        await process.start()
        yield process
        assert await process.stop() == 0
