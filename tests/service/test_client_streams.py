"""The clients' stream of events, over connections that break where they like."""

import asyncio

import pytest
from support.raw_server import server

from relay.client import AsyncClient, Client, messages

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
WRITTEN = "retry: 1000\nid: 4\n\n" + "".join(
    f'id: {number}\nevent: job.completed\ndata: {{"id":"evt_{number}","type":"job.completed","data":{{}}}}\n\n'
    for number in (5, 16)
)


class _BreakingServer:
    """Breaks its first stream off behind so many bytes of what it wrote; the next go on where they are asked to."""

    def __init__(self, cut: int) -> None:
        self.resumed: list[str] = []
        self._cut = cut

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
        place = fields.get("last-event-id")
        if place is None:
            whole = WRITTEN.encode()
            writer.write(HEAD + f"{len(whole):x}\r\n".encode() + whole[: self._cut])
            await writer.drain()
            return
        self.resumed.append(place)
        behind = WRITTEN.index("\n\n", WRITTEN.index(f"id: {place}\n")) + 2
        rest = WRITTEN[behind:] + 'data: {"type":"end","data":{}}\n\n'
        writer.write(HEAD + f"{len(rest):x}\r\n{rest}\r\n".encode())
        await writer.drain()
        await reader.read()


async def _told(url: str) -> list[str]:
    async with AsyncClient(url) as client:
        told: list[str] = []
        async for event in client.events():
            if event.type == "end":
                break
            told.append(event.id)
        return told


def _told_plainly(url: str) -> list[str]:
    told: list[str] = []
    for event in Client(url).events():
        if event.type == "end":
            break
        told.append(event.id)
    return told


@pytest.mark.parametrize("last", ["", "id: 1", "id: 16\nevent: job.com", 'data: {"id":"evt_16"', '"data":{}}\n'])
@pytest.mark.parametrize("plain", [False, True])
async def test_a_stream_that_breaks_inside_an_event_loses_none_and_repeats_none(
    last: str, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of the two is complete, the second ends behind `last`."""
    monkeypatch.setattr(messages, "FIRST_PAUSE_S", 0.0)
    second = WRITTEN.index("id: 16\n")
    breaking = _BreakingServer(WRITTEN.index(last, second) + len(last))

    async with server(breaking.serve) as url, asyncio.timeout(20):
        told = await asyncio.to_thread(_told_plainly, url) if plain else await _told(url)

    assert (told, breaking.resumed) == (["evt_5", "evt_16"], ["5"])


@pytest.mark.parametrize("plain", [False, True])
async def test_a_stream_that_breaks_between_events_goes_on_behind_the_last(
    plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also behind the place that a stream begins with, before there was an event."""
    monkeypatch.setattr(messages, "FIRST_PAUSE_S", 0.0)
    breaking = _BreakingServer(WRITTEN.index("id: 5\n"))

    async with server(breaking.serve) as url, asyncio.timeout(20):
        told = await asyncio.to_thread(_told_plainly, url) if plain else await _told(url)

    assert (told, breaking.resumed) == (["evt_5", "evt_16"], ["4"])
