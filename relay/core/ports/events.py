"""Events, in the order they came."""

from dataclasses import dataclass
from typing import Protocol

from relay.core.event import Event


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list; an empty condition matches all."""

    types: frozenset[str] = frozenset()
    provider: str | None = None
    watch_id: str | None = None
    owner: str | None = None


class Events(Protocol):
    """The part of `Store` that tells what happened since some place in its order."""

    async def last_event(self) -> int:
        """Return the place of the newest event, 0 where there is none."""
        ...

    async def events(self, wanted: EventFilter, *, after: int, limit: int) -> list[tuple[int, Event]]:
        """Return events oldest first, each with its place in the order, from behind the place `after`.

        They come without `raw`, as they may be many.
        """
        ...
