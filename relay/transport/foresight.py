"""What the address guard will say of a host, told while there is someone to tell it to."""

import asyncio
from collections.abc import Collection

from relay.core.address import AddressPolicy
from relay.core.ports import Clock
from relay.transport.faults import ForbiddenAddress
from relay.transport.guard import Guard

_PATIENCE_S = 1.0
_REMEMBERED_S = 30.0
_MOST_REMEMBERED = 4096
_LOOKUPS = 8


class Foresight:
    """Looks names up before anything is sent there, and remembers for a while which of them are refused.

    It spares a mistaken operator days of failing deliveries, and keeps nobody
    out: a name may lead elsewhere by the time a socket connects, which is when
    the address counts.  One that does not resolve in time may do so then.
    """

    def __init__(self, policy: AddressPolicy, clock: Clock) -> None:
        self._guard = Guard(policy, lookups=_LOOKUPS)
        self._clock = clock
        self._known: dict[str, tuple[float, str | None]] = {}

    async def look_up(self, names: Collection[str]) -> None:
        """Learn about `names`, within a second."""
        now = self._clock.monotonic()
        unknown = {name for name in names if self._known.get(name, (0.0, None))[0] <= now}
        if not unknown:
            return
        if len(self._known) > _MOST_REMEMBERED:
            self._known.clear()
        for name in unknown:
            self._known.pop(name, None)
        try:
            async with asyncio.timeout(_PATIENCE_S), asyncio.TaskGroup() as lookups:
                for name in unknown:
                    lookups.create_task(self._learn(name, now + _REMEMBERED_S))
        except TimeoutError:
            for name in unknown:
                self._known.setdefault(name, (now + _REMEMBERED_S, None))

    def refusal(self, name: str) -> str | None:
        """Return why nothing may be sent to `name`, as far as is known."""
        return self._known.get(name, (0.0, None))[1]

    async def close(self) -> None:
        """Look up no more names."""
        await self._guard.close()

    async def _learn(self, name: str, until: float) -> None:
        refusal = None
        try:
            await self._guard.resolve(name)
        except ForbiddenAddress as error:
            refusal = error.strerror
        except (OSError, ValueError):  # it does not resolve: no news is none to keep someone waiting for
            pass
        self._known[name] = until, refusal
