"""What a poller needs of the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relay.core.event import Event
from relay.core.learning import Evidence, Kind, Trace
from relay.core.observation import Status
from relay.core.outlook import Demand
from relay.core.standing import Standing
from relay.core.watch import Continue, Target, Watch


@dataclass(frozen=True, slots=True)
class Ending:
    """Everything that one transaction writes when a watch ends.

    The event's targets are those of the routes; the store adds the watch's own.
    `lessons` is what is to be added to what is known of durations.
    """

    watch_id: str
    status: Status
    provider_status: str | None
    model: str | None
    event: Event
    routed: tuple[Target, ...] = ()
    lessons: Mapping[Kind, Sequence[Trace]] = field(default_factory=dict)


class Polling(Protocol):
    """The part of `Store` that pollers use: live watches, and what is known of their providers."""

    async def claim_due_watches(
        self, provider: str, now: float, *, until: float, limit: int, retries: int, turn_s: float
    ) -> list[Watch]:
        """Lease up to `limit` live watches that are due, the longest overdue by their own measure first.

        Of those whose last poll failed at most `retries`, each measured as if it was planned to wait `turn_s` seconds
        at least.
        """
        ...

    async def release_watches(self, watch_ids: Sequence[str]) -> None:
        """Return claimed watches unpolled: they are due as they were."""
        ...

    async def record_polls(self, transitions: Sequence[Continue], now: float) -> None:
        """Write what polls that were not the last told, and release the leases."""
        ...

    async def record_overdue(self, transition: Continue, event: Event, targets: Sequence[Target], now: float) -> bool:
        """Write a poll that found a job running unusually long, with the event that tells it and its deliveries.

        Returns False where that was told before, or the watch has ended.
        """
        ...

    async def finalize_watch(self, ending: Ending, now: float) -> bool:
        """End a watch: outcome, event and deliveries at once; False where it had ended before."""
        ...

    async def next_watch_due(self, provider: str, after: float) -> float | None:
        """Return when the next live watch of a provider is due, of those due later than `after`."""
        ...

    async def demand(self, provider: str, floor: float) -> Demand:
        """Return what the live watches of a provider ask of its budget; the patient ask less than `floor`."""
        ...

    async def evidence(self, provider: str) -> Mapping[Kind, Evidence]:
        """Return what the jobs of a provider have taught about durations."""
        ...

    async def record_standing(
        self, provider: str, standing: Standing, event: Event | None, targets: Sequence[Target], now: float
    ) -> None:
        """Remember how a credential stands; with the event that this is worth, if any, and its deliveries."""
        ...

    async def standings(self) -> Mapping[str, Standing]:
        """Return how each credential stood when last recorded."""
        ...
