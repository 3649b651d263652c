"""HTTP as values: what relay sends, what came back, and why nothing did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum

from relay.core.errors import RelayError

MAX_WAIT_S = 86400.0
"""The longest that a remote side may ask us to wait in one step."""
RETRY_HEADERS = ("retry-after-ms", "retry-after")
"""What `retry_after_s` reads: milliseconds, as OpenAI sends them, before seconds or a date."""

MAX_BODY = 1024 * 1024
"""How many bytes are read of an answer about a job, unless the provider's description says otherwise."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, complete: `url` is sent byte for byte as it stands.

    `doubt` is what went wrong in making it, where it can be sent nevertheless;
    `plain` tells of a message that it is text without layout.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    doubt: str | None = None
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; header names are in lower case.

    `complete` is False where the body was cut at the limit of its caller, or could not be unpacked.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    complete: bool = True
    elapsed_s: float = 0.0

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none stands as U+FFFD, as in a text that was cut within a character."""
        return self.body.decode("utf-8-sig", "replace")


class Fault(StrEnum):
    """Why a request got no answer."""

    DNS = "dns"
    CONNECT = "connect"
    CERTIFICATE = "certificate"
    """The other side's is not valid: expired, for another name, or of an unknown issuer."""
    TLS = "tls"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    PROTOCOL = "protocol"
    REFUSED = "refused"
    """A library that spoke with the other side says that this did not take it, and no more."""
    FORBIDDEN_ADDRESS = "forbidden_address"
    LOCAL = "local"
    """Our own side's: no route, no file descriptors, the egress proxy. Never held against the remote side."""


class TransportError(RelayError):
    """A request got no answer.

    `unread` is what came where only the body cannot be unpacked, for those to whom the status says enough.
    """

    def __init__(self, fault: Fault, detail: str, unread: Response | None = None) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail
        self.unread = unread


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return how long the other side asks us to wait, at most MAX_WAIT_S, or None.

    Reads `retry-after-ms` (milliseconds, as OpenAI sends it) before
    `Retry-After` (RFC 9110, section 10.2.3: seconds or a date; a fraction is
    tolerated).  A moment in the past means now; what cannot be read means
    nothing was asked.
    """
    in_ms, in_s = RETRY_HEADERS
    millis = _number(headers.get(in_ms))
    if millis is not None:
        return _bounded(millis / 1000)
    value = headers.get(in_s)
    seconds = _number(value)
    if seconds is not None:
        return _bounded(seconds)
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:  # the form of C's asctime, which means UTC too
        moment = moment.replace(tzinfo=UTC)
    return _bounded(moment.timestamp() - now)


def rate_reset_s(value: str | None, now: float) -> float | None:
    """Return the seconds until a rate-limit window ends, at most MAX_WAIT_S, or None.

    Three units are in use: Unix milliseconds, Unix seconds, and seconds from
    now.  They are told apart by size.
    """
    number = _number(value)
    if number is None:
        return None
    if number > 1e12:
        return _bounded(number / 1000 - now)
    if number > 1e9:
        return _bounded(number - now)
    return _bounded(number)


def _number(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        number = float(value.strip())
    except ValueError:
        return None
    return number if number == number and "_" not in value else None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_WAIT_S)
