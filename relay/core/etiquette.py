"""HTTP etiquette: what an answer's status tells of the receiver, and how patient to be with it.

Sources: Standard Webhooks 1.0.0, "Delivery"; RFC 9110, sections 10.2.3 and 15.
docs/deliveries.md shows the table, and a test holds it against this code.
"""

from enum import StrEnum


class Sign(StrEnum):
    """What an attempt tells of the destination itself, whatever became of the message."""

    WORKS = "works"
    """It took a message."""
    ANSWERS = "answers"
    """It is there, and failed; it may well take the message later."""
    OVERLOADED = "overloaded"
    """It wants to be left alone for a while."""
    REFUSES = "refuses"
    """It is there, and is unlikely to take this before somebody changes something."""
    ABSENT = "absent"
    """Nothing answered."""
    GONE = "gone"
    """It wants nothing more, ever."""
    UNKNOWN = "unknown"
    """The fault was ours, which says nothing of it."""


_OVERLOADED = frozenset({429, 502, 503, 504})
_MAY_PASS = frozenset({408, 409, 423, 425})
"""Request timeout, conflict, locked, too early: the 4xx that are about this moment."""


def sign_of(status: int, *, asks_to_wait: bool = False) -> Sign:
    """Return what the status of an answer tells; `asks_to_wait` where a failure came with a Retry-After."""
    if 200 <= status < 300:
        return Sign.WORKS
    if status == 410:
        return Sign.GONE
    if status in _OVERLOADED or asks_to_wait:
        return Sign.OVERLOADED
    if 400 <= status < 500 and status not in _MAY_PASS:
        return Sign.REFUSES
    return Sign.ANSWERS
