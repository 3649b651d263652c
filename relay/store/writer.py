"""Group commit: writers that come together share one transaction and its fsync."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from relay.core.errors import StoreError
from relay.core.learning import Kind, Trace
from relay.store.connection import Connection
from relay.store.sql import queries, repeated

T = TypeVar("T")
Row = sqlite3.Row
Params = Mapping[str, object]

_BATCH = 256
"""Writes that share a commit at most: a bound on how long the first of them waits."""
_TOGETHER = (64, 16, 4, 1)
"""How many rows a statement takes: few sizes, as SQLite prepares each anew."""


class Transaction:
    """What a write may do while it holds the transaction."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.lessons: dict[Kind, list[Trace]] = {}
        self.taught_at = 0.0

    def teach(self, lessons: Mapping[Kind, Sequence[Trace]], now: float) -> None:
        """Have what was learned at `now` written with this transaction, together with what its other writes taught."""
        for kind, traces in lessons.items():
            self.lessons.setdefault(kind, []).extend(traces)
        self.taught_at = max(self.taught_at, now)

    def fetch(self, name: str, /, **params: object) -> list[Row]:
        """Run a named query and return its rows."""
        return self._database.execute(queries()[name], params).fetchall()

    def many(self, name: str, rows: Iterable[Params]) -> int:
        """Run a named statement for all rows of its VALUES; return how many rows of the database that changed."""
        left, changed = deque(rows), 0
        while left:
            together = next(size for size in _TOGETHER if size <= len(left))
            statement, names = repeated(queries()[name], together)
            taken = [left.popleft() for _ in range(together)]
            changed += self._database.execute(statement, [row[key] for row in taken for key in names]).rowcount
        return changed


Write = Callable[[Transaction], T]
"""What is done in a transaction.  It runs on the connection's thread, so it shares nothing with the loop."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A write that is nothing but rows for named statements: those that come together are run together."""

    of: Mapping[str, Sequence[Params]]

    def __call__(self, transaction: Transaction) -> None:
        for name, rows in self.of.items():
            transaction.many(name, rows)

    @classmethod
    def joined(cls, writes: Iterable["Rows"]) -> "Rows":
        """Return the same as one write."""
        rows: dict[str, list[Params]] = {}
        for write in writes:
            for name, own in write.of.items():
                rows.setdefault(name, []).extend(own)
        return cls(rows)


Timed = Callable[[], AbstractContextManager[object]]


class _NotBegun(StoreError):
    """No transaction could be begun, whatever was to be written in it."""


class Writer:
    """The one connection that writes.

    `commit` returns once the write is durable.  A batch that fails is rolled
    back and its writes are run again one by one, so that each fails alone:
    a write must therefore depend on nothing but the database.  `finish` is run
    once per commit, after its writes.
    """

    def __init__(
        self,
        connection: Connection,
        finish: Callable[[Transaction], None],
        timed: Timed = nullcontext,
    ) -> None:
        self._connection = connection
        self._finish = finish
        self._timed = timed
        self._waiting: asyncio.Queue[tuple[Write[Any], asyncio.Future[Any]] | None] = asyncio.Queue()
        self._stopped = False

    async def commit(self, write: Write[T]) -> T:
        """Run `write` in a transaction and return its result after the commit.

        Raises StoreError where the database fails, or what `write` raises;
        nothing of it is stored then.
        """
        if self._stopped:
            raise StoreError("the database is closed")
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((write, result))
        return await result

    @property
    def waiting(self) -> int:
        """How many writes wait for a transaction."""
        return self._waiting.qsize()

    def stop(self) -> None:
        """Let `run` end after the writes that wait now; later ones are refused."""
        self._stopped = True
        self._waiting.put_nowait(None)

    async def run(self) -> None:
        """Commit what comes, until stopped."""
        while (first := await self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < _BATCH and not self._waiting.empty():
                item = self._waiting.get_nowait()
                if item is None:
                    self._waiting.put_nowait(None)
                    break
                batch.append(item)
            await self._commit_batch(batch)

    async def _commit_batch(self, batch: list[tuple[Write[Any], asyncio.Future[Any]]]) -> None:
        try:
            with self._timed():
                results = await self._connection.run(partial(self._in_transaction, [write for write, _ in batch]))
        except _NotBegun as error:  # none of them is to blame: one by one they would all wait for the same lock
            for _, future in batch:
                _resolve(future, error=StoreError(str(error)))
            return
        except Exception as error:  # noqa: BLE001 - belongs to whoever waits for the write
            if len(batch) == 1:
                _resolve(batch[0][1], error=_store_error(error))
                return
            for item in batch:
                await self._commit_batch([item])
            return
        for (_, future), result in zip(batch, results, strict=True):
            _resolve(future, result=result)

    def _in_transaction(self, writes: list[Write[Any]], database: sqlite3.Connection) -> list[Any]:
        transaction = Transaction(database)
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise _NotBegun(f"the database failed: {error}") from error
        try:
            results = run(writes, transaction)
            self._finish(transaction)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        return results


def run(writes: Iterable[Write[Any]], transaction: Transaction) -> list[Any]:
    """Do what is to be done in a transaction, in order; return the results."""
    results, waiting = list[Any](), list[Rows]()
    for write in writes:
        if isinstance(write, Rows):
            waiting.append(write)
            results.append(None)
            continue
        Rows.joined(waiting)(transaction)
        waiting.clear()
        results.append(write(transaction))
    Rows.joined(waiting)(transaction)
    return results


def _resolve(future: "asyncio.Future[Any]", *, result: object = None, error: Exception | None = None) -> None:
    if future.done():  # its caller was cancelled; the write stands all the same
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def _store_error(error: Exception) -> Exception:
    if isinstance(error, sqlite3.Error):
        wrapped = StoreError(f"the database failed: {error}")
        wrapped.__cause__ = error
        return wrapped
    return error
