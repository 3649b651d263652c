"""Whether a callback is of one's own relay (Standard Webhooks 1.0.0, by a shared secret)."""

import base64
import binascii
import hmac
import re
import time
from collections.abc import Iterable, Mapping

from relay.client.messages import ClientError, Event, event_of
from relay.core.signing import TOLERANCE_S, SigningSecret

_SECONDS = re.compile(r"[0-9]{1,12}")


class InvalidCallback(ClientError):
    """The message is not of one's own relay, or too old, and must not be believed."""


def verify_callback(
    body: bytes, headers: Mapping[str, str], secrets: str | Iterable[str], *, now: float | None = None
) -> Event:
    """Return the event in a callback, its id the `webhook-id` that is the same however often it comes.

    `body` are the bytes as they came, `secrets` the `whsec_...` in use, more
    than one while they are exchanged.  Raises InvalidCallback unless one of them
    made a signature of just this message, not more than five minutes ago; and
    ValueError for a secret that is none.
    """
    sent = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = sent.get("webhook-id", ""), sent.get("webhook-timestamp", "")
    if not message_id or not message_id.isascii() or not _SECONDS.fullmatch(timestamp):
        raise InvalidCallback("webhook-id or webhook-timestamp is missing or not well formed")
    age_s = (time.time() if now is None else now) - int(timestamp)  # noqa: TID251 - the receiver's own clock
    if abs(age_s) > TOLERANCE_S:
        raise InvalidCallback(f"it was signed {age_s:.0f} s ago: it is played again, or a clock is wrong")
    known = [SigningSecret.parse(text) for text in ([secrets] if isinstance(secrets, str) else secrets)]
    expected = [_signature(secret.sign(message_id, int(timestamp), body)) for secret in known]
    given = [_signature(token) for token in sent.get("webhook-signature", "").split(" ")]
    if not any(hmac.compare_digest(mine, theirs) for mine in expected for theirs in given if mine and theirs):
        raise InvalidCallback("no signature of it is by a secret that is known here")
    try:
        event = event_of(body)
    except ValueError as error:
        raise InvalidCallback(str(error)) from error
    return Event(message_id, event.type, event.timestamp, event.data)


def _signature(token: str) -> bytes:
    """Return the bytes of a `v1` signature, or none."""
    version, _, text = token.partition(",")
    try:
        return base64.b64decode(text, validate=True) if version == "v1" else b""
    except (binascii.Error, ValueError):
        return b""
