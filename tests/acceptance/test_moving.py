"""What relay holds is copied while it works, put back after a loss, and taken to another machine."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from acceptance_world import World
from support.daemon import RelayProcess, relay_process

from relay.simulator import Scenario

LONG = Scenario(queued_s=0.1, running_s=600)
QUICK = Scenario(queued_s=0.1, running_s=0.3)


async def cli(relay: RelayProcess, *arguments: str, stdin: bytes = b"") -> tuple[int | None, str, str]:
    env: Mapping[str, str] = {**os.environ, "RELAY_URL": relay.url, "RELAY_CONFIG": str(relay.folder / "config.toml")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", *arguments, env=env,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate(stdin)
    assert b"Traceback" not in err, err.decode()
    return process.returncode, out.decode(), err.decode()


async def call(relay: RelayProcess, method: str, path: str, **options: Any) -> Any:
    async with aiohttp.ClientSession() as session, session.request(method, relay.url + path, **options) as answer:
        return await answer.json()


async def watch(relay: RelayProcess, world: World, job_id: str, scenario: Scenario) -> Any:
    world.simulator.add_job("getimg", job_id, scenario)
    wanted = {
        "provider": "getimg",
        "job_id": job_id,
        "callback_url": world.receiver.callback_url(),
        "metadata": {"order": job_id},
    }
    return await call(relay, "POST", "/v1/watches", json=wanted)


async def test_a_backup_taken_under_load_is_restored_and_work_goes_on(world: World, relay: RelayProcess) -> None:
    kept = await watch(relay, world, "req-kept", LONG)
    await asyncio.gather(*(watch(relay, world, f"req-{number}", QUICK) for number in range(50)))

    copied, checked = await asyncio.gather(
        cli(relay, "db", "backup", str(world.folder / "copy.db")), cli(relay, "db", "check")
    )

    assert copied[:2] == (0, f"{world.folder / 'copy.db'}\n")
    assert checked[:2] == (0, f"{world.folder / 'relay.db'}: ok\n")
    assert (await cli(relay, "db", "restore", str(world.folder / "copy.db")))[0] == 1  # while it runs
    await relay.kill()
    _lose(world.folder)

    assert (await cli(relay, "db", "restore", str(world.folder / "copy.db")))[0] == 0
    world.simulator.add_job("getimg", "req-kept", QUICK)
    await relay.start()

    ended = await call(relay, "GET", f"/v1/watches/{kept['id']}?wait=15")
    assert (ended["status"], ended["metadata"]) == ("completed", {"order": "req-kept"})
    assert await world.receiver.wait_for(lambda: "req-kept" in _told(world), 10)


def _lose(folder: Path) -> None:
    for path in folder.glob("relay.db*"):
        path.unlink()


def _told(world: World) -> set[str]:
    return {item.body["data"]["job_id"] for item in world.receiver.of("callback")}


async def test_watches_move_to_another_relay_and_twice_is_once(world: World, relay: RelayProcess) -> None:
    for number in range(3):
        await watch(relay, world, f"req-{number}", LONG)
    urls = [world.receiver.callback_url(name) for name in ("app", "second")]
    await call(relay, "POST", "/v1/watches", json={"provider": "getimg", "job_id": "req-0", "callback_url": urls[1]})
    ended = await watch(relay, world, "req-ended", QUICK)
    await call(relay, "GET", f"/v1/watches/{ended['id']}?wait=15")
    code, exported, _ = await cli(relay, "export")
    assert (code, exported.count("\n")) == (0, 3)

    other = world.folder / "other"
    other.mkdir()
    shutil.copy(world.folder / "key", other / "key")
    async with relay_process(other, world.configuration()) as second:
        await second.start()
        first = await cli(second, "import", "-", stdin=exported.encode())
        again = await cli(second, "import", stdin=exported.encode())
        _, back, _ = await cli(second, "export")
        moved = await call(second, "GET", "/v1/watches/getimg:req-0")

        assert first == (0, "", "3 watched anew, 0 already, 0 refused\n")
        assert again == (0, "", "0 watched anew, 3 already, 0 refused\n")
        assert sorted(back.splitlines()) == sorted(exported.splitlines())
        assert set(moved["callback_urls"]) == set(urls)
        assert await second.stop() == 0


async def test_who_owns_a_watch_owns_it_on_the_new_machine(world: World, relay: RelayProcess) -> None:
    socket = ("--url", f"unix:{relay.folder / 'relay.sock'}")
    _, token, _ = await cli(relay, *socket, "token", "create", "shop")
    shop = {"Authorization": f"Bearer {token.strip()}"}
    lines = (
        b'{"provider": "getimg", "job_id": "req-1", "owner": "shop"}\n{"provider": "getimg", "job_id": "req-2"}\n',
        b'{"provider": "getimg", "job_id": "req-3"}\n',
    )
    await cli(relay, *socket, "import", stdin=lines[0])
    await cli(relay, *socket, "import", "--owner", "shop", stdin=lines[1])

    page = await call(relay, "GET", "/v1/watches", headers=shop)
    again = await call(relay, "POST", "/v1/watches", json={"provider": "getimg", "job_id": "req-1"}, headers=shop)
    _, exported, _ = await cli(relay, *socket, "export")

    assert {item["job_id"] for item in page["items"]} == {"req-1", "req-3"}
    assert again["job_id"] == "req-1"
    owners = {line["job_id"]: line.get("owner") for line in map(json.loads, exported.splitlines())}
    assert owners == {"req-1": "shop", "req-2": None, "req-3": "shop"}


async def test_a_line_that_is_refused_keeps_no_other_out(world: World, relay: RelayProcess) -> None:
    refused = {
        b"nonsense": "is not a JSON object",
        b'{"provider": "nobody", "job_id": "x"}': 'provider "nobody" is not configured',
        b"[1]": "is not a JSON object",
        b'{"provider": "getimg", "job_id": "x", "metadata": {"caf\xe9": "1"}}': "is not text in UTF-8",
        b'{"provider": "getimg", "job_id": "x", "metadata": {"a": "\\ud800"}}': "is not text in UTF-8",
        b'{"provider": "getimg", "job_id": "x", "metadata": {"a": NaN}}': "is not a JSON object",
        b'{"provider": "getimg", "job_id": "%s"}' % (b"x" * 3_000_000): "is longer than a watch can be",
    }
    text = b'\xef\xbb\xbf{"provider": "getimg", "job_id": "req-1"}\r\n\n' + b"\n".join(refused)

    code, _, err = await cli(relay, "import", stdin=text)

    assert code == 1
    *told, last = err.splitlines()
    for line, (number, reason) in zip(told, enumerate(refused.values(), 3), strict=True):
        assert line.startswith(f"error: line {number}: {reason}")
    assert last == f"1 watched anew, 0 already, {len(refused)} refused"


async def test_watches_of_much_text_go_in_requests_that_are_taken(world: World, relay: RelayProcess) -> None:
    """Each character is one here, three bytes in UTF-8, and six where JSON keeps to ASCII."""
    metadata = {str(number): "猫" * 950 for number in range(10)}
    jobs = ({"provider": "getimg", "job_id": f"req-{number}", "metadata": metadata} for number in range(160))
    text = "\n".join(json.dumps(job, ensure_ascii=False) for job in jobs)

    told = await cli(relay, "import", stdin=text.encode())

    assert told == (0, "", "160 watched anew, 0 already, 0 refused\n")
