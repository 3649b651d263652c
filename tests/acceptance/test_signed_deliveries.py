"""What a daemon signs, as it arrives on a socket and as `relay verify` judges it."""

import asyncio
import base64
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from acceptance_world import World
from aiohttp import web
from support.daemon import SECRET, relay_process, until

from relay.core.ed25519 import SigningKey
from relay.core.signing import SigningSecret

KEY = SigningKey.of(bytes(range(32)))
NEW = SigningSecret.of(bytes(range(24)))


class Inbox:
    """Keeps requests as they came."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[dict[str, str], bytes]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return web.Response(status=204)

    def save(self, path: Path, change: Any = lambda body: body) -> str:
        headers, body = self.requests[0]
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        path.write_bytes(f"POST /hooks HTTP/1.1\r\n{lines}\r\n".encode() + change(body))
        return str(path)


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    inbox = Inbox()
    app = web.Application()
    app.add_routes([web.post("/hooks", inbox.take)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    inbox.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    yield inbox
    await runner.cleanup()


async def verify(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", "verify", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_a_callback_carries_everything_that_was_configured_and_verifies(world: World, inbox: Inbox) -> None:
    """Two secrets, a public key, a thin body, a header and a password: from the file to the socket."""
    folder = world.folder
    for name, text in {"new": NEW.text, "old": SECRET, "key-a": KEY.text, "api": "k3y", "password": "p:w"}.items():
        (folder / name).write_text(text + "\n")
    (folder / "public").write_text(KEY.public.text)
    more = f"""
[destinations.hook]
type = "callback"
url = "{inbox.url}"
secret = {{ file = "new" }}
previous_secrets = [{{ file = "old" }}]
signing_key = {{ file = "key-a" }}
payload = "thin"
headers = {{ X-Shop = "relay", X-Api-Key = {{ file = "api" }} }}
basic_auth = {{ user = "relay", password = {{ file = "password" }} }}
[[routes]]
match = {{ event = ["job.completed"], metadata = {{ team = "video" }} }}
to = ["hook"]
"""
    async with relay_process(folder, world.configuration(more)) as relay:
        await relay.start()
        async with aiohttp.ClientSession() as session:
            for job_id, team in (("req-audio", "audio"), ("req-video", "video")):
                world.simulator.add_job("getimg", job_id)
                watch = {"provider": "getimg", "job_id": job_id, "metadata": {"team": team}}
                async with session.post(f"{relay.url}/v1/watches", json=watch) as answer:
                    assert answer.status == 201
        await until(lambda: inbox.requests, 15)
        assert await relay.stop() == 0

    [(headers, body)] = inbox.requests
    assert body.startswith(b'{"type":"job.completed","timestamp":"')
    assert b'"job_id":"req-video","status":"completed"}}' in body
    assert headers["x-shop"] == "relay"
    assert headers["x-api-key"] == "k3y"
    assert headers["authorization"] == "Basic " + base64.b64encode(b"relay:p:w").decode()
    assert [token.partition(",")[0] for token in headers["webhook-signature"].split(" ")] == ["v1", "v1", "v1a"]
    assert not [secret for secret in (NEW.text, KEY.text, "k3y", "p:w") if secret in relay.log()]

    request, changed = inbox.save(folder / "ok.http"), inbox.save(folder / "nl.http", lambda body: body + b"\n")
    for secret in ("new", "old", "public"):
        code, out = await verify(request, "--secret-file", str(folder / secret))
        assert (code, out.splitlines()[0].startswith(f"valid: {headers['webhook-id']}, signed by")) == (0, True)
    assert (await verify(request, "--config", str(folder / "config.toml"), "--destination", "hook"))[0] == 0
    code, out = await verify(changed, "--secret-file", str(folder / "new"))
    assert (code, out.splitlines()[1]) == (1, "- the body is not what was signed: a line break was added to its end")
