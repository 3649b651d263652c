"""/v1/providers and /v1/destinations: what relay is connected to."""

from typing import TypedDict

from aiohttp import web

from relay.api.answers import DestinationList, EnabledShown, ProviderList, ProviderShown, TrialShown
from relay.api.auth import caller_of
from relay.api.context import CONTEXT
from relay.core.condition import Condition
from relay.core.delivery import VerdictKind
from relay.core.errors import NotFound
from relay.core.instant import iso
from relay.core.ports import LaneView
from relay.core.standing import Standing


async def list_providers(request: web.Request) -> web.Response:
    """GET /v1/providers: each with how its credential stands."""
    context = request.app[CONTEXT]
    standings = await context.store.standings()
    items: list[ProviderShown] = []
    for name, followed in sorted(context.providers.items()):
        standing = standings.get(name, Standing())
        items.append(
            {
                "name": name,
                "standing": standing.footing,
                "since": iso(standing.since) if standing.since else None,
                "rests_until": iso(standing.rest_until) if standing.rest_until > context.clock.now() else None,
                "detail": standing.detail,
                "detection_lag_s": followed.following.bounds.detection_lag_s,
                "deadline_s": followed.deadline_s,
            }
        )
    answer: ProviderList = {"items": items}
    return web.json_response(answer)


async def list_destinations(request: web.Request) -> web.Response:
    """GET /v1/destinations: those of the configuration, and how they are; their URLs are secrets."""
    context, caller = request.app[CONTEXT], caller_of(request)
    lanes, named = await context.store.lanes(), context.destinations
    answer: DestinationList = {
        "items": [
            {"name": name, "type": named[name].kind, **_health(lanes.get(named[name].target.lane))}
            for name in sorted(named)
        ],
        "callback_hosts": [
            {"host": lane, **_health(view)}
            for lane, view in sorted(lanes.items())
            if caller.owner is None and view.name is None and view.health.condition is not Condition.WORKING
        ],
    }
    return web.json_response(answer)


class _HealthShown(TypedDict):
    condition: Condition
    since: str | None
    detail: str | None
    held: int


def _health(view: LaneView | None) -> _HealthShown:
    if view is None:
        return {"condition": Condition.WORKING, "since": None, "detail": None, "held": 0}
    health = view.health
    return {
        "condition": health.condition,
        "since": iso(health.since) if health.since else None,
        "detail": health.detail,
        "held": view.held,
    }


async def enable_destination(request: web.Request) -> web.Response:
    """POST /v1/destinations/{name}/enable: try one again that was switched off or held."""
    context, name = request.app[CONTEXT], request.match_info["name"]
    if name not in context.destinations:
        raise NotFound(f'no destination "{name}" is configured')
    done = await context.store.enable(context.destinations[name].target.lane, context.clock.now())
    context.wake_dispatcher()
    answer: EnabledShown = {"enabled": done}
    return web.json_response(answer)


async def test_destination(request: web.Request) -> web.Response:
    """POST /v1/destinations/{name}/test: send a test event at once, and tell what became of it."""
    context, name = request.app[CONTEXT], request.match_info["name"]
    if name not in context.destinations:
        raise NotFound(f'no destination "{name}" is configured')
    verdict = await context.destinations[name].greet(context.clock.now())
    answer: TrialShown = {"delivered": verdict.kind is VerdictKind.DELIVERED, "reason": verdict.reason}
    return web.json_response(answer)
