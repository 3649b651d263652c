"""The power supply: numbered points at which it may fail, and a database that feels it."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Trouble = Callable[[], None]
"""Raises sqlite3.OperationalError where a statement that writes is to fail."""


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
        if self._buried:
            raise asyncio.CancelledError
        if not self.pulled.is_set():
            self.passed += 1
            if self.passed != self._pull_at:
                return
            self.where = name
            self.pulled.set()
        await asyncio.get_running_loop().create_future()

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
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


class Connection:
    """What relay uses of aiosqlite's connection, in the loop's own thread.

    A process that is killed loses nothing that SQLite has written, so nothing is
    synced here.
    """

    def __init__(self, path: Path, plug: Plug, trouble: Trouble) -> None:
        self._raw = sqlite3.connect(path, isolation_level=None)
        self._plug = plug
        self._trouble = trouble
        self._cut = False

    @property
    def row_factory(self) -> Any:
        """See aiosqlite."""
        return self._raw.row_factory

    @row_factory.setter
    def row_factory(self, factory: Any) -> None:
        self._raw.row_factory = factory

    @property
    def in_transaction(self) -> bool:
        """See aiosqlite."""
        return not self._cut and self._raw.in_transaction

    async def execute(self, sql: str, parameters: Any = ()) -> None:
        """See aiosqlite; there is a point before each statement, and one after each commit."""
        await self._plug.point(f"before {_first_line(sql)}")
        if self.in_transaction and sql != "ROLLBACK":
            self._trouble()
        self._raw.execute("PRAGMA synchronous = OFF" if "synchronous" in sql else sql, parameters)
        if sql == "COMMIT":
            await self._plug.point("after COMMIT")

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> None:
        """See aiosqlite."""
        await self._plug.point(f"before {_first_line(sql)}")
        self._trouble()
        self._raw.executemany(sql, parameters)

    async def execute_fetchall(self, sql: str, parameters: Any = ()) -> list[Any]:
        """See aiosqlite."""
        await self._plug.point(f"before {_first_line(sql)}")
        if self.in_transaction:
            self._trouble()
        return self._raw.execute(sql, parameters).fetchall()

    async def executescript(self, sql: str) -> None:
        """See aiosqlite."""
        await self._plug.point("before a step of the schema")
        self._raw.executescript(sql)
        await self._plug.point("after a step of the schema")

    async def close(self) -> None:
        """See aiosqlite."""
        self.cut()

    def cut(self) -> None:
        """End the connection; an open transaction is rolled back."""
        self._cut = True
        self._raw.close()


def _first_line(sql: str) -> str:
    lines = [line for line in sql.splitlines() if not line.startswith("--")]
    return lines[0][:60] if lines else sql[:60]
