"""How destinations are, as people ask for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from relay.core.condition import Health


@dataclass(frozen=True, slots=True)
class LaneView:
    """How a lane is, and how many deliveries it holds; `name` is None for a host that callback URLs lead to."""

    name: str | None
    health: Health
    held: int


class Lanes(Protocol):
    """The part of `Store` that tells how destinations are."""

    async def lanes(self) -> Mapping[str, LaneView]:
        """Return how every lane is of which something is known; all others work."""
        ...

    async def enable(self, lane: str, now: float) -> bool:
        """Let a disabled or unreachable lane be tried at once, one delivery first; False where it is neither."""
        ...
