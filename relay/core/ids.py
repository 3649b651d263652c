"""Identifiers.

A watch's id is drawn once: 48 bits of time and 80 of entropy, so ids sort by
age.  Events and deliveries are named by what they are about, so that the same
fact has the same id however often it is derived.
"""

import hashlib

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32, which has no i, l, o and u to misread."""

_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]

ENTROPY_BYTES = 10


def watch_id(now: float, entropy: bytes) -> str:
    """Return a new watch id from the time and ENTROPY_BYTES random bytes."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"an id takes {ENTROPY_BYTES} random bytes, not {len(entropy)}")
    return "wat_" + _base32(int(now * 1000).to_bytes(6, "big") + entropy)


def event_id(subject: str, event_type: str) -> str:
    """Return the id of the one event of this type about `subject`, a watch id."""
    return "evt_" + _digest(subject, event_type)


def delivery_id(event: str, destination: str) -> str:
    """Return the id of the one delivery of an event to a destination.

    It is what receivers see as `webhook-id`, and holds no dot, as Standard
    Webhooks asks.
    """
    return "dlv_" + _digest(event, destination)


def _digest(*parts: str) -> str:
    return _base32(hashlib.sha256("\n".join(parts).encode()).digest()[:16])


def _base32(data: bytes) -> str:
    """Return 16 bytes as 26 characters, two at a time."""
    number = int.from_bytes(data, "big")
    return "".join([_PAIRS[number >> place & 1023] for place in range(120, -1, -10)])
