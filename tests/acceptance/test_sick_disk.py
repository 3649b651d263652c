"""The real daemon on a disk that is full or read-only: it says so, loses nothing, and comes back by itself."""

import asyncio
import errno
import fcntl
import struct
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from acceptance_world import World
from support.daemon import RelayProcess, relay_process, until

from relay.simulator import Scenario

UNEASY = (str(Path(__file__).parents[1] / "support" / "uneasy.py"),)
NEVER = Scenario(running_s=3600)
NOW = Scenario(queued_s=0, running_s=0)
_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10


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


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Take all space of a disk, and give it back."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - the only way to find out that it is full
    yield
    ballast.unlink()


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


class Gate:
    """Stands before an async function, and lets callers wait once it is closed."""

    def __init__(self, through: Callable[..., Awaitable[Any]]) -> None:
        self.waiting = 0
        self.open = asyncio.Event()
        self.open.set()
        self._through = through

    async def __call__(self, *arguments: Any) -> Any:
        self.waiting += 1
        await self.open.wait()
        self.waiting -= 1
        return await self._through(*arguments)


def gates(world: World) -> tuple[Gate, Gate]:
    """Set a gate before the providers' answers and one before the receivers'."""
    polls, attempts = Gate(world.simulator._status), Gate(world.receiver._answer)
    world.simulator._status = polls  # type: ignore[method-assign]
    world.receiver._answer = attempts  # type: ignore[method-assign]
    return polls, attempts


async def ask(relay: RelayProcess, world: World, job_id: str) -> tuple[int, dict[str, Any], str | None]:
    """Ask for a job to be watched; return status, answer and Retry-After."""
    wanted = {"provider": "getimg", "job_id": job_id, "callback_url": world.receiver.callback_url()}
    async with aiohttp.ClientSession() as session, session.post(f"{relay.url}/v1/watches", json=wanted) as answer:
        return answer.status, await answer.json(), answer.headers.get("Retry-After")


async def get(relay: RelayProcess, path: str) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(relay.url + path) as answer:
        return answer.status, await answer.json()


def told(world: World) -> dict[str, list[str | None]]:
    """Return the ids under which the receiver was told of each job, as often as it was."""
    found: dict[str, list[str | None]] = {}
    for item in world.receiver.of("callback"):
        found.setdefault(item.body["data"]["job_id"], []).append(item.webhook_id)
    return found


def logged(relay: RelayProcess, event: str) -> list[dict[str, Any]]:
    return [line for line in relay.events() if line["event"] == event]


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
