"""Deliveries, as people ask for them."""

from dataclasses import dataclass
from typing import Protocol

from relay.core.delivery import Attempt, Delivery, DeliveryState
from relay.core.observation import Status


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are meant; an empty condition matches all.

    `destination` is a name, or "callback" for all callback URLs; `statuses` are
    those of the watch; `since` and `until` bound when the delivery came into being.
    """

    states: frozenset[DeliveryState] = frozenset()
    watch_id: str | None = None
    owner: str | None = None
    destination: str | None = None
    provider: str | None = None
    statuses: frozenset[Status] = frozenset()
    types: frozenset[str] = frozenset()
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A delivery with the type of its event, who owns its watch, and its attempts where asked for."""

    delivery: Delivery
    event_type: str
    owner: str | None = None
    attempts: tuple[Attempt, ...] = ()


class Deliveries(Protocol):
    """The part of `Store` for those who look at deliveries, and have them sent again or dropped."""

    async def delivery(self, delivery_id: str) -> DeliveryView:
        """Return one delivery with its attempts, oldest first; raises NotFound."""
        ...

    async def deliveries(
        self, wanted: DeliveryFilter, *, before: tuple[float, str] | None, limit: int
    ) -> list[DeliveryView]:
        """Return deliveries newest first without their attempts, from before one's `created_at` and id."""
        ...

    async def resend_matching(self, wanted: DeliveryFilter, now: float, *, every_s: float, dry_run: bool) -> int:
        """Make deliveries due again, one each `every_s` from `now` on, the oldest first; return how many.

        Each begins a fresh budget with its turn.  Those under way are left alone,
        and those whose destination is down or switched off are held.  A dry run
        counts only.
        """
        ...

    async def resend(self, delivery_id: str, now: float) -> None:
        """Make a delivery due at once, with a fresh budget if it was final.

        Raises NotFound, and Conflict while an attempt is under way.
        """
        ...

    async def drop(self, delivery_id: str, now: float) -> None:
        """Give a delivery up for good, as a person wishes; one that is final stays as it is.

        Raises NotFound, and Conflict while an attempt is under way.
        """
        ...
