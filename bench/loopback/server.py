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

_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class _Conversation(asyncio.Protocol):
    """One connection; `arrivals` holds the webhook-id of each POST and when its first byte came (monotonic)."""

    def __init__(self, arrivals: list[tuple[str, float]]) -> None:
        self._arrivals = arrivals
        self._unread = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._unread:
            self._began = time.monotonic()
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            head, begin = self._unread[:end], end + 4
            length = int(_header(head, b"content-length") or 0)
            if len(self._unread) < begin + length:
                return
            self._unread = self._unread[begin + length :]
            self._transport.write(self._answer(head))

    def _answer(self, head: bytes) -> bytes:
        method, path, _ = head.split(b" ", 2)
        if method == b"POST":
            self._arrivals.append((_header(head, b"webhook-id").decode(), self._began))
            return _NO_CONTENT
        if path == b"/arrivals":
            body = json.dumps(self._arrivals).encode()
            self._arrivals.clear()
            return _JSON % (len(body), body)
        job_id = path.rpartition(b"/")[2]
        body = COMPLETED % (job_id, job_id) if job_id.startswith(ENDING.encode()) else PENDING % job_id
        return _JSON % (len(body), body)


def _header(head: bytes, name: bytes) -> bytes:
    """Return a header's value, empty where there is none."""
    begin = head.lower().find(b"\r\n" + name + b":")
    if begin < 0:
        return b""
    begin += len(name) + 3
    end = head.find(b"\r\n", begin)
    return head[begin : end if end >= 0 else None].strip()


async def _serve() -> None:
    loop, arrivals = asyncio.get_running_loop(), list[tuple[str, float]]()
    first = await loop.create_server(lambda: _Conversation(arrivals), HOSTS[0], 0)
    port = first.sockets[0].getsockname()[1]
    await loop.create_server(lambda: _Conversation(arrivals), HOSTS[1:], port)
    print(port, flush=True)
    await first.serve_forever()


@asynccontextmanager
async def serving() -> AsyncIterator[Child]:
    """Run it as a process of its own while the block runs."""
    async with child(sys.executable, "-m", "bench.loopback.server") as process:
        await process.listening()
        yield process


if __name__ == "__main__":
    asyncio.run(_serve())
