"""The real daemon on a machine that fails: it says so, acknowledges nothing in vain, and comes back by itself."""

import asyncio
import itertools
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager

import aiohttp
import pytest
from acceptance_world import World
from sickness import NEVER, NOW, UNEASY, ask, get, logged
from support.daemon import RelayProcess, relay_process, until

from relay.simulator import Scenario


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
            status, answer, retry_after = await ask(relay, world, f"req-{number}", note="x" * 400)
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


async def test_without_files_nothing_is_lost_no_try_used_up_and_requests_are_answered_later(world: World) -> None:
    job = world.simulator.add_job("getimg", "req-1", NEVER)
    async with relay_process(world.folder, world.configuration()) as relay:
        await relay.start()
        assert (await ask(relay, world, "req-1"))[0] == 201
        await until(lambda: world.simulator.jobs.requests, 10)

        with limited(relay, resource.RLIMIT_NOFILE, 3):
            job.scenario = NOW  # a poll on the open connection sees it
            waiting = asyncio.ensure_future(ask(relay, world, "req-2"))
            await until(lambda: logged(relay, "delivery.settled"), 20)
            first = logged(relay, "delivery.settled")[0]
            assert (first["verdict"], first["state"], first["http_status"]) == ("retry", "pending", None)
            (line,) = logged(relay, "connections.refused")
            assert (line["level"], line["error"]) == ("error", "Too many open files")
            assert not waiting.done()

        assert (await waiting)[0] == 201
        await until(lambda: world.receiver.of("callback"), 20)
        await until(lambda: logged(relay, "delivery.settled")[-1]["state"] == "delivered", 10)
        delivery_id = str(first["delivery_id"])
        _, view = await get(relay, f"/v1/deliveries/{delivery_id}")
        assert view["attempts"][0]["reason"] == "local: Too many open files"
        assert await relay.stop() == 0
        assert "Traceback" not in relay.log()
    with closing(sqlite3.connect(world.folder / "relay.db")) as database:
        ((tries, attempts),) = database.execute("SELECT tries, attempts FROM deliveries WHERE id = ?", [delivery_id])
    assert (tries, attempts) == (1, len(view["attempts"]))  # of which the delivered one alone counts


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


class Manager(asyncio.DatagramProtocol):
    """Hears what a service is to tell its manager, and when."""

    def __init__(self) -> None:
        self.fed_at: list[float] = []

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data == b"WATCHDOG=1":
            self.fed_at.append(asyncio.get_running_loop().time())

    def longest_fast_s(self) -> float:
        return max(later - earlier for earlier, later in itertools.pairwise(self.fed_at))


@pytest.fixture
async def manager(world: World) -> AsyncIterator[Manager]:
    loop = asyncio.get_running_loop()
    address = str(world.folder / "notify")
    transport, manager = await loop.create_datagram_endpoint(Manager, local_addr=address, family=1)  # type: ignore[arg-type]
    yield manager
    transport.close()


STALL_S = 2.5
WATCHDOG_S = 0.4


@pytest.mark.parametrize("how", ["its loop is blocked", "the process is stopped"])
async def test_the_watchdog_goes_unfed_while_nothing_moves(world: World, manager: Manager, how: str) -> None:
    env = {
        "NOTIFY_SOCKET": str(world.folder / "notify"),
        "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6)),
        "RELAY_TEST_STALL": str(STALL_S),
    }
    async with relay_process(world.folder, world.configuration(), env, program=UNEASY) as relay:
        await relay.start()
        await until(lambda: len(manager.fed_at) >= 2, 10)
        if how == "its loop is blocked":
            relay.send_signal(signal.SIGUSR2)
        else:
            relay.send_signal(signal.SIGSTOP)
            await asyncio.sleep(STALL_S)
            relay.send_signal(signal.SIGCONT)
        fed = len(manager.fed_at)
        await until(lambda: len(manager.fed_at) >= fed + 3, 20)

        assert manager.longest_fast_s() > STALL_S - WATCHDOG_S > WATCHDOG_S  # so that systemd would have ended it
        await until(lambda: seen_lags(relay, beyond_s=1.0), 10)
        assert await relay.stop() == 0


async def seen_lags(relay: RelayProcess, *, beyond_s: float) -> int:
    """Return how many looks found the event loop later than that."""
    async with aiohttp.ClientSession() as session, session.get(f"{relay.url}/metrics") as answer:
        text = await answer.text()
    count = {bound: float(value) for bound, value in re.findall(r'loop_lag_seconds_bucket{le="(.+)"} (.+)', text)}
    return int(count["+Inf"] - count[str(beyond_s)])
