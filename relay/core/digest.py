"""Storms: which due deliveries go into one message, and when the next message may go.

A hundred messages a minute tell a person less than one that counts them.  All
that is due for a chat, the longest overdue first, goes into its next message.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relay.core.delivery import Delivery, DeliveryState, Settlement, Trigger, Verdict, settle
from relay.core.retry import RetryPolicy

MOST_TOLD = 500
"""Of how many deliveries one message tells at most."""

NARROWEST_S = 5.0
"""How long a chat is left alone after the first message."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time after a message in which no other goes to the same chat, on the clock that `ends_at` is of."""

    ends_at: float
    width_s: float


def next_window(last: Window | None, *, widest_s: float, now: float) -> Window:
    """Return the window that a message at `now` opens; `last` is that of the message before, if any.

    The first is narrow, so that two jobs which happen to end together are both
    told of soon.  Each that follows at once is twice as wide, `widest_s` at
    most.  A chat that was silent for as long again as its last window is calm.
    """
    calm = last is None or now >= last.ends_at + last.width_s
    width_s = min(NARROWEST_S if calm or last is None else 2 * last.width_s, widest_s)
    return Window(now + width_s, width_s)


def takes_company(delivery: Delivery) -> bool:
    """Tell whether what else is due for the same chat may go into one message with `delivery`.

    What a person wants sent again is a message of its own, and opens no window.
    """
    return delivery.trigger is Trigger.SCHEDULED


def settle_together(
    deliveries: Sequence[Delivery], verdict: Verdict, policy: RetryPolicy, *, now: float, sample: float
) -> list[Settlement]:
    """Return what a verdict on the message that told of all `deliveries` makes of each.

    Each has its own budget, but what is tried again is tried again together.
    """
    settled = [settle(delivery, verdict, policy, now=now, sample=sample) for delivery in deliveries]
    again = [settlement.next_attempt_at for settlement in settled if settlement.state is DeliveryState.PENDING]
    return [
        replace(settlement, next_attempt_at=min(again)) if settlement.state is DeliveryState.PENDING else settlement
        for settlement in settled
    ]
