"""A database that any earlier relay wrote goes on: nothing that it owed is forgotten."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import aiosqlite
import pytest

from relay.core import ids
from relay.core.errors import StoreUnusable
from relay.core.observation import Status
from relay.core.ports import Store
from relay.store import open_sqlite
from relay.store.opening import APPLICATION_ID
from relay.store.sql import schema_steps

NOW = 1_800_000_000.0
VERSIONS = range(1, len(schema_steps()) + 1)
EVENT = ids.event_id("wat_ended", "job.completed")
DELIVERY = ids.delivery_id(EVENT, "url:1")
BODY = '{"type":"job.completed","timestamp":"2027-01-15T08:00:00Z","data":{"watch_id":"wat_ended"}}'


def written_by(version: int, path: Path) -> None:
    """Make the database of an earlier relay: a live watch, an ended one, and a delivery that was tried once."""
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode = WAL")
        for step in schema_steps()[:version]:
            old.executescript(step)
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute(f"PRAGMA user_version = {version}")
        watch = (
            "INSERT INTO watches (id, provider, job_id, params, metadata, status, created_at, deadline, next_poll_at,"
            " finalized_at) VALUES (?, 'plain', ?, '{}', '{\"order\":\"7\"}', ?, ?, ?, ?, ?)"
        )
        old.execute(watch, ("wat_live", "j1", "running", NOW - 60, NOW + 3600, NOW - 1, None))
        old.execute(watch, ("wat_ended", "j2", "completed", NOW - 60, NOW + 3600, NOW - 5, NOW - 5))
        target = "INSERT INTO watch_targets (watch_id, key, lane, url) VALUES (?, 'url:1', 'a.example:443', ?)"
        for watch_id in ("wat_live", "wat_ended"):
            old.execute(target, (watch_id, "https://a.example/hook"))
        old.execute(
            "INSERT INTO events (id, watch_id, type, created_at, body) VALUES (?, 'wat_ended', 'job.completed', ?, ?)",
            (EVENT, NOW - 5, BODY),
        )
        old.execute(
            "INSERT INTO deliveries (id, event_id, watch_id, key, lane, url, state, created_at, next_attempt_at,"
            " retry_from, leased_until, attempts, tries) VALUES (?, ?, 'wat_ended', 'url:1', 'a.example:443',"
            " 'https://a.example/hook', 'pending', ?, ?, ?, ?, 1, 1)",
            (DELIVERY, EVENT, NOW - 5, NOW - 1, NOW - 5, NOW + 30),
        )
        old.execute(
            "INSERT INTO attempts (delivery_id, number, trigger, started_at, duration_s, status, verdict)"
            " VALUES (?, 1, 'scheduled', ?, 0.5, 503, 'retry')",
            (DELIVERY, NOW - 5),
        )


async def continues(store: Store) -> None:
    """Assert that everything an earlier relay owed is done by this one."""
    await store.release_leases()
    (live,) = await store.claim_due_watches("plain", NOW, until=NOW + 60, limit=9, retries=9, turn_s=0.0)
    assert (live.id, live.status, live.metadata) == ("wat_live", Status.RUNNING, {"order": "7"})
    (outgoing,) = await store.claim_due_deliveries(
        NOW, until=NOW + 60, limit=9, per_lane=9, per_failing_lane=9, retries=9, limits={}, busy={}
    )
    assert (outgoing.delivery.id, outgoing.delivery.attempts, outgoing.event.body) == (DELIVERY, 1, BODY)
    view = await store.delivery(DELIVERY)
    assert [(attempt.number, attempt.status) for attempt in view.attempts] == [(1, 503)]


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_database_of_any_earlier_relay_opens_and_continues(tmp_path: Path, version: int) -> None:
    written_by(version, tmp_path / "relay.db")

    async with open_sqlite(tmp_path / "relay.db") as store:
        await continues(store)

    assert version_of(tmp_path / "relay.db") == len(schema_steps())


@pytest.mark.parametrize("version", VERSIONS[:-1])
async def test_the_backup_made_before_an_upgrade_is_the_database_as_it_was(tmp_path: Path, version: int) -> None:
    path = tmp_path / "relay.db"
    written_by(version, path)
    async with open_sqlite(path):
        pass
    backup = tmp_path / f"relay.db.schema-{version}.bak"
    assert version_of(backup) == version

    for spoilt in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        spoilt.unlink(missing_ok=True)
    shutil.copy(backup, path)

    async with open_sqlite(path) as store:
        await continues(store)


async def test_nobody_else_reads_the_backup_while_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "relay.db"
    written_by(1, path)
    modes = []
    execute = aiosqlite.Connection.execute

    async def watched(self: aiosqlite.Connection, sql: str, parameters: Sequence[str] = ()) -> None:
        await execute(self, sql, parameters)
        if sql.startswith("VACUUM"):
            modes.append((tmp_path / "relay.db.schema-1.bak").stat().st_mode & 0o777)

    with monkeypatch.context() as patched:
        patched.setattr(aiosqlite.Connection, "execute", watched)
        async with open_sqlite(path):
            pass

    assert modes == [0o600]


def cut_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the connection, uncommitted as it is, at the numbered statement of all those that change the schema."""
    left = number

    async def one_by_one(self: aiosqlite.Connection, sql: str) -> None:
        nonlocal left
        for statement in statements(sql):
            if left == 0:
                raise sqlite3.OperationalError("the plug was pulled")
            left -= 1
            await self.execute(statement)

    monkeypatch.setattr(aiosqlite.Connection, "executescript", one_by_one)


def statements(sql: str) -> Sequence[str]:
    """Return the statements of a script."""
    found, begun = [], ""
    for line in sql.splitlines(keepends=True):
        begun += line
        if sqlite3.complete_statement(begun):
            found.append(begun)
            begun = ""
    return found


async def test_a_crash_at_any_statement_of_an_upgrade_is_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts, gone = 0, True
    while gone:
        path = tmp_path / f"{cuts}.db"
        written_by(1, path)
        with monkeypatch.context() as patched:
            cut_at(cuts, patched)
            try:
                async with open_sqlite(path):
                    gone = False
            except StoreUnusable as error:
                assert "the plug was pulled" in str(error)  # noqa: PT017 - the last round raises nothing
        async with open_sqlite(path) as store:
            await continues(store)
        assert version_of(path) == len(schema_steps())
        cuts += gone
    assert cuts > 4 * len(schema_steps()[1:])


async def test_a_newer_database_is_refused_and_keeps_every_row(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    written_by(VERSIONS[-1], path)
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {VERSIONS[-1] + 1}")

    with pytest.raises(StoreUnusable, match="start the newer relay, or restore a backup"):
        async with open_sqlite(path):
            pass

    assert version_of(path) == VERSIONS[-1] + 1
    assert not path.with_name(f"relay.db.schema-{VERSIONS[-1] + 1}.bak").exists()


async def test_an_upgrade_without_space_for_its_backup_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "relay.db"
    written_by(1, path)

    async def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("relay.store.opening._backup", full)
        with pytest.raises(StoreUnusable, match="disk is full"):
            async with open_sqlite(path):
                pass
    assert version_of(path) == 1

    async with open_sqlite(path) as store:
        await continues(store)
