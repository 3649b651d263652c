"""What only the SQLite store has: files, locks, schema versions, shared commits."""

import asyncio
import sqlite3
import stat
import threading
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest
from support.stored import NOW, added, ended, ending, new

from relay.core.errors import StoreError, StoreUnusable, TooMuch
from relay.core.observation import Status
from relay.core.ports import DeliveryFilter, WatchFilter
from relay.core.standing import Standing
from relay.store import open_sqlite, rows
from relay.store.connection import within
from relay.store.durations import write_lessons
from relay.store.opening import connect, open_writer
from relay.store.sql import queries, schema_steps
from relay.store.writer import Row, Transaction, Writer


async def test_a_second_daemon_on_one_file_is_refused(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "relay.db"):
        with pytest.raises(StoreUnusable, match="in use by another relay"):
            async with open_sqlite(tmp_path / "relay.db"):
                pass
    async with open_sqlite(tmp_path / "relay.db"):
        pass


async def test_the_database_is_for_its_owner_only(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "relay.db"):
        assert stat.S_IMODE((tmp_path / "relay.db").stat().st_mode) == 0o600


async def test_a_watch_that_ends_while_a_list_is_read_is_listed_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_sqlite(tmp_path / "relay.db") as store:
        await ended(store, 1)
        (live,) = await added(store, new(2))
        read = store._read

        async def late(name: str, /, **params: object) -> list[Row]:
            if name == "outcomes_of_watches":
                await store.finalize_watch(ending(live), NOW + 50)
            return await read(name, **params)

        monkeypatch.setattr(store, "_read", late)
        views = {view.watch.id: view for view in await store.watches(WatchFilter(), before=None, limit=9)}

        assert (views[live.id].watch.status, views[live.id].event) == (Status.QUEUED, None)
        assert sum(view.event is not None for view in views.values()) == 1


async def test_the_folder_is_made_when_absent(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "state" / "relay.db"):
        assert (tmp_path / "state" / "relay.db").exists()


async def test_a_database_newer_than_the_code_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    async with open_sqlite(path):
        pass
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {len(schema_steps()) + 1}")
    other.close()

    with pytest.raises(StoreUnusable, match="start the newer relay"):
        async with open_sqlite(path):
            pass


async def test_another_program_s_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    other.close()

    with pytest.raises(StoreUnusable, match="not a database of relay"):
        async with open_sqlite(path):
            pass
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]
    other.close()


async def test_a_file_that_is_no_database_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    path.write_bytes(b"not a database at all, but long enough to look at " * 40)

    with pytest.raises(StoreUnusable, match="restore it from a backup"):
        async with open_sqlite(path):
            pass


async def test_an_older_schema_is_backed_up_before_it_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "relay.db"
    async with open_sqlite(path):
        pass
    steps = (*schema_steps(), "CREATE TABLE later (id TEXT) STRICT;")
    monkeypatch.setattr("relay.store.opening.schema_steps", lambda: steps)

    async with open_sqlite(path):
        pass

    with sqlite3.connect(path) as migrated:
        assert migrated.execute("PRAGMA user_version").fetchone() == (len(steps),)
    migrated.close()
    with sqlite3.connect(tmp_path / f"relay.db.schema-{len(steps) - 1}.bak") as backup:
        assert backup.execute("PRAGMA user_version").fetchone() == (len(steps) - 1,)
    backup.close()


async def test_a_migration_that_fails_leaves_the_version_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "relay.db"
    async with open_sqlite(path):
        pass
    known = schema_steps()
    broken = (*known, "CREATE TABLE later (id TEXT) STRICT; CREATE TABLE watches (id TEXT);")
    monkeypatch.setattr("relay.store.opening.schema_steps", lambda: broken)
    with pytest.raises(StoreUnusable):
        async with open_sqlite(path):
            pass
    monkeypatch.setattr("relay.store.opening.schema_steps", lambda: known)

    async with open_sqlite(path):
        pass
    with sqlite3.connect(path) as unharmed:
        assert unharmed.execute("SELECT count(*) FROM sqlite_master WHERE name = 'later'").fetchone() == (0,)
    unharmed.close()


async def test_writers_that_share_a_commit_fail_alone(tmp_path: Path) -> None:
    connection = await open_writer(tmp_path / "relay.db")
    writer = Writer(connection, write_lessons)

    def recording(name: str, footing: str):  # type: ignore[no-untyped-def]
        def write(transaction: Transaction) -> str:
            columns = asdict(Standing()) | {"footing": footing}
            transaction.fetch("set_standing", provider=name, **columns)
            return name

        return write

    waiting = [
        asyncio.ensure_future(writer.commit(recording(name, "crooked" if name == "bad" else "working")))
        for name in ("a", "bad", "b")
    ]
    await asyncio.sleep(0)
    writer.stop()
    await writer.run()
    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert (results[0], results[2]) == ("a", "b")
    assert isinstance(results[1], StoreError)
    await connection.close()
    reader = await connect(tmp_path / "relay.db", read_only=True)
    rows = list(await reader.execute_fetchall("SELECT provider FROM standings ORDER BY provider"))
    assert [row["provider"] for row in rows] == ["a", "b"]
    await reader.close()


async def test_a_caller_that_gave_up_does_not_undo_its_write(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "relay.db") as store:
        task = asyncio.ensure_future(store.release_leases())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        await store.probe(0.0)


async def test_a_crash_before_the_first_schema_step_leaves_a_file_that_opens(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    with sqlite3.connect(path) as begun:
        begun.execute("PRAGMA journal_mode = WAL")
    begun.close()
    assert path.stat().st_size > 0

    async with open_sqlite(path) as store:
        await store.probe(0.0)


async def test_a_probe_writes_so_that_a_full_disk_shows(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "relay.db") as store:
        wal = tmp_path / "relay.db-wal"
        before = wal.stat().st_size

        await store.probe(0.0)

        assert wal.stat().st_size > before


async def test_an_error_of_the_block_leaves_it_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with open_sqlite(tmp_path / "relay.db"):
            raise LookupError("mine")


async def test_a_closed_store_refuses_writes(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "relay.db") as store:
        pass

    with pytest.raises(StoreError, match="closed"):
        await store.probe(0.0)


async def test_what_relay_itself_asks_does_not_wait_behind_what_people_list(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "relay.db") as store:
        done = threading.Event()
        long_one = asyncio.ensure_future(store._browser.run(lambda _: done.wait(20)))
        listed = asyncio.ensure_future(store.watches(WatchFilter(), before=None, limit=9))

        async with asyncio.timeout(10):
            await store.counts()
            await store.demand("plain", 0.0)
            assert await store.next_delivery_due(0.0) is None
            assert await store.token("0" * 64) is None

        assert not listed.done()
        done.set()
        assert await long_one
        assert await listed == []


async def test_a_list_that_takes_too_long_is_given_up_and_so_is_one_whose_turn_comes_too_late(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number) SELECT max(n) FROM number"
    async with open_sqlite(tmp_path / "relay.db") as store:
        first = asyncio.ensure_future(store._browser.run(within(0.2, endless, {})))
        second = asyncio.ensure_future(store._browser.run(within(0.1, "SELECT 1", {})))

        with pytest.raises(TooMuch, match="narrow the filter"):
            await first
        with pytest.raises(TooMuch, match="other lists"):
            await second
        assert await store.watches(WatchFilter(), before=None, limit=9) == []


@pytest.mark.parametrize(
    ("wanted", "plan"),
    [({"owner": "shop"}, "SEARCH watches USING INDEX watches_of_owner (owner=? AND id<?)"), ({}, "(id<?)")],
)
async def test_a_page_of_watches_costs_what_is_on_it(tmp_path: Path, wanted: dict[str, str], plan: str) -> None:
    """Neither others' watches nor the pages before are looked at."""
    keys = ("before", "prefix", "provider", "since", "owner", "statuses", "metadata", "limit")
    async with open_sqlite(tmp_path / "relay.db"):
        pass
    with sqlite3.connect(tmp_path / "relay.db") as database:
        found = database.execute(f"EXPLAIN QUERY PLAN {queries()['list_watches']}", dict.fromkeys(keys) | wanted)
        assert any(plan in row[3] for row in found)
    database.close()


@pytest.mark.parametrize(
    ("wanted", "before"),
    [
        (DeliveryFilter(), None),
        (DeliveryFilter(), (100.0, "dlv_100")),
        (DeliveryFilter(until=100.0), None),
        (DeliveryFilter(since=990.0, destination="nobody"), None),
        (DeliveryFilter(watch_id="wat_500"), None),
    ],
)
async def test_a_page_of_deliveries_costs_what_is_on_it(
    tmp_path: Path, wanted: DeliveryFilter, before: tuple[float, str] | None
) -> None:
    """Of 1,000, neither those before nor after it are looked at: 100 steps of SQLite's machine for each of ten."""
    async with open_sqlite(tmp_path / "relay.db"):
        pass
    numbers = [{"n": number} for number in range(1, 1001)]
    with closing(sqlite3.connect(tmp_path / "relay.db")) as database:
        database.executemany(
            "INSERT INTO events (id, type, created_at, body) VALUES ('evt_' || :n, 'job.completed', :n, '{}')", numbers
        )
        database.executemany(
            "INSERT INTO deliveries"
            " (id, event_id, watch_id, key, lane, name, state, created_at, next_attempt_at, retry_from)"
            " VALUES ('dlv_' || :n, 'evt_' || :n, 'wat_' || :n, 'ops', 'ops', 'ops', 'pending', :n, :n, :n)",
            numbers,
        )
        steps: list[None] = []
        database.set_progress_handler(lambda: steps.append(None), 1)
        found = database.execute(
            queries()["list_deliveries"], rows.delivery_filter(wanted, before, limit=10)
        ).fetchall()

    assert len(found) in (0, 1, 10)
    assert len(steps) < 1000
