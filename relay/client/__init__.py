"""What an application needs of relay: hand over jobs, wait for them, follow events, verify callbacks.

It knows the API and nothing of the daemon.  `Client` is plain and needs only
the standard library; `AsyncClient` does the same under asyncio.
"""

from typing import TYPE_CHECKING, Any

from relay.client.messages import Added, ApiError, ClientError, Event, Refused, Unreachable, Watch
from relay.client.plain import Client
from relay.client.verification import InvalidCallback, verify_callback

if TYPE_CHECKING:
    from relay.client.asynchronous import AsyncClient

__all__ = [
    "Added",
    "ApiError",
    "AsyncClient",
    "Client",
    "ClientError",
    "Event",
    "InvalidCallback",
    "Refused",
    "Unreachable",
    "Watch",
    "verify_callback",
]


def __getattr__(name: str) -> Any:
    """Import aiohttp only for those who use it."""
    if name == "AsyncClient":
        from relay.client.asynchronous import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
