"""SIGTERM while something hangs or fails: the daemon ends in time and in order, and the next start loses nothing."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path

import pytest
from acceptance_world import World
from sickness import NEVER, UNEASY, ask, end_now, filled, gates, get, logged, told
from support.daemon import RelayProcess, relay_process, until
from support.uneasy import LOCK_S

GRACE_S = 0.5
_SLOW_MACHINE_S = 12.0
"""Less than what hangs here takes: a resolver 20 s, the others for ever."""
JOBS = ["req-0", "req-1", "req-2"]


class Scene:
    """A daemon with three jobs that end while it is sick."""

    def __init__(self, world: World, relay: RelayProcess, disk: Path) -> None:
        self.world, self.relay, self.disk = world, relay, disk
        self.polls, self.attempts = gates(world)

    def end_jobs(self) -> None:
        for job_id in JOBS:
            end_now(self.world, job_id)


@asynccontextmanager
async def provider_and_receiver_that_hang(scene: Scene) -> AsyncIterator[None]:
    scene.attempts.open.clear()
    end_now(scene.world, JOBS[0])
    await until(lambda: scene.attempts.waiting == 1, 10)
    scene.polls.open.clear()
    scene.end_jobs()
    await until(lambda: scene.polls.waiting == 2, 10)
    yield
    scene.attempts.open.set()
    scene.polls.open.set()


@asynccontextmanager
async def locked_database(scene: Scene) -> AsyncIterator[None]:
    scene.polls.open.clear()
    scene.end_jobs()
    await until(lambda: scene.polls.waiting == 3, 10)
    with closing(sqlite3.connect(scene.disk / "relay.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        scene.polls.open.set()
        yield


@asynccontextmanager
async def full_disk(scene: Scene) -> AsyncIterator[None]:
    with filled(scene.disk):
        scene.end_jobs()
        await until(lambda: logged(scene.relay, "watches.claim_failed"), 10)
        yield


@asynccontextmanager
async def resolver_that_hangs(scene: Scene) -> AsyncIterator[None]:
    (scene.world.folder / "nameless").touch()
    scene.end_jobs()
    await until(lambda: len(logged(scene.relay, "watch.ended")) == 3, 10)
    yield
    (scene.world.folder / "nameless").unlink()


Sickness = Callable[[Scene], AbstractAsyncContextManager[None]]


async def stop_and_go_on(world: World, disk: Path, sickness: Sickness) -> None:
    configuration = f'grace = "{GRACE_S:g}s"\n' + world.configuration(f'[store]\nurl = "sqlite:///{disk}/relay.db"')
    env = {"RELAY_TEST_NAMELESS": str(world.folder / "nameless")}
    async with relay_process(world.folder, configuration, env, program=UNEASY) as relay:
        scene = Scene(world, relay, disk)
        await relay.start()
        for job_id in JOBS:
            world.simulator.add_job("getimg", job_id, NEVER)
            callback_url = world.receiver.callback_url().replace("127.0.0.1", "app.test")
            assert (await ask(relay, world, job_id, callback_url=callback_url))[0] == 201
        await until(lambda: len(world.simulator.jobs.requests) >= 3, 10)

        async with sickness(scene):
            async with asyncio.timeout(GRACE_S + 2 * LOCK_S + _SLOW_MACHINE_S):
                assert await relay.stop() == 0
            assert logged(relay, "daemon.stopped")
            assert "Traceback" not in relay.log()

        await relay.start()
        await until(lambda: told(world).keys() == {*JOBS}, 20)
        assert all(len(set(ids)) == 1 for ids in told(world).values())
        assert await relay.stop() == 0


@pytest.mark.parametrize("sickness", [provider_and_receiver_that_hang, locked_database, resolver_that_hangs])
async def test_it_ends_in_time_while_something_hangs_and_the_next_start_loses_nothing(
    world: World, sickness: Sickness
) -> None:
    await stop_and_go_on(world, world.folder, sickness)


async def test_it_ends_in_time_on_a_full_disk_and_the_next_start_loses_nothing(world: World, small_disk: Path) -> None:
    await stop_and_go_on(world, small_disk, full_disk)


async def test_it_ends_in_time_while_a_handshake_stalls(world: World) -> None:
    connected = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        world.simulator.add_job("getimg", "req-0", NEVER)
        async with relay_process(world.folder, f'grace = "{GRACE_S:g}s"\n' + world.configuration()) as relay:
            await relay.start()
            _, watch, _ = await ask(relay, world, "req-0", callback_url=f"https://127.0.0.1:{port}/hook")
            end_now(world, "req-0")
            await asyncio.wait_for(connected.wait(), 10)

            async with asyncio.timeout(GRACE_S + 2 * LOCK_S + _SLOW_MACHINE_S):
                assert await relay.stop() == 0
            assert "Traceback" not in relay.log()

            await relay.start()
            _, deliveries = await get(relay, f"/v1/deliveries?watch={watch['id']}")
            assert [item["state"] for item in deliveries["items"]] == ["pending"]
            assert await relay.stop() == 0
