"""The power supply: numbered points at which it may fail, and a database that feels it."""

import asyncio
import sqlite3
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, Never, Self, TypeVar

T = TypeVar("T")
Trouble = Callable[[], None]
"""Raises sqlite3.OperationalError where a statement that writes is to fail."""


class _Pulled(BaseException):
    """The life is over: whoever raised this goes no further."""


class Plug:
    """Numbers the points that a life passes, and ends that life at the one it was told.

    Nothing moves on from there: whoever reaches a point of a life that is over
    waits until it is buried.
    """

    def __init__(self, pull_at: int | None) -> None:
        self.passed = 0
        self.pulled = asyncio.Event()
        self.where = ""
        self._pull_at = pull_at
        self._buried = False
        self._connections: list[Connection] = []

    async def point(self, name: str) -> None:
        """Pass a point, or stop there for ever."""
        try:
            self.pass_point(name)
        except _Pulled:
            await self.end()

    def pass_point(self, name: str) -> None:
        """Pass a point, or raise where the life ends there or has ended."""
        if self.pulled.is_set():
            raise _Pulled
        self.passed += 1
        if self.passed == self._pull_at:
            self.where = name
            self.pulled.set()
            raise _Pulled

    async def end(self) -> Never:
        """Stop for ever."""
        if not self._buried:
            await asyncio.get_running_loop().create_future()
        raise asyncio.CancelledError

    def connect(self, path: Path, trouble: Trouble) -> "Connection":
        """Return a connection that dies with this life."""
        connection = Connection(path, self, trouble)
        self._connections.append(connection)
        return connection

    async def bury(self) -> None:
        """Undo what was not committed, as the next process that opens the file does, and end every other task."""
        self._buried = True
        for connection in self._connections:
            connection.cut()
        while rest := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in rest:  # again and again: on its way out, one waits for another that is gone already
                task.cancel()
            await asyncio.wait(rest, timeout=0.0)


class _Database(sqlite3.Connection):
    """A database with a point before each statement, and one after each commit.

    A process that is killed loses nothing that SQLite has written, so nothing is
    synced here.
    """

    plug: Plug
    trouble: Trouble

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """See sqlite3."""
        if sql != "ROLLBACK":  # undone by whoever is cut off, or by SQLite: it is the same
            self.plug.pass_point(f"before {_first_line(sql)}")
            if self.in_transaction:
                self.trouble()
        cursor = super().execute("PRAGMA synchronous = OFF" if "synchronous" in sql else sql, parameters)
        if sql == "COMMIT":
            self.plug.pass_point("after COMMIT")
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """See sqlite3."""
        self.plug.pass_point(f"before {_first_line(sql)}")
        self.trouble()
        return super().executemany(sql, parameters)

    def executescript(self, sql: str, /) -> sqlite3.Cursor:
        """See sqlite3."""
        self.plug.pass_point("before a step of the schema")
        cursor = super().executescript(sql)
        self.plug.pass_point("after a step of the schema")
        return cursor


class Connection:
    """What relay uses of its connection, in the loop's own thread."""

    def __init__(self, path: Path, plug: Plug, trouble: Trouble) -> None:
        self._raw = sqlite3.connect(path, isolation_level=None, factory=_Database)
        self._raw.plug, self._raw.trouble = plug, trouble
        self._plug = plug

    def __await__(self) -> Generator[Any, None, Self]:
        yield from ()
        return self

    @property
    def row_factory(self) -> Any:
        """See aiosqlite."""
        return self._raw.row_factory

    @row_factory.setter
    def row_factory(self, factory: Any) -> None:
        self._raw.row_factory = factory

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """See relay's connection."""
        try:
            return work(self._raw)
        except _Pulled:
            await self._plug.end()

    async def execute(self, sql: str, parameters: Any = ()) -> None:
        """See aiosqlite."""
        await self.run(lambda database: database.execute(sql, parameters))

    async def execute_fetchall(self, sql: str, parameters: Any = ()) -> list[Any]:
        """See aiosqlite."""
        return await self.run(lambda database: database.execute(sql, parameters).fetchall())

    async def executescript(self, sql: str) -> None:
        """See aiosqlite."""
        await self.run(lambda database: database.executescript(sql))

    async def close(self) -> None:
        """See aiosqlite."""
        self.cut()

    def cut(self) -> None:
        """End the connection; an open transaction is rolled back."""
        self._raw.close()


def _first_line(sql: str) -> str:
    lines = [line for line in sql.splitlines() if not line.startswith("--")]
    return lines[0][:60] if lines else sql[:60]
