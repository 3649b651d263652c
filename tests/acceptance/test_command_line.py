"""The command line against a real daemon, run as a user runs it."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance_world import World
from support.daemon import RelayProcess, relay_process, until

from bench.ports import free_port
from relay.simulator import Behaviour, Scenario

QUICK = Scenario(queued_s=0.1, running_s=0.2)


async def run(relay: RelayProcess | str, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Run `relay ARGUMENTS` and return its exit code, standard output and standard error."""
    url = relay if isinstance(relay, str) else relay.url

    def call() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "relay", *arguments],
            env={**os.environ, "RELAY_URL": url},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    done = await asyncio.to_thread(call)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("scenario", "code"),
    [
        (QUICK, 0),
        (Scenario(outcome="failed", queued_s=0.1, running_s=0.2), 10),
        (Scenario(outcome="cancelled", queued_s=0.1, running_s=0.2), 11),
    ],
)
async def test_waiting_tells_the_outcome_by_exit_code(
    world: World, relay: RelayProcess, scenario: Scenario, code: int
) -> None:
    world.simulator.add_job("getimg", "req-1", scenario)

    done, out, _ = await run(relay, "add", "getimg", "req-1", "--wait", "--timeout", "20s")

    assert done == code
    watch_id, status, _ = out.rstrip("\n").split("\t")
    assert watch_id.startswith("wat_")
    assert status == scenario.outcome


async def test_the_worst_of_several_outcomes_wins(world: World, relay: RelayProcess) -> None:
    fates = {"req-1": "completed", "req-2": "cancelled", "req-3": "failed"}
    for job_id, fate in fates.items():
        world.simulator.add_job("getimg", job_id, Scenario(outcome=fate, queued_s=0.1, running_s=0.2))

    code, out, _ = await run(
        relay, "add", "getimg", "-", "--wait", "--timeout", "20s", "--json", stdin="req-1\nreq-2 req-3\n"
    )

    assert code == 10
    ended = [json.loads(line) for line in out.splitlines()]
    assert {watch["job_id"]: watch["status"] for watch in ended} == fates


async def test_a_job_nobody_knows_is_12(relay: RelayProcess) -> None:
    assert (await run(relay, "add", "getimg", "req-nothing", "--wait", "--timeout", "20s"))[0] == 12


async def test_a_wait_that_runs_out_is_124_and_one_look_is_8(world: World, relay: RelayProcess) -> None:
    world.simulator.add_job("getimg", "req-1", Scenario(running_s=600))
    await run(relay, "add", "getimg", "req-1")

    assert (await run(relay, "wait", "getimg:req-1", "--timeout", "300ms"))[0] == 124
    assert (await run(relay, "wait", "getimg:req-1", "--timeout", "0"))[0] == 8


async def test_a_wait_survives_a_restart_of_the_daemon(world: World, tmp_path: Path) -> None:
    world.simulator.add_job("getimg", "req-1", Scenario(queued_s=0.1, running_s=4.0))
    async with relay_process(tmp_path, world.configuration()) as relay:
        await relay.start()
        waiting = asyncio.ensure_future(run(relay, "add", "getimg", "req-1", "--wait", "--timeout", "40s"))
        await until(lambda: world.simulator.jobs.requests, 20)

        await relay.kill()
        await asyncio.sleep(1.0)
        await relay.start()

        code, out, err = await waiting
    assert (code, out.split("\t")[1]) == (0, "completed")
    assert "waiting for it" in err


async def test_a_watch_is_listed_shown_and_removed(world: World, relay: RelayProcess) -> None:
    world.simulator.add_job("getimg", "req-1", Scenario(running_s=600))
    code, out, err = await run(
        relay, "add", "getimg", "req-1", "--metadata", "order=42", "--callback-url", world.receiver.callback_url()
    )
    watch_id = out.strip()
    assert (code, bool(re.fullmatch(r"wat_[0-9a-z]{26}", watch_id))) == (0, True)
    assert "next look in" in err

    code, out, _ = await run(relay, "ls", "--metadata", "order=42", "--status", "queued", "--status", "running")
    assert (code, out.split("\t")[:3]) == (0, [watch_id, "getimg", "req-1"])
    code, out, _ = await run(relay, "ls", "--json")
    assert json.loads(out)["id"] == watch_id
    code, out, _ = await run(relay, "show", watch_id[:-3])
    assert code == 0
    assert "metadata.order" in out
    code, out, _ = await run(relay, "show", "getimg:req-1", "--json")
    assert json.loads(out)["metadata"] == {"order": "42"}

    assert (await run(relay, "rm", watch_id))[0] == 0
    code, _, err = await run(relay, "show", watch_id)
    assert (code, "no watch" in err) == (3, True)
    assert await run(relay, "ls") == (0, "", "")


async def test_deliveries_are_listed_shown_and_resent(world: World, relay: RelayProcess) -> None:
    world.receiver.behave("app", Behaviour(statuses=[410]))
    world.simulator.add_job("getimg", "req-1", QUICK)
    await run(relay, "add", "getimg", "req-1", "--callback-url", world.receiver.callback_url(), "--wait")
    await world.receiver.wait_for(lambda: bool(world.receiver.received), 5)
    for _ in range(50):
        code, out, _ = await run(relay, "deliveries", "--state", "dropped", "--json")
        if out:
            break
    delivery_id = json.loads(out)["id"]

    code, out, _ = await run(relay, "deliveries", "show", delivery_id)
    assert code == 0
    assert "410" in out
    assert (await run(relay, "deliveries", "resend", delivery_id))[0] == 0

    assert await world.receiver.wait_for(lambda: len(world.receiver.of("callback")) == 1, 5)
    assert {item.webhook_id for item in world.receiver.received} == {delivery_id}


async def test_a_healthy_daemon_says_so(relay: RelayProcess) -> None:
    code, out, _ = await run(relay, "status")

    assert code == 0
    assert out.startswith("ready\n")


async def test_without_a_daemon_it_is_69_with_a_hint() -> None:
    code, out, err = await run(f"http://127.0.0.1:{free_port()}", "ls")

    assert (code, out) == (69, "")
    assert "hint: start it with: relay serve" in err


async def test_a_token_made_on_the_command_line_opens_the_api(world: World, tmp_path: Path) -> None:
    code, out, err = await run("http://unused", "token", "create", "shop", "--scope", "watch,read", "--for-config")
    assert code == 0
    token, line = out.strip(), err.splitlines()[-1]
    assert token.startswith("rly_")
    assert token not in err
    async with relay_process(tmp_path, world.configuration(f"[auth]\ntokens = [\n{line}\n]\n")) as relay:
        await relay.start()
        assert (await run(relay, "ls"))[0] == 4
        (tmp_path / "token").write_text(token + "\n")
        assert (await run(relay, "--token-file", str(tmp_path / "token"), "ls"))[0] == 0


async def test_a_wrong_use_is_2_and_names_what_was_meant(relay: RelayProcess) -> None:
    code, _, err = await run(relay, "lss")
    assert (code, 'Did you mean "ls"?' in err) == (2, True)
    assert (await run(relay, "add", "getimg"))[0] == 2
    assert (await run(relay, "wait", "x", "--timeout", "soon"))[0] in (2, 3)


async def test_a_refused_watch_says_which_field_is_wrong(relay: RelayProcess) -> None:
    code, out, err = await run(relay, "add", "getimgg", "req-1")

    assert (code, out) == (1, "")
    assert 'did you mean "getimg"?' in err


async def test_the_configuration_is_checked_without_a_daemon(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('[providers.getimg]\napi_key = { env = "PATH" }\n')
    bad.write_text('[sever]\n[providers.getimg]\napi_key = "sk_inline"\nrate = "fast"\n')

    code, out, _ = await run("http://unused", "config", "check", "--config", str(good))
    assert (code, "ok (1 provider, " in out) == (0, True)
    code, _, err = await run("http://unused", "config", "check", "--config", str(bad))

    assert code == 78
    assert [f"bad.toml:{line}:" in err for line in (1, 3, 4)] == [True, True, True]
    assert "sk_inline" not in err
    assert err.count("^") > 3


async def test_every_command_teaches_by_its_help() -> None:
    code, out, _ = await run("http://unused", "--help")
    assert code == 0
    commands = re.findall(r"^  ([a-z]+) {2,}", out.partition("Commands:")[2], re.MULTILINE)
    assert {"add", "config", "deliveries", "demo", "ls", "rm", "serve", "show", "wait"} <= set(commands)
    for command in commands:
        code, text, _ = await run("http://unused", command, "--help")
        assert code == 0
        assert text.startswith("Usage:")


def test_the_version_is_told_without_loading_the_daemon() -> None:
    script = (
        "import sys\n"
        "from relay.cli import main\n"
        "sys.argv = ['relay', '--version']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'aiohttp', 'pydantic', 'rich', 'structlog', 'aiosqlite'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)

    assert re.fullmatch(r"relay, version [\d.]+\n\[\]\n", done.stdout)


async def test_a_destination_is_tried_from_the_command_line(world: World, tmp_path: Path) -> None:
    more = '[destinations.ops]\ntype = "slack"\nurl = { file = "slack" }\n[[routes]]\nto = ["ops"]\n'
    async with relay_process(tmp_path, world.configuration(more)) as relay:
        await relay.start()

        assert await run(relay, "destinations") == (0, "ops\tslack\tworking\t0\t\t\n", "")
        assert (await run(relay, "destinations", "test", "ops"))[:2] == (0, "ops: delivered\n")
        (message,) = world.receiver.of("slack")
        assert message.body["text"] == "relay says hello: this destination works"
        world.receiver.behave("slack", Behaviour(statuses=[500]))
        code, _, err = await run(relay, "destinations", "test", "ops")
        assert (code, "not delivered: HTTP 500" in err) == (1, True)
        assert (await run(relay, "destinations", "test", "opps"))[0] == 3
