"""Callbacks: the event as it is, signed by Standard Webhooks 1.0.0."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relay.core.delivery import Delivery, Trigger, Verdict, VerdictKind
from relay.core.etiquette import Sign, sign_of
from relay.core.event import Event
from relay.core.http import Request, Response
from relay.core.retry import RetryPolicy
from relay.core.signing import Signer, signed_headers
from relay.destinations.exchange import JSON_HEADERS, again, said
from relay.destinations.url import sendable

_STEERING = "webhook-delivery"
"""The response header by which a receiver steers (docs.svix.com/receiving/delivery-control)."""


@dataclass(frozen=True, slots=True)
class CallbackDestination:
    """Posts the event's own bytes to `url`; the first of `signers` is the current secret.

    `headers` go with every attempt, and outweigh a user in the URL.
    """

    url: str = field(repr=False)
    signers: Sequence[Signer] = field(repr=False)
    retry: RetryPolicy
    with_raw: bool = False
    thin: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def request(self, delivery: Delivery, event: Event, now: float) -> Request:
        """See Destination.

        The delivery's id is the `webhook-id`, and `relay-resend: 1` marks an
        attempt that a person asked for.
        """
        url, authorization = sendable(self.url)
        body = event.payload(with_raw=self.with_raw, thin=self.thin)
        headers = {**self.headers, **JSON_HEADERS, **signed_headers(self.signers, delivery.id, now, body)}
        if authorization is not None and "authorization" not in map(str.lower, self.headers):
            headers["Authorization"] = authorization
        if delivery.trigger is Trigger.MANUAL:
            headers["relay-resend"] = "1"
        return Request("POST", url, headers, body)

    def verdict(self, response: Response, now: float, *, plain: bool = False) -> Verdict:
        """See Destination.

        Only 2xx is success, and it outweighs the steering header.  410 means
        that the endpoint is gone (Standard Webhooks 1.0.0).
        """
        sign = sign_of(response.status)
        if sign is Sign.WORKS:
            return Verdict(VerdictKind.DELIVERED, sign=sign)
        steering = response.headers.get(_STEERING, "").strip().lower()
        if steering == "abort-message":
            return Verdict(VerdictKind.DROPPED, f"HTTP {response.status}: the receiver wants no more of this message")
        if steering == "disable":
            why = f"HTTP {response.status}: the receiver wants no more messages"
            return Verdict(VerdictKind.REFUSED, why, sign=Sign.GONE)
        if sign is Sign.GONE:
            words = said(response)
            why = "HTTP 410: the receiver is gone" + (f": {words}" if words else "")
            return Verdict(VerdictKind.REFUSED, why, sign=sign)
        return again(response, now)
