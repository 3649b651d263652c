"""Why a request got no answer, told apart on real sockets."""

import asyncio
import errno
import os
import resource
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
import pytest
from support.raw_server import Serve, answering, http, server

from relay.clock import SystemClock
from relay.core.address import AddressPolicy
from relay.core.http import Fault, Request, TransportError
from relay.core.ports import Transport
from relay.transport import open_transport
from relay.transport.faults import classified


@pytest.fixture
async def client() -> AsyncIterator[Transport]:
    async with open_transport(AddressPolicy(operator=True), SystemClock(), connections=4) as transport:
        yield transport


async def failure(client: Transport, url: str) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await client.send(Request("GET", url), timeout_s=5, max_body=1000)
    return caught.value


async def fault(client: Transport, url: str) -> Fault:
    return (await failure(client, url)).fault


def speaking_first(payload: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(payload)
        await writer.drain()

    return serve


@contextmanager
def no_file_left() -> Iterator[None]:
    """Let this process open no more files while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.dup(0)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_connection_that_breaks_is_told_from_one_that_never_was(client: Transport) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with server(hang_up) as url:
        assert await fault(client, url) is Fault.DISCONNECTED
    assert await fault(client, url) is Fault.CONNECT


async def test_half_a_body_is_no_answer(client: Transport) -> None:
    async with server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")) as url:
        assert await fault(client, url) in (Fault.DISCONNECTED, Fault.PROTOCOL)


async def test_garbage_is_no_answer(client: Transport) -> None:
    async with server(answering(b"\x00\xff not http at all\r\n\r\n")) as url:
        assert await fault(client, url) is Fault.PROTOCOL


async def test_a_name_that_does_not_resolve_is_a_dns_fault(client: Transport) -> None:
    assert await fault(client, "http://nowhere.invalid/") is Fault.DNS


async def test_a_certificate_that_nobody_trusts_is_told_from_a_handshake_that_fails(client: Transport) -> None:
    async with server(answering(http(b"{}")), tls=True) as url:
        error = await failure(client, url)
    async with server(speaking_first(http(b"{}"))) as url:
        unencrypted = await fault(client, url.replace("http", "https"))

    assert error.fault is Fault.CERTIFICATE
    assert error.detail.startswith("the certificate is not valid: ")
    assert unencrypted is Fault.TLS


def test_a_tls_error_amid_the_answer_is_not_taken_for_the_systems_error_of_that_number() -> None:
    """TLS numbers its errors from 1, which the system calls "Operation not permitted"."""
    error = aiohttp.ClientOSError(1, "bad record mac")
    error.__cause__ = ssl.SSLError(1, "bad record mac")

    assert classified(error, 5.0).fault is Fault.DISCONNECTED
    assert classified(aiohttp.ClientOSError(1, "Operation not permitted"), 5.0).fault is Fault.LOCAL


async def test_no_files_left_is_a_fault_of_our_own(client: Transport) -> None:
    with no_file_left():
        error = await failure(client, "http://127.0.0.1:1/")

    assert (error.fault, error.detail) == (Fault.LOCAL, "Too many open files")


async def test_no_route_is_a_fault_of_our_own(client: Transport) -> None:
    """To a broadcast address, TCP has a route nowhere."""
    error = await failure(client, "http://255.255.255.255:1/")

    assert (error.fault, error.detail) == (Fault.LOCAL, "Network is unreachable")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
async def test_a_resolver_without_resources_is_a_fault_of_our_own(
    client: Transport, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def look_up(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    assert await fault(client, "http://hook.example/") is Fault.LOCAL


async def test_no_thread_left_for_a_look_up_is_a_fault_of_our_own(
    client: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)

    error = await failure(client, "http://hook.example/")

    assert (error.fault, error.detail) == (Fault.LOCAL, "Resource temporarily unavailable")


async def test_a_host_that_a_router_cannot_reach_is_not_our_fault(
    client: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(*_: object) -> None:
        raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", connect)

    error = await failure(client, "http://127.0.0.1:1/")

    assert (error.fault, error.detail) == (Fault.CONNECT, "No route to host")


async def test_addresses_that_fail_differently_are_one_failure(
    client: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host with an IPv6 address is no reason to blame our own network for the lack of IPv6."""
    addresses = [("::ffff:255.255.255.255", 0, 0, 0), ("127.0.0.1", 1)]

    def look_up(*_: object, **__: object) -> list[object]:
        families = (socket.AF_INET6, socket.AF_INET)
        return [
            (family, socket.SOCK_STREAM, 6, "", address) for family, address in zip(families, addresses, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    error = await failure(client, "http://hook.example:1/")

    assert (error.fault, error.detail) == (Fault.CONNECT, "none of the host's addresses takes a connection")


async def test_an_error_says_nothing_of_the_url(client: Transport) -> None:
    with pytest.raises(TransportError) as caught:
        await client.send(Request("GET", "http://127.0.0.1:1/token-1234"), timeout_s=5, max_body=99)

    assert "token-1234" not in str(caught.value)
