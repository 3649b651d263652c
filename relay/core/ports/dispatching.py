"""What the dispatcher needs of the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.core.condition import Answered, Change, Finding
from relay.core.delivery import Attempt, Delivery, Settlement
from relay.core.event import Event
from relay.core.watch import Target


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A claimed delivery and what it carries.

    `failures` is how many attempts in a row had come to nothing in its lane,
    None where nothing is known of that but that it works.
    """

    delivery: Delivery
    event: Event
    failures: int | None = None


@dataclass(frozen=True, slots=True)
class News:
    """An event that is no job's, and whom to tell of it."""

    event: Event
    targets: tuple[Target, ...]


class Dispatching(Protocol):
    """The part of `Store` that the dispatcher uses: deliveries on their way out."""

    async def claim_due_deliveries(
        self,
        now: float,
        *,
        until: float,
        limit: int,
        per_lane: int,
        per_failing_lane: int,
        retries: int,
        limits: Mapping[str, int],
        busy: Mapping[str, int],
    ) -> list[Outgoing]:
        """Lease due deliveries, a place for each lane in turn, at most `per_lane` less those `busy`.

        A lane that fails gets at most `per_failing_lane`, and one of `limits` as
        many as that says; at most `retries` of all were tried before.  Of one lane,
        and of lanes equally busy, the oldest due go first; in a lane of `limits`,
        those that a person wants sent again go last.  Before that, those held are
        let go where it is time to find out whether a destination is back, or it is.
        """
        ...

    async def claim_company(self, delivery: Delivery, now: float, *, until: float, limit: int) -> list[Outgoing]:
        """Lease up to `limit` scheduled deliveries that are due for the same target, the longest overdue first.

        Their events come without `raw`, which no message about many tells.
        """
        ...

    async def settle_attempts(
        self,
        settled: Sequence[tuple[Attempt, Settlement]],
        finding: Finding | Answered | None = None,
        news: Sequence[News] = (),
    ) -> Change | None:
        """Write an attempt for each delivery that one message told of, with what follows: all of it or nothing.

        Each delivery is what the attempt made of it, and its lease is released; one
        that is tried again is held where its lane is.  What was found of the
        destination changes how it is, may hold or drop its other deliveries, and
        may be an event for operators; the change is returned.
        """
        ...

    async def postpone(self, until: Mapping[str, float], now: float) -> None:
        """Release claimed deliveries, each until an instant of its own: no try and none of their time is spent."""
        ...

    async def next_delivery_due(self, after: float) -> float | None:
        """Return when the next delivery is due, or the next of those held is let go, later than `after`."""
        ...
