"""Tokens as an operator makes them: with and without a daemon, by the socket, and over the network."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from support.daemon import relay_process

from bench.ports import free_port


async def relay_command(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in the folder of a configuration."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("RELAY")}
    command = [sys.executable, "-m", "relay", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )


async def test_a_token_made_while_no_daemon_runs_works_once_it_does_and_until_it_is_revoked(tmp_path: Path) -> None:
    """The command line itself goes by the socket, and needs none."""
    async with relay_process(tmp_path, "") as relay:
        made = await relay_command(tmp_path, "token", "create", "shop", "--scope", "watch,read", "--expires", "90d")
        assert made.returncode == 0, made.stderr
        text = made.stdout.strip()
        await relay.start()

        async def over_tcp(*more: str) -> int:
            return (await relay_command(tmp_path, "--url", relay.url, *more, "ls", "--json")).returncode

        assert await over_tcp("--token", text) == 0
        assert await over_tcp() == 4
        assert await over_tcp("--token", text[:-1] + "!") == 4
        assert (await relay_command(tmp_path, "ls")).returncode == 0
        shown = await relay_command(tmp_path, "token", "ls", "--json")
        assert [json.loads(line)["name"] for line in shown.stdout.splitlines()] == ["shop"]
        assert text not in shown.stdout
        assert (await relay_command(tmp_path, "token", "revoke", "shop")).returncode == 0
        refused = await relay_command(tmp_path, "--url", relay.url, "--token", text, "ls")
        assert (refused.returncode, "was revoked" in refused.stderr) == (4, True)
        assert text not in relay.log()
        assert await relay.stop() == 0
        assert not (tmp_path / "relay.sock").exists()


async def test_beyond_this_machine_relay_starts_only_where_a_token_was_made(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[server]\nlisten = "0.0.0.0:{free_port()}"\n')

    refused = await relay_command(tmp_path, "serve")
    made = await relay_command(tmp_path, "token", "create")
    checked = await relay_command(tmp_path, "config", "check")

    assert (refused.returncode, "without tokens" in refused.stderr) == (78, True)
    assert made.returncode == 0, made.stderr
    assert checked.returncode == 0, checked.stderr


async def test_a_socket_that_cannot_be_had_is_told_and_the_rest_works(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    await asyncio.to_thread(folder.mkdir)
    async with relay_process(folder, "") as relay:
        await relay.start()

        assert "socket.refused" in [line["event"] for line in relay.events()]
        assert await relay.stop() == 0
