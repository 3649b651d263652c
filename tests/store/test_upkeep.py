"""A database file is copied, checked, measured and put back, whether a relay holds it or not."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.core import ids
from relay.core.errors import StoreUnusable
from relay.core.event import outcome_event
from relay.core.observation import Job, Observation, Status
from relay.core.ports import Ending, WatchFilter
from relay.core.watch import NewWatch, Target
from relay.store import SqliteStore, open_sqlite, upkeep

NOW = 1_800_000_000.0
_ALL = WatchFilter()
OPS = Target("ops", "ops", name="ops")
HOOK = Target("url:1", "hook.example:443", url="https://hook.example/a")


def new(number: int) -> NewWatch:
    return NewWatch(
        ids.watch_id(NOW, number.to_bytes(10, "big")), "getimg", Job(f"req-{number}"), NOW + 9, NOW, (HOOK, OPS), {}
    )


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"


@pytest.fixture
async def store(database: Path) -> AsyncIterator[SqliteStore]:
    """A store with one live watch and one that has ended."""
    async with open_sqlite(database) as opened:
        await opened.add_watches([new(1), new(2)], NOW)
        watch = (await opened.watch("getimg:req-2")).watch
        seen = Observation(Status.COMPLETED, "done")
        await opened.finalize_watch(Ending(watch.id, seen.status, "done", None, outcome_event(watch, seen, NOW)), NOW)
        yield opened


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def content(path: Path) -> bytes:
    return path.read_bytes()


def damage(database: Path) -> None:
    """Overwrite pages in the middle, as a failing disk does: enough of them that some are of a table."""
    with database.open("r+b") as file:
        file.seek(database.stat().st_size // 2)
        file.write(b"\xff" * 4096 * 16)


async def test_a_copy_of_a_database_in_use_holds_what_was_committed(
    store: SqliteStore, database: Path, tmp_path: Path
) -> None:
    size = upkeep.backup(database, tmp_path / "copy.db")
    await store.add_watches([new(3)], NOW)

    assert (tmp_path / "copy.db").stat().st_size == size
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert upkeep.problems(tmp_path / "copy.db") == []
    async with open_sqlite(tmp_path / "copy.db") as copy:
        assert (await copy.watch("getimg:req-1")).targets == (HOOK, OPS)
        assert (await copy.watch("getimg:req-2")).event is not None
        assert {view.watch.job.id for view in await copy.watches(_ALL, before=None, limit=9)} == {"req-1", "req-2"}


async def test_a_copy_never_replaces_a_file(store: SqliteStore, database: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("precious")

    with pytest.raises(StoreUnusable, match="is there already"):
        upkeep.backup(database, tmp_path / "copy.db")

    assert (tmp_path / "copy.db").read_text() == "precious"


async def test_a_copy_that_cannot_be_made_leaves_nothing(store: SqliteStore, database: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="cannot be copied"):
        upkeep.backup(database, tmp_path / "no" / "folder.db")
    before = names(tmp_path)
    with pytest.raises(StoreUnusable, match="there is no database"):
        upkeep.backup(tmp_path / "absent.db", tmp_path / "copy.db")

    assert names(tmp_path) == before


async def test_a_copy_that_went_wrong_never_gets_its_name(
    store: SqliteStore, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_a_copy(_: Path, copy: Path) -> None:
        copy.write_bytes(content(database)[:4096])

    monkeypatch.setattr(upkeep, "_copy", half_a_copy)
    with pytest.raises(StoreUnusable, match="is not sound"):
        upkeep.backup(database, tmp_path / "copy.db")

    assert not any(name.startswith(("copy", ".copy")) for name in names(tmp_path))


async def test_a_database_that_contradicts_itself_is_backed_up_all_the_same(database: Path, tmp_path: Path) -> None:
    async with open_sqlite(database) as store:
        await store.add_watches([new(1)], NOW)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE watches SET status = 'failed', finalized_at = 1")
    connection.close()

    assert upkeep.backup(database, tmp_path / "copy.db") > 0
    upkeep.restore(database, tmp_path / "copy.db", tmp_path / "aside.db")


async def test_a_backup_is_put_back_and_the_old_database_kept(database: Path, tmp_path: Path) -> None:
    async with open_sqlite(database) as store:
        await store.add_watches([new(1)], NOW)
        upkeep.backup(database, tmp_path / "copy.db")
        await store.add_watches([new(2)], NOW)
        with pytest.raises(StoreUnusable, match="in use by another relay"):
            upkeep.restore(database, tmp_path / "copy.db", tmp_path / "aside.db")
    # A log that a crash left behind belongs to the database that is put aside.
    database.with_name("relay.db-wal").write_bytes(b"left over")

    upkeep.restore(database, tmp_path / "copy.db", tmp_path / "aside.db")

    assert (tmp_path / "aside.db-wal").read_bytes() == b"left over"
    async with open_sqlite(database) as store:
        assert [view.watch.job.id for view in await store.watches(_ALL, before=None, limit=9)] == ["req-1"]
        await store.add_watches([new(3)], NOW)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
async def test_what_root_makes_belongs_to_whom_the_folder_belongs(database: Path, tmp_path: Path) -> None:
    os.chown(tmp_path, 4711, 4712)

    async with open_sqlite(database) as store:
        await store.add_watches([new(1)], NOW)
        at_work = owners(tmp_path)
        upkeep.backup(database, tmp_path / "copy.db")
    (tmp_path / "relay.db").unlink()
    upkeep.restore(database, tmp_path / "copy.db", tmp_path / "aside.db")

    assert at_work == dict.fromkeys(("relay.db", "relay.db-shm", "relay.db-wal", "relay.db.lock"), (4711, 4712))
    assert owners(tmp_path)["relay.db"] == (4711, 4712)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
async def test_what_root_restores_belongs_to_whom_the_old_database_belonged(database: Path, tmp_path: Path) -> None:
    async with open_sqlite(database):
        upkeep.backup(database, tmp_path / "copy.db")
    os.chown(database, 4711, 4712)
    (tmp_path / "relay.db.lock").unlink()

    upkeep.restore(database, tmp_path / "copy.db", tmp_path / "aside.db")

    assert owners(tmp_path) == {
        "copy.db": (0, 0),
        **dict.fromkeys(("aside.db", "relay.db", "relay.db.lock"), (4711, 4712)),
    }


def owners(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_uid, path.stat().st_gid) for path in folder.iterdir()}


async def test_what_is_no_sound_backup_is_not_restored(database: Path, tmp_path: Path) -> None:
    async with open_sqlite(database):
        pass
    (tmp_path / "text.db").write_text("no database")
    before = content(database)

    with pytest.raises(StoreUnusable, match="is no backup to restore"):
        upkeep.restore(database, tmp_path / "text.db", tmp_path / "aside.db")

    assert content(database) == before


async def test_a_sound_database_has_no_problems(store: SqliteStore, database: Path) -> None:
    assert upkeep.problems(database) == []


async def test_damage_is_found(database: Path, tmp_path: Path) -> None:
    async with open_sqlite(database) as store:
        await store.add_watches([new(number) for number in range(500)], NOW)
    damage(database)

    assert upkeep.problems(database)
    with pytest.raises(StoreUnusable):
        upkeep.backup(database, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


async def test_looking_at_a_database_lets_go_of_no_lock_on_it(store: SqliteStore, database: Path) -> None:
    """A daemon asks for tokens when it reloads; without its locks, the next program makes the log's index anew."""
    shared = database.with_name("relay.db-shm")
    assert is_locked(shared)

    upkeep.holds_tokens(database)

    assert is_locked(shared)
    await store.add_watches([new(3)], NOW)


def is_locked(shared: Path) -> bool:
    """Tell whether someone has the lock that every connection keeps on the index of the log: its byte 128."""
    code = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)"
    done = subprocess.run([sys.executable, "-c", code, str(shared)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "BlockingIOError" in done.stderr
    return done.returncode != 0


async def test_an_end_without_its_event_is_found(database: Path) -> None:
    async with open_sqlite(database) as store:
        await store.add_watches([new(1)], NOW)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE watches SET status = 'failed', finalized_at = 1")
    connection.close()

    assert upkeep.problems(database) == [f"{new(1).id} has ended without an event"]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("PRAGMA application_id = 7", "it is not a database of relay"),
        ("PRAGMA user_version = 999", "it has schema 999"),
    ],
)
async def test_a_database_of_others_or_of_the_future_is_told(database: Path, statement: str, problem: str) -> None:
    async with open_sqlite(database):
        pass
    with sqlite3.connect(database) as connection:
        connection.execute(statement)
    connection.close()

    assert upkeep.problems(database)[0].startswith(problem)


async def test_the_contents_are_measured(store: SqliteStore, database: Path) -> None:
    found = upkeep.stats(database)

    assert (found.rows["watches"], found.rows["events"], found.rows["deliveries"]) == (2, 1, 2)
    assert found.watches == {"queued": 1, "completed": 1}
    assert found.deliveries == {"pending": 2}
    assert found.providers == {"getimg": 1}
    assert found.destinations == {"ops": 1}
    assert found.file_bytes == len(content(database))
    assert found.wal_bytes > 0
