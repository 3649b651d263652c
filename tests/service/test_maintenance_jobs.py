"""Housekeeping."""

from pathlib import Path

import structlog
from support.daemon import until
from support.doubles import ManualClock

from relay.core.event import outcome_event
from relay.core.observation import Job, Observation, Status
from relay.core.ports import Ending, WatchFilter
from relay.core.watch import NewWatch
from relay.maintenance import Maintenance, prune
from relay.metrics import Metrics
from relay.store import open_sqlite

DAY_S = 86400.0


async def test_watches_that_ended_long_ago_are_deleted_however_many(tmp_path: Path) -> None:
    clock = ManualClock()
    now = clock.now()
    async with open_sqlite(tmp_path / "relay.db") as store:
        new = [NewWatch(f"wat_{n:04}", "plain", Job(f"j{n}"), now + DAY_S, now) for n in range(1203)]
        for added in (await store.add_watches(new, now))[:1201]:
            event = outcome_event(added.watch, Observation(Status.COMPLETED), now)
            await store.finalize_watch(Ending(added.watch.id, Status.COMPLETED, None, None, event), now)

        clock.advance(89 * DAY_S)
        assert await prune(store, clock, 90 * DAY_S) == 0
        clock.advance(2 * DAY_S)
        assert await prune(store, clock, 90 * DAY_S) == 1201

        left = await store.watches(WatchFilter(), before=None, limit=9)
    assert [view.watch.status for view in left] == [Status.QUEUED, Status.QUEUED]


async def test_a_job_that_fails_is_counted_told_and_run_again() -> None:
    runs: list[int] = []
    metrics = Metrics()

    async def job() -> None:
        runs.append(1)
        raise ValueError("no")

    maintenance = Maintenance(metrics)
    maintenance.every(0.02, "job", job)
    with structlog.testing.capture_logs() as logs:
        maintenance.start()
        await until(lambda: len(runs) >= 2, 5)
        maintenance.stop()

    assert b'relay_loop_errors_total{loop="maintenance"}' in metrics.render()
    assert {(line["event"], line["job"], line["error"]) for line in logs} == {("maintenance.failed", "job", "no")}
