"""The other end of the benches: what it answers, what it has seen, and that its clients read whole answers."""

import asyncio
import json

from bench.loopback.client import load, post
from bench.loopback.echo import echoing
from bench.loopback.processes import Child
from bench.loopback.server import ENDING, HOSTS, seen, serving


async def exchange(server: Child, host: str, pieces: list[bytes], answers: int) -> bytes:
    """Send `pieces`, each by itself, and return what came back by the end of so many answers."""
    reader, writer = await asyncio.open_connection(host, server.port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    async with asyncio.timeout(10):
        received = b""
        while received.count(b"HTTP/1.1 ") < answers or not received.endswith((b"}", b"\r\n\r\n")):
            received += await reader.read(65536)
    writer.close()
    return received


async def test_requests_are_answered_however_they_are_cut_and_what_they_asked_is_remembered_once() -> None:
    ask = b"GET /v2/videos/generations/%s HTTP/1.1\r\nHost: x\r\n\r\n"
    body = json.dumps({"data": {"job_id": f"{ENDING}1"}}, separators=(",", ":")).encode()
    call = b"POST /hook HTTP/1.1\r\nHost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    async with serving() as server:
        told = await exchange(server, HOSTS[0], [ask % b"req-1" + ask[:9], ask[9:] % f"{ENDING}1".encode()], 2)
        called = await exchange(server, HOSTS[-1], [call[:30], call[30:-5], call[-5:]], 1)
        so_far, first, second = await seen(server, forget=False), await seen(server), await seen(server)

    assert b'"pending"' in told
    assert b'"completed"' in told
    assert called == b"HTTP/1.1 204 No Content\r\n\r\n"
    assert (first.polls, first.jobs, first.calls) == (2, 2, 1)
    assert first.called.keys() == first.told.keys() == {f"{ENDING}1"}
    assert first.lags_s[0] > 0
    assert first.first_poll_at <= first.told[f"{ENDING}1"]
    assert so_far == first
    assert (second.polls, second.jobs, second.calls, second.lags_s) == (0, 0, 0, [])


async def test_the_load_generator_sends_each_request_once_and_counts_its_answer() -> None:
    requests = [post("/x", json.dumps({"n": "x" * size}).encode(), "token") for size in range(0, 200_000, 4_000)]
    async with echoing() as echo:
        used_s = echo.cpu_s()
        answers = await load(echo.port, iter(requests), 4)
        assert echo.cpu_s() > used_s

    assert answers.statuses == {201: 50}
    assert len(answers.took_s) == 50
    assert min(answers.took_s) > 0
