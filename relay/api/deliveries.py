"""/v1/deliveries."""

import json

from aiohttp import web

from relay.api.auth import Caller, caller_of
from relay.api.context import CONTEXT, Context
from relay.api.problems import ApiProblem
from relay.api.requests import known_parameters, page_limit
from relay.api.views import delivery_json
from relay.core.access import Scope
from relay.core.delivery import DeliveryState
from relay.core.errors import InvalidValue, NotFound
from relay.core.ports import DeliveryFilter, DeliveryView

_LIST_PARAMETERS = frozenset({"state", "watch", "cursor", "limit"})


async def list_deliveries(request: web.Request) -> web.Response:
    """GET /v1/deliveries, newest first."""
    context, caller = request.app[CONTEXT], caller_of(request, Scope.READ)
    query = request.query
    known_parameters(query, _LIST_PARAMETERS)
    limit = page_limit(query)
    wanted = DeliveryFilter(
        states=frozenset(_state(text) for value in query.getall("state", []) for text in value.split(",")),
        watch_id=query.get("watch"),
        owner=caller.owner,
    )
    before = await _before(context, caller, query.get("cursor"))
    found = await context.store.deliveries(wanted, before=before, limit=limit + 1)
    page = found[:limit]
    return web.json_response(
        {
            "items": [delivery_json(view) for view in page],
            "next_cursor": page[-1].delivery.id if len(found) > limit else None,
        }
    )


async def show(request: web.Request) -> web.Response:
    """GET /v1/deliveries/{id}, with its attempts."""
    context, caller = request.app[CONTEXT], caller_of(request, Scope.READ)
    view = await _visible(context, caller, request.match_info["id"])
    return web.json_response(delivery_json(view, with_attempts=True))


async def resend(request: web.Request) -> web.Response:
    """POST /v1/deliveries/{id}/resend: again, under the same id."""
    context, caller = request.app[CONTEXT], caller_of(request, Scope.WATCH)
    view = await _visible(context, caller, request.match_info["id"])
    await context.store.resend(view.delivery.id, context.clock.now())
    context.wake_dispatcher()
    return web.json_response(delivery_json(await context.store.delivery(view.delivery.id)), status=202)


async def _visible(context: Context, caller: Caller, delivery_id: str) -> DeliveryView:
    view = await context.store.delivery(delivery_id)
    if caller.owner is not None and view.owner != caller.owner:
        raise NotFound(f'no delivery "{delivery_id}"')
    return view


async def _before(context: Context, caller: Caller, cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    try:
        last = (await _visible(context, caller, cursor)).delivery
    except NotFound:
        raise ApiProblem.of_fields([InvalidValue("cursor", "is not one that a list gave")]) from None
    return last.created_at, last.id


def _state(text: str) -> DeliveryState:
    try:
        return DeliveryState(text)
    except ValueError:
        known = ", ".join(DeliveryState)
        raise ApiProblem.of_fields([InvalidValue("state", f"{json.dumps(text)} is none of {known}")]) from None
