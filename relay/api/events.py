"""/v1/events."""

from aiohttp import web

from relay.api.answers import EventPage
from relay.api.auth import caller_of
from relay.api.context import CONTEXT
from relay.api.requests import EventsQuery, read_query
from relay.api.views import event_json


async def list_events(request: web.Request) -> web.Response:
    """GET /v1/events, oldest first; the cursor of the last page goes on where it ended."""
    context, caller = request.app[CONTEXT], caller_of(request)
    query = read_query(request, EventsQuery)
    found = await context.store.events(after=int(query.cursor), owner=caller.owner, limit=query.limit)
    answer: EventPage = {
        "items": [event_json(event) for _, event in found],
        "next_cursor": str(found[-1][0]) if found else query.cursor,
    }
    return web.json_response(answer)
