"""How many polls a credential may spend.

The generic cell rate algorithm (ITU-T I.371): one instant is all the state.
"""

import math
from dataclasses import dataclass, replace

from relay.core.text import one_line

_BURST_SHARE = 0.1
_STEADY_SHARE = 0.9
"""What a limit too small for a burst spends: polls that are a little less far apart on arrival must not exceed it."""

_LONGEST_TEXT = 20
"""More than any limit takes; what is longer would not fit a float."""

_TOLERANCE_S = 1e-6
"""More than the rounding of Unix seconds as floats, a quarter of a microsecond."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A provider's limit: at most `limit` requests in any window of `window_s` seconds."""

    limit: int
    window_s: float

    @property
    def burst(self) -> int:
        """How many polls may go out at once."""
        return max(1, int(self.limit * _BURST_SHARE))

    @property
    def interval_s(self) -> float:
        """Seconds per poll that, with the burst before it, keep any window within the limit."""
        return self.window_s / max(self.limit - self.burst, _STEADY_SHARE * self.limit)

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Read "60/m": a number per s, m, h or d.

        Raises ValueError for anything else.
        """
        limit, _, window = text.replace(" ", "").partition("/")
        windows = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
        wellformed = len(text) <= _LONGEST_TEXT and limit.isascii() and limit.isdigit() and window in windows
        if not wellformed or int(limit) == 0:
            raise ValueError(
                f'"{one_line(text, _LONGEST_TEXT)}" is not a rate; write a number per s, m, h or d, as in "60/m"'
            )
        return cls(int(limit), windows[window])


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of a rate; `due_at` is when the bucket will be full again."""

    rate: Rate
    due_at: float

    @classmethod
    def fresh(cls, rate: Rate, now: float) -> "Budget":
        """Return a budget for a process that cannot know what was spent before it: as if all had been."""
        return cls(rate, now + rate.burst * rate.interval_s)

    def available(self, now: float) -> int:
        """Return how many polls may go out at `now`."""
        slack = (self.rate.burst - 1) * self.rate.interval_s - max(self.due_at - now, 0.0)
        return max(math.floor((slack + _TOLERANCE_S) / self.rate.interval_s) + 1, 0)

    def spend(self, polls: int, now: float) -> "Budget":
        """Return the budget after `polls` went out at `now`."""
        return replace(self, due_at=max(self.due_at, now) + polls * self.rate.interval_s)

    def next_at(self, now: float) -> float:
        """Return when at least one poll may go out."""
        return max(now, self.due_at - (self.rate.burst - 1) * self.rate.interval_s)
