"""More connections than there is room for, and clients that keep theirs for nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from support.api import ROOT, SHOP, TOKENS, Api, bearer, served
from support.daemon import until

from relay.api import events, pace, server, watches
from relay.clock import SystemEntropy
from relay.core.observation import Observation, Status

HELD = b"GET /v1/watches/plain:j1?wait=30 HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
ADD = b"POST /v1/watches HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
DONE = Observation(Status.COMPLETED, "done")
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setattr(server, "CONNECTIONS", 3)
    async with served(tmp_path) as api:
        yield api


async def connected(api: Api, sent: bytes = b"") -> Connection:
    host, _, port = api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    return reader, writer


async def closed(connection: Connection) -> bool:
    """Tell whether the other side closed, which it does at once or not at all."""
    try:
        return await asyncio.wait_for(connection[0].read(1), 0.3) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


async def healthy(connection: Connection) -> bool:
    connection[1].write(HEALTH)
    return (await asyncio.wait_for(connection[0].readuntil(b"}"), 10)).startswith(b"HTTP/1.1 200")


async def test_where_there_is_no_room_the_connection_that_idles_longest_gives_way(api: Api) -> None:
    first, second, third = [await connected(api) for _ in range(3)]
    assert await healthy(first)  # from now on it is the second that has been idle longest

    fourth = await connected(api)

    assert await healthy(fourth)
    assert [await closed(item) for item in (first, second, third, fourth)] == [False, True, False, False]
    for _, writer in (first, second, third, fourth):
        writer.close()


async def test_a_request_under_way_does_not_give_way_and_the_newcomer_does(api: Api) -> None:
    await api.store.add_watches([], api.clock.now())
    await api.add()
    await api.session.close()
    held = [await connected(api, HELD) for _ in range(3)]
    await until(lambda: len(api.ends._waiting.get(next(iter(api.ends._waiting), ""), ())) == 3, 10)

    newcomer = await connected(api)

    assert await closed(newcomer)
    assert [await closed(item) for item in held] == [False, False, False]
    for _, writer in (*held, newcomer):
        writer.close()


async def test_the_socket_has_places_of_its_own_and_those_turned_away_are_told_of_once(
    api: Api, tmp_path: Path
) -> None:
    await api.listener.listen_locally(tmp_path / "relay.sock")
    await api.add()
    await api.session.close()
    held = [await connected(api, HELD) for _ in range(3)]
    await until(lambda: len(api.ends._waiting.get(next(iter(api.ends._waiting), ""), ())) == 3, 10)

    with structlog.testing.capture_logs() as logs:
        newcomers = [await connected(api) for _ in range(4)]
        assert [await closed(item) for item in newcomers] == [True] * 4
        local = await asyncio.open_unix_connection(tmp_path / "relay.sock")
        assert await healthy(local)

    assert [(line["event"], line["connections"]) for line in logs] == [("places.exhausted", 3)]
    assert b"relay_connections_refused_total 4.0" in api.context.metrics.render()
    for _, writer in (*held, *newcomers, local):
        writer.close()


async def test_a_token_holds_so_many_requests_open_and_others_are_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "HELD_AT_MOST", 2)
    async with served(tmp_path, TOKENS) as api:
        api.context.entropy = SystemEntropy()
        for job_id, text in (("j1", SHOP), ("j2", ROOT)):
            await api.call("POST", "/v1/watches", json={"provider": "plain", "job_id": job_id}, headers=bearer(text))
        following = {"Accept": "text/event-stream", **bearer(SHOP)}
        stream = await api.session.get(f"{api.url}/v1/events", headers=following)
        waiting = asyncio.ensure_future(api.call("GET", "/v1/watches/plain:j1?wait=30", headers=bearer(SHOP)))
        await until(lambda: api.ends._waiting, 10)

        for path, headers in (("/v1/watches/plain:j1?wait=30", bearer(SHOP)), ("/v1/events", following)):
            status, problem = await api.call("GET", path, headers=headers)
            assert (status, problem["type"]) == (429, "urn:relay:problem:rate-limited")
            assert "holds 2" in str(problem["detail"])
        assert (await api.call("GET", "/v1/watches/plain:j1", headers=bearer(SHOP)))[0] == 200
        assert (await api.call("GET", "/v1/watches/plain:j2?wait=0.01", headers=bearer(ROOT)))[0] == 200

        await api.end(str((await api.call("GET", "/v1/watches/plain:j1", headers=bearer(SHOP)))[1]["id"]), DONE)
        assert (await waiting)[0] == 200
        async with api.session.get(f"{api.url}/v1/events", headers=following) as again:
            assert again.status == 200
        stream.close()


async def test_a_request_that_waits_is_answered_when_the_daemon_stops(tmp_path: Path) -> None:
    async with served(tmp_path) as api:
        await api.add()
        reader, writer = await connected(api, HELD)
        await until(lambda: api.ends._waiting, 10)

    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"status": "queued"' in answer
    writer.close()


async def test_what_a_token_held_is_its_own_again_soon_after_it_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent to it in that time that would tell."""
    monkeypatch.setattr(events, "_RECHECK_S", 0.05)
    monkeypatch.setattr(watches, "_RECHECK_S", 0.05)
    async with served(tmp_path, TOKENS) as api:
        api.headers = bearer(SHOP)
        await api.add()
        allowed = f"Authorization: Bearer {SHOP}\r\n".encode()
        waiting = HELD.replace(b"Host", allowed + b"Host")
        following = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n" + allowed + b"\r\n"
        clients = [await connected(api, sent) for sent in (waiting, following)]
        await until(lambda: api.ends._waiting and api.news._waiting, 10)

        for _, writer in clients:
            writer.transport.abort()

        await until(lambda: not api.ends._waiting and not api.news._waiting, 10)


@pytest.mark.parametrize("dripping", [False, True], ids=["silent", "dripping"])
async def test_a_request_that_does_not_come_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dripping: bool
) -> None:
    """A header now and then does not make it a request."""
    monkeypatch.setattr(server, "HEADERS_S", 0.3)
    async with served(tmp_path) as api:
        reader, writer = await connected(api, b"GET / HTTP/1.1\r\n" if dripping else b"")
        ended = asyncio.ensure_future(reader.read())
        async with asyncio.timeout(20):
            while not ended.done():
                if dripping:
                    writer.write(b"X-More: x\r\n")
                await asyncio.sleep(0.05)
        writer.close()


@pytest.mark.parametrize(("token", "status"), [(SHOP, b"400"), ("", b"401")], ids=["read", "left unread"])
async def test_a_body_that_is_not_encoded_as_it_says_is_the_clients_mistake(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, token: str, status: bytes
) -> None:
    async with served(tmp_path, TOKENS) as api:
        with structlog.testing.capture_logs() as logs:
            reader, writer = await connected(api, ADD + f"Authorization: Bearer {token}\r\n".encode())
            writer.write(b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + b"x" * 20)
            answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()

    assert answer.split(b" ")[1] == status
    assert b"application/problem+json" in answer
    assert (logs, caplog.messages) == ([], [])


async def test_a_client_that_leaves_within_its_body_is_no_error(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with structlog.testing.capture_logs() as logs:
        _, writer = await connected(api, ADD + b"Content-Length: 20\r\n\r\n{")
        await until(lambda: any(item._current_request for item in api.listener._runner.server.connections), 10)  # type: ignore[union-attr]
        (conversation,) = api.listener._runner.server.connections  # type: ignore[union-attr]
        answering = conversation._task_handler
        writer.transport.abort()
        await asyncio.wait_for(asyncio.wait([answering]), 10)

    assert (logs, caplog.messages) == ([], [])


def test_half_of_the_files_stay_for_polls_and_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, room in ((1024, 512), (8192, 1000), (server.resource.RLIM_INFINITY, 1000)):
        monkeypatch.setattr(server.resource, "getrlimit", lambda _, files=files: (files, files))
        assert server.room() == room
