"""Looking after a database file, beside the daemon that holds it or without one.

Plain `sqlite3` in read-only connections: a WAL database is read consistently
while another process writes it.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from relay.core.errors import StoreForbidden, StoreUnusable
from relay.ownership import hand_over
from relay.store.opening import APPLICATION_ID, FileLock, is_forbidden, is_held_here, refuse_torn_log
from relay.store.sql import schema_steps

_BUSY_TIMEOUT_S = 10.0
_COMPANIONS = ("-wal", "-shm")
"""What SQLite keeps beside a database; of another one, they would be mixed into it."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What a database holds: bytes of the file, its log and its unused pages, and rows by table and state.

    `providers` counts the live watches of each, `destinations` what each, by
    its name in the configuration, is still owed.
    """

    path: str
    schema: int
    file_bytes: int
    wal_bytes: int
    free_bytes: int
    rows: dict[str, int]
    watches: dict[str, int]
    deliveries: dict[str, int]
    providers: dict[str, int]
    destinations: dict[str, int]


def backup(database: Path, target: Path) -> int:
    """Copy a database as it is at one instant to the new file `target`, and return the copy's size in bytes.

    The copy is complete and sound, readable for its owner only, or not there at
    all.  Raises StoreUnusable.
    """
    try:
        if target.exists():
            raise StoreUnusable(f"{target} is there already; name a new file")
        with _copying_to(target) as copy:
            _copy(database, copy)
            found = _found(copy, _faults)
            if found:
                raise StoreUnusable(f"the copy of {database} is not sound: {found[0]}")
            os.link(copy, target)
    except FileExistsError:
        raise StoreUnusable(f"{target} is there already; name a new file") from None
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(f"{database} cannot be copied to {target}: {_words(error)}") from error
    return target.stat().st_size


def restore(database: Path, source: Path, aside: Path) -> None:
    """Put a backup in the place of a database that nobody uses; what was there goes to `aside`.

    Raises StoreUnusable where the backup is not sound, or a relay runs.
    """
    found = _found(source, _faults)
    if found:
        raise StoreUnusable(f"{source} is no backup to restore: {found[0]}")
    lock = FileLock(database)
    try:
        with _copying_to(database) as copy:
            _copy(source, copy)
            with copy.open("rb") as file:
                hand_over(file.fileno(), database if database.exists() else database.parent)
            _exchange(database, copy, aside)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(f"{source} cannot be restored: {_words(error)}") from error
    finally:
        lock.release()


def _exchange(database: Path, copy: Path, aside: Path) -> None:
    """Put `copy` in the place of a database, which goes to `aside` with its companions.

    There is a database at every moment, and never one with another's log.  The
    index of the log goes last: a relay that starts after this was cut off finds
    that its log is gone, and refuses.
    """
    log, index = (database.with_name(database.name + suffix) for suffix in _COMPANIONS)
    for old in (database, log, index):
        if old.exists():
            os.link(old, aside.with_name(aside.name + old.name.removeprefix(database.name)))
    log.unlink(missing_ok=True)
    copy.replace(database)
    index.unlink(missing_ok=True)


def _copy(database: Path, copy: Path) -> None:
    with _reading(database) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    with copy.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _copying_to(target: Path) -> Iterator[Path]:
    """Give a path on the same disk for a copy that nobody else may read; it is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        copy = Path(folder) / "copy"
        copy.touch(mode=0o600)
        yield copy


def problems(database: Path) -> list[str]:
    """Return everything that is wrong with a database: not relay's, newer, damaged, inconsistent.

    Raises StoreForbidden where this user may not read it.
    """
    return _found(database, _faults) or _found(database, _inconsistencies)


def _found(database: Path, look: Callable[[sqlite3.Connection], Iterator[str]]) -> list[str]:
    try:
        with _reading(database) as connection:
            return list(look(connection))
    except StoreForbidden:
        raise
    except StoreUnusable as error:
        return [str(error)]
    except sqlite3.Error as error:
        return [f"{database}: {_words(error)}"]


def _faults(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield what makes a database unusable."""
    if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        yield "it is not a database of relay"
        return
    version, known = _number(connection, "PRAGMA user_version"), len(schema_steps())
    if version > known:
        yield f"it has schema {version}, this relay knows {known}"
    for (message,) in connection.execute("PRAGMA integrity_check"):
        if message != "ok":
            yield str(message)


def _inconsistencies(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield what contradicts itself in a database that can be used."""
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"{table}: row {row} refers to a row of {parent} that is not there"
    for (watch,) in connection.execute(_WITHOUT_EVENT):
        yield f"{watch} has ended without an event"


_WITHOUT_EVENT = """
SELECT id FROM watches WHERE finalized_at IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM events WHERE watch_id = watches.id AND type = 'job.' || watches.status)
"""


_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"


_OWED = """
SELECT name, count(*) FROM deliveries WHERE state IN ('pending', 'held') AND name IS NOT NULL GROUP BY name
"""


def holds_tokens(database: Path) -> bool:
    """Tell whether a database holds a token that is good for something, as far as it can be read."""
    try:
        with _reading(database) as connection:
            return bool(_number(connection, _USABLE_TOKENS))
    except (StoreUnusable, sqlite3.Error):
        return False


_USABLE_TOKENS = "SELECT count(*) FROM tokens WHERE revoked_at IS NULL"


def stats(database: Path) -> Stats:
    """Return what a database holds; raises StoreUnusable where it cannot be read."""
    try:
        with _reading(database) as connection:
            tables = connection.execute(_TABLES)
            wal = database.with_name(database.name + "-wal")
            return Stats(
                path=str(database),
                schema=_number(connection, "PRAGMA user_version"),
                file_bytes=database.stat().st_size,
                wal_bytes=wal.stat().st_size if wal.exists() else 0,
                free_bytes=_number(connection, "PRAGMA freelist_count") * _number(connection, "PRAGMA page_size"),
                rows={
                    name: _number(connection, f'SELECT count(*) FROM "{name}"')  # noqa: S608 - a table's own name
                    for (name,) in tables
                },
                watches=_grouped(connection, "SELECT status, count(*) FROM watches GROUP BY status"),
                deliveries=_grouped(connection, "SELECT state, count(*) FROM deliveries GROUP BY state"),
                providers=_grouped(
                    connection, "SELECT provider, count(*) FROM watches WHERE finalized_at IS NULL GROUP BY provider"
                ),
                destinations=_grouped(connection, _OWED),
            )
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(f"{database}: {_words(error)}") from error


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    try:
        if not database.is_file():
            raise StoreUnusable(f"there is no database at {database}")
        # Closing a file of a database lets go of every lock that the process has on it; who holds it has looked.
        if not is_held_here(database):
            refuse_torn_log(database)
        address = f"{database.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT_S)) as connection:
            yield connection
    except (OSError, sqlite3.Error) as error:
        if not is_forbidden(error):
            raise
        advice = "the user that relay runs as has to own it; anyone else asks by sudo"
        raise StoreForbidden(f"{database} cannot be read by this user: {_words(error)}; {advice}") from error


def _number(connection: sqlite3.Connection, statement: str) -> int:
    return int(connection.execute(statement).fetchone()[0])


def _grouped(connection: sqlite3.Connection, statement: str) -> dict[str, int]:
    return {str(name): int(number) for name, number in connection.execute(statement)}


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
