"""A load generator that costs less than what it measures: raw requests over connections that stay open."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Answers:
    """What came back: how many of each status, and how long each took in seconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)


def post(path: str, body: bytes, token: str) -> bytes:
    """Return the bytes of a request with a JSON body."""
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def load(port: int, requests: Iterator[bytes], connections: int) -> Answers:
    """Send all requests, each connection the next one as soon as it has its answer.

    Raises ConnectionError where the server hangs up.
    """
    loop, answers = asyncio.get_running_loop(), Answers()
    ends = [loop.create_future() for _ in range(connections)]
    for end in ends:
        await loop.create_connection(lambda end=end: _Caller(requests, answers, end), "127.0.0.1", port)  # type: ignore[misc]  # mypy infers no lambda with a default
    await asyncio.gather(*ends)
    return answers


class _Caller(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], answers: Answers, end: "asyncio.Future[None]") -> None:
        self._requests = requests
        self._answers = answers
        self._end = end
        self._unread = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, found, body = self._unread.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        self._answers.took_s.append(time.perf_counter() - self._sent_at)
        self._answers.statuses[int(head[9:12])] += 1
        self._unread = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._end.done():
            self._end.set_exception(exc or ConnectionResetError("the server hung up"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._end.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)
