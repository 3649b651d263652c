"""/v1/tokens."""

from aiohttp import web

from relay.api.answers import TokenCreated, TokenList
from relay.api.auth import ANYONE, caller_of
from relay.api.context import CONTEXT
from relay.api.problems import ApiProblem, Problem
from relay.api.requests import MAX_BODY, TokenRequest, read_json
from relay.api.views import token_json
from relay.core.access import TOKEN_BYTES, Scope, expiry, new_token, token_text
from relay.core.errors import InvalidValue


async def create(request: web.Request) -> web.Response:
    """POST /v1/tokens; not for anyone on this machine, because the first token locks out those who have none."""
    context = request.app[CONTEXT]
    if caller_of(request) is ANYONE:
        raise ApiProblem(
            Problem.FORBIDDEN, "the first token is made over the socket, or by relay token create while relay rests"
        )
    wanted, now = await read_json(request, TokenRequest, MAX_BODY), context.clock.now()
    try:
        expires_at = None if wanted.expires is None else expiry(wanted.expires, now)
    except ValueError as error:
        raise ApiProblem.of_fields([InvalidValue("expires", str(error))]) from error
    text = token_text(context.entropy.bytes(TOKEN_BYTES))
    token = new_token(text, wanted.name, frozenset(map(Scope, wanted.scopes)), now=now, expires_at=expires_at)
    await context.created.add(token)
    answer: TokenCreated = {**token_json(token), "token": text}
    return web.json_response(answer, status=201, headers={"Cache-Control": "no-store"})


async def list_tokens(request: web.Request) -> web.Response:
    """GET /v1/tokens."""
    answer: TokenList = {"items": [token_json(token) for token in await request.app[CONTEXT].store.tokens()]}
    return web.json_response(answer)


async def revoke(request: web.Request) -> web.Response:
    """DELETE /v1/tokens/{id}."""
    context = request.app[CONTEXT]
    return web.json_response(
        token_json(await context.store.revoke_token(request.match_info["id"], context.clock.now()))
    )
