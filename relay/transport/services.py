"""Services that the library Apprise reaches: e-mail, Teams, ntfy, Telegram and many more.

Apprise speaks for itself, in threads and by `requests`: the limits, the address
guard and the egress proxy of the one HTTP client do not hold for it.  It is for
URLs of the operator's own, and nothing else.
"""

import asyncio
import json
import logging
import re
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from relay.core.errors import ExtraMissing, RelayError
from relay.core.http import Fault, Request, Response, TransportError
from relay.core.text import one_line
from relay.transport.threads import Threads

if TYPE_CHECKING:
    import apprise

_MOST_THREADS = 8
_SECRET_PART = re.compile(r"[^/:@?&=,;]{4,}")
_REASON_LIMIT = 200


class ServiceTransport:
    """Implements `relay.core.ports.Transport` for requests that an AppriseDestination makes.

    A thread that hangs cannot be ended: it keeps its place until its service
    gives up, and the attempt is over before that.
    """

    def __init__(self) -> None:
        self._threads = Threads(_MOST_THREADS, "apprise")

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        """See Transport; an answer has no body, because Apprise tells of none."""
        try:
            async with asyncio.timeout(timeout_s):
                refusal = await self._threads.run(partial(_refusal, request, timeout_s))
        except TimeoutError:
            raise TransportError(Fault.TIMEOUT, f"no answer within {timeout_s:g} s") from None
        if refusal is not None:
            raise TransportError(Fault.REFUSED, refusal)
        return Response(200)


def check_service(url: str) -> None:
    """Raise RelayError for a URL that Apprise can do nothing with, and ExtraMissing without Apprise."""
    if _service(url) is None:
        raise RelayError("Apprise knows no service with a URL of this form; see its list of services")


def _refusal(request: Request, timeout_s: float) -> str | None:
    try:
        return _notify(request, timeout_s)
    except Exception as error:  # noqa: BLE001  a plugin of others: whatever it raises, the attempt failed
        return type(error).__name__


def _notify(request: Request, timeout_s: float) -> str | None:
    """Send one message; return why that failed, or None."""
    service = _service(request.url)
    if service is None:
        return "Apprise knows no service with a URL of this form"
    told: dict[str, Any] = json.loads(request.body or b"{}")
    result = service.notify(
        title=told["title"],
        body=told["body"],
        notify_type=told["type"],
        body_format="text",
        timeout=timeout_s,
    )
    if result:
        return None
    reasons = [entry.message for outcome in result.results for entry in outcome.logs()]
    return _without_secrets(reasons[-1] if reasons else "the service did not take it", request.url)


def _service(url: str) -> "apprise.Apprise | None":
    try:
        import apprise
    except ImportError:
        raise ExtraMissing('the type apprise needs an extra: pip install "status-relay[apprise]"') from None
    logging.getLogger("apprise").propagate = False  # what it has to say comes with its results
    service = apprise.Apprise(asset=apprise.AppriseAsset(app_id="relay", async_mode=False, storage_mode="memory"))
    return service if service.add(url) else None


def _without_secrets(text: str, url: str) -> str:
    """Return `text` without anything that stands in `url`, each part of which may be the key to the service."""
    written = _SECRET_PART.findall(url.partition("://")[2])
    for part in sorted({*written, *map(unquote, written)}, key=len, reverse=True):
        text = text.replace(part, "***")
    return one_line(text, _REASON_LIMIT)
