"""Housekeeping on a timetable, by APScheduler; what is due for users lives in the store instead."""

from collections.abc import Awaitable, Callable

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from relay.core.ports import Clock, Store
from relay.metrics import Metrics

log = structlog.get_logger("relay.maintenance")

PRUNE_EVERY_S = 600
_PRUNE_BATCH = 500
_PRUNE_BATCHES = 200
"""Rows deleted in one commit, and commits in one go: writers in between never wait long."""


async def prune(store: Store, clock: Clock, keep_s: float) -> int:
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
        log.error("maintenance.failed", job=event.job_id, error=str(getattr(event, "exception", None) or "missed"))
