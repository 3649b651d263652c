"""Values as the API shows them."""

import json
import re
from typing import cast

from relay.api.answers import (
    AttemptShown,
    DeliveryDetail,
    DeliveryShown,
    EtaShown,
    EventShown,
    ExplanationShown,
    JobData,
    OutcomeShown,
    TokenShown,
    WatchShown,
)
from relay.core.access import Token
from relay.core.delivery import Attempt
from relay.core.event import Event
from relay.core.explanation import Eta, Explanation
from relay.core.instant import iso
from relay.core.ports import DeliveryView, WatchView

_USERINFO = re.compile(r"^([^/]*//)[^/?#]*@")


def watch_json(view: WatchView, expected: Eta | None) -> WatchShown:
    """Return a watch; once it has ended, with what its event says, until then with when it is likely to."""
    watch = view.watch
    callback_urls = list(dict.fromkeys(without_userinfo(target.url) for target in view.targets if target.url))
    shown: WatchShown = {
        "id": watch.id,
        "provider": watch.provider,
        "job_id": watch.job.id,
        "params": watch.job.params,
        "status": watch.status,
        "provider_status": watch.provider_status,
        "model": watch.model,
        "progress": watch.progress,
        "metadata": dict(watch.metadata),
        "callback_url": callback_urls[0] if callback_urls else None,
        "callback_urls": callback_urls,
        "destinations": [target.name for target in view.targets if target.name],
        "watched_at": iso(watch.created_at),
        "deadline": iso(watch.deadline),
        "eta": eta_json(expected),
        "next_poll_at": None if watch.finalized_at else iso(watch.next_poll_at),
        "last_poll_at": _iso(watch.last_poll_at),
        "polls": watch.polls,
        "last_error": watch.last_error,
        "finalized_at": _iso(watch.finalized_at),
    }
    return shown if view.event is None else {**shown, **_outcome(view.event)}


def eta_json(expected: Eta | None) -> EtaShown | None:
    """Return when a job is likely to end, or None where that is not known."""
    if expected is None:
        return None
    return {
        "likely": iso(expected.likely),
        "earliest": iso(expected.earliest),
        "latest": iso(expected.latest),
        "jobs": expected.jobs,
    }


def explanation_json(view: WatchView, told: Explanation) -> ExplanationShown:
    """Return an explanation: the sentences, and the figures behind them."""
    watch, history = view.watch, told.history
    return {
        "id": watch.id,
        "status": watch.status,
        "sentences": list(told.sentences),
        "history": None
        if history is None
        else {
            "jobs": history.jobs,
            "model": history.model,
            "half_done_s": round(history.half_done_s, 3),
            "nine_in_ten_s": round(history.nine_in_ten_s, 3),
        },
        "eta": eta_json(told.eta),
        "next_poll_at": None if watch.finalized_at else iso(watch.next_poll_at),
        "next_poll_reason": told.next_poll_reason,
        "deadline": iso(watch.deadline),
        "told": [{"destination": name, "outcomes": list(outcomes)} for name, outcomes in sorted(told.told.items())],
        "last_error": watch.last_error,
    }


def _outcome(event: Event) -> OutcomeShown:
    data = cast(JobData, event.data)
    return {
        "outputs": data["outputs"],
        "error": data["error"],
        "cost": data["cost"],
        "created_at": data["created_at"],
        "completed_at": data["completed_at"],
        "observed_at": data["observed_at"],
        "event_id": event.id,
    }


def event_json(event: Event) -> EventShown:
    """Return an event as its destinations are told it."""
    told = cast(EventShown, json.loads(event.body))
    return {"id": event.id, "type": told["type"], "timestamp": told["timestamp"], "data": told["data"]}


def delivery_json(view: DeliveryView) -> DeliveryShown:
    """Return a delivery."""
    delivery = view.delivery
    return {
        "id": delivery.id,
        "event_id": delivery.event_id,
        "event_type": view.event_type,
        "watch_id": delivery.watch_id,
        "destination": delivery.target.name or "callback",
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_attempt_at": None if delivery.state.final else iso(delivery.next_attempt_at),
        "created_at": iso(delivery.created_at),
        "finalized_at": _iso(delivery.finalized_at),
        "reason": delivery.reason,
    }


def delivery_detail(view: DeliveryView) -> DeliveryDetail:
    """Return a delivery with its attempts."""
    return {**delivery_json(view), "attempts": [_attempt(attempt) for attempt in view.attempts]}


def token_json(token: Token) -> TokenShown:
    """Return a token that was created."""
    return {
        "id": token.id or "",
        "name": token.name,
        "scopes": sorted(token.scopes),
        "created_at": iso(token.created_at),
        "expires_at": _iso(token.expires_at),
        "revoked_at": _iso(token.revoked_at),
    }


def without_userinfo(url: str) -> str:
    """Return `url` without the user and password that it may carry; never raises."""
    return _USERINFO.sub(r"\1", url)


def _attempt(attempt: Attempt) -> AttemptShown:
    return {
        "number": attempt.number,
        "trigger": attempt.trigger,
        "started_at": iso(attempt.started_at),
        "duration_s": round(attempt.duration_s, 3),
        "status": attempt.status,
        "verdict": attempt.verdict,
        "reason": attempt.reason,
        "response": attempt.response,
    }


def _iso(instant: float | None) -> str | None:
    return None if instant is None else iso(instant)
