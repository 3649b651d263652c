"""A configuration is exchanged while jobs are watched: all of it or nothing, and no poll is lost."""

import asyncio
import signal
import sys
from typing import Any

import aiohttp
import pytest
from acceptance_world import World
from support.daemon import RelayProcess, until

from relay.core.signing import SigningSecret
from relay.simulator import Scenario

SLOW = Scenario(queued_s=0.1, running_s=2.0)


async def call(relay: RelayProcess, method: str, path: str, **options: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.request(method, relay.url + path, **options) as answer:
        body = await answer.text()
        return answer.status, await answer.json() if "json" in answer.content_type else body


async def reload(relay: RelayProcess) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", "--url", relay.url, "reload",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def watch(relay: RelayProcess, world: World, provider: str, job_id: str, **more: Any) -> tuple[int, Any]:
    world.simulator.add_job("getimg" if provider == "second" else provider, job_id, SLOW)
    return await call(relay, "POST", "/v1/watches", json={"provider": provider, "job_id": job_id, **more})


async def test_a_valid_configuration_is_taken_over_while_jobs_go_on(world: World, relay: RelayProcess) -> None:
    _, kept = await watch(relay, world, "getimg", "req-1")
    _, orphan = await watch(relay, world, "lumenfall", "video_1")
    before = (world.folder / "config.toml").read_text()
    second = f"""
[providers.second]
preset = "getimg"
api_key = {{ file = "key" }}
base_url = "{world.simulator.base_url("getimg")}"
min_interval = "100ms"
[destinations.ops]
type = "slack"
url = {{ file = "slack" }}
[[routes]]
to = ["ops"]
"""
    without = before.replace("[providers.lumenfall]", '[providers.renamed]\npreset = "lumenfall"')
    (world.folder / "config.toml").write_text(without + second)

    assert await reload(relay) == (
        0,
        "reloaded: providers +renamed, +second, -lumenfall; destinations +ops; routes\n",
        "",
    )

    (left,) = [line for line in relay.events() if line["event"] == "watches.unfollowed"]
    assert (left["provider"], left["number"]) == ("lumenfall", 1)
    assert (await watch(relay, world, "lumenfall", "video_2"))[0] == 422
    assert (await watch(relay, world, "second", "req-2", destinations=["ops"]))[0] == 201
    _, ended = await call(relay, "GET", f"/v1/watches/{kept['id']}?wait=15")
    assert ended["status"] == "completed"
    assert await world.receiver.wait_for(lambda: len(world.receiver.of("slack")) == 2, 10)

    _, still = await call(relay, "GET", f"/v1/watches/{orphan['id']}")
    assert still["finalized_at"] is None
    (world.folder / "config.toml").write_text(before)
    assert (await reload(relay))[0] == 0
    _, ended = await call(relay, "GET", f"/v1/watches/{orphan['id']}?wait=15")
    assert ended["status"] == "completed"


async def test_a_wrong_configuration_leaves_the_running_one_in_place(world: World, relay: RelayProcess) -> None:
    path = world.folder / "config.toml"
    path.write_text(path.read_text() + "\n[providers.getimgg]\n[retention]\nwatches = 3\n")

    code, out, err = await reload(relay)

    assert (code, out) == (78, "")
    assert 'error: there is no preset "getimgg"' in err
    assert 'error: "watches": a duration needs a unit' in err
    assert "the running configuration was kept" in err
    _, metrics = await call(relay, "GET", "/metrics")
    assert "relay_config_last_reload_successful 0.0" in metrics
    assert (await watch(relay, world, "getimg", "req-1"))[0] == 201

    relay.send_signal(signal.SIGHUP)
    await until(lambda: sum(line["event"] == "config.refused" for line in relay.events()) == 2, 10)


@pytest.mark.parametrize(
    ("state", "defaults", "said"),
    [
        ("state", 'typical_duration = "0s"', "must be longer than 0s"),
        ("state", f'rate = "{"9" * 400}/m"', "is not a rate"),
        ("(" * 1000 + "state" + ")" * 1000, "", "is nested too deeply"),
    ],
)
async def test_a_provider_file_that_cannot_work_leaves_the_daemon_running(
    world: World, relay: RelayProcess, state: str, defaults: str, said: str
) -> None:
    spec = 'title = "Mine"\nbase_url = "http://127.0.0.1:9"\nauth = { type = "none" }\n[poll]\npath = "/{id}"\n'
    spec += f'[status]\npath = "{state}"\ncompleted = ["done"]\n[defaults]\n{defaults}\n'
    (world.folder / "mine.toml").write_text(spec)
    path = world.folder / "config.toml"
    path.write_text(path.read_text() + '[providers.mine]\nspec = "mine.toml"\n')

    relay.send_signal(signal.SIGHUP)

    await until(lambda: any(line["event"] == "config.refused" for line in relay.events()), 10)
    assert said in next(line["report"] for line in relay.events() if line["event"] == "config.refused")
    assert (await watch(relay, world, "getimg", "req-1"))[0] == 201


async def test_a_secret_that_cannot_be_read_is_no_configuration_to_take_over(world: World, relay: RelayProcess) -> None:
    path = world.folder / "config.toml"
    path.write_text(path.read_text() + '[destinations.ops]\ntype = "slack"\nurl = { file = "not-there" }\n')

    code, _, err = await reload(relay)

    assert code == 78
    assert 'destinations.ops.url: file "not-there" cannot be read' in err
    assert (await call(relay, "GET", "/v1/destinations"))[1]["items"] == []


async def test_what_waits_for_a_restart_is_named(world: World, relay: RelayProcess) -> None:
    path = world.folder / "config.toml"
    path.write_text(path.read_text() + '[store]\nurl = "sqlite:///other.db"\n')

    assert await reload(relay) == (0, "reloaded: store\n", "holds from the next start on: store.url\n")
    assert not (world.folder / "other.db").exists()


async def test_networks_that_are_no_longer_allowed_get_no_more_callbacks(world: World, relay: RelayProcess) -> None:
    _, first = await watch(relay, world, "getimg", "req-1", callback_url=world.receiver.callback_url())
    path = world.folder / "config.toml"
    path.write_text(path.read_text().replace('allow_networks = ["127.0.0.0/8"]', "allow_networks = []"))

    assert (await reload(relay))[0] == 0

    await call(relay, "GET", f"/v1/watches/{first['id']}?wait=15")
    await until(lambda: any(line["event"] == "delivery.settled" for line in relay.events()), 10)
    _, page = await call(relay, "GET", f"/v1/deliveries?watch={first['id']}")
    assert "callbacks.allow_networks would permit it" in page["items"][0]["reason"]
    assert world.receiver.of("callback") == []


async def test_a_storm_of_signals_and_files_being_written_loses_no_job(world: World, relay: RelayProcess) -> None:
    path, ids = world.folder / "config.toml", []
    text = path.read_text()
    for number in range(20):
        path.write_text(text[: len(text) // 2] if number % 2 else text.replace('"150ms"', f'"{150 + number}ms"'))
        relay.send_signal(signal.SIGHUP)
        status, added = await watch(relay, world, "getimg", f"req-{number}")
        assert status == 201
        ids.append(added["id"])
    for watch_id in ids:
        _, ended = await call(relay, "GET", f"/v1/watches/{watch_id}?wait=20")
        assert ended["status"] == "completed"


async def test_a_secret_is_exchanged_without_a_callback_that_its_receiver_refuses(
    world: World, relay: RelayProcess
) -> None:
    """The receiver knows the old secret throughout, and refuses only once that has stopped signing."""

    async def delivered(job_id: str) -> bool | None:
        _, added = await watch(relay, world, "getimg", job_id, callback_url=world.receiver.callback_url(job_id))
        await call(relay, "GET", f"/v1/watches/{added['id']}?wait=15")
        assert await world.receiver.wait_for(lambda: any(seen.name == job_id for seen in world.receiver.received), 10)
        return next(seen.verified for seen in world.receiver.received if seen.name == job_id)

    path, secret = world.folder / "config.toml", world.folder / "callback-secret"
    before = path.read_text()
    secret.rename(world.folder / "callback-secret.old")
    secret.write_text(SigningSecret.of(bytes(24)).text + "\n")
    old = 'secret = { file = "callback-secret" }\n'
    path.write_text(before.replace(old, old + 'previous_secrets = [{ file = "callback-secret.old" }]\n'))

    assert await reload(relay) == (0, "reloaded: callbacks\n", "")
    assert await delivered("req-during") is True

    path.write_text(before)
    assert (await reload(relay))[0] == 0
    assert await delivered("req-after") is False
