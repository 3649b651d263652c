"""/v1/events."""

import json

from aiohttp import web

from relay.api.auth import caller_of
from relay.api.context import CONTEXT
from relay.api.problems import ApiProblem
from relay.api.requests import known_parameters, page_limit
from relay.core.access import Scope
from relay.core.errors import InvalidValue


async def list_events(request: web.Request) -> web.Response:
    """GET /v1/events, oldest first; the cursor of the last page goes on where it ended."""
    context, caller = request.app[CONTEXT], caller_of(request, Scope.READ)
    known_parameters(request.query, frozenset({"cursor", "limit"}))
    limit = page_limit(request.query)
    cursor = request.query.get("cursor", "0")
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise ApiProblem.of_fields([InvalidValue("cursor", "is not one that a list gave")])
    found = await context.store.events(after=int(cursor), owner=caller.owner, limit=limit)
    items = [{"id": event.id, **json.loads(event.body)} for _, event in found]
    return web.json_response({"items": items, "next_cursor": str(found[-1][0]) if found else cursor})
