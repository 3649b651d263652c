"""What an operator sees of a daemon at work."""

import asyncio
import json
import os
import re
import sys
from typing import Any

import aiohttp
from acceptance_world import World
from aiohttp import web
from support.daemon import RelayProcess, relay_process, until

from relay import __version__
from relay.simulator import Scenario


async def cli(relay: RelayProcess, *arguments: str) -> tuple[int | None, str, str]:
    env = {**os.environ, "RELAY_URL": relay.url, "RELAY_CONFIG": str(relay.folder / "config.toml")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", *arguments, env=env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    return process.returncode, out.decode(), err.decode()


async def call(relay: RelayProcess, method: str, path: str, **options: Any) -> Any:
    async with aiohttp.ClientSession() as session, session.request(method, relay.url + path, **options) as answer:
        return await answer.json() if "json" in answer.content_type else await answer.text()


async def finish(relay: RelayProcess, world: World, job_id: str) -> None:
    world.simulator.add_job("getimg", job_id, Scenario(queued_s=0.1, running_s=0.3))
    wanted = {"provider": "getimg", "job_id": job_id, "callback_url": world.receiver.callback_url()}
    added = await call(relay, "POST", "/v1/watches", json=wanted)
    assert (await call(relay, "GET", f"/v1/watches/{added['id']}?wait=15"))["status"] == "completed"
    assert await world.receiver.wait_for(lambda: len(world.receiver.of("callback")) == 1, 10)


async def test_every_series_moves_with_the_work(world: World, relay: RelayProcess) -> None:
    await finish(relay, world, "req-1")
    world.simulator.add_job("getimg", "req-2", Scenario(running_s=600))
    await call(relay, "POST", "/v1/watches", json={"provider": "getimg", "job_id": "req-2"})

    async def settled() -> bool:
        return 'relay_deliveries_settled_total{state="delivered"} 1.0' in await call(relay, "GET", "/metrics")

    await until(settled, 10)
    text = await call(relay, "GET", "/metrics")
    values = {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE)}

    assert values["relay_watches_added_total"] == 2
    assert values['relay_outcomes_total{outcome="completed",provider="getimg"}'] == 1
    assert sum(value for name, value in values.items() if name.startswith("relay_watches{")) == 1
    assert values['relay_polls_total{provider="getimg",result="completed"}'] == 1
    assert values['relay_poll_seconds_count{provider="getimg"}'] >= 1
    assert values['relay_attempts_total{verdict="delivered"}'] == 1
    assert values["relay_attempt_seconds_count"] == 1
    assert 0 <= values['relay_due_lag_seconds{provider="getimg"}'] < 60
    assert values['relay_provider_working{provider="getimg"}'] == 1
    assert values["relay_oldest_pending_seconds"] == 0
    assert values["relay_commit_seconds_count"] > 5
    assert values["relay_database_bytes"] > 4096
    assert values["relay_loop_lag_seconds_count"] >= 0
    assert values["relay_config_last_reload_successful"] == 1
    assert values[f'relay_build_info{{version="{__version__}"}}'] == 1
    assert values["process_resident_memory_bytes"] > 0


async def test_the_status_is_for_people_and_programs(world: World, relay: RelayProcess) -> None:
    await finish(relay, world, "req-1")
    world.simulator.add_job("lumenfall", "video_1", Scenario(running_s=600))
    await call(relay, "POST", "/v1/watches", json={"provider": "lumenfall", "job_id": "video_1"})

    code, out, _ = await cli(relay, "status")
    assert code == 0
    assert out.startswith("ready\n")
    assert re.search(r"^  watches +1 (queued|running)$", out, re.MULTILINE)
    assert re.search(r"^  provider getimg +working$", out, re.MULTILINE)

    code, out, _ = await cli(relay, "status", "--json")
    shown = json.loads(out)
    assert (code, shown["version"], sum(shown["watches"].values())) == (0, __version__, 1)
    assert await cli(relay, "status", "--quiet") == (0, "", "")


async def test_the_doctor_finds_a_daemon_at_work_well(world: World, relay: RelayProcess) -> None:
    (world.folder / "key").chmod(0o600)
    await finish(relay, world, "req-1")

    code, out, _ = await cli(relay, "doctor")

    assert code == 0, out
    assert "OK    daemon, dispatcher: is well" in out
    assert "OK    daemon, poller getimg: is well" in out
    assert re.search(r"^OK    database: \S+relay\.db is sound", out, re.MULTILINE)
    assert "FAIL" not in out


async def test_signs_of_life_go_where_the_configuration_in_force_says(world: World) -> None:
    beats: list[str] = []

    async def ping(request: web.Request) -> web.Response:
        beats.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_get("/{path}", ping)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (world.folder / "beat").write_text(f"http://127.0.0.1:{runner.addresses[0][1]}/first")
    heartbeat = '[heartbeat]\nurl = { file = "beat" }\nevery = "100ms"\n'
    async with relay_process(world.folder, world.configuration(heartbeat)) as relay:
        await relay.start()
        await until(lambda: len(beats) >= 3, 10)

        (world.folder / "beat").write_text(f"http://127.0.0.1:{runner.addresses[0][1]}/second")
        assert (await cli(relay, "reload"))[0] == 0
        await until(lambda: "/second" in beats, 10)
        assert await relay.stop() == 0
    await runner.cleanup()

    assert "/first" not in relay.log()
