"""Discord's webhooks, as one embed (docs.discord.com, "Webhook", "Message", "Opcodes and Status Codes").

Every limit is kept with 5 % of slack, because it is not documented which unit
Discord counts in.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relay.core.delivery import Delivery, Verdict, VerdictKind
from relay.core.etiquette import Sign
from relay.core.event import Event
from relay.core.http import MAX_WAIT_S, Request, Response, rate_reset_s, retry_after_s
from relay.core.observation import Status
from relay.core.ports import Outgoing
from relay.core.retry import RetryPolicy
from relay.core.text import one_line
from relay.destinations.digest import Digest, digest
from relay.destinations.exchange import again, json_object, post_json, summary
from relay.destinations.fitting import fit, packed, units
from relay.destinations.message import Link, Notice, notice
from relay.destinations.refusal import plain_next, refused, wants_plain
from relay.destinations.written import compiled, written

if TYPE_CHECKING:
    from relay.core.template import Template

_TITLE_LIMIT = 243
_DESCRIPTION_LIMIT = 3891
"""Leaves 1,809 of the 5,700 characters of a whole embed to the title, six facts and the ids."""

_FIELD_LIMIT = 420
_ERROR_LIMIT = 1200
_CONTENT_LIMIT = 1900
_PLAIN_VALUE_LIMIT = 150
_ITEM_LIMIT = 250
_DIGEST_ROOM = 3200
"""Leaves 2,500 of the 5,700 characters of an embed to a digest's title, nine tallies and the ids."""

_NAME_LIMIT = 120
_PLAIN_TITLE_LIMIT = 150
_PLAIN_LINE_LIMIT = 70
_REST_LIMIT = 250
"""With these, a digest's title, 19 lines, the rest and the ids stay below 1,900."""

_ESCAPES = {character: f"\\{character}" for character in "\\*_~`|>#-[]()<@"}
"""Discord's markdown reads a backslash before any punctuation; the @ breaks `@everyone`."""

_LINK_ESCAPES = {
    "(": "%28",
    ")": "%29",
    "<": "%3C",
    ">": "%3E",
    "\\": "%5C",
    "[": "%5B",
    "]": "%5D",
    "`": "%60",
    "@": "%40",
}

_GREEN, _RED, _AMBER, _GREY = 0x2EB67D, 0xE01E5A, 0xECB22E, 0x95A5A6
_COLOURS: Mapping[str, int] = {
    Status.COMPLETED: _GREEN,
    Status.FAILED: _RED,
    Status.NOT_FOUND: _RED,
    Status.TIMED_OUT: _AMBER,
    Status.EXPIRED: _AMBER,
}
_SUPPRESS_EMBEDS = 1 << 2
"""The message flag that keeps Discord from previewing links; it would hide our own embed."""

_NO_MENTIONS: Mapping[str, object] = {"parse": []}

_DEAD = frozenset({10003, 10004, 10015, 50001, 50013, 50027})
"""Unknown channel, server or webhook, missing access or permission, invalid token."""

_INVALID_FORM = 50035
_RICH_REFUSED = frozenset({40005, 50006})
"""Too large, empty: what a message of short text alone cannot be told."""

_REFUSED = frozenset(
    {
        40067,  # the forum wants tags
        50083,  # archived thread
        50109,  # invalid JSON
        160005,  # locked thread
        200000,  # stopped by AutoMod
        220001,  # forums and threads: 220001 to 220004
        220002,
        220003,
        220004,
        240000,  # harmful link
    }
)
_LONGEST_BELIEVED_S = 3600.0
_WAIT_MARGIN_S = 0.25
_BLOCKED_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class DiscordDestination:
    """Posts to one webhook, whose `url` is its credential; `thread` is the id of one in its channel.

    Forums and media channels take messages in threads only.
    """

    url: str = field(repr=False)
    retry: RetryPolicy
    thread: str | None = None
    template: "Template | None" = None

    def request(self, delivery: Delivery, event: Event, now: float) -> Request:
        """See Destination; plain text once Discord refused the embed."""
        told = notice(delivery, event, now)
        plain = wants_plain(delivery)
        own = written(self.template, event, told, _CONTENT_LIMIT - units(told.ids) if plain else _DESCRIPTION_LIMIT)
        if plain:
            content = _plain(told) if own.text is None else _plain_written(told, own.text)
        else:
            content = {"embeds": [_embed(told) if own.text is None else _written_embed(told, own.text)]}
        return replace(self._post(content), doubt=own.doubt, plain=plain)

    def digest(self, outgoing: Sequence[Outgoing], now: float) -> Request:
        """Return the request that tells of many events in one message; plain text once Discord refused the embed."""
        told = digest(outgoing, now)
        plain = any(wants_plain(item.delivery) for item in outgoing)
        return replace(self._post(_plain_digest(told) if plain else {"embeds": [_digest_embed(told)]}), plain=plain)

    def verdict(self, response: Response, now: float, *, plain: bool = False) -> Verdict:
        """See Destination.

        Every answer tells how many more messages Discord takes for now, so that
        it need not refuse one.
        """
        return replace(self._judged(response, now, plain=plain), rest_s=_rest_s(response, now))

    def _judged(self, response: Response, now: float, *, plain: bool) -> Verdict:
        """Return what the answer means for the message.

        A webhook that answers 404 must never be used again, says Discord: it
        restricts who insists.
        """
        if 200 <= response.status < 300:
            return Verdict(VerdictKind.DELIVERED, sign=Sign.WORKS)
        body = json_object(response)
        code = _code(body)
        if response.status == 429:
            wait_s = _wait_s(response, body, now)
            return replace(again(response, now), retry_after_s=wait_s, rests_service=_means_us(response, body))
        if code in _DEAD or response.status in (401, 404, 410):
            why = f"the Discord webhook is dead: {summary(response)}"
            return Verdict(VerdictKind.REFUSED, why, sign=Sign.GONE)
        errors = body.get("errors")
        if code == _INVALID_FORM:
            return plain_next(f"HTTP {response.status}: invalid {_fault(errors)}", plain=plain)
        if code in _RICH_REFUSED:
            return plain_next(summary(response), plain=plain)
        if code in _REFUSED:
            return refused(summary(response))
        return again(response, now)

    def _post(self, content: Mapping[str, object]) -> Request:
        return post_json(webhook_url(self.url, self.thread), {**content, "allowed_mentions": _NO_MENTIONS})


def discord_template(source: str) -> "Template":
    """Return a template of messages in Discord's markdown; raises TemplateInvalid."""
    return compiled(source, _ESCAPES, _link)


def _code(body: Mapping[str, object]) -> int | None:
    code = body.get("code")
    return code if isinstance(code, int) else None


def webhook_url(url: str, thread: str | None = None) -> str:
    """Return the URL to post to, into `thread` rather than the one that `url` names, if any.

    With `wait=true`, because otherwise "a message that is not saved does not
    return an error"; with Discord's former domain replaced by the present one.
    """
    address, _, query = url.partition("#")[0].partition("?")
    scheme, separator, place = address.partition("://")
    host, slash, path = place.partition("/")
    if host.lower() in ("discordapp.com", "ptb.discordapp.com", "canary.discordapp.com"):
        host = host.lower().replace("discordapp.com", "discord.com")
    ours = {"wait": "true"} if thread is None else {"wait": "true", "thread_id": thread}
    kept = [pair for pair in query.split("&") if pair and pair.partition("=")[0] not in ours]
    return f"{scheme}{separator}{host}{slash}{path}?{'&'.join([*kept, *map('='.join, ours.items())])}"


def _embed(told: Notice) -> Mapping[str, object]:
    title = fit(told.title, _TITLE_LIMIT, _ESCAPES)
    fields = [
        {"name": fact.name, "value": fit(fact.value, _FIELD_LIMIT, _ESCAPES), "inline": True} for fact in told.facts
    ]
    description = _description(told)
    embed: dict[str, object] = {
        "title": title,
        "color": _COLOURS.get(told.status, _GREY),
        "fields": fields,
        "footer": {"text": told.ids},
    }
    return {**embed, "description": description} if description else embed


def _written_embed(told: Notice, text: str) -> Mapping[str, object]:
    """Return what a template wrote, above the ids."""
    return {"description": text, "color": _COLOURS.get(told.status, _GREY), "footer": {"text": told.ids}}


def _plain_written(told: Notice, text: str) -> Mapping[str, object]:
    return {"content": f"{text}\n{told.ids}", "flags": _SUPPRESS_EMBEDS}


def _description(told: Notice) -> str:
    error = [fit(told.error, _ERROR_LIMIT, _ESCAPES)] if told.error is not None else []
    room = _DESCRIPTION_LIMIT - sum(map(units, error)) - len(error)
    links = told.links_within(room, list(map(_link, told.links)))
    return "\n".join([*error, *links])


def _plain(told: Notice) -> Mapping[str, object]:
    """Return the whole message as one text."""
    lines = [fit(told.title, _TITLE_LIMIT, _ESCAPES)]
    lines += [fit(told.error, _FIELD_LIMIT, _ESCAPES)] if told.error is not None else []
    lines += [f"{fact.name}: {fit(fact.value, _PLAIN_VALUE_LIMIT, _ESCAPES)}" for fact in told.facts]
    room = _CONTENT_LIMIT - units("\n".join([*lines, told.ids])) - 1
    links = told.links_within(room, list(map(_link, told.links)))
    return {"content": "\n".join([*lines, *links, told.ids]), "flags": _SUPPRESS_EMBEDS}


def _digest_embed(told: Digest) -> Mapping[str, object]:
    lines = [f"- {fit(item, _ITEM_LIMIT, _ESCAPES)}" for item in told.items]
    lines += [fit(told.rest, _REST_LIMIT, _ESCAPES)] if told.rest is not None else []
    links = packed(map(_link, told.links), _DIGEST_ROOM - sum(units(line) + 1 for line in lines))
    return {
        "title": fit(told.title, _TITLE_LIMIT, _ESCAPES),
        "color": _COLOURS.get(told.status, _GREY),
        "fields": [
            {"name": fit(tally.name, _NAME_LIMIT, _ESCAPES), "value": fit(tally.value, _PLAIN_VALUE_LIMIT, _ESCAPES)}
            for tally in told.tallies
        ],
        "description": "\n".join([*lines, *links]),
        "footer": {"text": told.ids},
    }


def _plain_digest(told: Digest) -> Mapping[str, object]:
    short = [*(f"{tally.name}: {tally.value}" for tally in told.tallies), *told.items]
    lines = [fit(told.title, _PLAIN_TITLE_LIMIT, _ESCAPES), *(fit(line, _PLAIN_LINE_LIMIT, _ESCAPES) for line in short)]
    lines += [fit(told.rest, _REST_LIMIT, _ESCAPES)] if told.rest is not None else []
    return {"content": "\n".join([*lines, told.ids]), "flags": _SUPPRESS_EMBEDS}


def _link(link: Link) -> str:
    label = fit(link.label, _FIELD_LIMIT, _ESCAPES)
    if not link.followable:
        return f"{label}: {fit(link.url, _FIELD_LIMIT, _ESCAPES)}"
    return f"[{label}]({''.join(_LINK_ESCAPES.get(character, character) for character in link.url)})"


def _fault(errors: object) -> str:
    """Return the dotted name of the first field that Discord's tree of errors blames."""
    names: list[str] = []
    while isinstance(errors, dict) and errors and "_errors" not in errors:
        name, errors = next(iter(errors.items()))
        names.append(name)
    return one_line(".".join(names), 120) or "form"


def _means_us(response: Response, body: Mapping[str, object]) -> bool:
    """Tell whether a 429 is about our address rather than one webhook: a global one, or Cloudflare's, without JSON."""
    return not body or body.get("global") is True or response.headers.get("x-ratelimit-global") == "true"


def _rest_s(response: Response, now: float) -> float:
    """Return how long the webhook takes nothing more (docs.discord.com, "Rate Limits"), an hour at most."""
    if response.headers.get("x-ratelimit-remaining", "").strip() != "0":
        return 0.0
    reset_s = rate_reset_s(response.headers.get("x-ratelimit-reset-after"), now)
    return 0.0 if reset_s is None else min(reset_s + _WAIT_MARGIN_S, _LONGEST_BELIEVED_S)


def _wait_s(response: Response, body: Mapping[str, object], now: float) -> float:
    """Return how long a 429 asks us to wait.

    The body's fraction is finer than the header's whole seconds.  An hour and
    more is not believed, as old gateways answered in milliseconds
    (github.com/discord/discord-api-docs/issues/4722).  Cloudflare's own 429 is
    a web page, and blocks the whole address.
    """
    told, header_s = body.get("retry_after"), retry_after_s(response.headers, now)
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 <= told < math.inf:
        return _BLOCKED_WAIT_S if header_s is None else header_s + _WAIT_MARGIN_S
    if told > _LONGEST_BELIEVED_S:
        told = min(told, MAX_WAIT_S * 1000) / 1000 if header_s is None else header_s
    return min(told, MAX_WAIT_S) + _WAIT_MARGIN_S
