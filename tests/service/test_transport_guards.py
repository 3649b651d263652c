"""The HTTP client against real sockets, some of them hostile."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest
from support.raw_server import answering, http, server

from relay.clock import SystemClock
from relay.core.address import AddressPolicy, parse_networks
from relay.core.http import Fault, Request, TransportError
from relay.core.ports import Transport
from relay.transport import USER_AGENT, open_transport

LOOPBACK = AddressPolicy(parse_networks(["127.0.0.0/8", "::1/128"]))


@pytest.fixture
async def client() -> AsyncIterator[Transport]:
    async with open_transport(LOOPBACK, SystemClock(), connections=4) as transport:
        yield transport


async def fault(client: Transport, url: str, timeout_s: float = 5.0) -> Fault:
    with pytest.raises(TransportError) as caught:
        await client.send(Request("GET", url), timeout_s=timeout_s, max_body=1000)
    return caught.value.fault


async def test_the_url_goes_out_byte_for_byte(client: Transport) -> None:
    received: list[bytes] = []
    async with server(answering(http(b"{}"), received)) as url:
        await client.send(Request("GET", f"{url}/a%2fb/%7e?x=1+2&sig=a%2Bb%3D"), timeout_s=5, max_body=99)

    assert received[0].split(b"\r\n")[0] == b"GET /a%2fb/%7e?x=1+2&sig=a%2Bb%3D HTTP/1.1"


async def test_relay_gives_its_name_unless_the_request_gives_another(client: Transport) -> None:
    received: list[bytes] = []
    async with server(answering(http(b"{}"), received)) as url:
        await client.send(Request("GET", url), timeout_s=5, max_body=99)
        await client.send(Request("GET", url, {"user-agent": "shop/2"}), timeout_s=5, max_body=99)

    names = [[line for line in head.split(b"\r\n") if line.lower().startswith(b"user-agent:")] for head in received]
    assert names == [[f"User-Agent: {USER_AGENT}".encode()], [b"user-agent: shop/2"]]


async def test_an_answer_comes_back_with_lower_case_headers(client: Transport) -> None:
    async with server(answering(http(b"hello", "X-Thing: 7", status="429 Slow"))) as url:
        response = await client.send(Request("GET", url), timeout_s=5, max_body=99)

    assert (response.status, response.body, response.headers["x-thing"]) == (429, b"hello", "7")
    assert response.complete


async def test_a_redirect_is_not_followed(client: Transport) -> None:
    received: list[bytes] = []
    async with server(answering(http(b"", "Location: /elsewhere", status="307 Go"), received)) as url:
        response = await client.send(Request("POST", url, body=b"x"), timeout_s=5, max_body=99)

    assert response.status == 307
    assert len(received) == 1


async def test_a_body_is_read_no_further_than_its_limit(client: Transport) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    async with server(endless) as url:
        response = await client.send(Request("GET", url), timeout_s=5, max_body=1000)

    assert (response.body, response.complete) == (b"x" * 1000, False)
    assert sent < 50_000_000


async def test_a_compressed_answer_is_unpacked_within_the_limit(client: Transport) -> None:
    small, bomb = gzip.compress(b'{"a":1}'), gzip.compress(b"0" * 50_000_000)
    async with server(answering(http(small, "Content-Encoding: gzip"))) as url:
        assert (await client.send(Request("GET", url), timeout_s=5, max_body=1000)).body == b'{"a":1}'
    async with server(answering(http(bomb, "Content-Encoding: gzip"))) as url:
        response = await client.send(Request("GET", url), timeout_s=5, max_body=1000)

    assert (response.body, response.complete) == (b"0" * 1000, False)


@pytest.mark.parametrize("wbits", [zlib.MAX_WBITS, -zlib.MAX_WBITS], ids=["as the standard has it", "without a header"])
async def test_deflate_is_unpacked_in_both_forms_that_servers_send(client: Transport, wbits: int) -> None:
    packer = zlib.compressobj(wbits=wbits)
    body = packer.compress(b'{"a":1}') + packer.flush()
    async with server(answering(http(body, "Content-Encoding: deflate"))) as url:
        assert (await client.send(Request("GET", url), timeout_s=5, max_body=1000)).body == b'{"a":1}'


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified"])
async def test_a_body_that_is_empty_needs_no_unpacking(client: Transport, status: str) -> None:
    async with server(answering(http(b"", "Content-Encoding: gzip", status=status))) as url:
        response = await client.send(Request("GET", url), timeout_s=5, max_body=1000)

    assert (response.status, response.body, response.complete) == (int(status[:3]), b"", True)


@pytest.mark.parametrize(
    "body",
    [b"ok", gzip.compress(b'{"a":1}')[:-9], zlib.compress(b"ok")[2:-4]],
    ids=["plain", "cut short", "raw deflate"],
)
async def test_a_body_that_cannot_be_unpacked_is_an_error_that_still_tells_the_status(
    client: Transport, body: bytes
) -> None:
    with pytest.raises(TransportError) as caught:
        async with server(answering(http(body, "Content-Encoding: gzip", "Retry-After: 7", status="429 Slow"))) as url:
            await client.send(Request("GET", url), timeout_s=5, max_body=1000)

    unread = caught.value.unread
    assert caught.value.fault is Fault.PROTOCOL
    assert unread is not None
    assert (unread.status, unread.headers["retry-after"], unread.body, unread.complete) == (429, "7", b"", False)


async def test_headers_may_be_long_or_many_but_not_both(client: Transport) -> None:
    long = [f"Content-Security-Policy: {'x' * 40_000}"]
    many = [f"X-{number}: {number}" for number in range(500)]
    both = [f"X-{number}: {'x' * 9000}" for number in range(500)]
    for headers in (long, many):
        async with server(answering(http(b"{}", *headers))) as url:
            assert (await client.send(Request("GET", url), timeout_s=5, max_body=1000)).status == 200
    async with server(answering(http(b"{}", *both))) as url:
        assert await fault(client, url) is Fault.PROTOCOL


async def test_a_dripping_server_meets_the_total_timeout(client: Transport) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with server(drip) as url:
        assert await fault(client, url, timeout_s=0.3) is Fault.TIMEOUT


async def test_silence_meets_the_total_timeout(client: Transport) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(silent) as url:
        assert await fault(client, url, timeout_s=0.2) is Fault.TIMEOUT


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "[::ffff:127.0.0.1]"])
async def test_a_forbidden_address_is_refused_at_the_socket_in_any_spelling(host: str) -> None:
    received: list[bytes] = []
    async with (
        server(answering(http(b"{}"), received)) as url,
        open_transport(AddressPolicy(), SystemClock(), connections=4) as guarded,
    ):
        with pytest.raises(TransportError) as caught:
            await guarded.send(Request("GET", url.replace("127.0.0.1", host)), timeout_s=5, max_body=99)

    assert caught.value.fault is Fault.FORBIDDEN_ADDRESS
    assert "callbacks.allow_networks" in caught.value.detail
    assert received == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "127.0.0.1.", "0177.0.0.1"])
async def test_other_spellings_of_an_address_connect_to_nothing(host: str) -> None:
    received: list[bytes] = []
    async with (
        server(answering(http(b"{}"), received)) as url,
        open_transport(AddressPolicy(), SystemClock(), connections=4) as guarded,
    ):
        assert await fault(guarded, url.replace("127.0.0.1", host)) in (Fault.FORBIDDEN_ADDRESS, Fault.PROTOCOL)

    assert received == []
