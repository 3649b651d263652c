"""The way out to the network."""

from typing import Protocol

from relay.core.http import Request, Response


class Transport(Protocol):
    """The HTTP client."""

    async def send(self, request: Request, *, timeout_s: float, max_body: int) -> Response:
        """Return the answer to one request; redirects are never followed.

        Raises TransportError where there is none.
        """
        ...
