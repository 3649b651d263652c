"""docs/providers.md, done line by line."""

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from support.daemon import relay_process

GUIDE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()
_BLOCK = re.compile(r"(Save as `([\w.]+)`:\n\n)?```(\w+)\n(.*?)```", re.DOTALL)
KEY = "acme-key-0123456789"


class Acme:
    """The API that the guide describes."""

    def __init__(self) -> None:
        self.url = ""
        self.polls = 0

    async def render(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Bearer {KEY}":
            return web.json_response({"failure": {"text": "no"}}, status=401)
        self.polls += 1
        sample = next(block[3] for block in _BLOCK.findall(GUIDE) if block[1] == "sample.json")
        return web.Response(text=sample, content_type="application/json")

    async def left(self, request: web.Request) -> web.Response:
        assert request.headers["X-Key"] == KEY
        self.polls += 1
        return web.Response(text={1: "2", 2: "not a number"}.get(self.polls, "0"))


@pytest.fixture
async def acme() -> AsyncIterator[Acme]:
    acme = Acme()
    app = web.Application()
    app.add_routes([web.get("/v1/renders/{id}", acme.render), web.get("/left/{id}", acme.left)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    acme.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield acme
    await runner.cleanup()


def run(line: str, folder: Path, env: dict[str, str]) -> str:
    """Run one line of a console block; return everything it printed."""
    words = shlex.split(line)
    target = words[words.index(">") + 1] if ">" in words else None
    words = words[: words.index(">")] if ">" in words else words
    assert words[0] == "relay"
    done = subprocess.run(
        [sys.executable, "-m", "relay", *words[1:]],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    if target:
        (folder / target).write_text(done.stdout)
    return done.stdout + done.stderr


async def test_every_line_of_the_guide_does_what_it_shows(acme: Acme, tmp_path: Path) -> None:
    blocks = [
        (name, kind, text.replace("https://api.acme.example", acme.url))
        for _, name, kind, text in _BLOCK.findall(GUIDE)
    ]
    guide = blocks[: next(index for index, block in enumerate(blocks) if block[0] == "countdown.py")]
    env = {"ACME_API_KEY": KEY, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = 0
    async with relay_process(tmp_path, "") as relay:
        listen = f'[server]\nlisten = "127.0.0.1:{relay.port}"\n'
        for name, _kind, text in guide:
            if name:
                (tmp_path / name).write_text((listen if name == "config.toml" else "") + text)
                continue
            lines = text.splitlines()
            for index, line in enumerate(lines):
                if not line.startswith("$ "):
                    continue
                if line.startswith("$ relay add"):
                    relay._env.update(env)
                    await relay.start()
                printed = await asyncio.to_thread(run, line[2:], tmp_path, env)
                assert KEY not in printed
                for shown in lines[index + 1 :]:
                    if shown.startswith("$ "):
                        break
                    assert shown in printed
                ran += 1
    assert ran == 7
    assert acme.polls == 2


async def test_the_provider_in_python_works_and_its_bug_stops_nothing(acme: Acme, tmp_path: Path) -> None:
    code = next(text for _, name, _, text in _BLOCK.findall(GUIDE) if name == "countdown.py")
    (tmp_path / "countdown.py").write_text(code)
    entry = tmp_path / "countdown-1.0.dist-info"
    entry.mkdir()
    (entry / "METADATA").write_text("Metadata-Version: 2.1\nName: countdown\nVersion: 1.0\n")
    (entry / "entry_points.txt").write_text("[relay.providers]\ncountdown = countdown:blueprint\n")
    config = f'[providers.countdown]\napi_key = {{ env = "K" }}\nbase_url = "{acme.url}"\ndetection_lag = "100ms"\n'
    env = {"K": KEY, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    async with relay_process(tmp_path, config + 'min_interval = "100ms"\n', env) as relay:
        await relay.start()
        printed = await asyncio.to_thread(
            run, "relay add countdown job-1 --wait --timeout 20s", tmp_path, {**env, "RELAY_URL": relay.url}
        )

        told = await asyncio.to_thread(
            run, f"relay providers test countdown --id job-1 --config {relay._config}", tmp_path, env
        )
        assert '"status": "completed"' in told
        assert KEY not in told
        acme.polls -= 1
        assert printed.split("\t")[1:] == ["completed", f"{acme.url}/result/job-1\n"]
        assert acme.polls == 3
        assert await relay.stop() == 0
