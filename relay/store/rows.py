"""Rows to values and back."""

import json
import struct
from collections.abc import Mapping, Sequence

from relay.core.access import Scope, Token
from relay.core.condition import Condition, Health
from relay.core.delivery import Attempt, Delivery, DeliveryState, Settlement, Trigger, VerdictKind
from relay.core.event import Event
from relay.core.hazard import BINS
from relay.core.learning import Evidence, Kind, Phase
from relay.core.observation import Job, Status
from relay.core.ports import DeliveryFilter, KeptAnswer
from relay.core.standing import Footing, Standing
from relay.core.watch import Continue, NewWatch, Target, Watch
from relay.store.writer import Row

_BINS = struct.Struct(f"<{BINS}d")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def watch(row: Row) -> Watch:
    """Return the watch of a row."""
    return Watch(
        id=row["id"],
        provider=row["provider"],
        job=Job(row["job_id"], _texts(row["params"])),
        status=Status(row["status"]),
        created_at=row["created_at"],
        deadline=row["deadline"],
        next_poll_at=row["next_poll_at"],
        metadata=_texts(row["metadata"]),
        model=row["model"],
        owner=row["owner"],
        provider_status=row["provider_status"],
        progress=row["progress"],
        last_poll_at=row["last_poll_at"],
        demand=row["demand"],
        began_at=row["began_at"],
        seen_at=row["seen_at"],
        running_since=row["running_since"],
        estimated_end_at=row["estimated_end_at"],
        polls=row["polls"],
        failed_polls=row["failed_polls"],
        missing_polls=row["missing_polls"],
        missing_since=row["missing_since"],
        last_error=row["last_error"],
        overdue_at=row["overdue_at"],
        finalized_at=row["finalized_at"],
    )


def _texts(stored: str) -> dict[str, str]:
    return json.loads(stored) if stored != "{}" else {}


def new_watch(new: NewWatch, now: float) -> dict[str, object]:
    """Return the columns of a watch to be."""
    return {
        "id": new.id,
        "provider": new.provider,
        "job_id": new.job.id,
        "params": text(new.job.params),
        "metadata": text(new.metadata),
        "owner": new.owner,
        "model": new.model,
        "now": now,
        "deadline": new.deadline,
        "next_poll_at": new.next_poll_at,
        "demand": new.demand,
    }


def target(row: Row) -> Target:
    """Return the target that a row names."""
    return Target(key=row["key"], lane=row["lane"], name=row["name"], url=row["url"])


def target_columns(target: Target) -> dict[str, object]:
    """Return the columns of a target."""
    return {"key": target.key, "lane": target.lane, "name": target.name, "url": target.url}


def event(row: Row) -> Event:
    """Return the event of a row."""
    return Event(
        id=row["id"],
        type=row["type"],
        watch_id=row["watch_id"],
        created_at=row["created_at"],
        body=row["body"],
        raw=row["raw"],
    )


def standing(row: Row) -> Standing:
    """Return the standing of a row."""
    return Standing(
        footing=Footing(row["footing"]),
        since=row["since"],
        rest_until=row["rest_until"],
        failures=row["failures"],
        refusals=row["refusals"],
        failing_since=row["failing_since"],
        rests=row["rests"],
        worked_at=row["worked_at"],
        detail=row["detail"],
    )


def health(row: Row) -> Health:
    """Return the health of a row."""
    return Health(
        condition=Condition(row["condition"]),
        since=row["since"],
        failures=row["failures"],
        failing_since=row["failing_since"],
        release_at=row["release_at"],
        batch=row["batch"],
        probes=row["probes"],
        detail=row["detail"],
        answered_at=row["answered_at"],
    )


def delivery(row: Row) -> Delivery:
    """Return the delivery of a row."""
    return Delivery(
        id=row["id"],
        event_id=row["event_id"],
        watch_id=row["watch_id"],
        target=target(row),
        state=DeliveryState(row["state"]),
        created_at=row["created_at"],
        next_attempt_at=row["next_attempt_at"],
        retry_from=row["retry_from"],
        attempts=row["attempts"],
        tries=row["tries"],
        spared=row["spared"],
        trigger=Trigger(row["trigger"]),
        reason=row["reason"],
        finalized_at=row["finalized_at"],
    )


def attempt(row: Row) -> Attempt:
    """Return the attempt of a row."""
    return Attempt(
        delivery_id=row["delivery_id"],
        number=row["number"],
        trigger=Trigger(row["trigger"]),
        started_at=row["started_at"],
        duration_s=row["duration_s"],
        verdict=VerdictKind(row["verdict"]),
        status=row["status"],
        reason=row["reason"],
        response=row["response"],
    )


def attempt_columns(attempt: Attempt) -> dict[str, object]:
    """Return the columns of an attempt."""
    return {
        "delivery_id": attempt.delivery_id,
        "number": attempt.number,
        "trigger": attempt.trigger,
        "started_at": attempt.started_at,
        "duration_s": attempt.duration_s,
        "status": attempt.status,
        "verdict": attempt.verdict,
        "reason": attempt.reason,
        "response": attempt.response,
    }


def settlement_columns(settlement: Settlement) -> dict[str, object]:
    """Return the columns of a delivery that an attempt changes."""
    return {
        "delivery_id": settlement.delivery_id,
        "state": settlement.state,
        "next_attempt_at": settlement.next_attempt_at,
        "tries": settlement.tries,
        "spared": settlement.spared,
        "reason": settlement.reason,
        "finalized_at": settlement.finalized_at,
    }


def token(row: Row) -> Token:
    """Return the token of a row."""
    return Token(
        name=row["name"],
        digest=row["digest"],
        scopes=frozenset(map(Scope, json.loads(row["scopes"]))),
        id=row["id"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )


def token_columns(token: Token) -> dict[str, object]:
    """Return the columns of a new token."""
    return {
        "id": token.id,
        "name": token.name,
        "digest": token.digest,
        "scopes": text(sorted(token.scopes)),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
    }


def kept_answer(row: Row) -> KeptAnswer:
    """Return the kept answer of a row."""
    return KeptAnswer(row["request"], row["status"], json.loads(row["headers"] or "{}"), row["body"] or "")


def poll_columns(transition: Continue, now: float) -> dict[str, object]:
    """Return the columns that a poll changes."""
    return {
        "id": transition.watch_id,
        "status": transition.status,
        "provider_status": transition.provider_status,
        "model": transition.model,
        "progress": transition.progress,
        "next_poll_at": transition.next_poll_at,
        "now": now,
        "demand": transition.demand,
        "began_at": transition.began_at,
        "seen_at": transition.seen_at,
        "running_since": transition.running_since,
        "estimated_end_at": transition.estimated_end_at,
        "failed_polls": transition.failed_polls,
        "missing_polls": transition.missing_polls,
        "missing_since": transition.missing_since,
        "last_error": transition.last_error,
    }


def evidence(row: Row) -> tuple[Kind, Evidence]:
    """Return the kind of duration of a row, and what is known of it."""
    return (
        Kind(row["provider"], Phase(row["phase"]), row["model"] or None),
        Evidence(_BINS.unpack(row["events"]), _BINS.unpack(row["exposure"]), row["drift"]),
    )


def evidence_columns(kind: Kind, known: Evidence, now: float) -> dict[str, object]:
    """Return the columns of what is known of a kind of duration."""
    return {
        "provider": kind.provider,
        "phase": kind.phase,
        "model": kind.model or "",
        "now": now,
        "drift": known.drift,
        "events": _BINS.pack(*known.events),
        "exposure": _BINS.pack(*known.exposure),
    }


def delivery_filter(
    wanted: DeliveryFilter, before: tuple[float, str] | None, limit: int
) -> dict[str, float | str | None]:
    """Return the parameters of a list of deliveries from before one's `created_at` and id; -1 is no limit."""
    before_at, before_id = before or (None, None)
    return {
        "before_at": before_at,
        "before_id": before_id,
        "watch_id": wanted.watch_id,
        "owner": wanted.owner,
        "states": _any_of(wanted.states),
        "destination": wanted.destination,
        "provider": wanted.provider,
        "statuses": _any_of(wanted.statuses),
        "types": _any_of(wanted.types),
        "since": wanted.since,
        "until": wanted.until,
        "limit": limit,
    }


def _any_of(values: frozenset[str] | frozenset[DeliveryState] | frozenset[Status]) -> str | None:
    return text(sorted(values)) if values else None


def text(value: Mapping[str, object] | Sequence[object]) -> str:
    """Return JSON as it is stored."""
    return _encode(value) if value else "{}" if isinstance(value, Mapping) else "[]"
