"""The real daemon on a disk that is full or read-only: it says so, loses nothing, and comes back by itself."""

import asyncio
import fcntl
import stat
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from acceptance_world import World
from sickness import NEVER, NOW, UNEASY, ask, filled, gates, get, logged, told
from support.daemon import RelayProcess, relay_process, until
from support.modes import UNPRIVILEGED, heeds_modes

_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10


@contextmanager
def immutable(*files: Path) -> Iterator[None]:
    """Let nobody write to files, whoever has them open already."""

    def change(flag: Callable[[int], int]) -> None:
        for file in files:
            with file.open("rb") as opened:
                (flags,) = struct.unpack("l", fcntl.ioctl(opened, _GET_FLAGS, bytes(8)))
                fcntl.ioctl(opened, _SET_FLAGS, struct.pack("l", flag(flags)))

    try:
        change(lambda flags: flags | _IMMUTABLE)
    except OSError as error:
        pytest.skip(f"files cannot be made immutable here: {error}")
    try:
        yield
    finally:
        change(lambda flags: flags & ~_IMMUTABLE)


async def test_on_a_full_disk_adding_ending_and_settling_fail_aloud_and_all_is_made_up_for(
    world: World, small_disk: Path
) -> None:
    polls, attempts = gates(world)
    settling, ending = [f"req-s{n}" for n in range(4)], [f"req-e{n}" for n in range(4)]
    for job_id in (*settling, *ending):
        world.simulator.add_job("getimg", job_id, NEVER if job_id in ending else NOW)
    configuration = world.configuration(f'[store]\nurl = "sqlite:///{small_disk}/relay.db"')
    async with relay_process(world.folder, configuration, program=UNEASY) as relay:
        await relay.start()
        attempts.open.clear()
        for job_id in settling:
            assert (await ask(relay, world, job_id))[0] == 201
        await until(lambda: attempts.waiting == 4, 10)
        for job_id in ending:
            assert (await ask(relay, world, job_id))[0] == 201
        polls.open.clear()
        await until(lambda: polls.waiting == 4, 10)
        for job_id in ending:
            job = world.simulator.jobs.get("getimg", job_id)
            assert job is not None
            job.scenario = NOW

        with filled(small_disk):
            status, problem, retry_after = await ask(relay, world, "req-refused")
            assert (status, problem["type"], retry_after) == (503, "urn:relay:problem:unavailable", "5")
            assert problem["detail"] == "the database failed: database or disk is full"
            (line,) = logged(relay, "request.failed")
            assert (line["level"], line["path"], line["error"]) == ("error", "/v1/watches", problem["detail"])

            attempts.open.set()
            polls.open.set()
            await until(lambda: len(logged(relay, "attempt.commit_failed")) == 4, 10)
            await until(lambda: len(logged(relay, "poll.commit_failed")) == 4, 10)
            assert (await get(relay, "/readyz"))[0] == 503
            for job_id in ending:
                assert (await get(relay, f"/v1/watches/getimg:{job_id}"))[1]["status"] in ("queued", "running")

        await until(lambda: told(world).keys() >= {*ending} and len(world.receiver.received) >= 12, 20)
        assert (await get(relay, "/readyz"))[0] == 200
        assert (await get(relay, "/v1/watches/getimg:req-refused"))[0] == 404
        assert (await ask(relay, world, "req-refused"))[0] == 201
        assert await relay.stop() == 0
    assert {job_id: len(ids) for job_id, ids in told(world).items()} == {
        **dict.fromkeys(settling, 2),  # once before the disk was full, and once after
        **dict.fromkeys(ending, 1),
    }
    assert all(len(set(ids)) == 1 for ids in told(world).values())


async def test_files_that_turn_read_only_are_503_until_they_can_be_written_again(world: World) -> None:
    for number in range(2):
        world.simulator.add_job("getimg", f"req-{number}", NEVER)
    async with relay_process(world.folder, world.configuration(), program=UNEASY) as relay:
        await relay.start()
        assert (await ask(relay, world, "req-0"))[0] == 201

        with immutable(world.folder / "relay.db", world.folder / "relay.db-wal"):
            job = world.simulator.jobs.get("getimg", "req-0")
            assert job is not None
            job.scenario = NOW
            status, problem, retry_after = await ask(relay, world, "req-1")
            assert (status, problem["type"], retry_after) == (503, "urn:relay:problem:unavailable", "5")
            assert logged(relay, "request.failed")[0]["error"] == problem["detail"]
            await until(lambda: logged(relay, "watches.claim_failed"), 10)
            assert (await get(relay, "/v1/watches/getimg:req-0"))[0] == 200

        await until(lambda: told(world).keys() == {"req-0"}, 20)
        assert (await ask(relay, world, "req-1"))[0] == 201
        assert await relay.stop() == 0


async def refusal(relay: RelayProcess) -> str:
    """Start it in vain, and return why that was."""
    with pytest.raises(AssertionError, match="ended early"):
        await relay.start()
    assert await relay.stop() == 1
    return str(logged(relay, "daemon.failed")[-1]["error"])


async def test_a_start_on_read_only_files_is_refused_and_says_what_mends_it(world: World) -> None:
    async with relay_process(world.folder, world.configuration()) as relay:
        await relay.start()
        assert await relay.stop() == 0
        database = world.folder / "relay.db"
        before = database.read_bytes()

        with immutable(database):
            assert (await refusal(relay)).startswith(f"{database} cannot be written: ")
            assert (await refusal(relay)).endswith(
                "; relay has to own it and its folder, on a disk that can be written"
            )

        assert database.read_bytes() == before
        await relay.start()
        assert await relay.stop() == 0


@heeds_modes
async def test_a_database_whose_mode_forbids_writing_is_written_where_relay_owns_it(world: World) -> None:
    world.simulator.add_job("getimg", "req-0", NEVER)
    async with relay_process(world.folder, world.configuration(), launcher=UNPRIVILEGED) as relay:
        await relay.start()
        assert await relay.stop() == 0
        (world.folder / "relay.db").chmod(0o444)

        await relay.start()

        assert (await ask(relay, world, "req-0"))[0] == 201
        assert stat.S_IMODE((world.folder / "relay.db").stat().st_mode) == 0o600
        assert await relay.stop() == 0


async def test_a_start_on_a_read_only_disk_is_refused_and_says_so(world: World, small_disk: Path) -> None:
    configuration = world.configuration(f'[store]\nurl = "sqlite:///{small_disk}/relay.db"')
    async with relay_process(world.folder, configuration) as relay:
        await relay.start()
        assert await relay.stop() == 0
        await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", small_disk], check=True)

        assert await refusal(relay) == f"cannot open {small_disk}/relay.db.lock: Read-only file system"


async def test_a_first_start_on_a_full_disk_is_refused_and_works_once_there_is_room(
    world: World, small_disk: Path
) -> None:
    configuration = world.configuration(f'[store]\nurl = "sqlite:///{small_disk}/relay.db"')
    async with relay_process(world.folder, configuration) as relay:
        with filled(small_disk):
            assert (await refusal(relay)).endswith("database or disk is full; make room on its disk")
        await relay.start()
        assert await relay.stop() == 0
