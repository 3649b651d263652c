"""The real daemon on a machine that fails: it says so, acknowledges nothing in vain, and comes back by itself."""

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import aiohttp
import pytest
from acceptance_world import World
from support.daemon import RelayProcess, relay_process

from relay.simulator import Scenario

NEVER = Scenario(running_s=3600)


async def ask(relay: RelayProcess, world: World, job_id: str, note: str = "") -> tuple[int, dict[str, Any], str | None]:
    """Ask for a job to be watched; return status, answer and Retry-After."""
    wanted = {
        "provider": "getimg",
        "job_id": job_id,
        "callback_url": world.receiver.callback_url(),
        "metadata": {"note": note},
    }
    async with aiohttp.ClientSession() as session, session.post(f"{relay.url}/v1/watches", json=wanted) as answer:
        return answer.status, await answer.json(), answer.headers.get("Retry-After")


async def command_line(relay: RelayProcess, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "relay", *words, "--config", str(relay.folder / "config.toml")]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30)


def pid_of(relay: RelayProcess) -> int:
    assert relay._process is not None
    return relay._process.pid


@contextmanager
def limited(relay: RelayProcess, what: int, amount: int) -> Iterator[None]:
    """Take something from a running daemon, and give it back."""
    before = resource.prlimit(pid_of(relay), what)
    resource.prlimit(pid_of(relay), what, (amount, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid_of(relay), what, before)


async def test_a_disk_without_space_is_503_and_nothing_acknowledged_is_lost(world: World, relay: RelayProcess) -> None:
    world.simulator.jobs.default = NEVER
    room = (world.folder / "relay.db-wal").stat().st_size + 40_000
    acknowledged = []
    with limited(relay, resource.RLIMIT_FSIZE, room):
        for number in range(60):
            status, answer, retry_after = await ask(relay, world, f"req-{number}", "x" * 400)
            if status == 201:
                acknowledged.append(answer["id"])
            else:
                assert (status, answer["type"], retry_after) == (503, "urn:relay:problem:unavailable", "5")
        assert len(acknowledged) < 60
        world.simulator.jobs.default = Scenario(queued_s=0.1, running_s=0.1)

    status, _, _ = await ask(relay, world, "req-last")
    assert status == 201
    async with aiohttp.ClientSession() as session:
        for watch_id in acknowledged:
            async with session.get(f"{relay.url}/v1/watches/{watch_id}") as answer:
                assert answer.status == 200
    assert await world.receiver.wait_for(lambda: len(world.receiver.of("callback")) >= 1, 20)


async def test_a_daemon_without_files_takes_its_work_up_again(world: World, relay: RelayProcess) -> None:
    status, _, _ = await ask(relay, world, "req-1")
    assert status == 201
    with limited(relay, resource.RLIMIT_NOFILE, 3):
        await asyncio.sleep(1.0)  # polls and deliveries fail meanwhile, whichever they are

    assert await world.receiver.wait_for(lambda: len(world.receiver.of("callback")) == 1, 30)


async def test_it_stops_within_the_grace_period_while_another_process_locks_the_database(world: World) -> None:
    async with relay_process(world.folder, world.configuration()) as relay:
        await relay.start()
        await ask(relay, world, "req-1")
        with closing(sqlite3.connect(world.folder / "relay.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            relay.send_signal(signal.SIGTERM)
            code = await relay.stop()
        assert code in (0, 1)
        assert "Traceback" not in relay.log()


async def test_a_second_daemon_on_one_database_refuses_to_start(world: World, relay: RelayProcess) -> None:
    database = world.folder / "relay.db"
    (world.folder / "second").mkdir()
    async with relay_process(world.folder / "second", f'[store]\nurl = "sqlite:///{database}"\n') as second:
        with pytest.raises(AssertionError, match="ended early"):
            await second.start()
        assert await second.stop() == 1
        assert "in use by another relay; stop that one first" in second.log()


async def test_a_damaged_database_is_refused_and_left_as_it_is(world: World) -> None:
    async with relay_process(world.folder, world.configuration()) as relay:
        await relay.start()
        await ask(relay, world, "req-1")
        assert await relay.stop() == 0
        database = world.folder / "relay.db"
        with database.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(4096))
        before = database.read_bytes()

        with pytest.raises(AssertionError, match="ended early"):
            await relay.start()

        assert await relay.stop() == 1
        assert "restore it from a backup" in relay.log()
        assert database.read_bytes() == before


async def test_a_log_that_lost_acknowledged_watches_is_refused_until_a_person_decides(world: World) -> None:
    world.simulator.jobs.default = NEVER
    async with relay_process(world.folder, world.configuration()) as relay:
        await relay.start()
        for number in range(5):
            status, _, _ = await ask(relay, world, f"req-{number}")
            assert status == 201
        await relay.kill()
        log, index = world.folder / "relay.db-wal", world.folder / "relay.db-shm"
        os.truncate(log, log.stat().st_size // 2)

        for _ in range(2):
            with pytest.raises(AssertionError, match="ended early"):
                await relay.start()
            assert await relay.stop() == 1
        assert f"remove {index} to go on without what is gone" in relay.log()
        for command in (["db", "check"], ["doctor"]):
            told = await command_line(relay, *command)
            assert told.returncode == 1
            assert f"remove {index} to go on without what is gone" in told.stdout + told.stderr

        index.unlink()
        await relay.start()
        assert await relay.stop() == 0


async def test_the_watchdog_goes_unfed_while_the_process_stands_still(world: World) -> None:
    heard = asyncio.Queue[bytes]()

    class Manager(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            heard.put_nowait(data)

    loop = asyncio.get_running_loop()
    address = str(world.folder / "notify")
    transport, _ = await loop.create_datagram_endpoint(Manager, local_addr=address, family=1)  # type: ignore[arg-type]
    env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
    async with relay_process(world.folder, world.configuration(), env) as relay:
        await relay.start()

        async def fed() -> None:
            async with asyncio.timeout(10):
                while await heard.get() != b"WATCHDOG=1":
                    pass

        await fed()
        relay.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.3)
        while not heard.empty():
            heard.get_nowait()
        await asyncio.sleep(0.5)
        assert heard.empty()
        relay.send_signal(signal.SIGCONT)
        await fed()
        assert await relay.stop() == 0
    transport.close()
