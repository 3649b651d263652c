"""The HTTP API, put together."""

from functools import partial

import structlog
from aiohttp import web

from relay.api import repetition
from relay.api.auth import CALLER
from relay.api.context import CONTEXT, Context, identify
from relay.api.openapi import DESCRIBED
from relay.api.operation import Handler
from relay.api.operations import OPERATIONS
from relay.api.pace import PACE, Pace
from relay.api.problems import ApiProblem, Problem
from relay.api.server import Conversation
from relay.core.access import Scope
from relay.core.errors import Conflict, InvalidValue, NotFound, StoreError, TooMuch
from relay.core.text import one_line

log = structlog.get_logger("relay.api")

_SCOPES = {operation.handler: operation.scope for operation in OPERATIONS}
_REPEATABLE = {operation.handler for operation in OPERATIONS if repetition.KEY in operation.takes}
_ID = "{id:[^{}/]*[_:][^{}/]*}"
"""What tells an id, or provider:job_id, from the name of a collection's operation."""
_BY_STATUS = {problem.status: problem for problem in Problem}


def build_app(context: Context) -> web.Application:
    """Return the application that serves `context`."""
    app = web.Application(middlewares=[_occupying, _problems, _authenticated, _repeated, _problems])
    app[CONTEXT] = context
    app[DESCRIBED] = OPERATIONS
    for operation in OPERATIONS:
        known = web.get if operation.method == "GET" else partial(web.route, operation.method)  # a GET answers HEAD
        app.add_routes([known(operation.path.replace("{id}", _ID), operation.handler)])
    app[PACE] = Pace()
    app.on_shutdown.append(_let_go)
    return app


async def _let_go(app: web.Application) -> None:
    """End what is held open: streams, and requests that wait for a watch."""
    app[CONTEXT].news.close()
    app[CONTEXT].ends.close()


@web.middleware
async def _occupying(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not isinstance(request.protocol, Conversation):
        return await handler(request)
    with request.protocol.answering():
        return await handler(request)


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
    except TooMuch as error:
        return ApiProblem(Problem.TOO_MUCH, str(error), headers={"Retry-After": "5"}).response()
    except StoreError as error:
        log.error("request.failed", method=request.method, path=one_line(request.path), error=str(error))
        return ApiProblem(Problem.UNAVAILABLE, str(error), headers={"Retry-After": "5"}).response()
    except Exception:
        log.exception("request.failed", method=request.method, path=one_line(request.path))
        return ApiProblem(Problem.INTERNAL, "the log of the daemon tells more").response()


@web.middleware
async def _authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
    scope = _SCOPES.get(request.match_info.handler, Scope.READ)
    if scope is not None:
        caller = request[CALLER] = await identify(request)
        if caller.name:
            context = request.app[CONTEXT]
            request.app[PACE].spend(caller.name, context.rate, context.clock.monotonic())
        if request.match_info.http_exception is None:
            request[CALLER].needs(scope)
    return await handler(request)


@web.middleware
async def _repeated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer the same request with the same key but once; errors are answers here already, so that they are kept."""
    lost = request.match_info.http_exception is not None
    if lost or request.method != "POST" or repetition.KEY not in request.headers:
        return await handler(request)
    if request.match_info.handler not in _REPEATABLE:
        raise ApiProblem.of_fields([InvalidValue(repetition.KEY, "is not taken here: the answer is told once")])
    return await repetition.once(request, handler)
