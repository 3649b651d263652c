"""Out through a proxy: what it is told, what it is not asked for, and whose fault its failures are."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from support.raw_server import answering, http, server

from relay.clock import SystemClock
from relay.core.address import AddressPolicy, parse_networks
from relay.core.http import Fault, Request, Response, TransportError
from relay.transport import Egress, open_transport

PUBLIC_ONLY = AddressPolicy()
LOOPBACK = AddressPolicy(parse_networks(["127.0.0.0/8"]))


class Proxy:
    """An HTTP proxy on loopback that remembers the heads of requests, and connects to `upstream` whatever it is asked.

    Where `refusal` is set, it answers so instead.
    """

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.upstream = 0
        self.refusal: bytes | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode())
        if self.refusal is not None or not head.startswith(b"CONNECT "):
            writer.write(self.refusal or http(b"from the proxy"))
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        async with asyncio.TaskGroup() as both:
            both.create_task(_copy(reader, inner_writer))
            both.create_task(_copy(inner_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[tuple[Proxy, str]]:
    made = Proxy()
    async with server(made.serve) as url:
        yield made, url


async def send(
    egress: Egress | None, url: str, policy: AddressPolicy = PUBLIC_ONLY, timeout_s: float = 5
) -> Response | TransportError:
    async with open_transport(policy, SystemClock(), connections=4, egress=egress) as transport:
        try:
            return await transport.send(Request("POST", url, body=b"{}"), timeout_s=timeout_s, max_body=99)
        except TransportError as error:
            return error


def fault(outcome: Response | TransportError) -> tuple[Fault, str]:
    assert isinstance(outcome, TransportError)
    return outcome.fault, outcome.detail


async def test_a_request_goes_through_the_proxy_with_its_credentials(proxy: tuple[Proxy, str]) -> None:
    seen, url = proxy

    outcome = await send(Egress(url.replace("//", "//relay:s%40crt@")), "http://hook.invalid/a%2fb")

    assert isinstance(outcome, Response)
    assert outcome.body == b"from the proxy"
    (head,) = seen.heads
    assert head.startswith("POST http://hook.invalid/a%2fb HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic cmVsYXk6c0BjcnQ=\r\n" in head  # printf relay:s@crt | base64


async def test_a_proxy_that_repeats_its_password_does_not_make_relay_tell_it(proxy: tuple[Proxy, str]) -> None:
    seen, url = proxy
    seen.refusal = http(b"bad login cmVsYXk6czNjQGNydA==, which is relay:s3c@crt")

    outcome = await send(Egress(url.replace("//", "//relay:s3c%40crt@")), "http://hook.invalid/a")

    assert isinstance(outcome, Response)
    assert outcome.body == b"bad login ***, which is ***"

    seen.refusal = http(b"no gzip", "Content-Encoding: gzip", "Location: /?login=relay:s3c@crt", status="302 Found")
    outcome = await send(Egress(url.replace("//", "//relay:s3c%40crt@")), "http://hook.invalid/a")

    assert isinstance(outcome, TransportError)
    assert outcome.unread is not None
    assert outcome.unread.headers["location"] == "/?login=***"


async def test_https_is_tunnelled_and_its_certificate_checked_by_relay(proxy: tuple[Proxy, str]) -> None:
    seen, url = proxy
    received: list[bytes] = []
    async with server(answering(http(b"{}"), received), tls=True) as target:
        seen.upstream = int(target.rpartition(":")[2])
        outcome = await send(Egress(url), "https://hook.invalid/token")

    assert fault(outcome)[0] is Fault.CERTIFICATE
    assert seen.heads[0].startswith("CONNECT hook.invalid:443 HTTP/1.1\r\n")
    assert received == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "10.0.0.1",
    ],
)
async def test_the_proxy_is_not_asked_for_a_forbidden_address(proxy: tuple[Proxy, str], host: str) -> None:
    seen, url = proxy

    outcome = await send(Egress(url), f"http://{host}:8080/")

    assert fault(outcome)[0] is Fault.FORBIDDEN_ADDRESS
    assert seen.heads == []


async def test_a_host_that_no_resolver_takes_for_an_address_is_not_left_to_the_proxys_reading(
    proxy: tuple[Proxy, str],
) -> None:
    seen, url = proxy

    outcome = await send(Egress(url), "http://127.0.0.08/")

    assert fault(outcome) == (Fault.FORBIDDEN_ADDRESS, "the host is neither a name nor an address")
    assert seen.heads == []


async def test_the_proxy_is_not_asked_for_a_name_that_leads_to_a_forbidden_address(
    proxy: tuple[Proxy, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, url = proxy
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **options: look_up("10.0.0.5" if host == "hook.example" else host, *rest, **options),
    )

    outcome = await send(Egress(url), "http://hook.example/")

    assert fault(outcome)[0] is Fault.FORBIDDEN_ADDRESS
    assert seen.heads == []


async def test_even_an_operator_asks_the_proxy_for_no_metadata_service(proxy: tuple[Proxy, str]) -> None:
    seen, url = proxy

    outcome = await send(Egress(url), "http://169.254.169.254/", AddressPolicy(operator=True))

    assert fault(outcome)[0] is Fault.FORBIDDEN_ADDRESS
    assert seen.heads == []


async def test_some_hosts_are_reached_without_the_proxy_under_the_same_guard(proxy: tuple[Proxy, str]) -> None:
    seen, url = proxy
    egress = Egress(url, direct=("localhost",))
    async with server(answering(http(b"from the host"))) as target:
        local = target.replace("127.0.0.1", "localhost")
        allowed = await send(egress, local, AddressPolicy(hosts=("localhost",)))
        guarded = await send(egress, local)

    assert isinstance(allowed, Response)
    assert allowed.body == b"from the host"
    assert fault(guarded)[0] is Fault.FORBIDDEN_ADDRESS
    assert seen.heads == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("502 Bad Gateway", (Fault.CONNECT, "the egress proxy cannot reach the host (HTTP 502)")),
        ("503 Unavailable", (Fault.CONNECT, "the egress proxy cannot reach the host (HTTP 503)")),
        ("407 Who", (Fault.LOCAL, "the egress proxy wants other credentials (HTTP 407)")),
        ("403 No", (Fault.FORBIDDEN_ADDRESS, "the egress proxy refuses the way to the host (HTTP 403)")),
    ],
)
async def test_what_the_proxy_refuses_is_told_apart(
    proxy: tuple[Proxy, str], answer: str, expected: tuple[Fault, str]
) -> None:
    seen, url = proxy
    seen.refusal = http(b"", status=answer)

    assert fault(await send(Egress(url), "https://hook.invalid/")) == expected


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://proxy.invalid:3128", "https://127.0.0.1:1"])
async def test_a_proxy_that_cannot_be_reached_is_a_fault_of_our_own(url: str) -> None:
    expected = (Fault.LOCAL, "the egress proxy cannot be reached")

    assert fault(await send(Egress(url), "https://hook.invalid/")) == expected
    assert fault(await send(Egress(url), "http://hook.invalid/")) == expected


async def test_a_proxy_that_says_nothing_meets_the_total_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(silent) as url:
        outcome = await send(Egress(url), "https://hook.invalid/", timeout_s=0.2)

    assert fault(outcome) == (Fault.TIMEOUT, "no complete answer within 0.2 s")


async def test_the_environments_proxies_are_ignored(proxy: tuple[Proxy, str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen, url = proxy
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, url)
        monkeypatch.setenv(name.lower(), url)
    async with server(answering(http(b"from the host"))) as target:
        outcome = await send(None, target, LOOPBACK)

    assert isinstance(outcome, Response)
    assert outcome.body == b"from the host"
    assert seen.heads == []


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:1080", "proxy.internal:3128", "http://", ""])
def test_what_is_no_proxy_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be a URL of an HTTP proxy"):
        _ = Egress(url).location


def test_a_proxys_password_is_not_in_its_representation() -> None:
    assert "s3cret" not in repr(Egress("http://relay:s3cret@proxy.internal:3128"))
