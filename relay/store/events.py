"""Events, in the order they came."""

from relay.core.event import Event
from relay.core.ports import EventFilter
from relay.store import rows
from relay.store.part import Part


class SqliteEvents(Part):
    """Implements `relay.core.ports.Events`."""

    async def last_event(self) -> int:
        """See Events."""
        return int((await self._read("last_event"))[0]["place"])

    async def events(self, wanted: EventFilter, *, after: int, limit: int) -> list[tuple[int, Event]]:
        """See Events."""
        found = await self._browse(
            "list_events",
            after=after,
            types=rows.text(sorted(wanted.types)) if wanted.types else None,
            provider=wanted.provider,
            watch_id=wanted.watch_id,
            owner=wanted.owner,
            limit=limit,
        )
        return [(row["seq"], rows.event(row)) for row in found]
