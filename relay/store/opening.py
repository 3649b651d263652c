"""Opening a database: the lock, the checks, the backup before a migration, the migration."""

import errno
import fcntl
import os
import sqlite3
from pathlib import Path

from relay.core.errors import StoreUnusable
from relay.ownership import make_file
from relay.store.connection import Connection
from relay.store.sql import schema_steps
from relay.store.wal import log_damage

APPLICATION_ID = 0x52454C59
"""Marks the file as relay's (``RELY``), so that another program's database is never migrated."""

_BUSY_TIMEOUT_MS = 5000
_WAL_KEPT_BYTES = 64 * 1024 * 1024
"""What the write-ahead log shrinks to after a checkpoint that followed a burst."""

_FULL = ("SQLITE_FULL", "ENOSPC", "EDQUOT")
_READ_ONLY = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "EPERM", "EACCES", "EROFS")
_HELD = ("SQLITE_BUSY", "SQLITE_LOCKED")
"""How the names of errors begin that are not the file's own fault; those of SQLite go on with details."""


_held_here: set[Path] = set()


class FileLock:
    """Holds a database for one process, for as long as that lives."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
            make_file(self._path, database if database.exists() else database.parent)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            advice = "; relay has to own it and its folder" if isinstance(error, PermissionError) else ""
            raise StoreUnusable(f"cannot open {self._path}: {error.strerror}{advice}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise StoreUnusable(f"{database} is in use by another relay; stop that one first") from error
        self._database = database.resolve()
        _held_here.add(self._database)

    def release(self) -> None:
        """Let another process have the database."""
        _held_here.discard(self._database)
        os.close(self._fd)


def is_held_here(database: Path) -> bool:
    """Tell whether this very process holds a database."""
    return database.resolve() in _held_here


async def connect(path: Path, *, read_only: bool = False) -> Connection:
    """Return a connection set up as every one of ours is."""
    connection = Connection(path)
    try:
        await connection
    except sqlite3.Error:
        connection.end()
        raise
    connection.row_factory = sqlite3.Row
    try:
        await connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        await connection.execute("PRAGMA foreign_keys = ON")
        await connection.execute("PRAGMA synchronous = FULL")
        if read_only:
            await connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error:  # an open connection is a thread that keeps the process alive
        await connection.close()
        raise
    return connection


def refuse_torn_log(path: Path) -> None:
    """Raise StoreUnusable where commits are gone from the log; whoever opens the database wipes out what tells so."""
    lost = log_damage(path)
    if lost is not None:
        raise StoreUnusable(lost)


async def open_writer(path: Path) -> Connection:
    """Return the writing connection of a database that is at our schema.

    Makes the file where there is none; raises StoreUnusable where it cannot be
    used, with the way out in its message.
    """
    connection = None
    try:
        refuse_torn_log(path)
        _make_writable(path)
        connection = await connect(path)
        await _keep_log(connection, path)
        await connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
        await _check(connection, path)
        await _migrate(connection, path)
    except (sqlite3.Error, OSError, StoreUnusable) as error:
        if connection is not None:
            await connection.close()
        if isinstance(error, StoreUnusable):
            raise
        raise StoreUnusable(_refusal(path, error)) from error
    return connection


async def _keep_log(connection: Connection, path: Path) -> None:
    """Have the write-ahead log kept: SQLite says how it stands, and raises nothing where it cannot be."""
    ((mode,),) = await connection.execute_fetchall("PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise StoreUnusable(f"{path} lies where SQLite can keep no write-ahead log, as on a share; use a local disk")


def _make_writable(path: Path) -> None:
    """See that the file is there, for its owner only: SQLite opens one that it may not write without a word."""
    make_file(path, path.parent)
    if not path.is_file():
        raise StoreUnusable(f"{path} is not a file; name one in store.url")
    path.chmod(0o600)


def _refusal(path: Path, error: sqlite3.Error | OSError) -> str:
    """Return why a database cannot be used, with what mends it: damage is one cause among others."""
    name, words = _error_name(error), getattr(error, "strerror", None) or str(error)
    if name.startswith(_FULL):
        return f"{path} cannot be written: {words}; make room on its disk"
    if name.startswith(_READ_ONLY):
        return f"{path} cannot be written: {words}; relay has to own it and its folder, on a disk that can be written"
    if name.startswith(_HELD):
        return f"{path} cannot be opened: {words}; another program holds it"
    return f"{path} cannot be opened: {words}; restore it from a backup or move it away"


def is_forbidden(error: sqlite3.Error | OSError) -> bool:
    """Tell whether an error says that this user may not do that, and nothing of the database itself."""
    return _error_name(error).startswith(_READ_ONLY)


def _error_name(error: sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError):
        return errno.errorcode.get(error.errno or 0, "")
    return getattr(error, "sqlite_errorname", "")


async def _check(connection: Connection, path: Path) -> None:
    """Read every page once, so that damage is told now and not by the one poll that meets it in a month.

    The constraints are left out: they held when the rows were written, and to go through them again takes three
    times as long as all the rest.
    """
    await connection.execute("PRAGMA ignore_check_constraints = ON")
    findings = [str(row[0]) for row in await connection.execute_fetchall("PRAGMA quick_check(1)")]
    await connection.execute("PRAGMA ignore_check_constraints = OFF")
    if findings != ["ok"]:
        raise StoreUnusable(f"{path} is damaged: {findings[0]}; restore it from a backup or move it away")


async def _migrate(connection: Connection, path: Path) -> None:
    # A crash before the first step leaves a file without tables, which is as good as none.
    existed = bool(list(await connection.execute_fetchall("SELECT 1 FROM sqlite_master LIMIT 1")))
    application_id = await _pragma(connection, "application_id")
    version = await _pragma(connection, "user_version")
    steps = schema_steps()
    if existed and application_id != APPLICATION_ID:
        raise StoreUnusable(f"{path} is not a database of relay; name another file in store.url")
    if version > len(steps):
        raise StoreUnusable(
            f"{path} has schema {version}, this relay knows {len(steps)}: start the newer relay, or restore a backup"
        )
    if existed and version < len(steps):
        await _backup(connection, path, path.with_name(f"{path.name}.schema-{version}.bak"))
    for number, step in enumerate(steps[version:], version + 1):
        # executescript would commit first: the step and its number are one transaction.
        await connection.executescript(
            f"BEGIN IMMEDIATE;\n{step}\nPRAGMA application_id = {APPLICATION_ID};\n"
            f"PRAGMA user_version = {number};\nCOMMIT;"
        )


async def _backup(connection: Connection, path: Path, target: Path) -> None:
    """Copy a database to `target`, for its owner only from the first byte on, and on disk before this returns."""
    target.unlink(missing_ok=True)
    make_file(target, path)
    await connection.execute("VACUUM INTO ?", (str(target),))
    with target.open("rb") as copy:
        os.fsync(copy.fileno())


async def _pragma(connection: Connection, name: str) -> int:
    rows = list(await connection.execute_fetchall(f"PRAGMA {name}"))
    return int(rows[0][0])
