"""What a provider file may say: the schema of relay's description of a polling API."""

import re
import string
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from relay.core.budget import Rate
from relay.core.duration import LONGEST_S, parse_duration
from relay.core.size import parse_size
from relay.providers.paths import PathList

MOST_BODY = 64 * 1024 * 1024
"""No file may ask for more of an answer: it is held in memory, and read in one go."""

Meaning = Literal[
    "queued",
    "running",
    "completed",
    "failed",
    "cancelled",
    "expired",
    "missing",
    "unauthorized",
    "forbidden",
    "rate_limited",
    "refused",
    "unavailable",
]
"""What a rule may conclude: a status of the job, or whose trouble it is."""


def fold(literal: object) -> str:
    """Return a status literal as it is compared: trimmed, lower case, with ``_`` for spaces and dashes."""
    text = str(literal).lower() if isinstance(literal, bool) else str(literal)
    return re.sub(r"[\s-]+", "_", text.strip().lower())


def _duration(text: str) -> str:
    if parse_duration(text) > LONGEST_S:
        raise ValueError("is longer than a hundred years")
    return text


def _positive(text: str) -> str:
    if parse_duration(text) <= 0:
        raise ValueError("must be longer than 0s")
    return text


def _size(text: str) -> str:
    if parse_size(text) > MOST_BODY:
        raise ValueError(f'"{text}" is more than the {MOST_BODY // 1024**2} MiB that are read of an answer at most')
    return text


def _rate(text: str) -> str:
    Rate.parse(text)
    return text


def _template(text: str) -> str:
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f'"{text}" is not a template: {error}') from None
    if not all(name is None or (name.isidentifier() and not form and not turn) for _, name, form, turn in parts):
        raise ValueError(f'"{text}" is not a template: write {{name}} for a variable')
    return text


def _json_template(value: JsonValue) -> JsonValue:
    for text in json_texts(value):
        _template(text)
    return value


def _host(text: str) -> str:
    if not re.fullmatch(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+", text):
        raise ValueError(f'"{text}" is not a host; write "api.example.com", or "*.example.com" for all below it')
    return text


def _http_code(value: int | str) -> int | str:
    if isinstance(value, str) and not re.fullmatch(r"[1-5]xx", value):
        raise ValueError(f'"{value}" is neither an HTTP code nor a class like "4xx"')
    return value


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(f'"{text}" is not a base URL; write https://host/path')
    return text.rstrip("/")


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, OverflowError) as error:
        raise ValueError(f'"{text}" is not a regular expression: {error}') from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    return text


DurationText = Annotated[str, AfterValidator(_duration)]
PositiveDurationText = Annotated[DurationText, AfterValidator(_positive)]
SizeText = Annotated[str, AfterValidator(_size)]
RateText = Annotated[str, AfterValidator(_rate)]
Template = Annotated[str, AfterValidator(_template)]
JsonTemplate = Annotated[JsonValue, AfterValidator(_json_template)]
Host = Annotated[str, AfterValidator(_host)]
HttpCode = Annotated[int | str, AfterValidator(_http_code)]
BaseUrl = Annotated[str, AfterValidator(_url)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Auth(_Part):
    """How the credential travels; `secret` names the configuration key that holds it."""

    type: Literal["bearer", "header", "query", "jwt_hs256", "none"] = "bearer"
    name: str | None = Field(None, description="The header or query parameter, for those types.")
    prefix: str = Field("", description='What stands before the secret in the header, such as "Key ".')
    secret: str = "api_key"  # noqa: S105 - the name of one, not its value
    issuer: str | None = Field(None, description="The secret that holds the access key of a JWT.")

    @model_validator(mode="after")
    def _complete(self) -> "Auth":
        if self.type in ("header", "query") and not self.name:
            raise ValueError(f'auth of type "{self.type}" needs a name')
        if self.type == "jwt_hs256" and not self.issuer:
            raise ValueError('auth of type "jwt_hs256" needs an issuer')
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets it takes."""
        if self.type == "none":
            return ()
        return (self.secret, self.issuer) if self.issuer else (self.secret,)


class Param(_Part):
    """A job variable beside the id, given when the job is registered."""

    required: bool = False
    aliases: tuple[str, ...] = Field((), description="Other names under which it is accepted.")
    default: str | None = None
    pattern: Pattern = r"[^\x00-\x1f\x7f]{1,500}"
    slashes: bool = Field(default=False, description="A resource name, whose slashes part segments of the path.")
    description: str = ""


class Poll(_Part):
    """The status request."""

    method: Literal["GET", "POST"] = "GET"
    path: Template | None = Field(None, description="Joined to base_url; {id} and {param} are escaped.")
    url_param: str | None = Field(
        None, description="The parameter that may hold the whole status URL of a job; it wins over path."
    )
    hosts: tuple[Host, ...] = Field((), description="Hosts that such a URL may name, beside that of base_url.")
    query: Mapping[str, Template] = Field(default_factory=dict)
    body: Mapping[str, JsonTemplate] | None = Field(None, description="A JSON body, for POST.")
    headers: Mapping[str, str] = Field(default_factory=dict)
    binary: bool = Field(default=False, description="A 200 that is neither JSON nor text is the finished file itself.")

    @model_validator(mode="after")
    def _one_address(self) -> "Poll":
        if self.path is None and self.url_param is None:
            raise ValueError("needs a path or a url_param")
        return self


class Condition(_Part):
    """A test of the body: the path finds one of these values, or this text occurs anywhere in the body."""

    path: PathList | None = None
    equals: tuple[str | int | bool, ...] = ()
    contains: str | None = None


class HttpRule(_Part):
    """What an HTTP code means here, where it is not what it means everywhere."""

    code: tuple[HttpCode, ...]
    when: Condition | None = None
    means: Literal[Meaning, "body"]


class Envelope(_Part):
    """A result code inside a 200; any other value than `ok` is trouble, by default the provider's own."""

    path: PathList
    ok: tuple[int | str | bool, ...]
    missing: tuple[int | str, ...] = ()
    unauthorized: tuple[int | str, ...] = ()
    rate_limited: tuple[int | str, ...] = ()
    failed: tuple[int | str, ...] = ()


class PresenceRule(_Part):
    """A status told by what the body holds, looked at before the literal."""

    present: PathList
    means: Literal["queued", "running", "completed", "failed", "cancelled", "expired"]

    def holds(self, body: object) -> bool:
        """Tell whether the body holds it; what is empty or false counts as absent."""
        return self.present.find(body) not in (None, False, "", [], {})


class StatusRules(_Part):
    """Where the status stands, and what each literal means; a literal not listed keeps the poll going."""

    path: PathList | None = None
    queued: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    completed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    rules: tuple[PresenceRule, ...] = ()

    @model_validator(mode="after")
    def _unambiguous(self) -> "StatusRules":
        known = self.literals()
        for literal, meaning in self._folded():
            if known[literal] != meaning:
                raise ValueError(f'"{literal}" stands under {meaning} and under {known[literal]}')
        return self

    def literals(self) -> dict[str, Meaning]:
        """Return what each folded literal means."""
        return dict(self._folded())

    def _folded(self) -> Iterator[tuple[str, Meaning]]:
        meanings: tuple[Meaning, ...] = (
            "queued",
            "running",
            "completed",
            "failed",
            "cancelled",
            "expired",
            "missing",
        )
        return ((fold(literal), meaning) for meaning in meanings for literal in getattr(self, meaning))


class OutputFields(_Part):
    """Where the facts about an output stand."""

    content_type: PathList | None = None
    width: PathList | None = None
    height: PathList | None = None
    duration_s: PathList | None = None
    fps: PathList | None = None
    has_audio: PathList | None = None
    size_bytes: PathList | None = None
    expires_at: PathList | None = None


class Outputs(OutputFields):
    """What the job made: `items` finds text, an object, or a list of either; fields are relative to an item."""

    items: PathList
    url: PathList | None = Field(None, description="The URL inside an item that is an object.")
    address: Template | None = Field(
        None, description="Where the API itself serves an item, below base_url; {item} is its text or url."
    )
    common: OutputFields | None = Field(None, description="Facts that stand beside the items, from the body's root.")
    lifetime: DurationText | None = Field(None, description="How long outputs live, where the body does not say.")
    text: bool = Field(default=False, description="Items may be text: that they are there counts as output.")


class ErrorPaths(_Part):
    """Why a job failed."""

    code: PathList | None = None
    message: PathList | None = None
    user_message: PathList | None = None
    moderated: PathList | None = Field(None, description="True, a positive number or a non-empty list: filtered.")
    moderated_codes: tuple[str, ...] = Field((), description="Error codes or status literals that say the same.")


class CostPaths(_Part):
    """What the job cost."""

    amount: PathList | None = None
    currency: PathList | None = None
    fixed_currency: str | None = None
    unit: PathList | None = None
    fixed_unit: str | None = None
    unit_price: PathList | None = None
    quantity: PathList | None = None


class Then(_Part):
    """A second request after success, whose answer holds the outputs."""

    path: Template | None = None
    url: PathList | None = Field(None, description="The whole URL, from the first body.")
    variables: Mapping[str, PathList] = Field(default_factory=dict, description="Variables from the first body.")
    http: tuple[HttpRule, ...] = ()
    outputs: Outputs
    error: ErrorPaths = ErrorPaths()

    @model_validator(mode="after")
    def _one_address(self) -> "Then":
        if (self.path is None) == (self.url is None):
            raise ValueError("give either path or url")
        return self


class Hint(_Part):
    """The provider's wish for the next poll, in the body."""

    path: PathList
    unit: Literal["s", "ms"] = "s"


class Progress(_Part):
    """How far the job is; `scale` is the number that means done."""

    path: PathList
    scale: float = Field(100, gt=0)


class DefaultValues(_Part):
    """What the configuration may override."""

    typical_duration: PositiveDurationText = "60s"
    min_interval: PositiveDurationText = "1s"
    max_interval: PositiveDurationText = "30s"
    deadline: PositiveDurationText = "6h"
    not_found_grace: DurationText = "30s"
    rate: RateText | None = None
    concurrency: int = Field(16, ge=1, le=1000)


class ProviderSpec(_Part):
    """One polling API, described."""

    title: str
    documents: tuple[str, ...] = ()
    base_url: BaseUrl | None = Field(None, description="Absent where every account has its own host.")
    auth: Auth = Auth()
    id_pattern: Pattern | None = Field(None, description="For ids that are resource names; used unescaped.")
    params: Mapping[str, Param] = Field(default_factory=dict)
    poll: Poll
    http: tuple[HttpRule, ...] = ()
    envelope: Envelope | None = None
    status: StatusRules = StatusRules()
    outputs: Outputs | None = None
    require_output: bool = True
    then: Then | None = None
    error: ErrorPaths = ErrorPaths()
    cost: CostPaths | None = None
    model: PathList | None = None
    model_param: str | None = Field(None, description="The parameter that names the model, where the body does not.")
    created_at: PathList | None = None
    completed_at: PathList | None = None
    progress: Progress | None = None
    queue_position: PathList | None = None
    eta: Hint | None = None
    max_body: SizeText = Field("1MiB", description="What is read of an answer, where that holds the result itself.")
    poll_after: Hint | None = None
    defaults: DefaultValues = DefaultValues()

    @model_validator(mode="after")
    def _consistent(self) -> "ProviderSpec":
        poll, then, outputs = self.poll, self.then, self.outputs
        known = {"id", *self.params}
        _check_names([poll.path or "", *poll.query.values(), *json_texts(poll.body)], known)
        _check_names([outputs.address or "" if outputs else ""], known | {"item"})
        if then is not None:
            _check_names([then.path or "", then.outputs.address or ""], known | {*then.variables, "item"})
        for name in filter(None, (poll.url_param, self.model_param)):
            if name not in self.params:
                raise ValueError(f'"{name}" is not one of params')
        has_end = self.status.completed or self.status.rules or poll.binary
        if not has_end and not any(rule.means == "completed" for rule in self.http):
            raise ValueError("nothing in this file ever means completed")
        return self


def _check_names(templates: list[str], known: set[str]) -> None:
    for template in templates:
        for name in template_names(template):
            if name not in known:
                raise ValueError(f'{{{name}}} is neither "id" nor one of params')


def json_texts(value: object) -> Iterator[str]:
    """Yield every text inside a JSON value, which may be a template."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from json_texts(item)


def template_names(template: str) -> list[str]:
    """Return the variables of a template."""
    return [name for _, name, _, _ in string.Formatter().parse(template) if name]
