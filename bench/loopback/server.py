"""A provider and a receiver in one, which answer at once: `python -m bench.loopback.server`.

It speaks just enough HTTP for clients that do: requests one after another on
connections that stay open.  Its standard output tells its port.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field

import aiohttp

from bench.loopback.processes import Child, child

PENDING = b'{"id": "%s", "status": "pending"}'
COMPLETED = (
    b'{"id": "%s", "status": "completed", "model": "seedance-v1-pro", "data": [{"url": '
    b'"https://cdn.getimg.ai/v2/downloads/%s/0?exp=1760000000&sig=MEUCIQDfWhl2m", "width": 1920, "height": 1080, '
    b'"duration": 5, "fps": 24, "has_sound": true, "mime_type": "video/mp4", "deletes_at": "2030-01-01T00:00:00.000Z"}'
    b'], "usage": {"total_cost": 0.25, "billable_unit": "video_second", "unit_price": 0.05, "quantity": 5}}'
)
"""The answers of getimg.ai's status request, as its documentation shows them."""

ENDING = "end-"
"""Jobs whose id begins so have ended; all others run."""

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 9))
"""It answers on all of them, so that it can be several receivers."""

_SEEN, _SO_FAR = b"/seen", b"/so-far"
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass(slots=True)
class Seen:
    """What came since someone asked: how many polls, of how many jobs, and instants in Unix seconds.

    `told` is when a job's end was answered for the first time, `called` when
    the first byte of its callback came; `calls` counts all callbacks.
    """

    polls: int = 0
    jobs: int = 0
    first_poll_at: float = 0.0
    told: dict[str, float] = field(default_factory=dict)
    called: dict[str, float] = field(default_factory=dict)
    calls: int = 0

    @property
    def lags_s(self) -> list[float]:
        """From the answer that told a job's end to the first byte of its callback, in order."""
        return sorted(at - self.told[job_id] for job_id, at in self.called.items() if job_id in self.told)


class _Answering:
    """What is answered; `began` is when the first byte of a request came."""

    def __init__(self) -> None:
        self._seen = Seen()
        self._jobs = set[bytes]()

    def answer(self, head: bytes, body: bytes, began: float) -> bytes:
        """Return the bytes of the answer."""
        method, path, _ = head.split(b" ", 2)
        if method == b"POST":
            self._seen.calls += 1
            self._seen.called.setdefault(_job_id(body), began)
            return _NO_CONTENT
        if path == _SO_FAR:
            return _json(self._report())
        if path == _SEEN:
            report = self._report()
            self._seen, self._jobs = Seen(), set()
            return _json(report)
        return _json(self._status(path.rpartition(b"/")[2], began))

    def _status(self, job_id: bytes, began: float) -> bytes:
        seen = self._seen
        seen.polls += 1
        seen.first_poll_at = seen.first_poll_at or began
        self._jobs.add(job_id)
        if not job_id.startswith(ENDING.encode()):
            return PENDING % job_id
        seen.told.setdefault(job_id.decode(), time.time())
        return COMPLETED % (job_id, job_id)

    def _report(self) -> bytes:
        self._seen.jobs = len(self._jobs)
        return json.dumps(asdict(self._seen)).encode()


class _Conversation(asyncio.Protocol):
    """One connection."""

    def __init__(self, answering: _Answering) -> None:
        self._answering = answering
        self._unread = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._unread:
            self._began = time.time()
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            head, begin = self._unread[:end], end + 4
            length = int(_header(head, b"content-length") or 0)
            if len(self._unread) < begin + length:
                return
            body, self._unread = self._unread[begin : begin + length], self._unread[begin + length :]
            self._transport.write(self._answering.answer(head, body, self._began))


def _job_id(body: bytes) -> str:
    """Return whose callback this is."""
    return body.partition(b'"job_id":"')[2].partition(b'"')[0].decode()


def _json(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def _header(head: bytes, name: bytes) -> bytes:
    """Return a header's value, empty where there is none."""
    begin = head.lower().find(b"\r\n" + name + b":")
    if begin < 0:
        return b""
    begin += len(name) + 3
    end = head.find(b"\r\n", begin)
    return head[begin : end if end >= 0 else None].strip()


async def _serve() -> None:
    loop, answering = asyncio.get_running_loop(), _Answering()
    first = await loop.create_server(lambda: _Conversation(answering), HOSTS[0], 0)
    port = first.sockets[0].getsockname()[1]
    await loop.create_server(lambda: _Conversation(answering), HOSTS[1:], port)
    print(port, flush=True)
    await first.serve_forever()


async def seen(server: Child, *, forget: bool = True) -> Seen:
    """Return what the server saw since it was made to forget that last."""
    path = (_SEEN if forget else _SO_FAR).decode()
    async with aiohttp.ClientSession() as session, session.get(server.url + path) as answer:
        return Seen(**await answer.json())


@asynccontextmanager
async def serving() -> AsyncIterator[Child]:
    """Run it as a process of its own while the block runs."""
    async with child(sys.executable, "-m", "bench.loopback.server") as process:
        await process.listening()
        yield process


if __name__ == "__main__":
    asyncio.run(_serve())
