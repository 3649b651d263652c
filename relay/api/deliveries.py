"""/v1/deliveries."""

from aiohttp import web

from relay.api.answers import DeliveryPage
from relay.api.auth import Caller, caller_of
from relay.api.context import CONTEXT, Context
from relay.api.problems import ApiProblem
from relay.api.requests import DeliveriesQuery, read_query
from relay.api.views import delivery_detail, delivery_json
from relay.core.errors import InvalidValue, NotFound
from relay.core.ports import DeliveryFilter, DeliveryView


async def list_deliveries(request: web.Request) -> web.Response:
    """GET /v1/deliveries, newest first."""
    context, caller = request.app[CONTEXT], caller_of(request)
    query = read_query(request, DeliveriesQuery)
    wanted = DeliveryFilter(states=frozenset(query.state), watch_id=query.watch, owner=caller.owner)
    before = await _before(context, caller, query.cursor)
    found = await context.store.deliveries(wanted, before=before, limit=query.limit + 1)
    page = found[: query.limit]
    answer: DeliveryPage = {
        "items": [delivery_json(view) for view in page],
        "next_cursor": page[-1].delivery.id if len(found) > query.limit else None,
    }
    return web.json_response(answer)


async def show(request: web.Request) -> web.Response:
    """GET /v1/deliveries/{id}, with its attempts."""
    context, caller = request.app[CONTEXT], caller_of(request)
    view = await _visible(context, caller, request.match_info["id"])
    return web.json_response(delivery_detail(view))


async def resend(request: web.Request) -> web.Response:
    """POST /v1/deliveries/{id}/resend: again, under the same id."""
    context, caller = request.app[CONTEXT], caller_of(request)
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
