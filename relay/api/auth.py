"""Who may ask: bearer tokens, and what guards a daemon that has none."""

import hmac
import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass

from aiohttp import web

from relay.api.problems import ApiProblem, Problem
from relay.core.access import Scope, Token, digest_of
from relay.core.ports import Tokens


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks: `owner` limits what they see, None sees all; `name` is empty for those without a token."""

    scopes: frozenset[Scope]
    owner: str | None = None
    name: str = ""

    def needs(self, scope: Scope) -> None:
        """Raise the problem of a caller who may not do this."""
        if not self.scopes & {scope, Scope.ADMIN}:
            raise ApiProblem(Problem.FORBIDDEN, f'the token lacks the scope "{scope}"')


CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)


def caller_of(request: web.Request) -> Caller:
    """Return who makes a request that needs a scope; they have it."""
    return request[CALLER]


_BY_SOCKET = Caller(frozenset(Scope))
ANYONE = Caller(frozenset(Scope))
"""Whoever connects while there are no tokens."""


class CreatedTokens:
    """The tokens that were made by `relay token create` or over the API; those of the configuration are not among them.

    Each is looked up when it is presented, so that a revocation holds at once,
    whoever made it.  Only whether there ever was one is remembered.
    """

    def __init__(self, store: Tokens) -> None:
        self._store = store
        self._number = 0

    @property
    def any(self) -> bool:
        """Whether there is one, or may be: one that is being kept counts."""
        return self._number > 0

    async def load(self) -> None:
        """Find out whether there are any."""
        self._number = len(await self._store.tokens())

    async def add(self, token: Token) -> None:
        """Keep a new one; from now on the API asks for a token.  Raises StoreError, and then nothing has changed."""
        self._number += 1
        try:
            await self._store.add_token(token)
        except Exception:  # not where the wait for it was cancelled: it is kept all the same
            self._number -= 1
            raise

    async def find(self, digest: str) -> Token | None:
        """Return the one with this digest."""
        return await self._store.token(digest) if self.any else None


async def authenticate(
    request: web.Request, configured: Collection[Token], created: CreatedTokens, listen_host: str, now: float
) -> Caller:
    """Return who asks: by the token, if one is presented, and else by the way that the request came.

    Whoever may connect to the socket may do everything.  Before there are
    tokens relay listens on loopback only, and everyone there may do everything;
    a web page in a local browser is kept out by its Host (DNS rebinding) and its
    Origin (cross-site requests).
    """
    kind, _, presented = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and presented.strip():
        return _known(await _find(digest_of(presented.strip()), configured, created), now)
    if _by_socket(request):
        return _BY_SOCKET
    if configured or created.any:
        raise _unauthenticated("send a token as 'Authorization: Bearer ...'")
    _refuse_browsers(request, listen_host)
    return ANYONE


async def _find(digest: str, configured: Collection[Token], created: CreatedTokens) -> Token | None:
    found = [token for token in configured if hmac.compare_digest(token.digest, digest)]
    return found[0] if found else await created.find(digest)


def _known(token: Token | None, now: float) -> Caller:
    if token is None:
        raise _unauthenticated("the token is not known here")
    refusal = token.refusal(now)
    if refusal is not None:
        raise _unauthenticated(refusal)
    return Caller(token.scopes, None if Scope.ADMIN in token.scopes else token.name, token.name)


def _unauthenticated(detail: str) -> ApiProblem:
    return ApiProblem(Problem.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": 'Bearer realm="relay"'})


def _by_socket(request: web.Request) -> bool:
    opened = request.transport.get_extra_info("socket") if request.transport else None
    return opened is not None and opened.family == socket.AF_UNIX


def _refuse_browsers(request: web.Request, listen_host: str) -> None:
    host = _host_of(request)
    if host not in ("localhost", listen_host) and not _is_loopback(host):
        raise ApiProblem(Problem.FORBIDDEN, "without tokens relay answers only to a loopback host name")
    if "Origin" in request.headers:
        raise ApiProblem(Problem.FORBIDDEN, "without tokens relay answers no web page")


def _host_of(request: web.Request) -> str:
    """Return whom the request believes to ask; nobody, where that cannot be read."""
    try:
        return request.url.host or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
