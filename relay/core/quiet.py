"""Quiet hours: when a destination is told nothing that can wait."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from fnmatch import fnmatchcase

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begin` to `end` by the clocks of `zone`, past midnight where `begin` is the later.

    `urgent` are patterns of the types of events that do not wait.
    """

    begin: time
    end: time
    zone: tzinfo
    urgent: Sequence[str]

    def until(self, event_type: str, now: float) -> float | None:
        """Return when an event of this type may be told, or None where that is now."""
        if any(fnmatchcase(event_type, pattern) for pattern in self.urgent):
            return None
        today = datetime.fromtimestamp(now, self.zone).date()
        for day in (today - _DAY, today):
            begin, end = self._night(day)
            if begin <= now < end:
                return end
        return None

    def _night(self, day: date) -> tuple[float, float]:
        """Return the quiet time that begins on `day`.

        A time that the clocks show twice is the first, and one that they skip is
        as long after midnight as ever (PEP 495, fold=0): a night is an hour longer
        or shorter, and never two.
        """
        last = day if self.begin < self.end else day + _DAY
        return self._instant(day, self.begin), self._instant(last, self.end)

    def _instant(self, day: date, clock: time) -> float:
        return datetime.combine(day, clock, self.zone).timestamp()
