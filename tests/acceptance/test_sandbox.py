"""The daemon as the unit confines it: what it needs is allowed, and what it does not is refused.

The filters are those of systemd/relay.service, read from it and put in force by
a launcher, since there is no systemd where tests run.
"""

import asyncio
import resource
import sqlite3
import sys
from pathlib import Path

import aiohttp
import pytest
from acceptance_world import World
from support import sandbox
from support.daemon import relay_process, until

UNIT = Path(__file__).parents[2] / "systemd" / "relay.service"
CONFINED = (sys.executable, sandbox.__file__, str(UNIT))
MISSING = sandbox.missing()
confinable = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))

FORBIDDEN = {
    "a call that is not allowed": "import os; os.setpriority(os.PRIO_PROCESS, 0, 19)",
    "a family of addresses": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "memory to write code to": "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)",
}


async def run(*arguments: str) -> tuple[int | None, str]:
    """Run a command, and return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@confinable
@pytest.mark.parametrize("forbidden", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_what_works_elsewhere_is_refused_in_the_sandbox(forbidden: str) -> None:
    code, said = await run(*CONFINED, sys.executable, "-c", forbidden)

    assert await run(sys.executable, "-c", forbidden) == (0, "")
    assert code == 1
    assert "Operation not permitted" in said or "Address family not supported" in said


@confinable
async def test_a_job_a_reload_a_backup_and_the_stop_work_in_the_sandbox(world: World, tmp_path: Path) -> None:
    config = world.configuration('[log]\nlevel = "debug"\n')
    async with relay_process(tmp_path, config, launcher=CONFINED) as relay:
        await relay.start()
        status, limits = relay.seen_by_kernel("status"), relay.seen_by_kernel("limits")
        world.simulator.add_job("getimg", "req-1")
        body = {"provider": "getimg", "job_id": "req-1", "callback_url": world.receiver.callback_url()}
        async with aiohttp.ClientSession() as session, session.post(f"{relay.url}/v1/watches", json=body) as answer:
            assert answer.status == 201
        assert await world.receiver.wait_for(lambda: bool(world.receiver.of("callback")), 20)
        (told,) = world.receiver.of("callback")

        (tmp_path / "config.toml").write_text((tmp_path / "config.toml").read_text().replace("debug", "info"))
        confined_relay = (*CONFINED, sys.executable, "-m", "relay")
        reloaded = await run(*confined_relay, "--url", f"unix:{tmp_path}/relay.sock", "reload")
        saved = await run(
            *confined_relay, "db", "backup", str(tmp_path / "saved.db"), "--config", str(tmp_path / "config.toml")
        )
        await until(lambda: "config.reloaded" in relay.log(), 10)
        stopped = await relay.stop()

    assert "NoNewPrivs:\t1\nSeccomp:\t2\n" in status
    assert "CapEff:\t0000000000000000\n" in status
    assert limits.split("Max open files")[1].split()[:2] == [str(sandbox.within(resource.RLIMIT_NOFILE, 8192))] * 2
    assert told.verified
    assert (told.body["type"], told.body["data"]["job_id"]) == ("job.completed", "req-1")
    assert reloaded[0] == 0, reloaded[1]
    assert saved[0] == 0, saved[1]
    database = sqlite3.connect(tmp_path / "saved.db")
    assert database.execute("SELECT job_id, status FROM watches").fetchall() == [("req-1", "completed")]
    database.close()
    assert stopped == 0
    assert not [event for event in relay.events() if event["level"] in ("error", "critical")]
