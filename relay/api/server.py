"""The sockets that the API answers on, and what keeps strangers from filling them up.

aiohttp closes a connection on which no whole request has come within
`HEADERS_S`, be it idle or fed byte by byte.  What it has no bound for is their
number: beyond `CONNECTIONS` the one that idles longest gives way to a new one,
so that neither forgotten clients nor hostile ones keep others out, or take the
file descriptors that polls and the database need.  The socket of this machine
has places of its own, so that whoever runs relay gets in when TCP is full.
"""

import asyncio
import math
import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from relay.api.context import CONTEXT
from relay.api.problems import ApiProblem, Problem
from relay.core.text import one_line

log = structlog.get_logger("relay.api")

CONNECTIONS = 1000
"""At most over TCP; where the process may open fewer than twice as many files, half of those."""
_LOCAL_SHARE = 10
"""The socket has one place for so many of TCP."""
_TOLD_EVERY_S = 60.0
HEADERS_S = 75.0
"""Longer than the 60 s for which reverse proxies keep idle connections: none is closed as it comes to be used."""
_LINGER_S = 1.0
"""How long a client may go on sending a body that was refused."""
_BACKLOG = 1024


def room() -> int:
    """Return how many connections there may be over TCP."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if files == resource.RLIM_INFINITY else min(CONNECTIONS, files // 2)


class Doors:
    """Who is inside: the connections that wait for a request, in the order of their waiting, and the others.

    `refused` is called for each that finds no place.
    """

    def __init__(self, capacity: int, refused: Callable[[], None]) -> None:
        self._capacity = capacity
        self._refused = refused
        self._told_at = -math.inf
        self._idle: dict[Conversation, None] = {}
        self._busy: set[Conversation] = set()

    def enter(self, new: "Conversation") -> None:
        """Let a connection in; where there is no room, the one that idles longest leaves, or else the new one."""
        if len(self._idle) + len(self._busy) >= self._capacity:
            leaving = next(iter(self._idle), new)
            self.leave(leaving)
            leaving.force_close()
            if leaving is new:
                self._refuse()
                return
        self._idle[new] = None

    def _refuse(self) -> None:
        self._refused()
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= _TOLD_EVERY_S:
            self._told_at = now
            log.warning("places.exhausted", connections=self._capacity)

    def leave(self, conversation: "Conversation") -> None:
        """Forget a connection."""
        self._idle.pop(conversation, None)
        self._busy.discard(conversation)

    def occupied(self, conversation: "Conversation") -> None:
        """Note that a request is being answered."""
        if conversation in self._idle:
            del self._idle[conversation]
            self._busy.add(conversation)

    def free(self, conversation: "Conversation") -> None:
        """Note that the next request is waited for."""
        if conversation in self._busy:
            self._busy.discard(conversation)
            self._idle[conversation] = None


class Conversation(web.RequestHandler):
    """One connection."""

    __slots__ = ("_doors",)

    def __init__(self, server: web.Server, doors: Doors) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=HEADERS_S,
            lingering_time=_LINGER_S,
            access_log=None,  # type: ignore[arg-type]  # the way to have none
        )
        self._doors = doors

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._doors.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See asyncio.Protocol."""
        self._doors.leave(self)
        super().connection_lost(exc)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Keep the connection from giving way to others while the block runs."""
        self._doors.occupied(self)
        try:
            yield
        finally:
            self._doors.free(self)

    def log_exception(self, *args: object, **kw: object) -> None:
        """Log what failed outside of every handler, but not a body that was left unread and could not be."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP request, or what failed outside of every handler, with a problem document."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already") from exc
        if isinstance(exc, HttpProcessingError):
            problem = ApiProblem(Problem.MALFORMED, f"the request is no HTTP that relay reads: {_words(exc)}")
        else:
            log.error("request.failed", exc_info=exc)
            problem = ApiProblem(Problem.INTERNAL, "the log of the daemon tells more")
        response = problem.response()
        response.force_close()
        return response


def _words(error: HttpProcessingError) -> str:
    """Return what is wrong without the bytes at fault, which may hold a secret."""
    return one_line(error.message.partition("\n")[0].partition(" when reading:")[0])


def open_local(path: Path) -> socket.socket:
    """Return a bound socket at `path`, for its owner and group only; one that a dead process left is replaced.

    Raises OSError where there can be none, and where someone answers on it already.
    """
    opened = socket.socket(socket.AF_UNIX)
    try:
        if path.is_socket() and _is_deserted(path):
            path.unlink()
        before = os.umask(0o117)  # there must be no moment at which others could connect
        try:
            opened.bind(str(path))
        finally:
            os.umask(before)
    except OSError:
        opened.close()
        raise
    return opened


def _is_deserted(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        return False


class Listener:
    """Serves an application until it is stopped."""

    def __init__(self, app: web.Application, *, grace_s: float) -> None:
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=grace_s)
        self._refused = app[CONTEXT].metrics.connections_refused
        self._open = AsyncExitStack()

    async def start(self) -> None:
        """Make ready; no one can connect yet."""
        await self._runner.setup()

    async def listen(self, host: str, port: int) -> str:
        """Accept connections, and return the URL; raises OSError where the address cannot be had."""
        loop = asyncio.get_running_loop()
        enter = self._entrance(room())
        server = await loop.create_server(enter, host, port, backlog=_BACKLOG)
        self._open.callback(server.close)
        bound, number = server.sockets[0].getsockname()[:2]
        return f"http://[{bound}]:{number}" if ":" in bound else f"http://{bound}:{number}"

    async def listen_locally(self, path: Path) -> None:
        """Accept connections on a socket of this machine; raises OSError where there can be none."""
        loop = asyncio.get_running_loop()
        enter = self._entrance(max(room() // _LOCAL_SHARE, 1))
        server = await loop.create_unix_server(enter, sock=open_local(path), backlog=_BACKLOG)
        self._open.callback(path.unlink, missing_ok=True)
        self._open.callback(server.close)

    async def stop(self) -> None:
        """Accept no more, let what is under way end within the grace period, and close."""
        await self._open.aclose()
        await self._runner.cleanup()

    def _entrance(self, capacity: int) -> Callable[[], Conversation]:
        """Return what makes the connections of one listener, which has so many places."""
        server = self._runner.server
        assert server is not None  # between start and stop
        return partial(Conversation, server, Doors(capacity, self._refused.inc))
