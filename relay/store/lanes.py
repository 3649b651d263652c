"""How destinations are, as people ask for it."""

from collections.abc import Mapping

from relay.core.ports import LaneView
from relay.store import rows
from relay.store.conditions import enable_lane
from relay.store.part import Part


class SqliteLanes(Part):
    """Implements `relay.core.ports.Lanes`."""

    async def lanes(self) -> Mapping[str, LaneView]:
        """See Lanes."""
        found = await self._read("conditions")
        return {row["lane"]: LaneView(row["destination"], rows.health(row), row["held"]) for row in found}

    async def enable(self, lane: str, now: float) -> bool:
        """See Lanes."""
        return await self._writer.commit(lambda transaction: enable_lane(transaction, lane, now))
