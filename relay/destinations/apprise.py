"""Services that Apprise reaches (github.com/caronc/apprise): a title, a text, and what kind of news it is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relay.core.delivery import Delivery, Verdict, VerdictKind
from relay.core.event import Event
from relay.core.http import Request, Response
from relay.core.observation import Status
from relay.core.ports import Outgoing
from relay.core.retry import RetryPolicy
from relay.destinations.digest import Digest, digest
from relay.destinations.exchange import again
from relay.destinations.fitting import fit, packed
from relay.destinations.message import Link, Notice, notice
from relay.destinations.written import compiled, written

if TYPE_CHECKING:
    from relay.core.template import Template

_TITLE_LIMIT = 250
_VALUE_LIMIT = 300
_LINKS_LIMIT = 4000
_WRITTEN_LIMIT = 8000

_GAP = "\u200b"
_ESCAPES = {"@": f"@{_GAP}", "<": f"<{_GAP}", "]": f"]{_GAP}"}
"""Whatever markup a service reads: a space without width keeps mentions, tags and links from being any."""

_KINDS: Mapping[str, str] = {
    Status.COMPLETED: "success",
    Status.FAILED: "failure",
    Status.NOT_FOUND: "failure",
    Status.TIMED_OUT: "warning",
    Status.EXPIRED: "warning",
}
NOTIFY = "NOTIFY"
"""The method of these requests: no HTTP that relay would send."""


@dataclass(frozen=True, slots=True)
class AppriseDestination:
    """Notifies one service, whose Apprise `url` holds its credential."""

    url: str = field(repr=False)
    retry: RetryPolicy
    template: "Template | None" = None

    def request(self, delivery: Delivery, event: Event, now: float) -> Request:
        """See Destination; the body is the JSON object that a ServiceTransport hands over."""
        told = notice(delivery, event, now)
        own = written(self.template, event, told, _WRITTEN_LIMIT)
        body = _body(told) if own.text is None else f"{own.text}\n{told.ids}"
        return replace(self._notify(told.title, body, told.status), doubt=own.doubt)

    def digest(self, outgoing: Sequence[Outgoing], now: float) -> Request:
        """Return the request that tells of many events in one message."""
        told = digest(outgoing, now)
        return self._notify(told.title, _digest_body(told), told.status)

    def verdict(self, response: Response, now: float, *, plain: bool = False) -> Verdict:
        """See Destination; what was not taken has no answer."""
        return Verdict(VerdictKind.DELIVERED) if response.status == 200 else again(response, now)

    def _notify(self, title: str, body: str, status: str) -> Request:
        message = {"title": fit(title, _TITLE_LIMIT, _ESCAPES), "body": body, "type": _KINDS.get(status, "info")}
        return Request(NOTIFY, self.url, {}, json.dumps(message, ensure_ascii=False).encode())


def apprise_template(source: str) -> "Template":
    """Return a template of plain text; raises TemplateInvalid."""
    return compiled(source, _ESCAPES, _link)


def _body(told: Notice) -> str:
    lines = [fit(told.error, _VALUE_LIMIT, _ESCAPES)] if told.error is not None else []
    lines += [f"{fact.name}: {fit(fact.value, _VALUE_LIMIT, _ESCAPES)}" for fact in told.facts]
    return "\n".join([*lines, *told.links_within(_LINKS_LIMIT, list(map(_link, told.links))), told.ids])


def _digest_body(told: Digest) -> str:
    lines = [f"{tally.name}: {tally.value}" for tally in told.tallies]
    lines = [fit(line, _VALUE_LIMIT, _ESCAPES) for line in [*lines, *told.items]]
    lines += packed(map(_link, told.links), _LINKS_LIMIT)
    return "\n".join([*lines, *([told.rest] if told.rest is not None else []), told.ids])


def _link(link: Link) -> str:
    url = link.url if link.followable else fit(link.url, _VALUE_LIMIT, _ESCAPES)
    return f"{fit(link.label, _VALUE_LIMIT, _ESCAPES)}: {url}"
