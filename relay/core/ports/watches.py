"""Watches, as people ask for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relay.core.event import Event
from relay.core.observation import Status
from relay.core.watch import NewWatch, Target, Watch


@dataclass(frozen=True, slots=True)
class Added:
    """A watch as it stands after `add_watches`; `created` is False where it was there before."""

    watch: Watch
    created: bool


@dataclass(frozen=True, slots=True)
class WatchView:
    """A watch with what belongs to it: its own targets, and its outcome once it has one, without `raw`."""

    watch: Watch
    targets: tuple[Target, ...] = ()
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class WatchFilter:
    """Which watches to list; an empty condition matches all."""

    statuses: frozenset[Status] = frozenset()
    provider: str | None = None
    since: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    owner: str | None = None
    id_prefix: str | None = None


class Watches(Protocol):
    """The part of `Store` for those who add watches and look at them."""

    async def add_watches(self, new: Sequence[NewWatch], now: float) -> list[Added]:
        """Store watches, or find those already there and add their new targets.

        A target added to a watch that has ended gets a delivery at once.  To the
        watch of another owner nothing is added, and nobody is told.
        """
        ...

    async def watch(self, reference: str) -> WatchView:
        """Return one watch by its id or as `provider:job_id`; raises NotFound."""
        ...

    async def watches(self, wanted: WatchFilter, *, before: str | None, limit: int) -> list[WatchView]:
        """Return watches newest first, from before the id `before`."""
        ...

    async def remove_watch(self, watch_id: str) -> None:
        """Forget a watch; raises NotFound, and Conflict while deliveries of it are open."""
        ...

    async def poll_now(self, watch_id: str, now: float, *, min_interval_s: float) -> None:
        """Make a live watch due at once, or that long after its last poll, and no later than it is.

        Raises NotFound, and Conflict once it has ended.
        """
        ...
