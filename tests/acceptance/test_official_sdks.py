"""Jobs submitted by the providers' own SDKs, callbacks verified by the official library."""

import asyncio
import json
import warnings
from typing import Any

import aiohttp
from acceptance_world import World
from aiohttp import web
from getimg import GetimgAI
from openai import OpenAI
from standardwebhooks import Webhook
from support.daemon import SECRET, RelayProcess


async def watched(relay: RelayProcess, provider: str, job_id: str, url: str) -> None:
    async with aiohttp.ClientSession() as session:
        wanted = {"provider": provider, "job_id": job_id, "callback_url": url}
        async with session.post(f"{relay.url}/v1/watches", json=wanted) as answer:
            assert answer.status == 201


async def received(hook: "Hook") -> dict[str, Any]:
    async with asyncio.timeout(15):
        headers, body = await hook.arrived.get()
    Webhook(SECRET).verify(body, headers)
    event: dict[str, Any] = json.loads(body)
    return event


class Hook:
    """A receiver of bare requests, for a verifier that is not ours."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

    async def receive(self, request: web.Request) -> web.Response:
        self.arrived.put_nowait((dict(request.headers), await request.read()))
        return web.Response(status=204)


async def served(hook: Hook) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.router.add_post("/", hook.receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/"


async def test_a_job_of_the_getimg_sdk_comes_back_as_a_verified_callback(world: World, relay: RelayProcess) -> None:
    def submit() -> str:
        with GetimgAI(api_key="sk_first", base_url=world.simulator.base_url("getimg")) as client:
            job = client.videos.generations.create(model="seedance-v1-pro", prompt="a drone over a city", duration=5)
            assert client.videos.generations.retrieve(job.id).status == "pending"
            return str(job.id)

    job_id = await asyncio.to_thread(submit)
    hook = Hook()
    runner, url = await served(hook)
    await watched(relay, "getimg", job_id, url)

    event = await received(hook)

    await runner.cleanup()
    assert event["type"] == "job.completed"
    data = event["data"]
    assert (data["job_id"], data["model"], data["provider_status"]) == (job_id, "seedance-v1-pro", "completed")
    assert data["outputs"][0]["url"] == (
        f"{world.simulator.url}/v2/downloads/{job_id}/0?exp=1760000000"
        "&sig=ca4f0f5a5f7d2ca9bc9c7b53b2432d7840a971c11c9161d3d2f29e1cb6e77f8f"
    )
    assert data["cost"] == {
        "amount": 0.25,
        "currency": None,
        "unit": "video_second",
        "unit_price": 0.05,
        "quantity": 5,
    }


async def test_a_job_of_the_openai_sdk_at_lumenfall_comes_back_too(world: World, relay: RelayProcess) -> None:
    def submit() -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            with OpenAI(api_key="lmnfl_a.b", base_url=world.simulator.base_url("lumenfall")) as client:
                video = client.videos.create(model="sora-2", prompt="a capybara [sim outcome=failed moderated=true]")
                assert client.videos.retrieve(video.id).status in ("queued", "in_progress")
                return video.id

    job_id = await asyncio.to_thread(submit)
    hook = Hook()
    runner, url = await served(hook)
    await watched(relay, "lumenfall", job_id, url)

    event = await received(hook)

    await runner.cleanup()
    assert event["type"] == "job.failed"
    assert event["data"]["error"]["code"] == "CONTENT_POLICY_VIOLATION"
    assert event["data"]["error"]["moderated"] is True
    assert event["data"]["outputs"] == []
