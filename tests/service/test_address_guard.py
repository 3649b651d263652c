"""Forbidden addresses against real sockets: in no spelling is one of them connected to."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from support.spellings import FORBIDDEN_HOSTS

from relay import assembly, config
from relay.clock import SystemClock
from relay.core.address import AddressPolicy, parse_networks
from relay.core.errors import InvalidValue
from relay.core.http import Fault, Request, TransportError
from relay.destinations import callback_target
from relay.destinations.url import sendable
from relay.transport import open_transport
from relay.transport.guard import Guard

PUBLIC_ONLY = AddressPolicy()
OPERATOR = AddressPolicy(operator=True)
METADATA = [
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "[::169.254.169.254]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1:a9fe:a9:fe00::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:a9fe:a9fe::1]",
    "[fd00:1::5efe:169.254.169.254]",
    "[fe80::a9fe:a9fe%25lo]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
]


class Trap:
    """A port of every interface of this host: `accepted` counts who came, `tried` who set out for anywhere."""

    def __init__(self) -> None:
        self.port = 0
        self.accepted = 0
        self.tried: list[object] = []

    @asynccontextmanager
    async def set(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator["Trap"]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.accepted += 1
            try:
                while True:
                    await reader.readuntil(b"\r\n\r\n{}")
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            except asyncio.IncompleteReadError:
                writer.close()

        loop = asyncio.get_running_loop()
        connect = loop.sock_connect

        async def watched(sock: socket.socket, address: object) -> None:
            self.tried.append(address)
            await connect(sock, address)  # type: ignore[arg-type]  # as it came

        monkeypatch.setattr(loop, "sock_connect", watched)
        async with AsyncExitStack() as stack:
            for host in ("0.0.0.0", "::") if socket.has_ipv6 else ("0.0.0.0",):
                listening = await asyncio.start_server(accept, host, self.port)
                self.port = listening.sockets[0].getsockname()[1]
                await stack.enter_async_context(listening)
            yield self


@pytest.fixture
async def trap(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trap]:
    async with Trap().set(monkeypatch) as laid:
        yield laid


async def attempt(policy: AddressPolicy, host: str, port: int) -> TransportError | None:
    """Send to `host` just as the dispatcher does; return why nothing came back, None for an answer."""
    url, _ = sendable(f"http://{host}:{port}/")
    async with open_transport(policy, SystemClock(), connections=4) as transport:
        try:
            await transport.send(Request("POST", url, body=b"{}"), timeout_s=5, max_body=99)
        except TransportError as error:
            return error
    return None


def resolving_to(*addresses: str) -> Callable[..., list[object]]:
    def look_up(host: str, port: int, *_: object, **__: object) -> list[object]:
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port))
            for family, address in zip(families, addresses, strict=True)
        ]

    return look_up


async def test_no_spelling_of_a_forbidden_address_is_connected_to(trap: Trap) -> None:
    faults = {host: await attempt(PUBLIC_ONLY, host, trap.port) for host in FORBIDDEN_HOSTS}

    assert len(faults) >= 60
    assert (trap.accepted, trap.tried) == (0, [])
    answered = [host for host, error in faults.items() if error is None]
    assert answered == []


async def test_without_the_guard_many_of_those_spellings_would_arrive(trap: Trap) -> None:
    """What makes the test above worth its name."""
    everywhere = AddressPolicy(parse_networks(["0.0.0.0/0", "::/0"]))

    arrived = [
        host
        for host in ("127.0.0.1", "①②⑦.0.0.1", "0x7f000001", "localhost", "[::ffff:7f00:1]", "0.0.0.0")
        if await attempt(everywhere, host, trap.port) is None
    ]

    assert trap.accepted == len(arrived) == 6


@pytest.mark.parametrize("host", FORBIDDEN_HOSTS)
def test_the_same_spellings_are_refused_when_a_watch_is_created(host: str) -> None:
    with pytest.raises(InvalidValue, match=r"callbacks\.allow_networks"):
        callback_target(f"http://{host}/", allow_http=True, policy=PUBLIC_ONLY)


async def test_the_refusal_at_the_socket_names_address_and_setting(trap: Trap) -> None:
    error = await attempt(PUBLIC_ONLY, "0x7f000001", trap.port)

    assert error is not None
    assert error.fault is Fault.FORBIDDEN_ADDRESS
    assert error.detail == "127.0.0.1 is not a public address; callbacks.allow_networks would permit it"


@pytest.mark.parametrize("host", METADATA)
async def test_even_an_operators_url_reaches_no_metadata_service(trap: Trap, host: str) -> None:
    error = await attempt(OPERATOR, host, trap.port)

    assert error is not None
    assert error.fault is Fault.FORBIDDEN_ADDRESS
    assert trap.tried == []


async def test_trying_a_destination_goes_by_the_same_rule(trap: Trap, tmp_path: Path) -> None:
    (tmp_path / "callback-secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    path = tmp_path / "config.toml"
    path.write_text('[destinations.meta]\ntype = "callback"\nurl = "http://[64:ff9b::a9fe:a9fe]/latest"')
    settings = config.load(path, presets=(), env={})
    clock = SystemClock()
    async with open_transport(OPERATOR, clock, connections=4) as transport:
        resolve = assembly.outlets(settings, trusted=transport, guarded=transport)
        verdict = await assembly.named_destinations(settings, resolve, clock)["meta"].greet(clock.now())

    assert verdict.reason == "forbidden_address: 64:ff9b::a9fe:a9fe is a link-local or metadata address"
    assert trap.tried == []


async def test_an_operators_url_may_lead_to_this_host(trap: Trap) -> None:
    assert await attempt(OPERATOR, "127.0.0.1", trap.port) is None
    assert trap.accepted == 1


async def test_a_name_is_refused_for_any_one_of_its_addresses(trap: Trap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to("93.184.216.34", "127.0.0.1"))

    error = await attempt(PUBLIC_ONLY, "mixed.example", trap.port)

    assert error is not None
    assert error.detail.startswith("127.0.0.1 is not a public address; callbacks.allow_networks would permit it")
    assert trap.tried == []


async def test_a_name_that_moves_between_check_and_connection_gains_nothing(
    trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up is taken for harmless; the socket is not made all the same."""
    callback_target("http://rebinding.example/", allow_http=True, policy=PUBLIC_ONLY)

    async def resolve(self: Guard, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
        address = {"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 6, "flags": 0}
        return [address]

    monkeypatch.setattr(Guard, "resolve", resolve)

    error = await attempt(PUBLIC_ONLY, "rebinding.example", trap.port)

    assert error is not None
    assert error.fault is Fault.FORBIDDEN_ADDRESS
    assert trap.tried == []


async def test_an_allowed_name_is_reached_and_no_other_name_of_its_address(
    trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = AddressPolicy(hosts=("hooks.internal",))
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to("127.0.0.1"))
    async with open_transport(policy, SystemClock(), connections=4) as transport:

        async def said(host: str) -> int | Fault:
            request = Request("POST", f"http://{host}:{trap.port}/", body=b"{}")
            try:
                return (await transport.send(request, timeout_s=5, max_body=99)).status
            except TransportError as error:
                return error.fault

        answers = [await said(host) for host in ("hooks.internal", "other.internal", "127.0.0.1", "hooks.internal")]

    assert answers == [200, Fault.FORBIDDEN_ADDRESS, Fault.FORBIDDEN_ADDRESS, 200]
    assert trap.accepted == len(trap.tried) == 1  # the second request took the connection of the first


async def test_an_allowed_name_that_resolves_to_a_metadata_service_is_refused(
    trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to("169.254.169.254"))

    error = await attempt(AddressPolicy(hosts=("hooks.internal",)), "hooks.internal", trap.port)

    assert error is not None
    assert error.fault is Fault.FORBIDDEN_ADDRESS
    assert trap.tried == []
