"""Durations as people write them: "90s", "1h30m", "250ms"."""

import re

LONGEST_S = 100 * 366 * 86400.0
"""A hundred years: no setting means more, and every instant that far ahead can be written."""

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(text: str) -> float:
    """Return the seconds that `text` says.

    Raises ValueError unless the whole text is numbers with units, in any order,
    as in "1h30m" or "250ms".
    """
    stripped = text.strip().replace(" ", "")
    if not _WHOLE.fullmatch(stripped):
        raise ValueError(f'"{text}" is not a duration; write a number with a unit, as in "30s", "5m" or "1h30m"')
    return sum(float(number) * _UNIT_S[unit] for number, unit in _PART.findall(stripped))


def format_duration(seconds: float) -> str:
    """Return `seconds` in at most two units: "0.4s", "41s", "1m47s", "2h05m", "3d4h"."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if seconds < 10:
        return f"{seconds:.1f}".rstrip("0").rstrip(".") + "s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"
