"""/v1/events: a list, and a stream of what comes.

The stream is server-sent events (WHATWG HTML, section 9.2).  Every event's id
is its place in the store, and each client is served from there at its own pace:
one that is slow costs no memory, one that comes back goes on where it was, also
after a restart.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.api.answers import EventPage
from relay.api.auth import Caller, caller_of
from relay.api.context import CONTEXT, Context, identify
from relay.api.pace import PACE
from relay.api.pages import read_page
from relay.api.problems import ApiProblem
from relay.api.requests import EventsQuery, read_query
from relay.api.views import event_json
from relay.api.watches import visible
from relay.core.errors import InvalidValue, StoreError, TooMuch
from relay.core.event import Event
from relay.core.ports import EventFilter

EVENT_STREAM = "text/event-stream"
HEARTBEAT_S = 15.0
"""How long a stream is silent at most: a comment keeps proxies from closing it, and finds clients that are gone."""
_RECHECK_S = 5.0
"""How often the store is asked without a wake-up: not every event is told of within the process."""
_PAGE = 50
_ROOM = 256 * 1024
"""What a client may be sent at once: it is in memory until a slow one has read it."""
_WRITE_S = 30.0
"""How long a client may take to read what it was sent, before it is left."""
_RETRY_MS = 1000
_PLACE_DIGITS = 18


async def list_events(request: web.Request) -> web.StreamResponse:
    """GET /v1/events, oldest first; the cursor of the last page goes on where it ended."""
    context, caller = request.app[CONTEXT], caller_of(request)
    query = read_query(request, EventsQuery)
    wanted = EventFilter(
        types=frozenset(query.type),
        provider=query.provider,
        watch_id=(await visible(context, caller, query.watch)).watch.id if query.watch else None,
        owner=caller.owner,
    )
    if request.method == "GET" and EVENT_STREAM in request.headers.get("Accept", ""):
        with request.app[PACE].holding(caller.name):
            return await _stream(request, context, wanted, query)
    place = int(query.cursor or "0")

    async def read(last: tuple[int, Event] | None, number: int) -> list[tuple[int, Event]]:
        return await context.store.events(wanted, after=last[0] if last else place, limit=number)

    page = await read_page(query.limit, read, lambda found: event_json(found[1]))
    # A place that is still to come is one from before a backup was restored: what comes next lies before it.
    last = page.last[0] if page.last else min(place, await context.store.last_event())
    answer: EventPage = {"items": page.items, "next_cursor": str(last)}
    return web.json_response(answer)


@dataclass(slots=True)
class _Stream:
    """One client: what it wants, where it is, when it last heard something, and how many events are read at once."""

    response: web.StreamResponse
    wanted: EventFilter
    place: int
    heard_at: float
    step: int


async def _stream(
    request: web.Request, context: Context, wanted: EventFilter, query: EventsQuery
) -> web.StreamResponse:
    """Send what is wanted until the client goes, its token ends, or the daemon stops."""
    place = await _start(request, context, query)
    response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM, "Cache-Control": "no-store"})
    response.force_close()
    stream = _Stream(response, wanted, place, context.clock.monotonic(), _PAGE)
    caller = caller_of(request)
    try:
        await response.prepare(request)
        with context.news.waiting() as news:
            # An id without data moves the place from which the client will resume, and is no event to it.
            await _send(stream, f"retry: {_RETRY_MS}\nid: {place}\n\n", context)
            while request.transport is not None and not context.news.closed and await _may_still(request, caller):
                if not await _send_next(stream, context):
                    await context.clock.wait(news, _RECHECK_S)
    except (ConnectionError, TimeoutError, StoreError):
        if request.transport is not None:  # the client comes back with the id that it has
            request.transport.abort()
    return response


async def _start(request: web.Request, context: Context, query: EventsQuery) -> int:
    """Return the place behind which a stream begins: where the client was, where it asks for, or now."""
    last = await context.store.last_event()
    known = request.headers.get("Last-Event-ID")
    if known is not None:
        if not (known.isascii() and known.isdigit() and len(known) <= _PLACE_DIGITS):
            raise ApiProblem.of_fields([InvalidValue("Last-Event-ID", "is not one that a stream gave")])
        return min(int(known), last)
    return last if query.cursor is None else min(int(query.cursor), last)


async def _may_still(request: web.Request, caller: Caller) -> bool:
    try:
        return await identify(request) == caller
    except ApiProblem:
        return False


async def _send_next(stream: _Stream, context: Context) -> bool:
    """Send some of what is there, or a heartbeat when it is time; return whether there was anything."""
    found, place = await _read_next(stream, context)
    if found:
        await _send(stream, _blocks(found), context)
    stream.place = place
    if not found and context.clock.monotonic() >= stream.heard_at + HEARTBEAT_S:
        await _send(stream, f": nothing new\nid: {stream.place}\n\n", context)
    return bool(found)


async def _read_next(stream: _Stream, context: Context) -> tuple[Sequence[tuple[int, Event]], int]:
    """Return the next events, which wait in memory until the client has read them, and the place behind them."""
    last = await context.store.last_event()
    try:
        found = await context.store.events(stream.wanted, after=stream.place, limit=stream.step)
    except TooMuch:  # others' lists went first: looked for again from here
        return [], stream.place
    fitting = _fitting(found)
    if len(fitting) < len(found):
        stream.step = len(fitting)
        return fitting, fitting[-1][0]
    whole = len(found) < stream.step
    stream.step = min(2 * stream.step, _PAGE)
    return found, max(stream.place, last, *(place for place, _ in found)) if whole else found[-1][0]


def _fitting(found: Sequence[tuple[int, Event]]) -> Sequence[tuple[int, Event]]:
    """Return the first of `found` that together are not too large, one at least."""
    size = 0
    for number, (_, event) in enumerate(found):
        size += len(event.body)
        if number and size > _ROOM:
            return found[:number]
    return found


def _blocks(found: Sequence[tuple[int, Event]]) -> str:
    """Return events as they are sent; their JSON has no line ends."""
    return "".join(
        f"id: {place}\nevent: {event.type}\ndata: {json.dumps(event_json(event), ensure_ascii=False)}\n\n"
        for place, event in found
    )


async def _send(stream: _Stream, text: str, context: Context) -> None:
    async with asyncio.timeout(_WRITE_S):
        await stream.response.write(text.encode())
    stream.heard_at = context.clock.monotonic()
