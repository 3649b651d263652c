"""The providers' own SDKs read the recorded bodies, and take them for what relay takes them for."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from getimg.types.videos import GenerationRetrieveResponse
from openai.types import Batch, Video
from pydantic import TypeAdapter

CASES = Path(__file__).parent / "cases"
UNKNOWN_TO_SDK = {"cancelled", "canceled", "expired"}
"""Statuses that servers send and the closed enums of the SDKs for videos lack."""
MEANINGS = {"queued": "queued", "in_progress": "running", "validating": "queued", "finalizing": "running"} | {
    "cancelling": "running",
    "pending": "running",
}


def bodies(preset: str, *cases: str) -> list[tuple[str, Any, str]]:
    found = []
    for path in sorted((CASES / preset).glob("*/body.json")):
        told = tomllib.loads((path.parent / "case.toml").read_text())
        if "status" in told["expect"] and (not cases or path.parent.name in cases):
            found.append((path.parent.name, json.loads(path.read_text()), told["expect"]["status"]))
    return found


@pytest.mark.parametrize(("case", "body", "status"), bodies("openai-videos") + bodies("lumenfall"))
def test_the_openai_sdk_reads_the_same_video(case: str, body: Any, status: str) -> None:
    """Its types are closed, so a status outside of them is refused rather than misread.

    They also know four sizes only, fewer than gateways do, and want a progress
    that Lumenfall does not send.
    """
    if body["status"] in UNKNOWN_TO_SDK:
        return
    video = TypeAdapter(Video).validate_python({"progress": 0} | body | {"size": "1280x720"})

    expected = "completed" if case == "completed_without_output" else status
    assert MEANINGS.get(video.status, video.status) == expected
    assert (video.error is not None) == (body["error"] is not None)


@pytest.mark.parametrize(("case", "body", "status"), bodies("openai-batches"))
def test_the_openai_sdk_reads_the_same_batch(case: str, body: Any, status: str) -> None:
    """All eight statuses of the documents."""
    batch = TypeAdapter(Batch).validate_python(body)

    assert MEANINGS.get(batch.status, batch.status) == status


@pytest.mark.parametrize(
    ("case", "body", "status"),
    bodies(
        "getimg", "pending", "completed", "completed_absolute_url", "completed_two_items", "failed", "failed_moderated"
    ),
)
def test_the_getimg_sdk_reads_the_same_generation(case: str, body: Any, status: str) -> None:
    """Down to the address of the first file."""
    response: Any = TypeAdapter(GenerationRetrieveResponse).validate_python(body)

    assert MEANINGS.get(response.status, response.status) == status
    if status == "completed":
        assert response.data[0].url == body["data"][0]["url"]
    if status == "failed":
        assert response.error.message == body["error"]["message"]
