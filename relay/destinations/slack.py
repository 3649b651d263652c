"""Slack's incoming webhooks, in Block Kit.

Limits: docs.slack.dev/reference/block-kit; the total, which is not documented,
is kept below the 13,200 characters at which Slack answers
`msg_blocks_too_long` (github.com/slackapi/bolt-js/issues/2509).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relay.core.delivery import Delivery, Verdict, VerdictKind
from relay.core.etiquette import Sign
from relay.core.event import Event
from relay.core.http import Request, Response
from relay.core.ports import Outgoing
from relay.core.retry import RetryPolicy
from relay.destinations.digest import Digest, digest
from relay.destinations.exchange import again, json_object, post_json, said, summary
from relay.destinations.fitting import fit, packed, units
from relay.destinations.message import Link, Notice, notice
from relay.destinations.refusal import plain_next, wants_plain
from relay.destinations.written import compiled, written

if TYPE_CHECKING:
    from relay.core.template import Template

_HEADER_LIMIT = 150
_FIELD_LIMIT = 300
_ERROR_LIMIT = 1500
_SECTION_LIMIT = 3000
_LINKS_LIMIT = 8000
"""With this, a header, six fields, the error and the ids, a message stays below 12,000."""

_TEXT_LIMIT = 300
_PACE_S = 1.0
_PLAIN_LIMIT = 3800
_ITEM_LIMIT = 250
_DIGEST_LINKS_LIMIT = 5000
_PLAIN_LINE_LIMIT = 150
_REST_LIMIT = 300

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""All that Slack needs, and the only entities that it reads."""

_LINK_ESCAPES = {"&": "&amp;", "<": "%3C", ">": "%3E", "|": "%7C"}

_DEAD = frozenset(
    {
        "action_prohibited",
        "channel_is_archived",
        "channel_not_found",
        "invalid_token",
        "no_active_hooks",
        "no_service",
        "no_service_id",
        "no_team",
        "posting_to_general_channel_denied",
        "team_disabled",
    }
)
_REFUSED = frozenset(
    {
        "invalid_attachments",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_payload",
        "msg_blocks_too_long",
        "no_text",
        "too_many_attachments",
        "user_not_found",
    }
)
"""What is wrong with the message, not with the webhook."""

_LATER = frozenset(
    {"fatal_error", "internal_error", "rate_limited", "ratelimited", "rollup_error", "service_unavailable"}
)


@dataclass(frozen=True, slots=True)
class SlackDestination:
    """Posts to one incoming webhook, whose `url` is its credential.

    `thread` is the `ts` of the message to reply to.  It has to be known: the
    webhook's answer does not tell it, so that relay cannot reply to its own.
    """

    url: str = field(repr=False)
    retry: RetryPolicy
    thread: str | None = None
    template: "Template | None" = None

    def request(self, delivery: Delivery, event: Event, now: float) -> Request:
        """See Destination; plain text once Slack refused the blocks."""
        told = notice(delivery, event, now)
        own = written(self.template, event, told, _SECTION_LIMIT)
        if wants_plain(delivery):
            plain = _plain(told) if own.text is None else f"{own.text}\n{told.ids}"
            return replace(self._post({"text": plain}), doubt=own.doubt, plain=True)
        content = _rich(told) if own.text is None else _rich_written(told, own.text)
        return replace(self._post(content), doubt=own.doubt)

    def digest(self, outgoing: Sequence[Outgoing], now: float) -> Request:
        """Return the request that tells of many events in one message; plain text once Slack refused the blocks."""
        told = digest(outgoing, now)
        plain = any(wants_plain(item.delivery) for item in outgoing)
        return replace(self._post({"text": _plain_digest(told)} if plain else _rich_digest(told)), plain=plain)

    def verdict(self, response: Response, now: float, *, plain: bool = False) -> Verdict:
        """See Destination.

        A webhook takes one message a second (docs.slack.dev/apis/web-api/rate-limits).
        """
        return replace(self._judged(response, now, plain=plain), rest_s=_PACE_S)

    def _judged(self, response: Response, now: float, *, plain: bool) -> Verdict:
        """Return what the answer means for the message.

        Slack's codes come as plain text (api.slack.com/changelog/2016-05-17),
        some as JSON, and count whatever the status is.  A success in other words
        than "ok" is one still: to send again what may have arrived is worse.
        """
        code = _code(response)
        if code in _DEAD or response.status == 410:
            why = f"the Slack webhook is dead: {summary(response)}"
            return Verdict(VerdictKind.REFUSED, why, sign=Sign.GONE)
        if code in _REFUSED:
            return plain_next(summary(response), plain=plain)
        if 200 <= response.status < 300 and code not in _LATER:
            doubt = None if code == "ok" else f"Slack did not say ok: {summary(response)}"
            return Verdict(VerdictKind.DELIVERED, doubt, sign=Sign.WORKS)
        return again(response, now)

    def _post(self, content: Mapping[str, object]) -> Request:
        place = {} if self.thread is None else {"thread_ts": self.thread}
        return post_json(self.url, {**content, **place, "unfurl_links": False, "unfurl_media": False})


def slack_template(source: str) -> "Template":
    """Return a template of messages in mrkdwn; raises TemplateInvalid."""
    return compiled(source, _ESCAPES, _link)


def _code(response: Response) -> str:
    error = json_object(response).get("error")
    return error if isinstance(error, str) else said(response)


def _rich(told: Notice) -> Mapping[str, object]:
    blocks: list[object] = [{"type": "header", "text": _plain_text(told.title, _HEADER_LIMIT)}]
    if told.facts:
        fields = [_plain_text(f"{fact.name}: {fact.value}", _FIELD_LIMIT) for fact in told.facts]
        blocks.append({"type": "section", "fields": fields})
    if told.error is not None:
        blocks.append({"type": "section", "text": _plain_text(told.error, _ERROR_LIMIT)})
    blocks += _sections(told.links_within(_LINKS_LIMIT, _link_lines(told.links)))
    blocks.append({"type": "context", "elements": [_plain_text(told.ids, _FIELD_LIMIT)]})
    lead = told.title if told.error is None else f"{told.title}: {told.error}"
    return {"text": fit(lead, _TEXT_LIMIT, _ESCAPES), "blocks": blocks}


def _link_lines(links: Sequence[Link]) -> list[str]:
    return [line for line in map(_link, links) if units(line) <= _SECTION_LIMIT]


def _sections(lines: Sequence[str]) -> list[Mapping[str, object]]:
    """Return lines with links in as few sections as their order allows."""
    sections: list[str] = []
    for line in lines:
        if sections and units(sections[-1]) + units(line) + 1 <= _SECTION_LIMIT:
            sections[-1] += f"\n{line}"
        else:
            sections.append(line)
    return [{"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}} for text in sections]


def _rich_written(told: Notice, text: str) -> Mapping[str, object]:
    """Return what a template wrote, above the ids."""
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
    ids = {"type": "context", "elements": [_plain_text(told.ids, _FIELD_LIMIT)]}
    return {"text": fit(told.title, _TEXT_LIMIT, _ESCAPES), "blocks": [section, ids]}


def _plain(told: Notice) -> str:
    """Return the whole message as one text."""
    lines = [fit(told.title, _HEADER_LIMIT, _ESCAPES)]
    lines += [fit(told.error, _TEXT_LIMIT, _ESCAPES)] if told.error is not None else []
    lines += [fit(f"{fact.name}: {fact.value}", _FIELD_LIMIT, _ESCAPES) for fact in told.facts]
    room = _PLAIN_LIMIT - units("\n".join([*lines, told.ids])) - 1
    return "\n".join([*lines, *told.links_within(room, list(map(_link, told.links))), told.ids])


def _rich_digest(told: Digest) -> Mapping[str, object]:
    blocks: list[object] = [{"type": "header", "text": _plain_text(told.title, _HEADER_LIMIT)}]
    if told.tallies:
        fields = [_plain_text(f"{tally.name}: {tally.value}", _FIELD_LIMIT) for tally in told.tallies]
        blocks.append({"type": "section", "fields": fields})
    items = "\n".join(fit(item, _ITEM_LIMIT, _ESCAPES) for item in told.items)
    blocks.append({"type": "section", "text": {"type": "plain_text", "text": items, "emoji": False}})
    blocks += _sections(packed(_link_lines(told.links), _DIGEST_LINKS_LIMIT))
    if told.rest is not None:
        blocks.append({"type": "section", "text": _plain_text(told.rest, _REST_LIMIT)})
    blocks.append({"type": "context", "elements": [_plain_text(told.ids, _FIELD_LIMIT)]})
    return {"text": fit(told.title, _TEXT_LIMIT, _ESCAPES), "blocks": blocks}


def _plain_digest(told: Digest) -> str:
    short = [*(f"{tally.name}: {tally.value}" for tally in told.tallies), *told.items]
    lines = [fit(told.title, _HEADER_LIMIT, _ESCAPES), *(fit(line, _PLAIN_LINE_LIMIT, _ESCAPES) for line in short)]
    lines += [fit(told.rest, _REST_LIMIT, _ESCAPES)] if told.rest is not None else []
    return "\n".join([*lines, told.ids])


def _link(link: Link) -> str:
    label = fit(link.label, _FIELD_LIMIT, _ESCAPES)
    if not link.followable:
        return f"{label}: {fit(link.url, _FIELD_LIMIT, _ESCAPES)}"
    return f"<{''.join(_LINK_ESCAPES.get(character, character) for character in link.url)}|{label}>"


def _plain_text(text: str, limit: int) -> Mapping[str, object]:
    return {"type": "plain_text", "text": fit(text, limit, _ESCAPES), "emoji": False}
