"""Messages that a chat would not take as they were.

A destination keeps no state, so a refused message leaves its mark in the
delivery's reason: the next attempt, scheduled or by hand, is in plain text.
Plain text that is refused as well is the end of it.
"""

from relay.core.delivery import Delivery, Verdict, VerdictKind

_MARK = "message refused"


def wants_plain(delivery: Delivery) -> bool:
    """Tell whether the last attempt of `delivery` was refused for what it said."""
    return delivery.reason is not None and delivery.reason.startswith(_MARK)


def plain_next(why: str, *, plain: bool) -> Verdict:
    """Return the verdict on a message that may be taken without its layout; `plain` tells whether it had none."""
    return refused(why) if plain else Verdict(VerdictKind.RETRY, f"{_MARK}, plain text follows: {why}")


def refused(why: str) -> Verdict:
    """Return the verdict on a message that was refused for what it says."""
    return Verdict(VerdictKind.REFUSED, f"{_MARK}: {why}")
