"""Who is told of an event."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.core.observation import Status
from relay.core.watch import Target, Watch


@dataclass(frozen=True, slots=True)
class Route:
    """Sends the outcomes that match to named destinations; an empty condition matches all.

    `operators` are those of them that people read: they are told as well when
    the provider itself is in trouble, whatever the route says of statuses.
    """

    to: tuple[Target, ...]
    statuses: frozenset[Status] = frozenset()
    providers: frozenset[str] = frozenset()
    operators: tuple[Target, ...] = ()

    def matches(self, watch: Watch, outcome: Status) -> bool:
        """Tell whether this route wants the outcome of this watch."""
        return (not self.statuses or outcome in self.statuses) and (
            not self.providers or watch.provider in self.providers
        )


def routed_targets(watch: Watch, outcome: Status, routes: Sequence[Route]) -> tuple[Target, ...]:
    """Return everyone whom the routes want told, each once."""
    wanted = (target for route in routes if route.matches(watch, outcome) for target in route.to)
    return tuple({target.key: target for target in wanted}.values())


def operator_targets(provider: str, routes: Sequence[Route]) -> tuple[Target, ...]:
    """Return the people to tell of trouble with a provider, each once."""
    concerned = (route for route in routes if not route.providers or provider in route.providers)
    return tuple({target.key: target for route in concerned for target in route.operators}.values())
