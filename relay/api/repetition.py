"""Requests that are made again: `Idempotency-Key` and `If-None-Match`.

The key is that of draft-ietf-httpapi-idempotency-key-header, with or without
its quotes.  It is claimed in the store before anything is done, and the answer
is kept there for a day: the same request gets the same answer, also after a
restart.  Of a request that a crash cut short nothing is kept; adding a job
again is harmless by itself.
"""

import hashlib
import json
import re
from collections.abc import Mapping

from aiohttp import ETag, web

from relay.api.auth import caller_of
from relay.api.context import CONTEXT
from relay.api.operation import Handler
from relay.api.problems import ApiProblem, Problem
from relay.api.requests import MAX_BATCH_BODY, read_body
from relay.core.errors import InvalidValue
from relay.core.ports import KeptAnswer

KEY = "Idempotency-Key"
KEPT_S = 86400.0
_KEY = re.compile(r'(")?([!#-~]{1,255})(?(1)")')
_KEPT_HEADERS = ("Content-Type", "Location")


async def once(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a request that carries a key: from what was kept, or by the handler, whose answer is kept."""
    context, key, caller = request.app[CONTEXT], _key_of(request), caller_of(request).name
    body = await read_body(request, MAX_BATCH_BODY)
    asked, now = _fingerprint(request, body), context.clock.now()
    kept = await context.store.claim_answer(caller, key, asked, now, asked_before=now - KEPT_S)
    if kept is not None:
        return _again(kept, asked)
    try:
        response = await handler(request)
        if isinstance(response, web.Response) and response.status < 500:
            headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
            await context.store.keep_answer(
                caller, key, KeptAnswer(asked, response.status, headers, response.text or "")
            )
        else:
            await context.store.give_up_answer(caller, key)
    except BaseException:
        await context.store.give_up_answer(caller, key)
        raise
    return response


def _key_of(request: web.Request) -> str:
    found = _KEY.fullmatch(request.headers[KEY])
    if found is None:
        raise ApiProblem.of_fields([InvalidValue(KEY, "must be 1 to 255 visible ASCII characters")])
    return found[2]


def _fingerprint(request: web.Request, body: bytes) -> str:
    return hashlib.sha256(
        f"{request.method} {request.raw_path}\n".encode("utf-8", "surrogateescape") + body
    ).hexdigest()


def _again(kept: KeptAnswer, asked: str) -> web.Response:
    if kept.request != asked:
        raise ApiProblem(Problem.KEY_REUSED, f"another request came with this {KEY}: a key is for one request")
    if kept.status is None:
        raise ApiProblem(Problem.KEY_UNDER_WAY, "the answer is being made", headers={"Retry-After": "1"})
    return web.Response(
        status=kept.status, body=kept.body.encode(), headers={**kept.headers, "Idempotency-Replayed": "true"}
    )


def unless_known(request: web.Request, answer: Mapping[str, object]) -> web.Response:
    """Return an answer with its tag, or 304 where the client has it already."""
    text = json.dumps(answer)
    tag = ETag(hashlib.sha256(text.encode()).hexdigest()[:32])
    known = request.if_none_match or ()
    if any(given.value in (tag.value, "*") for given in known):
        response = web.Response(status=304)
    else:
        response = web.Response(text=text, content_type="application/json")
    response.etag = tag
    return response
