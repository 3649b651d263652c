"""/healthz, /readyz, /metrics and /v1/reload: the daemon itself."""

from dataclasses import asdict

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from relay.api.auth import caller_of
from relay.api.context import CONTEXT
from relay.api.problems import ApiProblem, Problem
from relay.core.access import Scope
from relay.core.errors import RelayError


async def healthz(_request: web.Request) -> web.Response:
    """GET /healthz: the process answers."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: writes commit and the loops look at their work."""
    checks = await request.app[CONTEXT].health.checks()
    ready = all(check.ok for check in checks.values())
    return web.json_response(
        {
            "status": "ready" if ready else "failing",
            "checks": {name: {"ok": check.ok, "detail": check.detail} for name, check in checks.items()},
        },
        status=200 if ready else 503,
    )


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics, in Prometheus' text format."""
    caller_of(request, Scope.READ)
    context = request.app[CONTEXT]
    context.metrics.observe(await context.store.counts(), context.clock.now())
    return web.Response(body=context.metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def reload(request: web.Request) -> web.Response:
    """POST /v1/reload: take over the configuration on disk, or tell why that cannot be done."""
    caller_of(request, Scope.ADMIN)
    try:
        found = await request.app[CONTEXT].reload()
    except RelayError as error:
        raise ApiProblem(Problem.CONFIG_REFUSED, str(error)) from error
    return web.json_response(asdict(found))
