"""Reading requests: bodies and query parameters, each by its model."""

import asyncio
import re
from typing import Annotated, Literal, TypeVar, get_origin

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from relay.api.problems import ApiProblem, FieldError, Problem
from relay.core.delivery import DeliveryState
from relay.core.duration import parse_duration
from relay.core.errors import InvalidValue
from relay.core.instant import parse_instant
from relay.core.observation import Status

MAX_BODY = 256 * 1024
MAX_BATCH_BODY = 4 * 1024 * 1024
MAX_BATCH = 1000
BODY_S = 20.0
BODY: web.RequestKey[bytes] = web.RequestKey("body", bytes)
MAX_PAGE = 500
_MAX_DEADLINE_S = 366 * 86400.0

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Key = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]+$"
    ),
]
"""What stands for itself wherever it is shown: nothing that `relay.core.text` takes out."""
Value = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]*$")]
CallbackUrl = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
ModelT = TypeVar("ModelT", bound=BaseModel)


class WatchRequest(BaseModel):
    """What `POST /v1/watches` takes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    provider: Name = Field(description="By its name in the configuration.")
    job_id: Annotated[str, StringConstraints(min_length=1, max_length=2000)] = Field(
        description="The provider's own id."
    )
    params: dict[Key, Value] = Field(
        default_factory=dict, max_length=20, description="What the provider needs to be asked besides the id."
    )
    callback_url: CallbackUrl | None = Field(None, description="Where the outcome is POSTed, signed.")
    callback_urls: list[CallbackUrl] = Field(
        default_factory=list, max_length=100, description="Where it is POSTed besides, where there are several places."
    )
    destinations: list[Name] = Field(
        default_factory=list, max_length=20, description="Who is told besides: names of the configuration."
    )
    deadline: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        None, description='When to give up: a duration from now like "2h", or an RFC 3339 time.'
    )
    metadata: dict[Key, Value] = Field(default_factory=dict, max_length=50, description="Comes back in the event.")
    owner: Name | None = Field(
        None, description="Whose it is, by the name of their tokens; only an admin may add it for others."
    )

    def callbacks(self) -> list[tuple[str, str]]:
        """Return every callback URL, each behind the name of the field that holds it."""
        first = [] if self.callback_url is None else [("callback_url", self.callback_url)]
        return first + [(f"callback_urls.{index}", url) for index, url in enumerate(self.callback_urls)]


class TokenRequest(BaseModel):
    """What `POST /v1/tokens` takes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Key | None = Field(None, description="Whose it is; tokens of one name see the same watches.")
    scopes: list[Literal["watch", "read", "admin"]] = Field(
        min_length=1, max_length=3, description="`watch` adds and stops, `read` looks, `admin` may all, of everyone."
    )
    expires: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        None, description='When: a duration from now like "90d", or an RFC 3339 time; never where it is left out.'
    )


class BatchRequest(BaseModel):
    """What `POST /v1/watches/batch` takes; its items are checked one by one."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    watches: list[dict[str, object]] = Field(
        min_length=1, max_length=MAX_BATCH, description="Each as `POST /v1/watches` takes it."
    )


class ResendRequest(BaseModel):
    """What `POST /v1/deliveries/resend` takes: conditions that all have to hold, and how fast to go."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    state: list[Literal["delivered", "exhausted", "dropped"]] = Field(
        default=["exhausted"], min_length=1, max_length=3, description="In one of these states."
    )
    destination: Name | None = Field(None, description="To one destination; `callback` means callback URLs.")
    watch: Name | None = Field(None, description="Of one watch, by its id.")
    provider: Name | None = Field(None, description="Of one provider's jobs.")
    status: list[Name] = Field(default_factory=list, max_length=20, description="Of jobs with one of these outcomes.")
    type: list[Name] = Field(default_factory=list, max_length=20, description="Of events of one of these types.")
    since: Name | None = Field(None, description='Made since then: an RFC 3339 time, or a duration like "2h".')
    until: Name | None = Field(None, description="Made until then, likewise.")
    rate: Name = Field("10/s", description="At most so many per s, m, h or d.")
    dry_run: bool = Field(default=False, description="Count only.")


def _whole_number(text: object) -> object:
    """Let only plain digits be a number: "+5", "5_0" and " 5" are mistakes rather than numbers."""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError("must be a whole number")
    return int(text)


PageSize = Annotated[
    int, Field(ge=1, le=MAX_PAGE, description="Items on a page, at most."), BeforeValidator(_whole_number)
]
Words = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Query(BaseModel):
    """The query parameters that an operation knows; a list may be repeated, or written with commas."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoQuery(Query):
    """None."""


class WatchQuery(Query):
    """What `GET /v1/watches/{id}` knows."""

    wait: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="Seconds to hold the answer until the watch has ended; 60 at most count."
    )


class WatchesQuery(Query):
    """What `GET /v1/watches` knows; `metadata` collects the parameters that begin with `metadata.`"""

    status: list[Status] = Field(default_factory=list, description="In one of these states.")
    provider: Words | None = Field(None, description="Of one provider.")
    since: Words | None = Field(
        None, description='Added since then: an RFC 3339 time, or a duration before now like "1h".'
    )
    id_prefix: Words | None = Field(None, description="With an id that begins so.")
    metadata: dict[str, str] = Field(
        default_factory=dict, max_length=10, description="`metadata.KEY=VALUE`: with this metadata."
    )
    cursor: Annotated[str, StringConstraints(pattern=r"^wat_[0-9a-z]{26}$")] | None = Field(
        None, description="The `next_cursor` of the page before."
    )
    limit: PageSize = 50


class DeliveriesQuery(Query):
    """What `GET /v1/deliveries` knows."""

    state: list[DeliveryState] = Field(default_factory=list, description="In one of these states.")
    watch: Words | None = Field(None, description="Of one watch, by its id.")
    destination: Words | None = Field(None, description="To one destination; `callback` means callback URLs.")
    type: list[Words] = Field(default_factory=list, description="Of events of one of these types.")
    since: Words | None = Field(
        None, description='Made since then: an RFC 3339 time, or a duration before now like "1h".'
    )
    cursor: Words | None = Field(None, description="The `next_cursor` of the page before.")
    limit: PageSize = 50


class EventsQuery(Query):
    """What `GET /v1/events` knows."""

    type: list[Words] = Field(default_factory=list, description="Of one of these types.")
    provider: Words | None = Field(None, description="Of one provider.")
    watch: Words | None = Field(None, description="Of one watch, by its id or as provider:job_id.")
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")] | None = Field(
        None, description="The `next_cursor` of the page before; of a stream, where it begins rather than now."
    )
    limit: PageSize = 50


QueryT = TypeVar("QueryT", bound=Query)


def read_query(request: web.Request, model: type[QueryT]) -> QueryT:
    """Return the query parameters as `model`; raises ApiProblem with every one that is not valid."""
    given: dict[str, object] = {}
    errors: list[InvalidValue] = []
    for name in dict.fromkeys(request.query):
        values = request.query.getall(name)
        group, dot, key = name.partition(".")
        if name in model.model_fields and get_origin(model.model_fields[name].annotation) is list:
            given[name] = [part for value in values for part in value.split(",")]
        elif len(values) > 1:
            errors.append(InvalidValue(name, "is given more than once"))
        elif dot and key and group in _grouping(model):
            given.setdefault(group, {})[key] = values[0]  # type: ignore[index]  # made as a dict right here
        elif name in _grouping(model):
            errors.append(InvalidValue(name, f"is written as {name}.KEY=VALUE"))
        else:
            given[name] = values[0]
    try:
        query = model.model_validate(given)
    except ValidationError as error:
        errors += _parameter_errors(error)
    if errors:
        raise ApiProblem.of_fields(errors)
    return query


def _grouping(model: type[Query]) -> frozenset[str]:
    """Return the fields that collect every parameter which begins with their name and a dot."""
    return frozenset(name for name, field in model.model_fields.items() if get_origin(field.annotation) is dict)


def _parameter_errors(error: ValidationError) -> list[InvalidValue]:
    """Return one error for each parameter, however many of its values are wrong."""
    found: dict[str, InvalidValue] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(item["loc"][0])
        message = "is not a known parameter" if item["type"] == "extra_forbidden" else _sentence("", item["msg"])
        found.setdefault(name, InvalidValue(name, message))
    return list(found.values())


async def read_body(request: web.Request, limit: int) -> bytes:
    """Return the body, however often it is asked for; raises ApiProblem for one too large, slow or broken."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    if BODY not in request:
        try:
            async with asyncio.timeout(BODY_S):
                request[BODY] = await _read(request, limit)
        except TimeoutError:
            headers = {"Connection": "close"}
            raise ApiProblem(Problem.TOO_SLOW, f"a body has {BODY_S:.0f} s to arrive", headers=headers) from None
    if len(request[BODY]) > limit:
        raise _too_large(limit)
    return request[BODY]


async def _read(request: web.Request, limit: int) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise _too_large(limit)
    except (web.RequestPayloadError, ConnectionError) as error:
        told = "the body breaks off, or is not encoded as its headers say"
        raise ApiProblem(Problem.MALFORMED, told, headers={"Connection": "close"}) from error
    return bytes(body)


async def read_json(request: web.Request, model: type[ModelT], limit: int) -> ModelT:
    """Return the body as `model`; raises ApiProblem for one that is too large, not JSON, or not valid."""
    if request.content_type != "application/json":
        raise ApiProblem(Problem.UNSUPPORTED_MEDIA, "send the body with Content-Type: application/json")
    try:
        return model.model_validate_json(await read_body(request, limit))
    except ValidationError as error:
        raise invalid(error) from error


def _too_large(limit: int) -> ApiProblem:
    return ApiProblem(
        Problem.TOO_LARGE, f"the body is larger than {limit // 1024} KiB", headers={"Connection": "close"}
    )


def invalid(error: ValidationError) -> ApiProblem:
    """Return the problem that a model's errors amount to, every field named."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    if any(item["type"] == "json_invalid" for item in errors):
        return ApiProblem(Problem.MALFORMED, f"the body is not JSON: {errors[0]['msg'].partition(': ')[2]}")
    fields = [FieldError(_path(item["loc"]), _sentence(item["type"], item["msg"])) for item in errors]
    return ApiProblem(Problem.INVALID, "; ".join(f"{field.field} {field.message}" for field in fields), fields)


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "[key]") or "body"


def _sentence(kind: str, message: str) -> str:
    sentences = {"missing": "is required", "extra_forbidden": "is not a known key"}
    told = message.replace("Input should", "should").replace("String should", "should").removeprefix("Value error, ")
    return sentences.get(kind) or told


def deadline_of(text: str | None, default_s: float, now: float) -> float:
    """Return the instant that a deadline, "2h" or RFC 3339, names; raises InvalidValue for one that cannot be kept."""
    if text is None:
        return now + default_s
    instant = parse_instant(text) if "T" in text.upper() else None
    try:
        deadline = instant if instant is not None else now + parse_duration(text)
    except ValueError as error:
        raise InvalidValue("deadline", f'is neither a duration like "2h" nor an RFC 3339 time: {text!r}') from error
    if not now < deadline <= now + _MAX_DEADLINE_S:
        raise InvalidValue("deadline", "must lie in the future, at most a year ahead")
    return deadline


def past_moment(field: str, text: str | None, now: float) -> float | None:
    """Return the instant that an RFC 3339 time, or a duration before `now` like "1h", means."""
    if text is None:
        return None
    instant = parse_instant(text)
    if instant is not None:
        return instant
    try:
        return now - parse_duration(text)
    except ValueError as error:
        raise ApiProblem.of_fields([InvalidValue(field, f"{error}, or write an RFC 3339 time")]) from None
