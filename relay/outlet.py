"""The way out to one destination: what a message to it looks like, when it may go, and what the answer means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from relay.core.delivery import Trigger, Verdict, VerdictKind
from relay.core.echo import without_echo
from relay.core.etiquette import Sign
from relay.core.http import Fault, Request, Response, TransportError
from relay.core.ports import Clock, Destination, Outgoing, Transport
from relay.core.quiet import QuietHours

ATTEMPT_TIMEOUT_S = 20.0
MAX_RESPONSE_BYTES = 16 * 1024
_SIGNS = {Fault.LOCAL: Sign.UNKNOWN, Fault.FORBIDDEN_ADDRESS: Sign.REFUSES}
"""What a request without an answer tells of the receiver, where that is not that it was absent."""


@dataclass(frozen=True, slots=True)
class Digests:
    """How a chat is told of a storm: what writes one message about many events, and the widest window between two."""

    request: Callable[[Sequence[Outgoing], float], Request]
    widest_s: float


@dataclass(frozen=True, slots=True)
class Outlet:
    """A destination, and the client that may reach it.

    Without `digests` each message goes by itself, without `quiet` at any time.
    """

    destination: Destination
    transport: Transport
    digests: Digests | None = None
    quiet: QuietHours | None = None

    def waits_until(self, outgoing: Outgoing, now: float) -> float | None:
        """Return when a delivery may go, where that is not now; what a person wants sent again does not wait."""
        if self.quiet is None or outgoing.delivery.trigger is Trigger.MANUAL:
            return None
        return self.quiet.until(outgoing.event.type, now)

    def request(self, message: Sequence[Outgoing], now: float) -> Request:
        """Return the request that tells of everything in `message`, made for an attempt at `now`."""
        if len(message) > 1 and self.digests is not None:
            return self.digests.request(message, now)
        return self.destination.request(message[0].delivery, message[0].event, now)

    async def send(self, request: Request, clock: Clock) -> tuple[Response | None, Verdict]:
        """Make one attempt; return the answer, None where there is none, and what it means."""
        try:
            answer = await self.transport.send(request, timeout_s=ATTEMPT_TIMEOUT_S, max_body=MAX_RESPONSE_BYTES)
        except TransportError as error:
            if error.unread is None:
                return None, Verdict(VerdictKind.RETRY, str(error), sign=_SIGNS.get(error.fault, Sign.ABSENT))
            answer = error.unread
        response = without_echo(answer, request)
        verdict = self.destination.verdict(response, clock.now(), plain=request.plain)
        return response, replace(verdict, reason=verdict.reason or request.doubt)
