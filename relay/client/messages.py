"""What clients and the API say to each other: requests out of arguments, values out of answers.

Nothing here does I/O, so that both clients speak alike.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

BATCH, BATCH_BYTES = 1000, 2 * 1024 * 1024
"""How many jobs, and bytes of them, one request hands over: the API takes as many jobs, and twice the bytes."""
LONG_POLL_S = 30.0
ANSWER_S = 15.0
"""How long an answer may take beyond what it is asked to be held for."""
SILENCE_S = 45.0
"""A stream that is silent for three heartbeats is dead."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0


class ClientError(Exception):
    """Something a client foresaw went wrong."""


class Unreachable(ClientError):
    """No relay answers."""


class ApiError(ClientError):
    """relay answered with an error: `status` is of HTTP, `problem` the document (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        self.status = status
        self.problem = problem

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (408, 429, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Watch:
    """A watch as the API shows it; `raw` holds everything, as it came."""

    id: str
    provider: str
    job_id: str
    status: str
    model: str | None
    metadata: Mapping[str, str]
    outputs: tuple[Mapping[str, Any], ...]
    error: Mapping[str, Any] | None
    cost: Mapping[str, Any] | None
    ended: bool
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def completed(self) -> bool:
        """Whether the job ended well."""
        return self.status == "completed"


@dataclass(frozen=True, slots=True)
class Event:
    """An event; `place` is where it stands in the stream, None where it came by a callback."""

    id: str
    type: str
    timestamp: str
    data: Mapping[str, Any]
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """A job of many that is watched; `created` is False where it was before."""

    id: str
    created: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """A job of many that is not watched, and why."""

    status: int
    detail: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the API, harmless when made twice; `hold_s` is how long its answer may be held."""

    method: str
    path: str
    body: Any = None
    hold_s: float = 0.0


def adding(
    provider: str,
    job_id: str,
    params: Mapping[str, str] | None,
    callback_url: str | None,
    destinations: Iterable[str],
    deadline: str | None,
    metadata: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Return a job as the API takes it."""
    wanted = {
        "provider": provider,
        "job_id": job_id,
        "params": dict(params or {}),
        "callback_url": callback_url,
        "destinations": _several(destinations),
        "deadline": deadline,
        "metadata": dict(metadata or {}),
    }
    return {key: value for key, value in wanted.items() if value}


def reading(reference: str, hold_s: float = 0.0) -> Request:
    """Return the request for a watch, by id or provider:job_id."""
    held = f"?wait={hold_s:.3f}" if hold_s else ""
    return Request("GET", f"/v1/watches/{quote(reference, safe=':')}{held}", hold_s=hold_s)


def stream_path(types: Iterable[str], provider: str | None, watch: str | None, since: str | None) -> str:
    """Return the path of a stream of events."""
    wanted = {"type": _several(types), "provider": provider, "watch": watch, "cursor": since}
    query = urlencode({key: value for key, value in wanted.items() if value}, doseq=True)
    return f"/v1/events?{query}" if query else "/v1/events"


def _several(names: Iterable[str]) -> list[str]:
    """Return names; a single one is no list of its letters."""
    return [names] if isinstance(names, str) else list(names)


def batches(jobs: Iterable[Mapping[str, Any]]) -> Iterator[Request]:
    """Yield the requests that hand over jobs, each as `add` takes it by keyword."""
    batch: list[Mapping[str, Any]] = []
    length = 0
    for wanted in [adding(**{**_NO_JOB, **job}) for job in jobs]:
        size = len(json.dumps(wanted))
        if len(batch) == BATCH or (batch and length + size > BATCH_BYTES):
            yield Request("POST", "/v1/watches/batch", {"watches": batch})
            batch, length = [], 0
        batch.append(wanted)
        length += size
    if batch:
        yield Request("POST", "/v1/watches/batch", {"watches": batch})


_NO_JOB: Mapping[str, Any] = {
    "params": None,
    "callback_url": None,
    "destinations": (),
    "deadline": None,
    "metadata": None,
}


def watch_of(shown: Mapping[str, Any]) -> Watch:
    """Return the watch that the API shows."""
    return Watch(
        id=shown["id"],
        provider=shown["provider"],
        job_id=shown["job_id"],
        status=shown["status"],
        model=shown["model"],
        metadata=shown["metadata"],
        outputs=tuple(shown.get("outputs") or ()),
        error=shown.get("error"),
        cost=shown.get("cost"),
        ended=shown["finalized_at"] is not None,
        raw=shown,
    )


def results_of(shown: Mapping[str, Any]) -> list[Added | Refused]:
    """Return what became of each job of a batch."""
    return [
        Added(item["id"], item["status"] == 201)
        if "id" in item
        else Refused(item["status"], str(item["problem"]["detail"]))
        for item in shown["items"]
    ]


def event_of(text: str | bytes, place: str | None = None) -> Event:
    """Return the event in a callback's body, or in the data of a stream; raises ValueError where there is none.

    A callback's has its id in the header `webhook-id`, and none here.
    """
    told = json.loads(text)
    if not isinstance(told, dict) or not isinstance(told.get("type"), str) or not isinstance(told.get("data"), dict):
        raise ValueError("this is no event of relay")  # noqa: TRY004 - the text is wrong, not its type
    return Event(str(told.get("id", "")), told["type"], str(told.get("timestamp", "")), told["data"], place)


def may_pass(error: ClientError, request: Request) -> bool:
    """Tell whether the same request may succeed later; one to be held, where relay holds no more, is made otherwise."""
    if isinstance(error, ApiError):
        return error.passing and not is_crowded(error, request)
    return isinstance(error, Unreachable)


def is_crowded(error: ApiError, request: Request) -> bool:
    """Tell whether relay does not hold `request`, as with a token of which it holds enough."""
    return error.status == 429 and request.hold_s > 0


def value_of(status: int, text: bytes, url: str) -> Any:
    """Return what an answer says; raises ApiError for an error, and Unreachable for what is not of relay."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if 300 <= status < 400 or not isinstance(value, dict):
        raise Unreachable(f"what answers at {url} is not relay")
    if status >= 400:
        raise ApiError(status, value)
    return value


class StreamReader:
    """Takes the lines of one stream apart (WHATWG HTML, section 9.2.6); `place` is where to resume.

    An id counts once its event is complete.  What a stream broke off in is lost
    with its reader, and comes again behind `place`.
    """

    def __init__(self, place: str | None) -> None:
        self.place = place
        self._read = place
        self._data: list[str] = []

    def line(self, raw: bytes) -> Event | None:
        """Take a line, and return the event that it completes, if it does."""
        text = raw.decode("utf-8", "replace").rstrip("\r\n")
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if text:
            if name == "id" and re.fullmatch(r"[0-9]+", value):
                self._read = value
            elif name == "data":
                self._data.append(value)
            return None
        self.place = self._read
        data, self._data = "\n".join(self._data), []
        return event_of(data, self.place) if data else None


def pause_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row."""
    return float(min(FIRST_PAUSE_S * 2 ** min(failures - 1, 10), LONGEST_PAUSE_S))
