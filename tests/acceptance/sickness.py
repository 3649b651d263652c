"""What makes the machine under a real daemon sick, and ways to see how the daemon takes it."""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from acceptance_world import World
from support.daemon import RelayProcess

from relay.simulator import Scenario

UNEASY = (str(Path(__file__).parents[1] / "support" / "uneasy.py"),)
NEVER = Scenario(running_s=3600)
NOW = Scenario(queued_s=0, running_s=0)


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


def end_now(world: World, job_id: str) -> None:
    """Let a job be completed."""
    job = world.simulator.jobs.get("getimg", job_id)
    assert job is not None
    job.scenario = NOW


async def ask(
    relay: RelayProcess, world: World, job_id: str, *, note: str = "", callback_url: str | None = None
) -> tuple[int, dict[str, Any], str | None]:
    """Ask for a job to be watched; return status, answer and Retry-After."""
    wanted = {
        "provider": "getimg",
        "job_id": job_id,
        "callback_url": callback_url or world.receiver.callback_url(),
        "metadata": {"note": note},
    }
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
