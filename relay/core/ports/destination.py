"""Where events go."""

from typing import Protocol

from relay.core.delivery import Delivery, Verdict
from relay.core.event import Event
from relay.core.http import Request, Response
from relay.core.retry import RetryPolicy


class Destination(Protocol):
    """Where events go, described purely."""

    @property
    def retry(self) -> RetryPolicy:
        """How long to insist."""
        ...

    def request(self, delivery: Delivery, event: Event, now: float) -> Request:
        """Return the request of one attempt, signed for `now` where the destination signs."""
        ...

    def verdict(self, response: Response, now: float, *, plain: bool = False) -> Verdict:
        """Return what the answer means; `plain` tells whether the message was one without layout."""
        ...
