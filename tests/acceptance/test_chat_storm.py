"""A storm of messages to Slack through the real daemon, whose plug is pulled while a digest is on its way."""

import asyncio
import re
from typing import Any

import aiohttp
from acceptance_world import World
from aiohttp import web
from support.daemon import RelayProcess, relay_process, until

JOBS = 60
SLACK = """
[destinations.ops]
type = "slack"
url = { file = "slack" }
digest = "2s"
retry = { first = "200ms", max_gap = "1s" }
[[routes]]
to = ["ops"]
"""


class Channel:
    """A Slack webhook that pulls relay's plug when the first digest has arrived, before it answers."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.relay: RelayProcess | None = None
        self.pulled = asyncio.Event()

    async def post(self, request: web.Request) -> web.Response:
        self.texts.append((await request.json())["text"])
        if "jobs ended" in self.texts[-1] and not self.pulled.is_set() and self.relay is not None:
            await self.relay.kill()
            self.pulled.set()
        return web.Response(text="ok")


def told_of(text: str) -> int:
    """Return of how many jobs a message tells."""
    counted = re.match(r"(\d+) jobs ended", text)
    return int(counted[1]) if counted else 1


async def deliveries(relay: RelayProcess, **query: str) -> list[dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{relay.url}/v1/deliveries", params={"limit": "200", **query}) as answer,
    ):
        items: list[dict[str, Any]] = (await answer.json())["items"]
        return items


async def test_a_digest_that_was_on_its_way_is_repeated_and_nothing_is_lost(world: World) -> None:
    channel = Channel()
    app = web.Application()
    app.add_routes([web.post("/services/{team}/{hook}/{token}", channel.post)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (world.folder / "slack").write_text(f"http://127.0.0.1:{runner.addresses[0][1]}/services/T0/B0/x")
    try:
        async with relay_process(world.folder, world.configuration(SLACK)) as relay:
            channel.relay = relay
            await relay.start()
            watches = [{"provider": "getimg", "job_id": f"req-{number}"} for number in range(JOBS)]
            for watch in watches:
                world.simulator.add_job("getimg", watch["job_id"])
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{relay.url}/v1/watches/batch", json={"watches": watches}) as answer,
            ):
                assert [item["status"] for item in (await answer.json())["items"]] == [201] * JOBS

            await asyncio.wait_for(channel.pulled.wait(), 20)
            lost = told_of(channel.texts[-1])
            await relay.start()

            async def all_delivered() -> bool:
                return len(await deliveries(relay, state="delivered")) == JOBS

            await until(all_delivered, 30)
            found = await deliveries(relay)
            assert await relay.stop() == 0
    finally:
        await runner.cleanup()

    assert len({delivery["id"] for delivery in found}) == JOBS
    assert sum(map(told_of, channel.texts)) == JOBS + lost
    assert len(channel.texts) < JOBS / 4
