"""The plug is pulled: nothing that was accepted is lost, and nothing is told twice as two things.

The provider, the receiver and the audit are written here and share no code with
relay; signatures are checked by the `standardwebhooks` library.
"""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import Webhook
from support.daemon import SECRET, relay_process, until

OUTCOMES = ("completed", "failed")


class World:
    """A provider in getimg's format, and a receiver."""

    def __init__(self) -> None:
        self.random = random.Random(7)
        self.ends: dict[str, tuple[float, str]] = {}
        self.polled_after_end: defaultdict[str, int] = defaultdict(int)
        self.told_end: set[str] = set()
        self.received: defaultdict[str, list[tuple[str, bytes]]] = defaultdict(list)
        self.url = ""

    def submit(self, number: int) -> str:
        job_id = f"req-{number}"
        self.ends[job_id] = (time.time() + self.random.uniform(0.1, 3.0), self.random.choice(OUTCOMES))
        return job_id

    async def status(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer sk_test"
        job_id = request.match_info["id"]
        ends_at, outcome = self.ends[job_id]
        if time.time() < ends_at:
            return web.json_response({"id": job_id, "status": "pending"})
        self.polled_after_end[job_id] += 1
        self.told_end.add(job_id)
        if outcome == "failed":
            error = {"message": "Upstream provider request timed out.", "code": "server_error"}
            return web.json_response({"id": job_id, "status": "failed", "error": error})
        item = {"url": f"/v2/downloads/{job_id}/0?exp=1&sig=ab", "mime_type": "video/mp4", "deletes_at": None}
        return web.json_response({"id": job_id, "status": "completed", "model": "m", "data": [item]})

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        Webhook(SECRET).verify(body, dict(request.headers))
        data = json.loads(body)["data"]
        if self.random.random() < 0.1:
            return web.Response(status=503)
        self.received[data["job_id"]].append((request.headers["webhook-id"], body))
        await asyncio.sleep(self.random.uniform(0, 0.05))
        return web.Response(status=204)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    app = web.Application()
    app.add_routes([web.get("/v2/videos/generations/{id}", world.status), web.post("/hook", world.receive)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    world.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield world
    await runner.cleanup()


def configuration(world: World) -> str:
    return f"""
[callbacks]
secret = {{ file = "callback-secret" }}
allow_http = true
allow_networks = ["127.0.0.0/8"]
retry = {{ first = "200ms", max_gap = "1s", give_up_after = "5m" }}
[schedule]
detection_lag = "100ms"
[providers.getimg]
api_key = {{ env = "GETIMG_API_KEY" }}
base_url = "{world.url}"
min_interval = "50ms"
"""


async def test_two_hundred_watches_survive_kill_nine_in_the_middle(world: World, tmp_path: Path) -> None:
    async with relay_process(tmp_path, configuration(world), {"GETIMG_API_KEY": "sk_test"}) as relay:
        await relay.start()
        async with aiohttp.ClientSession() as session:
            for start in range(0, 200, 50):
                watches = [
                    {"provider": "getimg", "job_id": world.submit(n), "callback_url": f"{world.url}/hook"}
                    for n in range(start, start + 50)
                ]
                async with session.post(f"{relay.url}/v1/watches/batch", json={"watches": watches}) as answer:
                    items = (await answer.json())["items"]
                    assert [item["status"] for item in items] == [201] * 50
        for survivors in (30, 80, 130):
            await until(lambda enough=survivors: len(world.received) >= enough, 20)  # type: ignore[misc]
            await relay.kill()
            await relay.start()
        await until(lambda: len(world.received) == 200, 30)
        assert await relay.stop() == 0

    for job_id, deliveries in world.received.items():
        assert len(set(deliveries)) == 1, f"{job_id} was told as different things"
        told = json.loads(deliveries[0][1])
        assert told["type"] == f"job.{world.ends[job_id][1]}"
    assert len({deliveries[0][0] for deliveries in world.received.values()}) == 200
