"""Whether relay itself is well: what /readyz, the watchdog and the status line go by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relay.core.errors import StoreError
from relay.core.ports import Clock, Housekeeping

STALE_AFTER_S = 90.0
"""A loop looks at its work at least every 30 s; three times that without a look is not well."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to work; `detail` says what is wrong with it."""

    ok: bool
    detail: str | None = None


class Health:
    """Asks the store for a write, and the loops when they last looked.

    `ticks` tells the latter by the loop's name, in monotonic time.
    """

    def __init__(self, store: Housekeeping, clock: Clock, ticks: Callable[[], Mapping[str, float]]) -> None:
        self._store = store
        self._clock = clock
        self._ticks = ticks

    def loops(self) -> dict[str, Check]:
        """Return how each loop is."""
        now = self._clock.monotonic()
        return {name: _tick_check(now - ticked_at) for name, ticked_at in self._ticks().items()}

    async def checks(self) -> dict[str, Check]:
        """Return how everything is."""
        try:
            await self._store.probe(self._clock.now())
        except StoreError as error:
            return {"store": Check(ok=False, detail=str(error)), **self.loops()}
        return {"store": Check(ok=True), **self.loops()}


def _tick_check(age_s: float) -> Check:
    if age_s <= STALE_AFTER_S:
        return Check(ok=True)
    return Check(ok=False, detail=f"has not looked at its work for {age_s:.0f} s")
