"""Answers that tell nothing about the job: whose trouble they are, in one line."""

import re
from dataclasses import replace
from typing import Any

from relay.core.http import Response, rate_reset_s, retry_after_s
from relay.core.observation import Answer, Trouble, TroubleKind
from relay.core.text import one_line
from relay.providers import extract
from relay.providers.paths import Paths

_BY_CODE = {
    401: TroubleKind.UNAUTHORIZED,
    402: TroubleKind.UNAUTHORIZED,
    403: TroubleKind.FORBIDDEN,
    404: TroubleKind.MISSING,
    408: TroubleKind.UNAVAILABLE,
    409: TroubleKind.UNAVAILABLE,
    410: TroubleKind.MISSING,
    425: TroubleKind.UNAVAILABLE,
    429: TroubleKind.RATE_LIMITED,
}
"""What a code means where the description does not say otherwise; other 4xx are refused, 3xx and 5xx unavailable."""

_MESSAGE = Paths(("error.message", "message", "error", "detail", "msg", "base_resp.status_msg", "errors[0]", "title"))
_QUERY = re.compile(r"(://[^\s?#\"'<>]*)[?#][^\s\"'<>]*")


def kind_of(status: int) -> TroubleKind:
    """Return what an HTTP code other than 2xx means everywhere."""
    return _BY_CODE.get(status, TroubleKind.REFUSED if 400 <= status < 500 else TroubleKind.UNAVAILABLE)


def told(kind: TroubleKind, response: Response, body: Any, now: float, *, code: str | None = None) -> Trouble:
    """Return the trouble with the HTTP code and what the provider says itself.

    A rate-limit reset counts for a 429 only: elsewhere it may describe the
    limit of another endpoint.
    """
    wait = retry_after_s(response.headers, now)
    if wait is None and response.status == 429:
        wait = rate_reset_s(response.headers.get("x-ratelimit-reset"), now)
    said = next((shown for found in _MESSAGE.each(body) if (shown := extract.text(found))), None)
    if 300 <= response.status < 400:
        said = "a redirect, which is not followed"
    head = f"HTTP {response.status}" + (f", code {code}" if code else "")
    return Trouble(kind, one_line(f"{head}: {said}" if said else head), wait)


def malformed(response: Response, why: str | None = None) -> Trouble:
    """Return the trouble of an answer that is not what the provider documents."""
    if why is None:
        start = response.body[:200].lstrip(b"\xef\xbb\xbf \t\r\n")
        why = "it is empty" if not start else "it is a web page" if start.startswith(b"<") else "it is not JSON"
    return Trouble(TroubleKind.MALFORMED, f"HTTP {response.status}: the answer cannot be used: {why}")


def too_large(response: Response) -> Trouble:
    """Return the trouble of an answer that was cut at the limit."""
    return replace(malformed(response, f"it is larger than {len(response.body)} bytes"), kind=TroubleKind.OVERSIZED)


def without_queries(answer: Answer) -> Answer:
    """Return `answer` fit to be told: in trouble, a provider may quote a signed URL."""
    return replace(answer, detail=_QUERY.sub(r"\1?...", answer.detail)) if isinstance(answer, Trouble) else answer
