"""Events: the immutable facts that destinations are told."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from relay.core import ids
from relay.core.condition import Health
from relay.core.instant import iso
from relay.core.observation import Cost, JobError, Observation, Output, Status
from relay.core.standing import Standing
from relay.core.watch import Watch

OVERDUE = "job.overdue"
"""The one event about a job that has not ended; only routes that name it get it."""

EXHAUSTED = "delivery.exhausted"

DESTINATION_NEWS = (
    "destination.disabled",
    "destination.refusing",
    "destination.unreachable",
    "destination.recovered",
)
"""What operators are told of a destination: see relay.core.condition."""

EVENT_TYPES = (
    *(f"job.{status}" for status in Status if status.terminal),
    OVERDUE,
    "provider.unauthorized",
    "provider.quota_exhausted",
    "provider.unreachable",
    "provider.recovered",
    *DESTINATION_NEWS,
    EXHAUSTED,
)
"""Everything that a route can send."""

DATA_FIELDS = (
    *("watch_id", "provider", "job_id", "status", "provider_status", "model", "outputs", "error", "cost"),
    *("created_at", "watched_at", "completed_at", "observed_at", "polls", "metadata"),
)
"""What the event of a job says, in its order."""

_THIN = frozenset({"watch_id", "provider", "job_id", "status"})


@dataclass(frozen=True, slots=True)
class Event:
    """One fact about one watch, or about a provider where `watch_id` is None.

    `body` is the JSON text that callbacks carry, complete but for `raw`, which
    is the provider's last body, as observed, or None.  Both are fixed when the
    event is made, so that every delivery of it says the same bytes.
    """

    id: str
    type: str
    watch_id: str | None
    created_at: float
    body: str = field(repr=False)
    raw: str | None = field(default=None, repr=False)

    @property
    def data(self) -> dict[str, object]:
        """The `data` object of the body."""
        data: dict[str, object] = json.loads(self.body)["data"]
        return data

    def payload(self, *, with_raw: bool = False, thin: bool = False) -> bytes:
        """Return the bytes to send, with the provider's own body spliced in on request.

        A `thin` payload names the watch and how it ended, and leaves out what may
        be large or confidential: the receiver fetches that by the API.  An event
        about no watch has nowhere to be fetched from, and is sent whole.
        """
        if thin and self.watch_id is not None:
            return self._thin()
        if not with_raw:
            return self.body.encode()
        return f'{self.body[:-2]},"raw":{self.raw or "null"}}}}}'.encode()

    def _thin(self) -> bytes:
        body = json.loads(self.body)
        data = {name: value for name, value in body["data"].items() if name in _THIN}
        return _compact({**body, "data": data}).encode()


def outcome_event(watch: Watch, seen: Observation, now: float) -> Event:
    """Return the event that tells how `watch` ended, as observed at `now`."""
    return _job_event(f"job.{seen.status}", watch, seen, now, {})


def overdue_event(watch: Watch, seen: Observation, usual_s: float, now: float) -> Event:
    """Return the event that tells that a job still runs after `usual_s`, when 99 in 100 had ended."""
    return _job_event(OVERDUE, watch, seen, now, {"usual_s": round(usual_s, 3)})


def _job_event(event_type: str, watch: Watch, seen: Observation, now: float, more: Mapping[str, object]) -> Event:
    data = {
        "watch_id": watch.id,
        "provider": watch.provider,
        "job_id": watch.job.id,
        "status": str(seen.status),
        "provider_status": seen.provider_status,
        "model": seen.model or watch.model,
        "outputs": [_output(output) for output in seen.outputs],
        "error": _error(seen.error),
        "cost": _cost(seen.cost),
        "created_at": _iso_or_none(seen.created_at),
        "watched_at": iso(watch.created_at),
        "completed_at": _iso_or_none(seen.completed_at),
        "observed_at": iso(now),
        "polls": watch.polls + 1,
        "metadata": dict(watch.metadata),
        **more,
    }
    return Event(
        id=ids.event_id(watch.id, event_type),
        type=event_type,
        watch_id=watch.id,
        created_at=now,
        body=_compact({"type": event_type, "timestamp": iso(now), "data": data}),
        raw=seen.raw,
    )


def provider_event(provider: str, event_type: str, standing: Standing, now: float) -> Event:
    """Return the event that tells operators how a provider's credential stands since `now`."""
    data = {
        "provider": provider,
        "status": str(standing.footing),
        "error": None if standing.detail is None else {"code": str(standing.footing), "message": standing.detail},
        "observed_at": iso(now),
    }
    return Event(
        id=ids.event_id(f"{provider}@{iso(now)}", event_type),
        type=event_type,
        watch_id=None,
        created_at=now,
        body=_compact({"type": event_type, "timestamp": iso(now), "data": data}),
    )


def destination_event(destination: str, event_type: str, health: Health, now: float) -> Event:
    """Return the event that tells operators how a destination is since `now`; it names no URL."""
    condition = str(health.condition)
    data = {
        "destination": destination,
        "status": condition,
        "error": None if health.detail is None else {"code": condition, "message": health.detail},
        "observed_at": iso(now),
    }
    return _operators_event(f"{destination}@{iso(now)}", event_type, data, now)


def exhausted_event(delivery_id: str, destination: str, event: Event, reason: str | None, now: float) -> Event:
    """Return the event that tells operators that a delivery of `event` was given up at `now`."""
    data = {
        "destination": destination,
        "status": "exhausted",
        "delivery_id": delivery_id,
        "event_type": event.type,
        "watch_id": event.watch_id,
        "error": {"code": "exhausted", "message": reason},
        "observed_at": iso(now),
    }
    return _operators_event(f"{delivery_id}@{iso(now)}", EXHAUSTED, data, now)


def tells_of_deliveries(event_type: str) -> bool:
    """Tell whether an event is about relay's own deliveries: one about its fate would beget others for ever."""
    return event_type.startswith(("delivery.", "destination."))


def _operators_event(subject: str, event_type: str, data: Mapping[str, object], now: float) -> Event:
    return Event(
        id=ids.event_id(subject, event_type),
        type=event_type,
        watch_id=None,
        created_at=now,
        body=_compact({"type": event_type, "timestamp": iso(now), "data": data}),
    )


def greeting_event(destination: str, now: float) -> Event:
    """Return the event that shows an operator that a destination works."""
    event_type = "relay.test"
    data = {"provider": "relay", "status": "test", "destination": destination, "observed_at": iso(now)}
    return Event(
        id=ids.event_id(f"{destination}@{iso(now)}", event_type),
        type=event_type,
        watch_id=None,
        created_at=now,
        body=_compact({"type": event_type, "timestamp": iso(now), "data": data}),
    )


def _compact(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _output(output: Output) -> dict[str, object]:
    return {**asdict(output), "expires_at": _iso_or_none(output.expires_at)}


def _error(error: JobError | None) -> dict[str, object] | None:
    return None if error is None else asdict(error)


def _cost(cost: Cost | None) -> dict[str, object] | None:
    return None if cost is None else asdict(cost)


def _iso_or_none(instant: float | None) -> str | None:
    return None if instant is None else iso(instant)
