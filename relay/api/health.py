"""/healthz, /readyz, /metrics, /v1/status and /v1/reload: the daemon itself."""

from dataclasses import asdict
from typing import Literal

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from relay import __version__
from relay.api.answers import Alive, Readiness, StatusShown
from relay.api.context import CONTEXT, Context
from relay.api.problems import ApiProblem, Problem
from relay.core.condition import Condition
from relay.core.errors import RelayError, StoreError
from relay.core.instant import iso
from relay.health import Check


async def healthz(_request: web.Request) -> web.Response:
    """GET /healthz: the process answers."""
    answer: Alive = {"status": "ok"}
    return web.json_response(answer)


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: writes commit and the loops look at their work; a destination that is switched off is told."""
    readiness = await _readiness(request.app[CONTEXT])
    return web.json_response(readiness, status=503 if readiness["status"] == "failing" else 200)


async def _readiness(context: Context) -> Readiness:
    checks = await context.health.checks()
    if not all(check.ok for check in checks.values()):
        status: Literal["ready", "degraded", "failing"] = "failing"
    else:
        switched_off = await _switched_off(context)
        checks |= switched_off
        status = "degraded" if switched_off else "ready"
    return {
        "status": status,
        "checks": {name: {"ok": check.ok, "detail": check.detail} for name, check in checks.items()},
    }


async def _switched_off(context: Context) -> dict[str, Check]:
    """Return the destinations that wait for a person; this page is open to all, so that it quotes no receiver."""
    return {
        f"destination {view.name}": Check(
            ok=False, detail=f"disabled since {iso(view.health.since)}; relay destinations enable {view.name}"
        )
        for view in (await context.store.lanes()).values()
        if view.health.condition is Condition.DISABLED and view.name in context.destinations
    }


async def status(request: web.Request) -> web.Response:
    """GET /v1/status: how the daemon is, at a glance."""
    context = request.app[CONTEXT]
    vitals, now = await context.measure(), context.clock.now()
    oldest = vitals.counts.oldest_pending_at
    answer: StatusShown = {
        **await _readiness(context),
        "version": __version__,
        "started_at": iso(vitals.started_at),
        "config": {"loaded_at": iso(vitals.config_loaded_at), "refused": vitals.config_refused},
        "watches": dict(vitals.counts.watches),
        "deliveries": dict(vitals.counts.deliveries),
        "oldest_pending_s": None if oldest is None else round(max(now - oldest, 0.0), 3),
        "database_bytes": vitals.counts.stored_bytes,
        "providers": [
            {"name": name, "standing": standing.footing, "due_lag_s": round(vitals.due_lags_s[name], 3)}
            for name, standing in sorted(vitals.standings.items())
        ],
    }
    return web.json_response(answer)


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics, in Prometheus' text format."""
    context = request.app[CONTEXT]
    await context.measure()
    return web.Response(body=context.metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def reload(request: web.Request) -> web.Response:
    """POST /v1/reload: take over the configuration on disk, or tell why that cannot be done."""
    try:
        found = await request.app[CONTEXT].reload()
    except StoreError:
        raise
    except RelayError as error:
        raise ApiProblem(Problem.CONFIG_REFUSED, str(error)) from error
    return web.json_response(asdict(found))
