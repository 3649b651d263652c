"""Six providers' own SDKs are given the recorded answers, and take them for what relay takes them for.

Each SDK's client asks, as it would ask its provider, an `httpx.MockTransport`
that answers with the body of the case: no socket is opened.  What it makes of
the answer is put into a `Reading`, and compared with relay's observation of
the same case.  What an SDK calls an end is written here by hand, from its source.
"""

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, get_args

import assemblyai
import fal_client
import httpx
import lumaai
import pytest
import replicate
import runwayml
import together
from assemblyai.api import get_transcript
from fal_client.client import FalClientHTTPError
from lumaai.types import Generation
from replicate.exceptions import ReplicateError
from replicate.helpers import FileOutput, transform_output
from replicate.prediction import Prediction
from runwayml.types import TaskRetrieveResponse
from test_provider_cases import CASES, NOW, SECRETS, Case
from together.types import VideoJob

from relay.core.http import Request
from relay.core.observation import JobError, Observation, Status, Trouble, TroubleKind

KEY = SECRETS["api_key"]


@dataclass(frozen=True)
class Reading:
    """What an SDK made of an answer: its literal (or class) of the status, and what came with it."""

    status: str
    urls: tuple[str, ...] = ()
    error: str | None = None
    code: str | None = None
    cost: float | None = None


Reader = Callable[[httpx.MockTransport, Case], Reading]


class Recorded:
    """A provider that gives the recorded answers, and remembers who asked for them."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        stem, prefix = ("second", "second_") if str(request.url) == self.case.told.get("then") else ("body", "")
        self.asked.append(request)
        answer = self.case.answer(stem, prefix)
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)


def cases(preset: str) -> Iterator[Case]:
    for path in sorted((CASES / preset).glob("*/case.toml")):
        yield Case(path.parent, tomllib.loads(path.read_text()))


def name(case: Case) -> str:
    return f"{case.folder.parent.name}/{case.folder.name}"


def observed(case: Case) -> Observation | Trouble:
    """Return what relay makes of the case, second step included."""
    answers = [case.answer("body")]
    meaning = case.provider.interpret(case.job, answers, SECRETS, NOW)
    if isinstance(meaning, Request):
        meaning = case.provider.interpret(case.job, [*answers, case.answer("second", "second_")], SECRETS, NOW)
    assert not isinstance(meaning, Request)
    return meaning


def by_replicate(transport: httpx.MockTransport, case: Case) -> Reading:
    """URLs in an output, of whatever shape, become files; before success they are parts of one."""
    client = replicate.Client(api_token=KEY, transport=transport)
    prediction = client.predictions.get(case.job.id)
    made = transform_output(prediction.output, client) if prediction.status == "succeeded" else None
    values = made.values() if isinstance(made, dict) else made if isinstance(made, list) else [made]
    urls = tuple(file.url for file in values if isinstance(file, FileOutput))
    return Reading(prediction.status, urls, prediction.error)


def by_fal(transport: httpx.MockTransport, case: Case) -> Reading:
    """A result is asked for as the SDK's `get` asks for it, which raises where there is none."""
    http = httpx.Client(transport=transport, headers=fal_client.SyncClient(KEY)._client.headers)
    handle = fal_client.SyncRequestHandle.from_request_id(http, "fal-ai/flux", case.job.id)
    status = handle.status()
    if not isinstance(status, fal_client.Completed) or status.error is not None:
        error, code = getattr(status, "error", None), getattr(status, "error_type", None)
        return Reading(type(status).__name__, error=error, code=code)
    return Reading("Completed", tuple(_urls(handle.get())))


def _urls(result: Any) -> Iterator[str]:
    """Yield every `url` of a result, which the SDK hands on as it came."""
    if isinstance(result, dict):
        yield from [result["url"]] if "url" in result else chain.from_iterable(map(_urls, result.values()))
    if isinstance(result, list):
        yield from chain.from_iterable(map(_urls, result))


def by_runway(transport: httpx.MockTransport, case: Case) -> Reading:
    http = httpx.Client(transport=transport)
    client = runwayml.RunwayML(api_key=KEY, http_client=http, max_retries=0, _strict_response_validation=True)
    task = client.tasks.retrieve(case.job.id)
    cost = task.cost.credits if task.status in ("SUCCEEDED", "FAILED", "CANCELLED") else None
    if task.status == "FAILED":
        return Reading("FAILED", error=task.failure, code=task.failure_code, cost=cost)
    return Reading(task.status, tuple(task.output) if task.status == "SUCCEEDED" else (), cost=cost)


def by_luma(transport: httpx.MockTransport, case: Case) -> Reading:
    http = httpx.Client(transport=transport)
    client = lumaai.LumaAI(auth_token=KEY, http_client=http, max_retries=0, _strict_response_validation=True)
    generation = client.generations.get(case.job.id)
    assets = (generation.assets.video, generation.assets.image) if generation.assets else ()
    return Reading(generation.state or "", tuple(filter(None, assets)), generation.failure_reason)


def by_assemblyai(transport: httpx.MockTransport, case: Case) -> Reading:
    """The SDK makes its own HTTP client, whose headers and address are taken over."""
    own = assemblyai.Client(api_key=KEY).http_client
    http = httpx.Client(transport=transport, headers=own.headers, base_url=own.base_url)
    transcript = get_transcript(http, case.job.id)
    return Reading(transcript.status.value, error=transcript.error)


def by_together(transport: httpx.MockTransport, case: Case) -> Reading:
    http = httpx.Client(transport=transport)
    client = together.Together(api_key=KEY, http_client=http, max_retries=0, _strict_response_validation=True)
    video = client.videos.retrieve(case.job.id)
    error = video.error
    return Reading(
        video.status,
        (video.outputs.video_url,) if video.outputs else (),
        error.message if error else None,
        error.code if error else None,
        video.outputs.cost if video.outputs else None,
    )


READERS: dict[str, Reader] = {
    "replicate": by_replicate,
    "fal": by_fal,
    "runway": by_runway,
    "luma": by_luma,
    "assemblyai": by_assemblyai,
    "together": by_together,
}
MEANINGS = {
    "replicate": {
        "starting": "queued",
        "processing": "running",
        "succeeded": "completed",
        "failed": "failed",
        "canceled": "cancelled",
    },
    "fal": {"Queued": "queued", "InProgress": "running", "Completed": "completed"},
    "runway": {
        "PENDING": "queued",
        "THROTTLED": "queued",
        "RUNNING": "running",
        "SUCCEEDED": "completed",
        "FAILED": "failed",
        "CANCELLED": "cancelled",
    },
    "luma": {"queued": "queued", "dreaming": "running", "completed": "completed", "failed": "failed"},
    "assemblyai": {"queued": "queued", "processing": "running", "completed": "completed", "error": "failed"},
    "together": {"in_progress": "running", "completed": "completed", "failed": "failed"},
}
"""Every status that each SDK knows, in relay's words."""

BEYOND_SDK = {
    "replicate/aborted": ValueError,
    "fal/cancelled": ValueError,
    "fal/failed": ValueError,
    "together/cancelled": together.APIResponseValidationError,
}
"""Statuses of the documents, or of gateways, that the closed types of an SDK lack."""

REFUSALS = {
    "replicate/http_404": ReplicateError,
    "fal/http_401": FalClientHTTPError,
    "fal/completed_result_gone": FalClientHTTPError,
    "fal/completed_result_unavailable": FalClientHTTPError,
    "runway/http_404": runwayml.NotFoundError,
    "luma/http_404": lumaai.NotFoundError,
    "assemblyai/http_401": assemblyai.types.TranscriptError,
    "together/http_404": together.NotFoundError,
}
CODES = {TroubleKind.MISSING: 404, TroubleKind.UNAUTHORIZED: 401, TroubleKind.UNAVAILABLE: 502}

RESULT_REFUSED = (
    "completed_result_refused",
    "completed_result_refused_in_text",
    "completed_result_too_early",
    "completed_result_too_large",
    "completed_result_unsupported",
)
APART = {
    "replicate/http_429",  # the SDK sleeps and asks again, ten times
    "replicate/succeeded_by_version",  # the SDK takes no prediction without a model
    "fal/completed_with_error_object",  # the SDK hands on the object, for it knows an error as text only
    "fal/completed_result_refused_in_error",  # the SDK looks for the words in "detail" only
    "fal/completed_result_refused_in_plain_error",  # the same
    "fal/completed_result_elsewhere",  # the SDK makes the address of the result itself, and reads no other
    "fal/completed_result_still_running",  # the SDK takes any 2xx for the result
    *(f"fal/{case}" for case in RESULT_REFUSED),  # their own test is below
}
ALL = {name(case): case for case in chain.from_iterable(map(cases, READERS))}
READ = [ALL[case] for case in sorted(ALL.keys() - BEYOND_SDK.keys() - REFUSALS.keys() - APART)]


def read(case: Case) -> tuple[Reading, list[httpx.Request]]:
    """Return what the SDK makes of a case, and what it asked for."""
    recorded = Recorded(case)
    return READERS[case.folder.parent.name](httpx.MockTransport(recorded), case), recorded.asked


@pytest.mark.parametrize("case", READ, ids=name)
def test_the_sdk_takes_an_answer_for_what_relay_takes_it_for(case: Case) -> None:
    """Status, URLs, error and cost; only a success that gives no file is relay's own failure."""
    reading, _ = read(case)
    meaning = observed(case)

    assert isinstance(meaning, Observation)
    error = meaning.error or JobError()
    if error.code == "output_missing":
        assert MEANINGS[case.folder.parent.name][reading.status] == "completed"
        assert (reading.urls, reading.error) == ((), None)
        return
    ended_badly = reading.status == "Completed" and reading.error is not None  # fal: ended, not how
    status = "failed" if ended_badly else MEANINGS[case.folder.parent.name][reading.status]
    assert status == meaning.status
    assert reading.urls == tuple(output.url for output in meaning.outputs)
    assert (reading.error, reading.code) == (error.message, error.code)
    assert reading.cost == (meaning.cost.amount if meaning.cost else None)


def test_every_status_of_every_sdk_is_among_the_cases() -> None:
    """As the types of each SDK list them: one that a new version knows, and no case has, would go unwitnessed."""
    seen = {preset: {read(case)[0].status for case in READ if case.folder.parent.name == preset} for preset in READERS}

    tasks = get_args(get_args(TaskRetrieveResponse)[0])
    known = {
        "replicate": literals(Prediction.__annotations__["status"]),
        "fal": {kind.__name__ for kind in fal_client.Status.__subclasses__()},
        "runway": set().union(*(literals(task.model_fields["status"].annotation) for task in tasks)),
        "luma": literals(Generation.model_fields["state"].annotation),
        "assemblyai": {status.value for status in assemblyai.TranscriptStatus},
        "together": literals(VideoJob.model_fields["status"].annotation),
    }
    assert seen == known == {preset: set(meanings) for preset, meanings in MEANINGS.items()}


def literals(annotation: Any) -> set[str]:
    """Return the words of a `Literal`, which may be optional."""
    words = chain.from_iterable(get_args(part) or [part] for part in get_args(annotation))
    return {word for word in words if isinstance(word, str)}


@pytest.mark.parametrize("case", READ, ids=name)
def test_the_sdk_asks_as_relay_asks(case: Case) -> None:
    """The same addresses with the same key, and Runway's version of its API."""
    _, asked = read(case)
    ours = case.provider.request(case.job, SECRETS, NOW)

    assert asked[0].method == ours.method
    assert str(asked[0].url.copy_with(query=None)) == ours.url  # fal's SDK adds logs=false, which is the default
    for key in ours.headers.keys() & {"Authorization", "X-Runway-Version"}:
        assert asked[0].headers[key] == ours.headers[key]
    assert str(asked[-1].url) == case.told.get("then", str(asked[0].url))


@pytest.mark.parametrize("case", sorted(BEYOND_SDK))
def test_a_status_beyond_the_sdk_is_refused_and_not_misread(case: str) -> None:
    """So no SDK gives such a status another meaning than relay does."""
    meaning = observed(ALL[case])

    with pytest.raises(BEYOND_SDK[case]) as raised:
        read(ALL[case])
    assert "status" in f"{raised.value} {raised.value.__cause__}"
    assert isinstance(meaning, Observation)
    assert meaning.status in (Status.CANCELLED, Status.FAILED)


@pytest.mark.parametrize("case", sorted(REFUSALS))
def test_the_sdk_raises_where_relay_sees_trouble(case: str) -> None:
    """With the HTTP code of that trouble, and with the same words."""
    meaning = observed(ALL[case])

    with pytest.raises(REFUSALS[case]) as raised:
        read(ALL[case])
    assert isinstance(meaning, Trouble)
    code = getattr(raised.value, "status_code", None) or getattr(raised.value, "status", None)
    assert code == CODES[meaning.kind]
    assert meaning.detail.removeprefix(f"HTTP {code}").removeprefix(": ") in str(raised.value)


@pytest.mark.parametrize("case", RESULT_REFUSED)
def test_the_fal_sdk_raises_where_the_result_is_refused(case: str) -> None:
    """Its `message` is the `detail` that relay takes its words from."""
    told = ALL[f"fal/{case}"]
    meaning = observed(told)

    with pytest.raises(FalClientHTTPError) as raised:
        read(told)
    assert isinstance(meaning, Observation)
    detail: Any = raised.value.message
    if meaning.error is None:
        assert (meaning.status, detail) == (Status.RUNNING, "Request is still in progress")
    elif meaning.error.code is None:
        assert meaning.error.message == detail
    else:
        assert (meaning.error.code, meaning.error.message) == (detail[0]["type"], detail[0]["msg"])
