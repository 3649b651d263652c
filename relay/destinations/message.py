"""What a person is told of an event, before any chat's markup.

An event's data is read as untrusted JSON: the provider wrote most of it, and an
older relay may have written the rest.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from relay.core.delivery import Delivery
from relay.core.duration import format_duration
from relay.core.event import OVERDUE, Event
from relay.core.instant import parse_instant
from relay.core.observation import Status
from relay.core.text import one_line
from relay.destinations import url as urls
from relay.destinations.fitting import packed

_OUTCOMES: Mapping[str, str] = {
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "was cancelled",
    Status.EXPIRED: "expired",
    Status.NOT_FOUND: "was not found",
    Status.TIMED_OUT: "timed out",
}
_PROVIDER_NEWS: Mapping[str, str] = {
    "provider.unauthorized": "refuses our key",
    "provider.quota_exhausted": "says that our quota is spent",
    "provider.unreachable": "cannot be reached",
    "provider.recovered": "works again",
    "relay.test": "says hello: this destination works",
}
_DELIVERY_NEWS: Mapping[str, str] = {
    "destination.disabled": "wants nothing more and is switched off until someone enables it",
    "destination.refusing": "answers, but refuses deliveries",
    "destination.unreachable": "cannot be reached; its deliveries are held",
    "destination.recovered": "takes deliveries again",
    "delivery.exhausted": "did not take a delivery, which was given up",
}
_MEDIA_TYPE = re.compile(r"(application|audio|font|image|message|model|multipart|text|video)/[\w.+-]+", re.ASCII)
"""One of the registered top-level types (RFC 6838, section 4.2): no host is named like that."""
_NAME_LIMIT = 60
_VALUE_LIMIT = 200
_ERROR_LIMIT = 1000
_LABEL_LIMIT = 100
_DELIVERY_ID_LENGTH = 12
_MOST_LINKS = 10
_OMISSION_ROOM = 80
_MODERATED = "Stopped by the provider's content filter"


@dataclass(frozen=True, slots=True)
class Fact:
    """One named line, such as the model."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Link:
    """One output; `followable` tells whether its URL may be made a link, for a browser to open."""

    label: str
    url: str
    followable: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """Everything a message says, cleaned and each part on one line.

    `error` is in plain words, None where there is nothing to say.  `links` are
    the first of the outputs, and `outputs` counts all of them.  `delivery_id` is
    short: it tells a repeated message from a second one.
    """

    status: str
    title: str
    facts: tuple[Fact, ...]
    error: str | None
    links: tuple[Link, ...]
    outputs: int
    watch_id: str | None
    delivery_id: str

    @property
    def ids(self) -> str:
        """The line that names the watch, where there is one, and the delivery."""
        if self.watch_id is None:
            return f"About no single watch · Delivery {self.delivery_id}"
        return f"Watch {self.watch_id} · Delivery {self.delivery_id}"

    def links_within(self, room: int, rendered: Sequence[str]) -> list[str]:
        """Return those lines of `rendered`, one a link, that fit into `room` units.

        Where outputs are left out, a last line says how many and how to see them.
        """
        shown = packed(rendered, room - _OMISSION_ROOM)
        omitted = self.outputs - len(shown)
        return [*shown, f"{omitted} more: relay show {self.watch_id}"] if omitted else shown


def notice(delivery: Delivery, event: Event, now: float) -> Notice:
    """Return what to tell of `event` at `now`."""
    data = event.data
    status = _text(data.get("status"), _NAME_LIMIT) or event.type.rpartition(".")[2]
    provider = _text(data.get("provider"), _NAME_LIMIT)
    outputs = _outputs(data)
    facts = (
        ("Provider", provider),
        ("Model", _text(data.get("model"))),
        _duration(data),
        ("Usually within", _usual(data)),
        ("Cost", _cost(_object(data.get("cost")))),
        ("Expires", _expiry(outputs, now)),
        ("Job", _text(data.get("job_id"))),
    )
    return Notice(
        status=status,
        title=_title(event.type, provider, status, _text(data.get("destination"), _NAME_LIMIT)),
        facts=tuple(Fact(name, value) for name, value in facts if value),
        error=_error(_object(data.get("error")), status),
        links=tuple(_link(number, output) for number, output in enumerate(outputs[:_MOST_LINKS], 1)),
        outputs=len(outputs),
        watch_id=event.watch_id,
        delivery_id=delivery.id[:_DELIVERY_ID_LENGTH],
    )


def _title(event_type: str, provider: str | None, status: str, destination: str | None) -> str:
    if event_type in _DELIVERY_NEWS:
        return f"{destination or 'A destination'} {_DELIVERY_NEWS[event_type]}"
    if event_type == OVERDUE:
        return f"{provider or 'A'} job takes unusually long"
    if event_type in _PROVIDER_NEWS:
        return f"{provider or 'A provider'} {_PROVIDER_NEWS[event_type]}"
    return f"{provider or 'A'} job {_OUTCOMES.get(status, status.replace('_', ' '))}"


def _duration(data: Mapping[str, object]) -> tuple[str, str | None]:
    """Return how long the job took by the provider's word, else how long we watched it."""
    for name, start, end in (("Took", "created_at", "completed_at"), ("Watched for", "watched_at", "observed_at")):
        began, ended = parse_instant(data.get(start)), parse_instant(data.get(end))
        if began is not None and ended is not None and ended >= began:
            return name, format_duration(ended - began)
    return "Took", None


def _usual(data: Mapping[str, object]) -> str | None:
    seconds = _number(data.get("usual_s"))
    return None if seconds is None else format_duration(seconds)


def _cost(cost: Mapping[str, object]) -> str | None:
    amount = _number(cost.get("amount"))
    if amount is None:
        return None
    currency, unit = _text(cost.get("currency"), _NAME_LIMIT), _text(cost.get("unit"), _NAME_LIMIT)
    quantity = _number(cost.get("quantity"))
    if unit is not None and quantity is not None:
        return f"{_shown(amount)}{f' {currency}' if currency else ''} for {_shown(quantity)} {unit}"
    return " ".join(filter(None, (_shown(amount), currency or unit)))


def _expiry(outputs: list[Mapping[str, object]], now: float) -> str | None:
    """Return when the first output to go goes."""
    instants = [parse_instant(output.get("expires_at")) for output in outputs]
    earliest = min((instant for instant in instants if instant is not None), default=None)
    if earliest is None:
        return None
    return f"{datetime.fromtimestamp(earliest, UTC):%Y-%m-%d %H:%M} UTC ({_relative(earliest - now)})"


def _relative(seconds: float) -> str:
    """Return a distance in time in one unit, rounded towards now: no one is promised more than there is."""
    whole = int(abs(seconds))
    for size_s, least_s, unit in ((86400, 172800, "days"), (3600, 7200, "h"), (60, 60, "min"), (1, 0, "s")):
        if whole >= least_s:
            amount = f"{whole // size_s} {unit}"
            return f"in {amount}" if seconds >= 0 else f"{amount} ago"
    raise AssertionError("every distance has a unit")


def _error(error: Mapping[str, object], status: str) -> str | None:
    said = next(
        (text for name in ("user_message", "message", "code") if (text := _text(error.get(name), _ERROR_LIMIT))), None
    )
    if error.get("moderated") is True:
        return f"{_MODERATED}: {said}" if said else f"{_MODERATED}."
    if said is None and status == Status.FAILED:
        return "The provider gave no reason."
    return said


def _outputs(data: Mapping[str, object]) -> list[Mapping[str, object]]:
    found = data.get("outputs")
    return [output for item in found if (output := _object(item))] if isinstance(found, list) else []


def _link(number: int, output: Mapping[str, object]) -> Link:
    url = output.get("url")
    told = url if isinstance(url, str) else ""
    followable = is_followable(told)
    return Link(_label(number, output), told if followable else one_line(told, _VALUE_LIMIT), followable)


def is_followable(url: str) -> bool:
    """Tell whether `url` leads where it seems to: on the web, nothing invisible, no user before the host."""
    parts = urls.split(url)
    on_the_web = parts.scheme.lower() in ("http", "https") and bool(parts.host) and parts.userinfo is None
    return on_the_web and url.isprintable() and " " not in url


def _label(number: int, output: Mapping[str, object]) -> str:
    """Return what a link is called: nothing that could be taken for another address."""
    content_type = _text(output.get("content_type"), _NAME_LIMIT) or ""
    width, height = _number(output.get("width")), _number(output.get("height"))
    duration_s = _number(output.get("duration_s"))
    details = (
        content_type if _MEDIA_TYPE.fullmatch(content_type) else None,
        f"{_shown(width)}x{_shown(height)}" if width is not None and height is not None else None,
        format_duration(duration_s) if duration_s is not None else None,
    )
    return one_line(", ".join(filter(None, (f"Output {number}", *details))), _LABEL_LIMIT)


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object, limit: int = _VALUE_LIMIT) -> str | None:
    return (one_line(value, limit) or None) if isinstance(value, str) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _shown(number: float) -> str:
    return f"{number:.12g}"
