"""What work costs, in figures that no machine changes: statements, commits, bytes and objects, not seconds."""

import gc
import itertools
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from bench.loopback.server import serving
from bench.measures.callbacks import deliver_all, have_due
from bench.measures.ground import PROVIDER, configure, daemon, fill, until
from bench.measures.polls import poll_all
from relay.store import open_sqlite
from relay.store.sql import queries

JOBS = 1000
HOUR_S = 3600.0
JOB_IDS = (f"req-{number:08d}" for number in itertools.count())
SMALL = {
    "lanes",
    "due",
    "steady",
    "failing",
    "ranked",
    "busy",
    "own",
    "chat",
    "wanted",
    "told",
    "made",
    "settled",
    "CONSTANT",
    "json_each",
    "(subquery)",
}
"""What a claim or a call brings along: the lanes there are, and what was asked for or found."""

Statements = list[str]


@pytest.fixture(autouse=True)
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave logging as it is: structlog keeps what a daemon in this process makes of it for all later tests."""
    monkeypatch.setattr("bench.measures.ground.log.configure", lambda **_: None)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Statements:
    """Every statement that SQLite runs on the connections which are opened from now on."""
    found: Statements = []
    connect = sqlite3.connect

    def traced(path: Path, isolation_level: None) -> sqlite3.Connection:
        connection = connect(path, isolation_level=isolation_level)
        connection.set_trace_callback(found.append)
        return connection

    monkeypatch.setattr("relay.store.connection.sqlite3.connect", traced)
    return found


async def test_polls_that_find_jobs_running_share_claims_updates_and_commits(
    tmp_path: Path, statements: Statements
) -> None:
    """1,000 polls take less than 500 statements, where a claim, an update and a commit apiece would be 4,000."""
    async with serving() as server:
        configure(tmp_path, server.url)
        async with daemon(tmp_path) as life:
            later = time.time() + HOUR_S
            await fill(life.store, JOB_IDS, JOBS, lambda _: later)
            await poll_all(life, JOBS)  # which opens all places
            statements.clear()
            await poll_all(life, JOBS)
    written = [statement for statement in statements if "polls = polls + 1" in statement]
    assert sum(statement.count("('wat_") for statement in written) == JOBS
    assert statements.count("COMMIT") <= JOBS / 4
    assert len(statements) <= JOBS / 2


async def test_callbacks_share_claims_settlements_and_commits(tmp_path: Path, statements: Statements) -> None:
    """1,000 callbacks take less than 700 statements, where everything apiece would be 5,000."""
    async with serving() as server:
        configure(tmp_path, server.url)
        async with daemon(tmp_path) as life:
            await have_due(life.store, server.port, JOBS, turns=1)
            statements.clear()
            await deliver_all(life, JOBS)
    for what in ("INSERT INTO attempts", "attempts = attempts + 1"):
        assert sum(statement.count("('dlv_") for statement in statements if what in statement) == JOBS
    assert statements.count("COMMIT") <= JOBS / 4
    assert len(statements) <= 0.7 * JOBS


async def test_a_watch_that_waits_is_a_few_hundred_bytes_on_disk_and_nothing_in_the_process(tmp_path: Path) -> None:
    """5,000 more watches, which the loop has looked over, leave no object behind; one each would be 5,000."""
    async with serving() as server:
        configure(tmp_path, server.url)
        async with daemon(tmp_path) as life:
            later = time.time() + HOUR_S
            await fill(life.store, JOB_IDS, JOBS, lambda _: later)
            await fill(life.store, JOB_IDS, 1, lambda _: later)  # the last write is kept until the next
            before = objects()
            await fill(life.store, JOB_IDS, 5 * JOBS, lambda _: later)
            poller = life.engine.pollers[PROVIDER]
            ticked_at = poller.ticked_at
            poller.wakeup.set()
            await until(lambda: poller.ticked_at > ticked_at)
            await fill(life.store, JOB_IDS, 1, lambda _: later)
            assert objects() - before < 1000
    assert (tmp_path / "relay.db").stat().st_size < 500 * 6 * JOBS


def objects() -> int:
    """Return how many objects the garbage collector knows that are not garbage."""
    gc.collect()
    return len(gc.get_objects())


@pytest.mark.parametrize(
    "name",
    [
        *("claim_due_watches", "next_watch_due", "record_poll", "end_watch", "insert_watch", "watches_of_jobs"),
        *("claim_due_deliveries", "next_delivery_due", "events_by_id", "insert_attempt", "settle_delivery"),
    ],
)
async def test_what_is_done_all_the_time_never_reads_a_whole_table(name: str, tmp_path: Path) -> None:
    """SQLite's own plan tells: a SCAN of a table takes as long as the table is."""
    async with open_sqlite(tmp_path / "relay.db"):
        query = queries()[name]
        options = dict.fromkeys(re.findall(r":([a-z]\w*)", query))
        with closing(sqlite3.connect(tmp_path / "relay.db")) as database:
            plan = [str(row[3]) for row in database.execute(f"EXPLAIN QUERY PLAN {query}", options)]
    assert plan or name.startswith("insert")
    scanned = {re.sub(r"-\d+\)", ")", step.split()[1]) for step in plan if step.startswith("SCAN ")}
    assert scanned <= SMALL
