"""relay.client against the real daemon, through its restarts."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from queue import Queue

import pytest
from acceptance_world import World
from support.daemon import RelayProcess

from bench.ports import free_port
from relay.client import Added, ApiError, AsyncClient, Client, Event, Refused, Unreachable
from relay.simulator import Scenario

QUICK, LONG = Scenario(queued_s=0.1, running_s=0.2), Scenario(running_s=600)


async def test_a_job_is_handed_over_waited_for_and_explained(world: World, relay: RelayProcess) -> None:
    world.simulator.add_job("getimg", "req-1", QUICK)
    client = Client(relay.url)

    added = await asyncio.to_thread(client.add, "getimg", "req-1", metadata={"order": "42"})
    ended = await asyncio.to_thread(client.wait, added.id, 20)
    again = await asyncio.to_thread(client.get, "getimg:req-1")

    assert (added.ended, ended.ended, ended.completed) == (False, True, True)
    assert ended.outputs[0]["url"]
    assert (again.id, again.metadata) == (added.id, {"order": "42"})
    assert len(await asyncio.to_thread(client.explain, added.id)) > 0


async def test_many_jobs_are_handed_over_with_a_result_for_each(world: World, relay: RelayProcess) -> None:
    """More than one request can hold, the last of them wrong."""
    world.simulator.jobs.default = LONG
    jobs = [{"provider": "getimg", "job_id": f"req-{number}"} for number in range(1001)]
    async with AsyncClient(relay.url) as client:
        results = await client.add_many([*jobs, {"provider": "nothing", "job_id": "x"}])

    assert [type(result) for result in results] == [Added] * 1001 + [Refused]
    assert results[-1].status == 422  # type: ignore[union-attr]


async def test_many_jobs_of_much_text_are_handed_over_as_well(world: World, relay: RelayProcess) -> None:
    """Each character is six bytes in JSON that keeps to ASCII: all together are more than the API takes at once."""
    world.simulator.jobs.default = LONG
    metadata = {str(number): "猫" * 950 for number in range(10)}
    jobs = [{"provider": "getimg", "job_id": f"req-{number}", "metadata": metadata} for number in range(80)]

    results = await asyncio.to_thread(Client(relay.url).add_many, jobs)

    assert [type(result) for result in results] == [Added] * 80


async def test_a_wait_that_takes_too_long_ends(world: World, relay: RelayProcess) -> None:
    world.simulator.add_job("getimg", "req-1", LONG)
    async with AsyncClient(relay.url) as client:
        await client.add("getimg", "req-1")
        with pytest.raises(TimeoutError, match=r"after 0\.3 s"):
            await client.wait("getimg:req-1", timeout_s=0.3)
        with pytest.raises(ApiError) as refused:
            await client.get("getimg:nothing")
    assert refused.value.status == 404


async def test_many_waits_keep_no_other_request_waiting(world: World, relay: RelayProcess) -> None:
    jobs = [f"req-{number}" for number in range(110)]
    for job in jobs:
        world.simulator.add_job("getimg", job, LONG)
    async with AsyncClient(relay.url) as client:
        await client.add_many([{"provider": "getimg", "job_id": job} for job in jobs])
        waits = [asyncio.create_task(client.wait(f"getimg:{job}")) for job in jobs]
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            watch = await client.get("getimg:req-0")
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    assert not watch.ended


async def test_waits_and_streams_survive_a_restart_and_miss_nothing(world: World, relay: RelayProcess) -> None:
    world.simulator.jobs.default = LONG
    plain_events: Queue[Event] = Queue()

    def follow() -> None:
        for event in Client(relay.url).events(types=["job.completed"], since="0"):
            plain_events.put(event)
            return

    threading.Thread(target=follow, daemon=True).start()
    async with AsyncClient(relay.url) as client:
        events = client.events(since="0")
        await client.add("getimg", "req-1")
        waiting = asyncio.ensure_future(client.wait("getimg:req-1", timeout_s=60))
        following = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.2)  # let them be under way
        await relay.kill()
        world.simulator.add_job("getimg", "req-1", QUICK)
        added = asyncio.ensure_future(client.add("getimg", "req-2"))
        await relay.start()

        async with asyncio.timeout(40):
            ended, event = await waiting, await following
            assert (await added).job_id == "req-2"
        await events.aclose()

    assert (ended.status, event.type, event.data["watch_id"]) == ("completed", "job.completed", ended.id)
    assert await asyncio.to_thread(plain_events.get, timeout=20) == event


async def test_the_socket_will_do(world: World, relay: RelayProcess) -> None:
    path = f"unix:{relay.folder}/relay.sock"
    async with AsyncClient(path) as client:
        with pytest.raises(ApiError, match="no watch"):
            await client.get("wat_nothing")
    with pytest.raises(ApiError, match="no watch"):
        await asyncio.to_thread(Client(path).get, "wat_nothing")


async def test_without_a_relay_patience_has_an_end() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(Unreachable, match="no relay answers"):
        await asyncio.to_thread(Client(url, patience_s=0.1).get, "wat_1")
    async with AsyncClient(url, patience_s=0.1) as client:
        with pytest.raises(Unreachable, match="no relay answers"):
            await client.get("wat_1")


def test_the_plain_client_needs_the_standard_library_only(tmp_path: Path) -> None:
    code = (
        "import sys; from relay.client import Client; Client(); "
        "sys.exit(str(sorted({'aiohttp', 'pydantic', 'asyncio', 'structlog'} & set(sys.modules))).strip('[]'))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)

    assert done.stderr.strip() == ""
