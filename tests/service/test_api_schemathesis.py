"""schemathesis against the whole of the API: whatever is sent, the answer is one that the document names."""

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from support.api import ROOT, TOKENS, Api, bearer, served_beside

from relay.api import watches
from relay.api.openapi import document
from relay.api.operations import OPERATIONS
from relay.clock import SystemEntropy
from relay.core.observation import Cost, JobError, Observation, Output, Status

SCHEMA = schemathesis.openapi.from_dict(document(OPERATIONS))
EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


async def populate(api: Api) -> dict[str, str]:
    """Store watches in several states, and return an id of each kind."""
    api.headers = bearer(ROOT)
    _, watch = await api.add(destinations=["ops"], metadata={"order": "42"})
    output = Output("https://files.example/a.mp4", "video/mp4", 1920, 1080, 10.0, expires_at=1_800_000_000.0)
    cost = Cost(5.0, None, "video_second", 0.5, 10.0)
    await api.end(str(watch["id"]), Observation(Status.COMPLETED, "done", outputs=(output,), cost=cost))
    _, failed = await api.add(job_id="failed", callback_url="https://hook.example/a")
    await api.end(str(failed["id"]), Observation(Status.FAILED, "FAILED", error=JobError("e", "no", moderated=True)))
    await api.add(job_id="open")
    _, page = await api.call("GET", "/v1/deliveries")
    return {"watches": "plain:open", "deliveries": page["items"][0]["id"], "destinations": "ops"}  # type: ignore[index]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    folder: Path = tmp_path_factory.mktemp("api")
    with pytest.MonkeyPatch.context() as patch, served_beside(folder, TOKENS) as (api, loop):
        patch.setattr(watches, "MAX_WAIT_S", 0.01)
        api.context.entropy = SystemEntropy()
        api.tick = math.inf  # however long it takes, the loops are thought to be well
        yield api.url, asyncio.run_coroutine_threadsafe(populate(api), loop).result(20)


@SCHEMA.parametrize()
@EXAMPLES
def test_no_request_gets_an_answer_that_the_document_does_not_name(
    case: schemathesis.Case, world: tuple[str, dict[str, str]]
) -> None:
    """What is valid beyond its schema depends on the configuration, so that a valid request may be refused."""
    url, known = world
    checks: dict[str, Any] = {"base_url": url, "headers": bearer(ROOT), "excluded_checks": [positive_data_acceptance]}
    case.call_and_validate(**checks)
    kind = case.path.split("/")[2] if case.path.count("/") > 2 else ""
    if case.path_parameters and kind in known:
        case.path_parameters = dict.fromkeys(case.path_parameters, known[kind])
        case.call_and_validate(**checks)
