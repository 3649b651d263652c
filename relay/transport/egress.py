"""Reaching the world through a proxy."""

import asyncio
from dataclasses import dataclass, field

from yarl import URL

from relay.core.address import host_name, lists
from relay.core.echo import without_echo
from relay.core.headers import basic_authorization
from relay.core.http import Request, Response, TransportError
from relay.core.ports import Transport
from relay.transport.faults import classified
from relay.transport.guard import Guard


@dataclass(frozen=True, slots=True)
class Egress:
    """The proxy that requests go through, but for those to the hosts of `direct` (see parse_hosts).

    `url` may hold a user and a password.
    """

    url: str = field(repr=False)
    direct: tuple[str, ...] = ()

    @property
    def location(self) -> URL:
        """The URL, taken apart; raises ValueError for a URL that is none."""
        url = URL(self.url)
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError('must be a URL of an HTTP proxy, as in "http://proxy.internal:3128"')
        return url

    @property
    def login(self) -> Request:
        """What the proxy is told with each request, as a request of its own."""
        user, password = self.location.user or "", self.location.password or ""
        login = basic_authorization(user.encode(), password.encode())
        return Request("CONNECT", self.url, {"Proxy-Authorization": login})


class ProxiedTransport:
    """Sends by `proxied`, or by `direct` where the egress says so.

    No socket of ours connects to the other side, so that `guard` holds what the
    host resolves to here against the policy first.  Where it resolves
    differently a moment later, or for the proxy, only the proxy can tell.
    """

    def __init__(self, egress: Egress, guard: Guard, *, direct: Transport, proxied: Transport) -> None:
        self._egress = egress
        self._guard = guard
        self._direct = direct
        self._proxied = proxied

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        """See Transport."""
        try:
            host = URL(request.url, encoded=True).raw_host or ""
            if lists(self._egress.direct, host_name(host) or ""):
                return await self._direct.send(request, timeout_s=timeout_s, max_body=max_body)
            async with asyncio.timeout(timeout_s):
                await self._guard.vouch(host)
                answer = await self._proxied.send(request, timeout_s=timeout_s, max_body=max_body)
                return without_echo(answer, self._egress.login)
        except TransportError as error:
            if error.unread is not None:
                error.unread = without_echo(error.unread, self._egress.login)
            raise
        except (OSError, ValueError) as error:
            raise classified(error, timeout_s) from error
