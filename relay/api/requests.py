"""Reading requests: bodies, models, query parameters."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from relay.api.problems import ApiProblem, FieldError, Problem
from relay.core.duration import parse_duration
from relay.core.errors import InvalidValue
from relay.core.instant import parse_instant

MAX_BODY = 256 * 1024
MAX_BATCH_BODY = 4 * 1024 * 1024
MAX_BATCH = 1000
MAX_PAGE = 500
_MAX_DEADLINE_S = 366 * 86400.0

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Value = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00]*$")]
ModelT = TypeVar("ModelT", bound=BaseModel)


class WatchRequest(BaseModel):
    """What `POST /v1/watches` takes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    provider: Name
    job_id: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    params: dict[Key, Value] = Field(default_factory=dict, max_length=20)
    callback_url: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = None
    destinations: list[Name] = Field(default_factory=list, max_length=20)
    deadline: Annotated[str, StringConstraints(max_length=100)] | None = None
    metadata: dict[Key, Value] = Field(default_factory=dict, max_length=50)


class BatchRequest(BaseModel):
    """What `POST /v1/watches/batch` takes; its items are checked one by one."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    watches: list[dict[str, object]] = Field(min_length=1, max_length=MAX_BATCH)


async def read_json(request: web.Request, model: type[ModelT], limit: int) -> ModelT:
    """Return the body as `model`; raises ApiProblem for one that is too large, not JSON, or not valid."""
    if request.content_type != "application/json":
        raise ApiProblem(Problem.UNSUPPORTED_MEDIA, "send the body with Content-Type: application/json")
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    try:
        return model.model_validate_json(bytes(body))
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
    return sentences.get(kind) or message.replace("Input should", "should").replace("String should", "should")


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


def known_parameters(query: Mapping[str, str], known: frozenset[str], prefix: str = "\0") -> None:
    """Raise the problem of a query that holds other parameters than these."""
    unknown = sorted(name for name in query if name not in known and not name.startswith(prefix))
    if unknown:
        raise ApiProblem.of_fields([InvalidValue(name, "is not a known parameter") for name in unknown])


def page_limit(query: Mapping[str, str], default: int = 50) -> int:
    """Return how many items a page shall hold."""
    text = query.get("limit", str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PAGE):
        raise ApiProblem.of_fields([InvalidValue("limit", f"must be a number from 1 to {MAX_PAGE}")])
    return int(text)
