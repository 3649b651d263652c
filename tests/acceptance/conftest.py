"""A simulated world, and a daemon that runs in it."""

import subprocess
from collections.abc import AsyncIterator, Iterator
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)
