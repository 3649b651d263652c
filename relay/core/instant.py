"""Instants as providers and users write them, and as relay writes them."""

from datetime import UTC, datetime

_MILLISECONDS_FROM = 1e11
"""A number above this is milliseconds: as seconds it would lie beyond the year 5138."""

_LATEST = 253402300799.0
"""9999-12-31T23:59:59Z, the last instant that ISO 8601 in four digits can name."""


def iso(instant: float) -> str:
    """Return `instant` as RFC 3339 in UTC with milliseconds, as in 2026-11-21T10:00:00.123Z."""
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_instant(value: object) -> float | None:
    """Return the Unix seconds that `value` names, or None where it names no instant.

    Accepts ISO 8601 text (without a zone it is read as UTC), and Unix time as a
    number or numeric text, in seconds or milliseconds.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        try:
            value = float(text)
        except ValueError:
            return _parse_iso(text)
    if not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    if seconds > _MILLISECONDS_FROM:
        seconds /= 1000
    return seconds if 0 < seconds <= _LATEST else None


def _parse_iso(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text.upper())  # "t" and "z" are as good (RFC 3339, section 5.6)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = moment.timestamp()
    return seconds if 0 < seconds <= _LATEST else None
