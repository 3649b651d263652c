"""Files that are full, read-only, locked, cut short or overwritten: told apart from empty, and never made so."""

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from relay.core.errors import StoreError, StoreUnusable
from relay.core.event import outcome_event
from relay.core.observation import Job, Observation, Status
from relay.core.ports import DeliveryFilter, Ending, WatchFilter
from relay.core.watch import NewWatch, Target
from relay.store import SqliteStore, open_sqlite, opening
from relay.store.opening import connect

NOW = 1_800_000_000.0
HOOK = Target("url:1", "a.example:443", url="https://a.example/hook")


def wanted(number: int) -> NewWatch:
    job = Job(f"j{number}", {"note": "x" * 900})
    return NewWatch(f"wat_{number:05}", "plain", job, NOW + 60, NOW, (HOOK,))


async def ids_of(store: SqliteStore) -> set[str]:
    return {view.watch.id for view in await store.watches(WatchFilter(), before=None, limit=9999)}


async def set_room(store: SqliteStore, pages: int) -> None:
    """Let the database have so many pages, as a disk of that size does; 0 is as many as it has."""
    connection = store._writer._connection
    (row,) = await connection.execute_fetchall("PRAGMA page_count")
    await connection.execute(f"PRAGMA max_page_count = {row[0] + pages}")


async def test_on_a_full_disk_nothing_is_acknowledged_that_is_not_stored(tmp_path: Path) -> None:
    acknowledged = set()
    async with open_sqlite(tmp_path / "relay.db") as store:
        await set_room(store, 6)
        refused = 0
        for number in range(40):
            try:
                acknowledged |= {added.watch.id for added in await store.add_watches([wanted(number)], NOW)}
            except StoreError as error:
                assert "full" in str(error)  # noqa: PT017 - some of them find space
                refused += 1
        assert refused > 0
        assert await ids_of(store) == acknowledged

        await set_room(store, 1000)
        for number in range(40):
            acknowledged |= {added.watch.id for added in await store.add_watches([wanted(number)], NOW)}
        assert len(acknowledged) == 40
        assert await ids_of(store) == acknowledged


async def test_an_end_that_finds_no_space_is_no_end_and_comes_again(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "relay.db") as store:
        (added,) = await store.add_watches([wanted(1)], NOW)
        seen = Observation(Status.COMPLETED, "done", raw="y" * 100_000)
        event = outcome_event(added.watch, seen, NOW)
        ending = Ending(added.watch.id, Status.COMPLETED, "done", None, event)
        await set_room(store, 0)

        with pytest.raises(StoreError, match="full"):
            await store.finalize_watch(ending, NOW)

        view = await store.watch(added.watch.id)
        assert (view.watch.finalized_at, view.event) == (None, None)
        assert await store.deliveries(DeliveryFilter(), before=None, limit=9) == []
        await set_room(store, 1000)
        assert await store.finalize_watch(ending, NOW)
        assert len(await store.deliveries(DeliveryFilter(), before=None, limit=9)) == 1


async def test_a_lock_of_another_process_is_an_error_that_passes(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "relay.db") as store:
        await store._writer._connection.execute("PRAGMA busy_timeout = 20")
        with closing(sqlite3.connect(tmp_path / "relay.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked"):
                await store.add_watches([wanted(1)], NOW)
            other.execute("ROLLBACK")

        await store.add_watches([wanted(1)], NOW)
        assert await ids_of(store) == {"wat_00001"}


async def test_writes_that_meet_a_lock_wait_for_it_together_and_not_in_turn(tmp_path: Path) -> None:
    begun = []

    @contextmanager
    def timed() -> Iterator[None]:
        begun.append(1)
        yield

    async with open_sqlite(tmp_path / "relay.db", timed=timed) as store:
        await store._writer._connection.execute("PRAGMA busy_timeout = 20")
        with closing(sqlite3.connect(tmp_path / "relay.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            adding = [store.add_watches([wanted(number)], NOW) for number in range(50)]
            results = await asyncio.gather(*adding, return_exceptions=True)

    assert {str(result) for result in results} == {"the database failed: database is locked"}
    assert len(begun) <= 2  # the first by itself at most, and those that came while it waited


async def test_a_lock_at_the_start_is_told_from_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_BUSY_TIMEOUT_MS", 20)
    with closing(sqlite3.connect(tmp_path / "relay.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnusable, match="database is locked; another program holds it"):
            async with open_sqlite(tmp_path / "relay.db"):
                pass


async def filled(path: Path) -> None:
    async with open_sqlite(path) as store:
        await store.add_watches([wanted(number) for number in range(200)], NOW)


async def test_a_log_cut_short_without_its_index_loses_what_was_cut_and_nothing_before_it(tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "relay.db"
    copy.parent.mkdir()
    async with open_sqlite(tmp_path / "relay.db") as store:
        await store.add_watches([wanted(1)], NOW)
        whole = (tmp_path / "relay.db-wal").stat().st_size
        await store.add_watches([wanted(2)], NOW)
        copy.write_bytes((tmp_path / "relay.db").read_bytes())
        log = (tmp_path / "relay.db-wal").read_bytes()
    assert len(log) > whole
    copy.with_name("relay.db-wal").write_bytes(log[: whole + 100])

    async with open_sqlite(copy) as store:
        assert await ids_of(store) == {"wat_00001"}


@pytest.mark.parametrize("page", [0, 1, 2, 5])
async def test_a_page_that_was_overwritten_is_refused_at_the_start(tmp_path: Path, page: int) -> None:
    path = tmp_path / "relay.db"
    await filled(path)
    size = 4096
    with path.open("r+b") as file:
        file.seek(page * size + (100 if page == 0 else 0))
        file.write(b"\xa5" * (size - 100))
    before = path.read_bytes()

    with pytest.raises(StoreUnusable, match="restore it from a backup"):
        async with open_sqlite(path):
            pass
    assert path.read_bytes() == before


async def test_a_start_looks_at_the_pages_and_leaves_the_constraints_to_what_is_written(tmp_path: Path) -> None:
    """To go through them for each row takes three times as long as all the rest of a start."""
    path = tmp_path / "relay.db"
    await filled(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE watches SET polls = -1")

    async with open_sqlite(path) as store:
        with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed: polls >= 0"):
            await store._writer._connection.execute("UPDATE watches SET polls = -2")


async def test_a_file_cut_short_is_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    await filled(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(StoreUnusable, match="restore it from a backup"):
        async with open_sqlite(path):
            pass


async def test_a_folder_in_the_place_of_a_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    path.mkdir(0o755)

    with pytest.raises(StoreUnusable, match=f"{path} is not a file; name one in store.url"):
        async with open_sqlite(path):
            pass

    assert stat.S_IMODE(path.stat().st_mode) == 0o755


async def test_a_connection_that_fails_leaves_no_thread_to_an_event_loop_that_may_be_gone(tmp_path: Path) -> None:
    before = threading.active_count()

    for _ in range(20):
        with pytest.raises(sqlite3.OperationalError):
            await connect(tmp_path)
        assert threading.active_count() == before


async def test_a_file_system_that_has_no_room_for_a_log_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without shared memory, as on shares, SQLite keeps a rollback journal, whose readers stop writers."""
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda path, **options: connect(f"file:{path}?vfs=unix-none", uri=True, **options)
    )

    with pytest.raises(StoreUnusable, match=r"relay\.db lies where SQLite can keep no write-ahead log.*local disk"):
        async with open_sqlite(tmp_path / "relay.db"):
            pass
