"""Sending a request and reading the answer, within limits."""

import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import aiohttp
from yarl import URL

from relay import __version__
from relay.core.address import AddressPolicy
from relay.core.http import Fault, Request, Response, TransportError
from relay.core.ports import Clock, Transport
from relay.transport.egress import Egress, ProxiedTransport
from relay.transport.faults import classified
from relay.transport.guard import Guard, connecting_to
from relay.transport.patience import MOST_HEAD, ImpatientConnector

_CONNECT_TIMEOUT_S = 10.0
_NAME_CACHE_S = 30
_LOOKUPS = 32
_CHUNK = 65536
_MOST_HEADERS = 1000
USER_AGENT = f"status-relay/{__version__} (+https://pypi.org/project/status-relay/)"
"""Receivers such as Discord turn away the default names of HTTP libraries (error 40333)."""


class _BadEncoding(Exception):
    """A body is not what its Content-Encoding says."""


class HttpTransport:
    """Implements `relay.core.ports.Transport` on aiohttp."""

    def __init__(self, session: aiohttp.ClientSession, clock: Clock, proxy: str | None = None) -> None:
        """Send by `session`; `proxy` is the host of the proxy that it goes through."""
        self._session = session
        self._clock = clock
        self._proxy = proxy

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        """See Transport."""
        try:
            url = URL(request.url, encoded=True)
            with connecting_to(url.raw_host):
                return await self._exchange(request, url, timeout_s, max_body)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise classified(error, timeout_s, self._proxy) from error

    async def _exchange(self, request: Request, url: URL, timeout_s: float, max_body: int) -> Response:
        started = self._clock.monotonic()
        async with self._session.request(
            request.method,
            url,
            data=request.body,
            headers=request.headers,
            allow_redirects=False,
            timeout=_patience(timeout_s),
        ) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            try:
                body, complete = await _read_capped(answer, max_body)
            except _BadEncoding as error:
                unread = Response(answer.status, headers, complete=False, elapsed_s=self._clock.monotonic() - started)
                raise TransportError(Fault.PROTOCOL, str(error), unread) from error
            return Response(answer.status, headers, body, complete, self._clock.monotonic() - started)


@asynccontextmanager
async def open_transport(
    policy: AddressPolicy, clock: Clock, *, connections: int, egress: Egress | None = None
) -> AsyncIterator[Transport]:
    """Open a client that connects only where `policy` lets it, with at most `connections` sockets.

    Raises ValueError for an `egress` whose URL is none.
    """
    async with _guarding(policy) as guard, _session(guard, connections) as session:
        direct = HttpTransport(session, clock)
        if egress is None:
            yield direct
            return
        async with (
            _guarding(AddressPolicy(operator=True)) as to_proxy,
            _session(to_proxy, connections, egress) as proxied,
        ):
            through = HttpTransport(proxied, clock, egress.location.host)
            yield ProxiedTransport(egress, guard, direct=direct, proxied=through)


@asynccontextmanager
async def _guarding(policy: AddressPolicy) -> AsyncIterator[Guard]:
    guard = Guard(policy, lookups=_LOOKUPS)
    try:
        yield guard
    finally:
        await guard.close()


def _session(guard: Guard, connections: int, egress: Egress | None = None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=ImpatientConnector(
            limit=connections, resolver=guard, socket_factory=guard.socket, ttl_dns_cache=_NAME_CACHE_S
        ),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_line_size=MOST_HEAD,
        max_field_size=MOST_HEAD,
        max_headers=_MOST_HEADERS,
        trust_env=False,
        proxy=egress.location if egress else None,
    )


@cache
def _patience(timeout_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_TIMEOUT_S)


async def _read_capped(answer: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """Return the body, at most `limit` bytes of it, and whether that is all.

    A body compressed against our wish is unpacked within the same limit; one that is empty needs no unpacking.
    """
    encoding = answer.headers.get("Content-Encoding", "identity").lower()
    if encoding == "identity" and answer.content.is_eof() and answer.content.total_bytes <= limit:
        return answer.content.read_nowait(), True  # it came with the headers, as short answers do
    packed, unpack = encoding in ("gzip", "x-gzip", "deflate"), None
    body = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        room = limit + 1 - len(body)
        if packed and unpack is None:
            unpack = zlib.decompressobj(_wbits(encoding, chunk[0]))
        try:
            body += unpack.decompress(chunk, room) if unpack else chunk[:room]
        except zlib.error as error:
            raise _BadEncoding(f"the body is not {encoding}") from error
        if len(body) > limit:
            answer.close()
            return bytes(body[:limit]), False
        if unpack and unpack.eof:  # what follows it is nothing, however much there is
            break
    if unpack and not unpack.eof:
        raise _BadEncoding(f"the {encoding} body is cut short")
    return bytes(body), True


def _wbits(encoding: str, first: int) -> int:
    """Return how zlib has to unpack a body that begins with the byte `first`.

    Some servers send "deflate" without the header of zlib (RFC 1950), whose first byte has 8 in its lower half; that of
    gzip (RFC 1952) is 31, with which nothing bare begins.
    """
    bare = encoding == "deflate" and first & 15 != 8 and first != 31
    return -zlib.MAX_WBITS if bare else 32 + zlib.MAX_WBITS
