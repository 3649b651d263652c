"""Housekeeping on a timetable, by APScheduler; what is due for users lives in the store instead."""

from collections.abc import Awaitable, Callable

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from relay.core.delivery import DeliveryState
from relay.core.errors import RelayError
from relay.core.http import Request, TransportError
from relay.core.ports import Clock, Housekeeping, Transport
from relay.health import Health
from relay.metrics import Metrics

log = structlog.get_logger("relay.maintenance")

PRUNE_EVERY_S = 600
OVERDUE_AFTER_S = 600.0
OVERDUE_EVERY_S = 60
_BEAT_TIMEOUT_S = 10.0
_BEAT_ANSWER_BYTES = 1024
_PRUNE_BATCH = 500
_PRUNE_BATCHES = 200
"""Rows deleted in one commit, and commits in one go: writers in between never wait long."""


async def prune(store: Housekeeping, clock: Clock, keep_s: float) -> int:
    """Delete watches that ended longer than `keep_s` ago and owe nothing; return how many."""
    pruned = 0
    for _ in range(_PRUNE_BATCHES):
        batch = await store.prune(ended_before=clock.now() - keep_s, limit=_PRUNE_BATCH)
        pruned += batch
        if batch < _PRUNE_BATCH:
            break
    if pruned:
        log.info("watches.pruned", number=pruned)
    return pruned


class Overdue:
    """Warns of deliveries that have been owed for long: first after ten minutes, then each time the age has doubled."""

    def __init__(self, store: Housekeeping, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._warn_after_s = OVERDUE_AFTER_S

    async def look(self) -> None:
        """Look at the oldest delivery that is pending."""
        counts = await self._store.counts()
        age_s = 0.0 if counts.oldest_pending_at is None else self._clock.now() - counts.oldest_pending_at
        if age_s < OVERDUE_AFTER_S:
            self._warn_after_s = OVERDUE_AFTER_S
        elif age_s >= self._warn_after_s:
            self._warn_after_s = 2 * age_s
            log.warning(
                "deliveries.overdue", oldest_s=round(age_s), pending=counts.deliveries.get(DeliveryState.PENDING)
            )


async def beat(health: Health, transport: Transport, url: str, metrics: Metrics) -> None:
    """Give a sign of life to `url`, once the database has committed a write and every loop has looked at its work."""
    failing = sorted(name for name, check in (await health.checks()).items() if not check.ok)
    if failing:
        metrics.heartbeats.labels("withheld").inc()
        log.warning("heartbeat.withheld", failing=failing)
        return
    try:
        answer = await transport.send(Request("GET", url, {}), timeout_s=_BEAT_TIMEOUT_S, max_body=_BEAT_ANSWER_BYTES)
        refusal = None if answer.status < 300 else f"HTTP {answer.status}"
    except TransportError as error:
        refusal = str(error)
    metrics.heartbeats.labels("failed" if refusal else "sent").inc()
    if refusal:
        log.warning("heartbeat.failed", reason=refusal)


class Maintenance:
    """Runs housekeeping jobs; a job that was missed or overran runs late, once."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        )
        self._scheduler.add_listener(self._failed, EVENT_JOB_ERROR | EVENT_JOB_MISSED)

    def every(self, seconds: float, name: str, job: Callable[[], Awaitable[object]]) -> None:
        """Run `job` every so many seconds, first after one such time."""
        self._scheduler.add_job(job, "interval", seconds=seconds, id=name)

    def start(self) -> None:
        """Begin the timetable; needs a running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """End the timetable."""
        self._scheduler.shutdown(wait=False)

    def _failed(self, event: JobExecutionEvent) -> None:
        self._metrics.loop_errors.labels("maintenance").inc()
        error = getattr(event, "exception", None)
        unforeseen = None if isinstance(error, RelayError) else error
        log.error("maintenance.failed", job=event.job_id, error=str(error or "missed"), exc_info=unforeseen)
