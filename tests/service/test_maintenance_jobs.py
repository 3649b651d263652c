"""Housekeeping."""

from pathlib import Path

import structlog
from support.daemon import until
from support.doubles import ManualClock, Reply, ScriptedTransport

from relay.core.errors import StoreError
from relay.core.event import outcome_event
from relay.core.http import Fault, Response, TransportError
from relay.core.observation import Job, Observation, Status
from relay.core.ports import Ending, WatchFilter
from relay.core.watch import NewWatch, Target
from relay.health import Health
from relay.maintenance import Maintenance, Overdue, beat, prune
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
    assert all(isinstance(line["exc_info"], ValueError) for line in logs)


async def test_a_job_that_finds_the_disk_full_is_told_without_a_traceback() -> None:
    async def job() -> None:
        raise StoreError("the disk is full")

    maintenance = Maintenance(Metrics())
    maintenance.every(0.02, "job", job)
    with structlog.testing.capture_logs() as logs:
        maintenance.start()
        await until(lambda: len(logs) >= 1, 5)
        maintenance.stop()

    assert logs[0]["error"] == "the disk is full"
    assert logs[0]["exc_info"] is None


class TestHeartbeat:
    """A sign of life proves that work is done, not only that the process runs."""

    URL = "https://monitor.example/ping/1234"

    async def beat(self, folder: Path, answer: Reply, ticked_at: float = 0.0) -> tuple[list[str], dict[str, float]]:
        clock, metrics = ManualClock(), Metrics()
        transport = ScriptedTransport(lambda _: answer)
        async with open_sqlite(folder / "relay.db") as store:
            health = Health(store, clock, lambda: {"dispatcher": clock.monotonic() - ticked_at})
            await beat(health, transport, self.URL, metrics)
        results = {name: metrics.heartbeats.labels(name)._value.get() for name in ("sent", "failed", "withheld")}
        return [request.url for request in transport.sent], results

    async def test_it_is_sent_when_a_write_commits_and_the_loops_turn(self, tmp_path: Path) -> None:
        assert await self.beat(tmp_path, Response(200, {}, b"")) == (
            [self.URL],
            {"sent": 1, "failed": 0, "withheld": 0},
        )

    async def test_it_is_withheld_when_a_loop_stands_still(self, tmp_path: Path) -> None:
        with structlog.testing.capture_logs() as lines:
            sent, results = await self.beat(tmp_path, Response(200, {}, b""), ticked_at=91.0)

        assert (sent, results["withheld"]) == ([], 1)
        assert lines[0]["failing"] == ["dispatcher"]

    async def test_it_is_withheld_when_the_database_takes_no_writes(self, tmp_path: Path) -> None:
        clock, metrics = ManualClock(), Metrics()
        transport = ScriptedTransport(lambda _: Response(200, {}, b""))
        async with open_sqlite(tmp_path / "relay.db") as store:
            health = Health(store, clock, dict)
        await beat(health, transport, self.URL, metrics)  # the store is closed by now

        assert transport.sent == []

    async def test_one_that_is_not_taken_is_told_without_its_address(self, tmp_path: Path) -> None:
        for answer in (Response(404, {}, b""), TransportError(Fault.DNS, "the host name does not resolve")):
            with structlog.testing.capture_logs() as lines:
                _, results = await self.beat(tmp_path, answer)
            assert results["failed"] == 1
            assert "1234" not in str(lines)


async def test_a_delivery_that_is_owed_for_long_is_told_at_ten_minutes_and_when_that_has_doubled(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    now = clock.now()
    target = Target("ops", "ops", name="ops")
    async with open_sqlite(tmp_path / "relay.db") as store:
        (added,) = await store.add_watches([NewWatch("wat_1", "plain", Job("j"), now + DAY_S, now, (target,))], now)
        event = outcome_event(added.watch, Observation(Status.COMPLETED), now)
        await store.finalize_watch(Ending("wat_1", Status.COMPLETED, None, None, event), now)
        overdue = Overdue(store, clock)
        told: list[int] = []
        for _ in range(45):
            clock.advance(60)
            with structlog.testing.capture_logs() as lines:
                await overdue.look()
            told += [line["oldest_s"] // 60 for line in lines if line["event"] == "deliveries.overdue"]

    assert told == [10, 20, 40]
