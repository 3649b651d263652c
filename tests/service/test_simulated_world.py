"""The simulated providers and the receiver, held to the documents."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from standardwebhooks import Webhook

from relay.simulator import Behaviour, Fault, Limit, Receiver, Scenario, Simulator

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BEARER = {"Authorization": "Bearer k"}


class Time:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
async def simulator(clock: Time) -> AsyncIterator[Simulator]:
    async with Simulator(now=clock) as simulator:
        yield simulator


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(SECRET) as receiver:
        yield receiver


async def call(method: str, url: str, **options: Any) -> tuple[int, Any, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.request(method, url, **options) as answer:
        text = await answer.text()
        value = json.loads(text) if answer.content_type == "application/json" and text else text
        return answer.status, value, {name.lower(): item for name, item in answer.headers.items()}


async def test_a_nanogpt_run_goes_through_its_documented_statuses(simulator: Simulator, clock: Time) -> None:
    base = simulator.base_url("nanogpt")
    prompt = {"model": "veo2-video", "prompt": "x [sim queued_s=5 running_s=5 outcome=failed moderated=true]"}
    status, run, _ = await call("POST", f"{base}/generate-video", json=prompt, headers={"x-api-key": "k"})
    assert (status, run["status"], run["id"]) == (202, "pending", run["runId"])
    query = {"runId": run["runId"], "modelSlug": "veo2-video"}

    seen = []
    for _ in range(3):
        _, body, _ = await call("GET", f"{base}/generate-video/status", params=query, headers={"x-api-key": "k"})
        seen.append(body["data"]["status"])
        clock.now += 5.0

    assert seen == ["IN_QUEUE", "IN_PROGRESS", "FAILED"]
    assert body["data"] | {"request_id": ""} == {
        "status": "FAILED",
        "request_id": "",
        "error": "Content policy violation",
        "isNSFWError": True,
        "userFriendlyError": "Content flagged as inappropriate. Please modify your prompt and try again.",
    }


async def test_nanogpt_asks_for_both_parameters_and_a_key(simulator: Simulator) -> None:
    url = f"{simulator.base_url('nanogpt')}/generate-video/status"

    assert (await call("GET", url, params={"runId": "x"}, headers={"x-api-key": "k"}))[0] == 400
    assert (await call("GET", url, params={"runId": "x", "modelSlug": "m"}))[0] == 401
    assert (await call("GET", url, params={"runId": "x", "modelSlug": "m"}, headers={"x-api-key": "k"}))[0] == 404


async def test_a_wrong_key_is_refused_as_getimg_documents(simulator: Simulator) -> None:
    simulator.keys["getimg"] = "sk_right"

    status, body, headers = await call("GET", f"{simulator.url}/v2/videos/generations/x", headers=BEARER)

    assert (status, body["error"]["code"], body["error"]["type"]) == (401, "invalid_api_key", "invalid_request_error")
    assert headers["x-ratelimit-reset"] == "1800000060"


async def test_a_rate_limit_counts_any_window_and_says_how_long(simulator: Simulator, clock: Time) -> None:
    simulator.faults.limits["getimg"] = Limit(2, 60.0)
    simulator.add_job("getimg", "req-1", Scenario())
    url = f"{simulator.url}/v2/videos/generations/req-1"

    codes = [(await call("GET", url, headers=BEARER))[0] for _ in range(3)]
    _, _, headers = await call("GET", url, headers=BEARER)
    clock.now += 61
    codes.append((await call("GET", url, headers=BEARER))[0])

    assert codes == [200, 200, 429, 200]
    assert 60 <= int(headers["retry-after"]) <= 61
    assert simulator.faults.limits["getimg"].exceeded == 2


async def test_faults_and_jobs_are_set_from_another_process(simulator: Simulator) -> None:
    fault = {"provider": "lumenfall", "kind": "status", "code": 503, "headers": {"Retry-After": "7"}}
    assert (await call("POST", f"{simulator.url}/_sim/faults", json=fault))[0] == 201
    job = {"provider": "lumenfall", "job_id": "video_1", "outcome": "cancelled", "running_s": 0, "queued_s": 0}
    assert (await call("POST", f"{simulator.url}/_sim/jobs", json=job))[0] == 201
    url = f"{simulator.base_url('lumenfall')}/videos/video_1"

    first, _, headers = await call("GET", url, headers=BEARER)
    second, body, _ = await call("GET", url, headers=BEARER)

    assert (first, headers["retry-after"]) == (503, "7")
    assert (second, body["status"]) == (200, "cancelled")
    _, records, _ = await call("GET", f"{simulator.url}/_sim/records")
    assert [request["http"] for request in records["requests"]] == [503, 200]
    assert records["jobs"][0]["outcome"] == "cancelled"


@pytest.mark.parametrize("wrong", [{"kind": "fire"}, {"colour": "red"}])
async def test_a_fault_that_there_is_not_is_refused(simulator: Simulator, wrong: dict[str, str]) -> None:
    assert (await call("POST", f"{simulator.url}/_sim/faults", json={"provider": "getimg", **wrong}))[0] == 422


async def test_a_scenario_that_there_is_not_is_refused(simulator: Simulator) -> None:
    job = {"provider": "getimg", "outcome": "exploded"}
    assert (await call("POST", f"{simulator.url}/_sim/jobs", json=job))[0] == 422
    with pytest.raises(ValueError, match="colour"):
        Scenario().changed({"colour": "red"})
    with pytest.raises(ValueError, match="a fault is one of"):
        Fault("fire")


async def test_the_receiver_agrees_with_the_official_library(receiver: Receiver) -> None:
    body = b'{"type":"job.completed"}'
    stamp = int(time.time())
    good = Webhook(SECRET).sign("dlv_1", datetime.fromtimestamp(stamp, UTC), body.decode())
    headers = {"webhook-id": "dlv_1", "webhook-timestamp": str(stamp), "webhook-signature": good}

    assert (await call("POST", receiver.callback_url(), data=body, headers=headers))[0] == 204
    headers["webhook-signature"] = "v1," + "A" * 43 + "="
    assert (await call("POST", receiver.callback_url(), data=body, headers=headers))[0] == 401

    assert [item.verified for item in receiver.received] == [True, False]
    assert len(receiver.of("callback")) == 1


async def test_the_receiver_answers_as_slack_and_discord_do(receiver: Receiver) -> None:
    assert (await call("POST", receiver.slack_url, json={"text": "x"}))[:2] == (200, "ok")
    assert (await call("POST", receiver.slack_url, json={"blocks": []}))[:2] == (400, "invalid_payload")
    status, message, _ = await call("POST", f"{receiver.discord_url}?wait=true", json={"content": "x"})
    assert (status, message["content"]) == (200, "x")
    assert (await call("POST", receiver.discord_url, json={"content": "x"}))[0] == 204
    assert (await call("POST", receiver.discord_url, json={}))[0] == 400


async def test_the_receiver_behaves_as_told_and_then_well(receiver: Receiver) -> None:
    receiver.behave("slack", Behaviour(statuses=[429, 500]))

    codes = [(await call("POST", receiver.slack_url, json={"text": "x"}))[0] for _ in range(3)]

    assert codes == [429, 500, 200]
    assert await receiver.wait_for(lambda: len(receiver.of("slack")) == 1, 1)
    assert not await receiver.wait_for(lambda: False, 0.01)
