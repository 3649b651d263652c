"""The address guard: every address is held against the policy before a socket connects to it."""

import errno
import socket
from contextvars import ContextVar
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

from relay.core.address import AddressPolicy, host_name
from relay.transport.faults import ForbiddenAddress
from relay.transport.threads import Threads

_named: ContextVar[str | None] = ContextVar("host of the request under way", default=None)


class connecting_to:  # noqa: N801 - read as a word of the with statement
    """Let sockets opened while the block runs be for `host`: aiohttp shows a socket's maker the address only."""

    def __init__(self, host: str | None) -> None:
        self._host = host

    def __enter__(self) -> None:
        self._token = _named.set(self._host)

    def __exit__(self, *_: object) -> None:
        _named.reset(self._token)


class Guard(AbstractResolver):
    """Looks names up, and makes sockets, only for what `policy` lets through.

    A look-up is refused as a whole where one of its addresses is forbidden.
    That alone would not do: aiohttp asks no resolver about a host that is an
    address, and a socket sees what every spelling comes to.
    """

    def __init__(self, policy: AddressPolicy, *, lookups: int) -> None:
        """Look up at most `lookups` names at once.

        Each takes a thread, and those are this guard's alone: names whose
        servers never answer hold up nobody else's.
        """
        self._policy = policy
        self._threads = Threads(lookups, "resolver")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of `host`; raises OSError where it has none, and ForbiddenAddress."""
        look_up = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        found = await self._threads.run(look_up)
        for _, _, _, _, address in found:
            self._check(str(address[0]), host)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for family, _, protocol, _, address in found
        ]

    async def vouch(self, host: str) -> None:
        """Hold `host` against the policy on behalf of a proxy, which will connect to it; raises ForbiddenAddress.

        A name that does not resolve here is left to the proxy, which may know more.
        """
        name = host.rstrip(".")
        try:
            await self.resolve(name)
        except socket.gaierror:
            if host_name(name) is None:
                raise ForbiddenAddress(errno.EACCES, "the host is neither a name nor an address") from None

    async def close(self) -> None:
        """See AbstractResolver; nothing is held that would have to be given back."""

    def socket(self, info: AddrInfoType) -> socket.socket:
        """Return a socket that is about to be connected; raises ForbiddenAddress."""
        family, kind, protocol, _, address = info
        self._check(str(address[0]), _named.get())
        return socket.socket(family=family, type=kind, proto=protocol)

    def _check(self, address: str, host: str | None) -> None:
        refusal = self._policy.refusal(address, host)
        if refusal is not None:
            raise ForbiddenAddress(errno.EACCES, refusal)
