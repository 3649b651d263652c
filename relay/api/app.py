"""The HTTP API, put together."""

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from relay.api import deliveries, events, health, surroundings, watches
from relay.api.auth import CALLER, authenticate
from relay.api.context import CONTEXT, Context
from relay.api.problems import ApiProblem, Problem
from relay.core.errors import Conflict, InvalidValue, NotFound, StoreError

log = structlog.get_logger("relay.api")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_BY_STATUS = {problem.status: problem for problem in Problem}


def build_app(context: Context) -> web.Application:
    """Return the application that serves `context`."""
    app = web.Application(middlewares=[_problems, _authenticated])
    app[CONTEXT] = context
    app.add_routes(
        [
            web.post("/v1/watches", watches.add),
            web.post("/v1/watches/batch", watches.add_batch),
            web.get("/v1/watches", watches.list_watches),
            web.get("/v1/watches/{id}", watches.show),
            web.delete("/v1/watches/{id}", watches.remove),
            web.post("/v1/watches/{id}/poll", watches.poll),
            web.get("/v1/watches/{id}/explanation", watches.explanation),
            web.get("/v1/deliveries", deliveries.list_deliveries),
            web.get("/v1/deliveries/{id}", deliveries.show),
            web.post("/v1/deliveries/{id}/resend", deliveries.resend),
            web.get("/v1/events", events.list_events),
            web.get("/v1/providers", surroundings.list_providers),
            web.get("/v1/destinations", surroundings.list_destinations),
            web.post("/v1/destinations/{name}/test", surroundings.test_destination),
            web.get("/v1/status", health.status),
            web.post("/v1/reload", health.reload),
            web.get("/healthz", health.healthz),
            web.get("/readyz", health.readyz),
            web.get("/metrics", health.metrics),
        ]
    )
    return app


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into a problem document; the boundary of a request."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        problem = _BY_STATUS.get(error.status, Problem.MALFORMED)
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return ApiProblem(problem, f"{request.method} {request.path}", headers=headers).response()
    except ApiProblem as error:
        return error.response()
    except InvalidValue as error:
        return ApiProblem.of_fields([error]).response()
    except NotFound as error:
        return ApiProblem(Problem.NOT_FOUND, str(error)).response()
    except Conflict as error:
        return ApiProblem(Problem.CONFLICT, str(error)).response()
    except StoreError as error:
        log.error("request.failed", method=request.method, path=request.path, error=str(error))
        return ApiProblem(Problem.UNAVAILABLE, str(error), headers={"Retry-After": "5"}).response()
    except Exception:
        log.exception("request.failed", method=request.method, path=request.path)
        return ApiProblem(Problem.INTERNAL, "the log of the daemon tells more").response()


@web.middleware
async def _authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path not in _OPEN_PATHS:
        context = request.app[CONTEXT]
        request[CALLER] = authenticate(request, context.tokens, context.listen_host)
    return await handler(request)
