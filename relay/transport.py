"""The one HTTP client.

Answers are hostile until read: identity encoding is asked for and bodies are
capped, a total timeout always holds, redirects and cookies and the
environment's proxies are ignored, and the address is checked on the socket
itself, which every spelling of a host has to pass.
"""

import errno
import os
import socket
import ssl
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.connector import AddrInfoType
from yarl import URL

from relay import __version__
from relay.core.address import AddressPolicy
from relay.core.http import Fault, Request, Response, TransportError
from relay.core.ports import Clock
from relay.core.text import one_line

_CONNECT_TIMEOUT_S = 10.0
_LOCAL_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENETUNREACH, errno.ENETDOWN})
_CHUNK = 65536
USER_AGENT = f"status-relay/{__version__} (+https://pypi.org/project/status-relay/)"


class ForbiddenAddress(OSError):
    """The address guard refused a socket."""


class HttpTransport:
    """Implements `relay.core.ports.Transport` on aiohttp."""

    def __init__(self, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        """See Transport."""
        started = self._clock.monotonic()
        try:
            async with self._session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **request.headers},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_TIMEOUT_S),
            ) as answer:
                body, complete = await _read_capped(answer, max_body)
                return Response(
                    status=answer.status,
                    headers={name.lower(): value for name, value in answer.headers.items()},
                    body=body,
                    complete=complete,
                    elapsed_s=self._clock.monotonic() - started,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise _classified(error, timeout_s) from error


@asynccontextmanager
async def open_transport(policy: AddressPolicy, clock: Clock, *, connections: int) -> AsyncIterator[HttpTransport]:
    """Open a client that connects only where `policy` lets it, with at most `connections` sockets."""

    def guarded_socket(info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        refusal = policy.refusal(str(address[0]))
        if refusal is not None:
            raise ForbiddenAddress(errno.EACCES, refusal)
        return socket.socket(family=family, type=kind, proto=protocol)

    connector = aiohttp.TCPConnector(limit=connections, socket_factory=guarded_socket, ttl_dns_cache=30)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
    ) as session:
        yield HttpTransport(session, clock)


async def _read_capped(answer: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """Return the body, at most `limit` bytes of it, and whether that is all.

    A body compressed against our wish is unpacked within the same limit.
    """
    encoding = answer.headers.get("Content-Encoding", "identity").lower()
    unpack = zlib.decompressobj(wbits=47) if encoding in ("gzip", "x-gzip", "deflate") else None
    body = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        room = limit + 1 - len(body)
        try:
            body += unpack.decompress(chunk, room) if unpack else chunk[:room]
        except zlib.error as error:
            raise aiohttp.ClientPayloadError(f"the body is not {encoding}") from error
        if len(body) > limit:
            answer.close()
            return bytes(body[:limit]), False
    if unpack and not unpack.eof:
        raise aiohttp.ClientPayloadError(f"the {encoding} body is cut short")
    return bytes(body), True


def _classified(error: Exception, timeout_s: float) -> TransportError:
    """Return what kept the answer away, by the error's type, in words free of URLs."""
    forbidden = _forbidden(error)
    if forbidden is not None:
        return TransportError(Fault.FORBIDDEN_ADDRESS, forbidden.strerror or "")
    if isinstance(error, TimeoutError):
        return TransportError(Fault.TIMEOUT, f"no complete answer within {timeout_s:g} s")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return TransportError(Fault.DNS, "the host name does not resolve")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return TransportError(Fault.TLS, _tls_reason(error))
    if isinstance(error, OSError) and error.errno in _LOCAL_ERRNOS:
        return TransportError(Fault.LOCAL, os.strerror(error.errno))
    if isinstance(error, aiohttp.ClientConnectorError):
        return TransportError(Fault.CONNECT, _os_reason(error.os_error))
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError | aiohttp.ClientOSError):
        return TransportError(Fault.DISCONNECTED, "the connection broke before the answer was complete")
    if isinstance(error, aiohttp.InvalidURL):
        return TransportError(Fault.PROTOCOL, "the URL is not valid")
    return TransportError(Fault.PROTOCOL, f"the answer is not proper HTTP ({type(error).__name__})")


def _forbidden(error: BaseException) -> ForbiddenAddress | None:
    """Return the guard's own error from the chain that aiohttp wrapped around it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ForbiddenAddress):
            return seen
        if isinstance(seen, BaseExceptionGroup):
            return next((found for inner in seen.exceptions if (found := _forbidden(inner))), None)
        seen = getattr(seen, "os_error", None) or seen.__cause__ or seen.__context__
    return None


def _tls_reason(error: Exception) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return one_line(f"the certificate is not valid: {cause.verify_message}")
    return one_line(f"TLS failed: {getattr(cause, 'reason', None) or type(cause).__name__}")


def _os_reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else one_line(str(error.strerror or type(error).__name__))
