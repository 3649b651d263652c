"""/v1/deliveries."""

import re

from aiohttp import web

from relay.api.answers import DeliveryPage, ResentShown
from relay.api.auth import Caller, caller_of
from relay.api.context import CONTEXT, Context
from relay.api.problems import ApiProblem
from relay.api.requests import MAX_BODY, DeliveriesQuery, ResendRequest, past_moment, read_json, read_query
from relay.api.views import delivery_detail, delivery_json
from relay.core.budget import Rate
from relay.core.delivery import Delivery, DeliveryState
from relay.core.errors import InvalidValue, NotFound
from relay.core.instant import iso
from relay.core.observation import OUTCOMES, Status
from relay.core.ports import DeliveryFilter, DeliveryView
from relay.core.watch import open_to

_CURSOR = re.compile(r"([0-9]{1,12}\.[0-9]{1,17})~(dlv_[0-9a-z]{1,40})")


async def list_deliveries(request: web.Request) -> web.Response:
    """GET /v1/deliveries, newest first."""
    context, caller = request.app[CONTEXT], caller_of(request)
    query = read_query(request, DeliveriesQuery)
    wanted = DeliveryFilter(
        states=frozenset(query.state),
        watch_id=query.watch,
        owner=caller.owner,
        destination=query.destination,
        types=frozenset(query.type),
        since=past_moment("since", query.since, context.clock.now()),
    )
    found = await context.store.deliveries(wanted, before=_before(query.cursor), limit=query.limit + 1)
    page = found[: query.limit]
    answer: DeliveryPage = {
        "items": [delivery_json(view) for view in page],
        "next_cursor": _cursor(page[-1].delivery) if len(found) > query.limit else None,
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


async def drop(request: web.Request) -> web.Response:
    """POST /v1/deliveries/{id}/drop: never again, unless it is resent."""
    context, caller = request.app[CONTEXT], caller_of(request)
    view = await _visible(context, caller, request.match_info["id"])
    await context.store.drop(view.delivery.id, context.clock.now())
    return web.json_response(delivery_json(await context.store.delivery(view.delivery.id)))


async def resend_matching(request: web.Request) -> web.Response:
    """POST /v1/deliveries/resend: all that match, one after the other, under the same ids."""
    context, caller = request.app[CONTEXT], caller_of(request)
    asked, now = await read_json(request, ResendRequest, MAX_BODY), context.clock.now()
    every_s = _gap_s(asked.rate)
    wanted = DeliveryFilter(
        states=frozenset(map(DeliveryState, asked.state)),
        watch_id=asked.watch,
        owner=caller.owner,
        destination=asked.destination,
        provider=asked.provider,
        statuses=frozenset(map(_status, asked.status)),
        types=frozenset(asked.type),
        since=past_moment("since", asked.since, now),
        until=past_moment("until", asked.until, now),
    )
    number = await context.store.resend_matching(wanted, now, every_s=every_s, dry_run=asked.dry_run)
    if number and not asked.dry_run:
        context.wake_dispatcher()
    answer: ResentShown = {
        "deliveries": number,
        "dry_run": asked.dry_run,
        "last_at": iso(now + (number - 1) * every_s) if number else None,
    }
    return web.json_response(answer, status=200 if asked.dry_run else 202)


def _gap_s(text: str) -> float:
    try:
        rate = Rate.parse(text)
    except ValueError as error:
        raise ApiProblem.of_fields([InvalidValue("rate", str(error))]) from None
    return rate.window_s / rate.limit


def _status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError:
        raise ApiProblem.of_fields([InvalidValue("status", f"is none of {', '.join(OUTCOMES)}")]) from None


async def _visible(context: Context, caller: Caller, delivery_id: str) -> DeliveryView:
    view = await context.store.delivery(delivery_id)
    if not open_to(caller.owner, view.owner):
        raise NotFound(f'no delivery "{delivery_id}"')
    return view


def _cursor(last: Delivery) -> str:
    """Return the place behind `last`, in itself: the delivery may be deleted before the next page is asked for."""
    return f"{last.created_at!r}~{last.id}"


def _before(cursor: str | None) -> tuple[float, str] | None:
    if cursor is None:
        return None
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise ApiProblem.of_fields([InvalidValue("cursor", "is not one that a list gave")])
    return float(found[1]), found[2]
