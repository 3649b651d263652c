"""Who may ask: bearer tokens, and what guards a daemon that has none."""

import hashlib
import hmac
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass

from aiohttp import web

from relay.api.problems import ApiProblem, Problem
from relay.core.access import Scope, Token


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks; `owner` limits what they see, None sees all."""

    scopes: frozenset[Scope]
    owner: str | None = None

    def needs(self, scope: Scope) -> None:
        """Raise the problem of a caller who may not do this."""
        if not self.scopes & {scope, Scope.ADMIN}:
            raise ApiProblem(Problem.FORBIDDEN, f'the token lacks the scope "{scope}"')


CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)


def caller_of(request: web.Request) -> Caller:
    """Return who makes a request that needs a scope; they have it."""
    return request[CALLER]


_EVERYTHING = Caller(frozenset(Scope))


def authenticate(request: web.Request, tokens: Collection[Token], listen_host: str) -> Caller:
    """Return who asks.

    Without tokens relay listens on loopback only, and everyone there may do
    everything; a web page in a local browser is kept out by its Host (DNS
    rebinding) and its Origin (cross-site requests).
    """
    if not tokens:
        _refuse_browsers(request, listen_host)
        return _EVERYTHING
    kind, _, presented = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and presented.strip():
        digest = hashlib.sha256(presented.strip().encode("utf-8", "surrogateescape")).hexdigest()
        found = [token for token in tokens if hmac.compare_digest(token.digest, digest)]
        if found:
            owner = None if Scope.ADMIN in found[0].scopes else found[0].name
            return Caller(found[0].scopes, owner)
    raise ApiProblem(
        Problem.UNAUTHENTICATED,
        "send a token as 'Authorization: Bearer ...'",
        headers={"WWW-Authenticate": 'Bearer realm="relay"'},
    )


def _refuse_browsers(request: web.Request, listen_host: str) -> None:
    host = request.url.host or ""
    if host not in ("localhost", listen_host) and not _is_loopback(host):
        raise ApiProblem(Problem.FORBIDDEN, "without tokens relay answers only to a loopback host name")
    if "Origin" in request.headers:
        raise ApiProblem(Problem.FORBIDDEN, "without tokens relay answers no web page")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
