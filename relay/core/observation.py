"""What a poll told us, in one vocabulary for all providers."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from relay.core.errors import InvalidValue


class Status(StrEnum):
    """Where a watched job stands; all but the first two are outcomes, which never change again."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    NOT_FOUND = "not_found"
    TIMED_OUT = "timed_out"
    """The deadline of the watch passed: ours, not the provider's word."""

    @property
    def terminal(self) -> bool:
        return self not in (Status.QUEUED, Status.RUNNING)


OUTCOMES = tuple(status for status in Status if status.terminal)


@dataclass(frozen=True, slots=True)
class Output:
    """One file or value that the job made; what the provider did not say is None."""

    url: str
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    fps: float | None = None
    has_audio: bool | None = None
    size_bytes: int | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job has no result, in the provider's words.

    `user_message` is the text that the provider wrote for end users, where it
    has one; `moderated` tells whether a content filter stopped the job.
    """

    code: str | None = None
    message: str | None = None
    user_message: str | None = None
    moderated: bool | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What the job cost, as far as the provider tells; numbers are never derived."""

    amount: float | None = None
    currency: str | None = None
    unit: str | None = None
    unit_price: float | None = None
    quantity: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """The provider's unit of work, as far as asking about it needs."""

    id: str
    params: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """One normalised reading of a job.

    `provider_status` is the provider's literal; `known` is False where the
    provider's description does not list it.  `poll_after_s` is the provider's
    wish for the next look.  `raw` is the body where it was JSON, verbatim
    but for a credential that it quotes.
    """

    status: Status
    provider_status: str | None = None
    known: bool = True
    model: str | None = None
    outputs: tuple[Output, ...] = ()
    error: JobError | None = None
    cost: Cost | None = None
    created_at: float | None = None
    completed_at: float | None = None
    progress: float | None = None
    queue_position: int | None = None
    eta_s: float | None = None
    poll_after_s: float | None = None
    raw: str | None = field(default=None, repr=False)


class TroubleKind(StrEnum):
    """Whose trouble kept a poll from being an observation."""

    UNAUTHORIZED = "unauthorized"
    """The credential was refused (401, 402): every watch of it waits, and it is told once that is confirmed."""
    FORBIDDEN = "forbidden"
    """The request was refused (403): about the job while others are answered, else about the credential."""
    RATE_LIMITED = "rate_limited"
    """The credential spent its polls (429)."""
    MISSING = "missing"
    """The provider knows no such job (404, 410): an outcome once confirmed."""
    REFUSED = "refused"
    """The provider refused the request (other 4xx): a wrong parameter or a wrong description."""
    UNAVAILABLE = "unavailable"
    """The provider failed (5xx), sent us elsewhere (3xx) or could not be reached."""
    OVERSIZED = "oversized"
    """The provider says more about this job than is read of an answer."""
    MALFORMED = "malformed"
    """The answer was not what the provider documents: HTML, half a body, not JSON."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A poll that told nothing about the job.

    `detail` is one line, free of secrets; `retry_after_s` is the provider's
    wish, already bounded.
    """

    kind: TroubleKind
    detail: str
    retry_after_s: float | None = None


Answer = Observation | Trouble

JOB_ID_LIMIT = 512
_ID = re.compile(r"[A-Za-z0-9._:~=@+,-]+")


def check_id(field_name: str, value: str) -> str:
    """Return `value`, a job id as it may stand in a URL.

    Raises InvalidValue for one that could leave its place there: anything but
    letters, digits and ``-_.:~=@+,``, or two dots in a row.
    """
    if not value:
        raise InvalidValue(field_name, "must not be empty")
    if len(value) > JOB_ID_LIMIT:
        raise InvalidValue(field_name, f"is longer than {JOB_ID_LIMIT} characters")
    allowed = _ID.match(value)
    end = allowed.end() if allowed else 0
    if end < len(value):
        raise InvalidValue(field_name, f"must not contain {value[end]!r}")
    if ".." in value or value == ".":
        raise InvalidValue(field_name, 'must not contain ".."')
    return value
