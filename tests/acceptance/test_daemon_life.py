"""The daemon as its operator meets it: start, trouble, signals, stop."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from acceptance_world import World
from support.daemon import SECRET, RelayProcess, relay_process, until

from relay.simulator import Behaviour, Fault, Scenario


async def call(relay: RelayProcess, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.request(method, relay.url + path, **options) as answer:
        return answer.status, await answer.json()


async def add(relay: RelayProcess, world: World, job_id: str, scenario: Scenario, **more: Any) -> str:
    provider = more.pop("provider", "getimg")
    world.simulator.add_job(provider, job_id, scenario)
    wanted = {"provider": provider, "job_id": job_id, "callback_url": world.receiver.callback_url()} | more
    status, watch = await call(relay, "POST", "/v1/watches", json=wanted)
    assert status == 201, watch
    return str(watch["id"])


async def outcome(relay: RelayProcess, watch_id: str, limit_s: float = 15.0) -> dict[str, Any]:
    async with asyncio.timeout(limit_s):
        while True:
            _, watch = await call(relay, "GET", f"/v1/watches/{watch_id}?wait=10")
            if watch["finalized_at"]:
                return watch


QUICK = Scenario(queued_s=0.1, running_s=0.3)


@pytest.mark.parametrize("kind", ["html", "empty", "garbage", "truncated", "reset", "huge"])
async def test_nonsense_from_a_provider_ends_no_watch(world: World, relay: RelayProcess, kind: str) -> None:
    world.simulator.faults.add("getimg", Fault(kind, times=2))

    watch = await outcome(relay, await add(relay, world, "req-1", QUICK))

    assert watch["status"] == "completed"
    assert watch["last_error"] is None


async def test_an_ended_job_is_not_asked_about_again(world: World, relay: RelayProcess) -> None:
    for number in range(10):
        await outcome(relay, await add(relay, world, f"req-{number}", QUICK))

    assert world.simulator.jobs.polls_after_end() == {}


async def test_a_wrong_key_pauses_and_a_right_one_resumes_without_registering_again(
    world: World, relay: RelayProcess
) -> None:
    world.simulator.keys["getimg"] = "sk_second"
    watch_id = await add(relay, world, "req-1", QUICK)
    await until(lambda: any(line["event"] == "provider.unauthorized" for line in relay.events()), 10)

    (world.folder / "key").write_text("sk_second")
    relay.send_signal(signal.SIGHUP)

    assert (await outcome(relay, watch_id))["status"] == "completed"
    told = [line["event"] for line in relay.events() if str(line["event"]).startswith("provider.")]
    assert told == ["provider.unauthorized", "provider.recovered"]


async def test_a_job_that_no_one_knows_is_not_found(world: World, relay: RelayProcess) -> None:
    wanted = {"provider": "lumenfall", "job_id": "video_nothing", "callback_url": world.receiver.callback_url()}
    _, watch = await call(relay, "POST", "/v1/watches", json=wanted)

    ended = await outcome(relay, watch["id"])

    assert ended["status"] == "not_found"
    assert await world.receiver.wait_for(lambda: len(world.receiver.of("callback")) == 1, 5)


async def test_a_deadline_ends_a_watch(world: World, relay: RelayProcess) -> None:
    watch_id = await add(relay, world, "req-1", Scenario(running_s=600), deadline="1s")

    assert (await outcome(relay, watch_id))["status"] == "timed_out"


async def test_every_provider_s_cancellation_is_one_outcome(world: World, relay: RelayProcess) -> None:
    cancelled = Scenario(outcome="cancelled", queued_s=0.1, running_s=0.2)
    for provider, params in (("nanogpt", {"modelSlug": "m"}), ("nanogpt-unified", {}), ("lumenfall", {})):
        watch_id = await add(relay, world, f"v-{provider}", cancelled, provider=provider, params=params)
        assert (await outcome(relay, watch_id))["status"] == "cancelled"


async def test_nanogpt_needs_its_model_and_takes_both_names(world: World, relay: RelayProcess) -> None:
    wanted: dict[str, Any] = {"provider": "nanogpt", "job_id": "run-1"}
    status, problem = await call(relay, "POST", "/v1/watches", json=wanted)
    assert (status, problem["errors"][0]["field"]) == (422, "params.modelSlug")

    watch_id = await add(relay, world, "run-1", QUICK, provider="nanogpt", params={"model": "veo2-video"})

    ended = await outcome(relay, watch_id)
    assert (ended["status"], ended["model"]) == ("completed", "veo2-video")


@pytest.mark.parametrize("job_id", ["a/b", "a?b", "a#b", "../x", "%2e%2e", "a\nb", "a b", "é"])
async def test_an_id_that_could_leave_its_place_is_refused(world: World, relay: RelayProcess, job_id: str) -> None:
    status, problem = await call(relay, "POST", "/v1/watches", json={"provider": "getimg", "job_id": job_id})

    assert (status, problem["errors"][0]["field"]) == (422, "job_id")


async def test_a_receiver_that_is_down_gets_its_callback_later(world: World, relay: RelayProcess) -> None:
    world.receiver.behave("app", Behaviour(statuses=[500, 503]))

    watch_id = await add(relay, world, "req-1", QUICK)
    assert await world.receiver.wait_for(lambda: len(world.receiver.of("callback")) == 1, 10)

    ids = {item.webhook_id for item in world.receiver.received}
    assert len(ids) == 1
    await until(lambda: _attempts(relay, watch_id, 3), 5)


async def _attempts(relay: RelayProcess, watch_id: str, number: int) -> bool:
    _, page = await call(relay, "GET", f"/v1/deliveries?watch={watch_id}")
    (delivery,) = page["items"]
    return bool(delivery["attempts"] == number and delivery["state"] == "delivered")


async def test_a_busy_port_is_one_line_and_an_error(world: World, relay: RelayProcess, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with relay_process(tmp_path / "other", "") as other:
        other._config.write_text(f'[server]\nlisten = "127.0.0.1:{relay.port}"\n')
        with pytest.raises(AssertionError, match="ended early"):
            await other.start()
        assert await other.stop() == 1
        assert "Traceback" not in other.log()
        assert other.events()[-1]["event"] == "daemon.failed"
        assert other.events()[-1]["error"] == (
            f"server.listen: 127.0.0.1, port {relay.port}: Address already in use; "
            "stop the program that has it, or name another address"
        )


async def test_a_wrong_configuration_is_78_with_every_mistake(tmp_path: Path) -> None:
    async with relay_process(
        tmp_path, '[providers.getimg]\napi_key = "sk_secret_value"\nmin_intervall = "5s"\n'
    ) as relay:
        with pytest.raises(AssertionError, match="ended early"):
            await relay.start()

        assert await relay.stop() == 78
        assert "min_intervall" in relay.log()
        assert "min_interval" in relay.log()
        assert "sk_secret_value" not in relay.log()


async def test_what_cannot_sign_is_a_wrong_configuration(tmp_path: Path) -> None:
    async with relay_process(tmp_path, "") as relay:
        (tmp_path / "callback-secret").write_text("whsec_short")
        with pytest.raises(AssertionError, match="ended early"):
            await relay.start()

        assert await relay.stop() == 78
        assert 'error: callbacks.secret: file "callback-secret": a signing secret' in relay.log()


async def test_a_secret_that_cannot_be_read_is_a_wrong_configuration(tmp_path: Path) -> None:
    async with relay_process(tmp_path, '[destinations.ops]\ntype = "slack"\nurl = { env = "NO_SUCH" }\n') as relay:
        with pytest.raises(AssertionError, match="ended early"):
            await relay.start()

        assert await relay.stop() == 78
        assert relay.events()[-1]["error"] == "destinations.ops.url: environment variable NO_SUCH is not set"


async def test_no_secret_reaches_log_database_or_answers(world: World) -> None:
    canaries = {
        "CANARY_KEY": "sk_canary_0123456789abcdef",
        "CANARY_SLACK": world.receiver.slack_url.replace("simulated", "canary-slack-token"),
        "CANARY_DISCORD": world.receiver.discord_url.replace("simulated", "canary-discord-token"),
    }
    more = """
[log]
level = "debug"
format = "json"
[destinations.ops]
type = "slack"
url = { env = "CANARY_SLACK" }
[destinations.fun]
type = "discord"
url = { env = "CANARY_DISCORD" }
[[routes]]
to = ["ops", "fun"]
"""
    config = world.configuration(more).replace('{ file = "key" }', '{ env = "CANARY_KEY" }')
    async with relay_process(world.folder, config, canaries) as relay:
        await relay.start()
        world.simulator.faults.add("getimg", Fault("status", code=500, body="sk_canary_0123456789abcdef was wrong"))
        world.receiver.behave("slack", Behaviour(statuses=[500]))
        watch_id = await add(relay, world, "req-1", QUICK)
        await outcome(relay, watch_id)
        assert await world.receiver.wait_for(
            lambda: bool(world.receiver.of("slack") and world.receiver.of("discord")), 10
        )
        answers = [str(await call(relay, "GET", f"/v1/watches/{watch_id}"))]
        _, page = await call(relay, "GET", "/v1/deliveries")
        answers += [str(await call(relay, "GET", f"/v1/deliveries/{item['id']}")) for item in page["items"]]
        assert await relay.stop() == 0

    written = relay.log() + "".join(answers)
    stored = b"".join(path.read_bytes() for path in world.folder.glob("relay.db*"))
    for secret in (*canaries.values(), "canary-slack-token", "canary-discord-token", SECRET):
        assert secret not in written
        assert secret.encode() not in stored


async def test_stopping_finishes_what_is_under_way(world: World, relay: RelayProcess) -> None:
    world.receiver.behave("app", Behaviour(delay_s=1.0))
    await outcome(relay, await add(relay, world, "req-1", QUICK))

    assert await relay.stop() == 0

    assert len(world.receiver.of("callback")) == 1
    settled = [line for line in relay.events() if line["event"] == "delivery.settled"]
    assert [line["verdict"] for line in settled] == ["delivered"]
