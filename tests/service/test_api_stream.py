"""Events as they come: server-sent events over a real socket."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from support.api import ROOT, SHOP, TOKENS, Api, bearer, served
from support.daemon import until

from relay.api import events
from relay.clock import SystemEntropy
from relay.core.observation import Observation, Status
from relay.store import part

DONE = Observation(Status.COMPLETED, "done")
FAILED = Observation(Status.FAILED, "bad")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with served(tmp_path) as api:
        yield api


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Api]:
    async with served(tmp_path, TOKENS) as api:
        api.context.entropy = SystemEntropy()
        api.headers = bearer(ROOT)
        yield api


async def finish(api: Api, job_id: str, seen: Observation = DONE) -> str:
    _, watch = await api.add(job_id=job_id)
    await api.end(str(watch["id"]), seen)
    return str(watch["id"])


class Stream:
    """What a client of the stream reads, block by block."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def block(self) -> dict[str, str]:
        """Return the fields of the next block; a comment's has the name ""."""
        async with asyncio.timeout(10):
            lines = (await self.answer.content.readuntil(b"\n\n")).decode().strip().split("\n")
        return dict(line.split(": ", 1) if not line.startswith(":") else ("", line[2:]) for line in lines)

    async def event(self) -> tuple[str, Any]:
        """Return the place of the next event, and what it says."""
        block = await self.block()
        told = json.loads(block["data"])
        assert block["event"] == told["type"]
        return block["id"], told

    async def job(self) -> str:
        return str((await self.event())[1]["data"]["job_id"])


@asynccontextmanager
async def following(api: Api, query: str = "", **headers: str) -> AsyncIterator[Stream]:
    """Open a stream, and read what it begins with."""
    asked = {"Accept": "text/event-stream", **api.headers, **{key.replace("_", "-"): headers[key] for key in headers}}
    async with api.session.get(f"{api.url}/v1/events{query}", headers=asked) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
        yield Stream(answer)


async def test_a_stream_begins_now_and_tells_what_comes(api: Api) -> None:
    await finish(api, "before")
    async with following(api) as stream:
        assert await stream.block() == {"retry": "1000", "id": "1"}
        watch_id = await finish(api, "after")

        place, event = await stream.event()

    assert (place, event["type"], event["data"]["watch_id"]) == ("2", "job.completed", watch_id)
    _, page = await api.call("GET", "/v1/events?cursor=1")
    assert page["items"] == [event]


async def test_a_client_that_comes_back_goes_on_behind_the_last_event_that_it_has(api: Api) -> None:
    for job_id in ("a", "b", "c"):
        await finish(api, job_id)

    async with following(api, Last_Event_ID="1") as stream:
        assert (await stream.block())["id"] == "1"
        assert [await stream.job(), await stream.job()] == ["b", "c"]
    async with following(api, "?cursor=0") as stream:
        await stream.block()
        assert await stream.job() == "a"


async def test_a_place_that_is_still_to_come_is_now(api: Api) -> None:
    """As after the database was put back to a backup: what comes must not be skipped."""
    await finish(api, "a")
    async with following(api, Last_Event_ID="999") as stream:
        assert (await stream.block())["id"] == "1"
        await finish(api, "b")
        assert await stream.job() == "b"


@pytest.mark.parametrize("place", ["x", "-1", "1.5", "9" * 19])
async def test_what_is_no_place_is_refused(api: Api, place: str) -> None:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": place}

    status, problem = await api.call("GET", "/v1/events", headers=headers)

    assert (status, problem["errors"][0]["field"]) == (422, "Last-Event-ID")  # type: ignore[index]


@pytest.mark.parametrize("query", ["?type=job.failed", "?watch=plain:wanted", "?provider=plain&type=job.failed"])
async def test_a_stream_is_filtered_and_passes_over_the_rest(
    api: Api, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.0)
    await api.add(job_id="wanted")
    async with following(api, query) as stream:
        await stream.block()
        await finish(api, "other")
        async with asyncio.timeout(10):
            while (block := await stream.block()) != {"": "nothing new", "id": "1"}:
                assert "data" not in block
        _, watch = await api.call("GET", "/v1/watches/plain:wanted")
        await api.end(str(watch["id"]), FAILED)
        while "data" not in (block := await stream.block()):
            continue

    assert (block["id"], block["event"]) == ("2", "job.failed")


async def test_more_than_fits_a_page_comes_in_order(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_PAGE", 2)
    for number in range(5):
        await finish(api, f"j{number}")

    async with following(api, "?cursor=0") as stream:
        await stream.block()
        assert [await stream.job() for _ in range(5)] == ["j0", "j1", "j2", "j3", "j4"]


@pytest.mark.parametrize(("room", "at_once"), [(1, [1] * 5), (1 << 20, [5])], ids=["large", "small"])
async def test_large_events_are_sent_one_by_one(
    api: Api, monkeypatch: pytest.MonkeyPatch, room: int, at_once: list[int]
) -> None:
    """A hundred slow clients had fifty of them in memory each."""
    sent, blocks = list[int](), events._blocks
    monkeypatch.setattr(events, "_ROOM", room)
    monkeypatch.setattr(events, "_blocks", lambda found: sent.append(len(found)) or blocks(found))
    for number in range(5):
        await finish(api, f"j{number}")

    async with following(api, "?cursor=0") as stream:
        await stream.block()
        assert [await stream.job() for _ in range(5)] == ["j0", "j1", "j2", "j3", "j4"]
        await finish(api, "j5")
        assert await stream.job() == "j5"

    assert sent == [*at_once, 1]


async def test_a_token_is_told_of_its_own_watches_only(guarded: Api) -> None:
    async with following(guarded, Authorization=f"Bearer {SHOP}") as stream:
        await stream.block()
        await finish(guarded, "root's")
        guarded.headers = bearer(SHOP)
        await finish(guarded, "shop's")
        assert await stream.job() == "shop's"
    guarded.headers = bearer(ROOT)
    for accept in ("text/event-stream", "application/json"):
        asked = bearer(SHOP) | {"Accept": accept}
        assert (await guarded.call("GET", "/v1/events?watch=plain:root's", headers=asked))[0] == 404


async def test_the_stream_of_a_token_that_is_revoked_ends(guarded: Api) -> None:
    _, token = await guarded.call("POST", "/v1/tokens", json={"scopes": ["read"]})
    async with following(guarded, Authorization=f"Bearer {token['token']}") as stream:
        await stream.block()
        await guarded.call("DELETE", f"/v1/tokens/{token['id']}")
        guarded.news.told()

        assert await asyncio.wait_for(stream.answer.content.read(), 10) == b""


async def test_streams_end_when_the_daemon_stops(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        async with served(tmp_path) as api:
            answer = await session.get(f"{api.url}/v1/events", headers={"Accept": "text/event-stream"})
            await Stream(answer).block()

        assert await asyncio.wait_for(answer.content.read(), 10) == b""  # it ended in order: nothing broke off
        answer.close()


async def test_a_stream_outlives_the_time_in_which_others_lists_go_first(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_RECHECK_S", 0.05)
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.0)
    async with following(api) as stream:
        await stream.block()
        monkeypatch.setattr(part, "_LIST_S", 0.0)
        await finish(api, "meanwhile")
        for _ in range(3):
            assert await stream.block() == {"": "nothing new", "id": "0"}
        monkeypatch.undo()
        while "data" not in (block := await stream.block()):
            continue

    assert json.loads(block["data"])["data"]["job_id"] == "meanwhile"


async def test_a_client_that_leaves_before_its_stream_begins_is_no_error(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_event, asked, gone = api.store.last_event, asyncio.Event(), asyncio.Event()

    async def slow() -> int:
        asked.set()
        await gone.wait()
        return await last_event()

    monkeypatch.setattr(api.store, "last_event", slow)
    host, port = api.url.removeprefix("http://").split(":")
    with structlog.testing.capture_logs() as logs:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        await asyncio.wait_for(asked.wait(), 10)
        (conversation,) = api.listener._runner.server.connections  # type: ignore[union-attr]
        answering = conversation._task_handler
        writer.transport.abort()
        await until(lambda: conversation.transport is None, 10)
        gone.set()
        await asyncio.wait_for(asyncio.wait([answering]), 10)

    assert logs == []


async def test_a_client_that_does_not_read_is_left_and_others_go_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is owed waits in the store; only what the sockets hold is in memory."""
    monkeypatch.setattr(events, "_WRITE_S", 0.2)
    host, port = api.url.removeprefix("http://").split(":")
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(0)
        await asyncio.get_running_loop().sock_connect(deaf, (host, int(port)))
        deaf.send(b"GET /v1/events?cursor=0 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        await until(lambda: len(api.news._waiting) == 1, 10)
        for number in range(400):
            _, watch = await api.add(job_id=f"j{number}", metadata={"note": "x" * 900, "more": "y" * 900})
            await api.end(str(watch["id"]), Observation(Status.COMPLETED, "d", raw=None, model="m" * 8000))
            if not api.news._waiting:
                break
        async with following(api, "?cursor=0") as stream:
            await stream.block()
            assert await stream.job() == "j0"
            await until(lambda: len(api.news._waiting) == 1, 10)
