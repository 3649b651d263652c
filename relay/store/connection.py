"""A connection of aiosqlite that also takes whole pieces of work."""

import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import aiosqlite

from relay.core.errors import TooMuch

T = TypeVar("T")
_STEPS_BETWEEN_LOOKS = 100_000
"""A few milliseconds of SQLite's work: the clock is looked at in Python, which others wait for meanwhile."""


class Connection(aiosqlite.Connection):
    """Runs what touches the database on a thread of its own."""

    def __init__(self, path: Path) -> None:
        super().__init__(lambda: sqlite3.connect(path, isolation_level=None), iter_chunk_size=64)

    def end(self) -> None:
        """Wait until the thread of a connection that was not made has ended: its last word is for the event loop."""
        self._thread.join()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` on the thread and return its result: one change of threads, however many statements it runs."""
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call] # aiosqlite gives it no type
        return result


def within(
    seconds: float, statement: str, params: Mapping[str, object]
) -> Callable[[sqlite3.Connection], list[sqlite3.Row]]:
    """Return the work of reading all rows of a statement within some seconds from now, those before its turn included.

    It raises TooMuch where they are over.
    """
    until = _now() + seconds

    def late() -> bool:
        return _now() >= until

    def read(database: sqlite3.Connection) -> list[sqlite3.Row]:
        if late():
            raise TooMuch(f"other lists took all of the {seconds:.0f} s that there were for this one; try again")
        database.set_progress_handler(late, _STEPS_BETWEEN_LOOKS)
        try:
            return database.execute(statement, params).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            raise TooMuch(f"there is more to look through than {seconds:.0f} s allow; narrow the filter") from error
        finally:
            database.set_progress_handler(None, 0)

    return read


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - what SQLite takes on its thread is real time, whatever the Clock says
