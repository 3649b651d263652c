"""What is done for the store as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from relay.core.delivery import DeliveryState
from relay.core.observation import Status


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows stand where, for health, status lines and metrics.

    `stored_bytes` is what the database takes up, `commits_waiting` how many
    writes have not been committed yet.
    """

    watches: Mapping[Status, int]
    deliveries: Mapping[DeliveryState, int]
    oldest_pending_at: float | None = None
    stored_bytes: int = 0
    commits_waiting: int = 0


class Housekeeping(Protocol):
    """The part of `Store` for those who look after all of it: its size, its health, its leases, its clock."""

    async def prune(self, *, ended_before: float, limit: int) -> int:
        """Delete up to `limit` watches that ended before an instant and owe nothing; return how many."""
        ...

    async def counts(self) -> Counts:
        """Return how many rows stand where."""
        ...

    async def probe(self, now: float) -> None:
        """Prove that a write can be committed, by one that tells that relay runs at `now`."""
        ...

    async def last_beat(self) -> float | None:
        """Return the latest instant at which relay was known to run, None where it never was."""
        ...

    async def set_back(self, seconds: float) -> None:
        """Move all that is under way along with a wall clock that was set back: its plans, leases, rests and past."""
        ...

    async def release_leases(self) -> None:
        """Return the rows of workers that are gone; called when no other process can hold any."""
        ...
