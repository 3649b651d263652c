"""A connection of aiosqlite that also takes whole pieces of work."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import aiosqlite

T = TypeVar("T")


class Connection(aiosqlite.Connection):
    """Runs what touches the database on a thread of its own."""

    def __init__(self, path: Path) -> None:
        super().__init__(lambda: sqlite3.connect(path, isolation_level=None), iter_chunk_size=64)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` on the thread and return its result: one change of threads, however many statements it runs."""
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call] # aiosqlite gives it no type
        return result
