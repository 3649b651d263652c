"""The store on SQLite.

WAL with `synchronous=FULL`; one connection writes, `BEGIN IMMEDIATE`, another
reads what relay itself asks, and a third what people list, which may take long.
One process at a time holds the file.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path

from relay.store.deliveries import SqliteDeliveries
from relay.store.dispatching import SqliteDispatching
from relay.store.durations import write_lessons
from relay.store.events import SqliteEvents
from relay.store.housekeeping import SqliteHousekeeping
from relay.store.kept_answers import SqliteKeptAnswers
from relay.store.lanes import SqliteLanes
from relay.store.opening import FileLock, connect, open_writer
from relay.store.polling import SqlitePolling
from relay.store.tokens import SqliteTokens
from relay.store.watches import SqliteWatches
from relay.store.writer import Timed, Writer


@asynccontextmanager
async def open_sqlite(path: Path, *, timed: Timed = nullcontext) -> AsyncIterator["SqliteStore"]:
    """Open the database at `path`, made or migrated as needed, for as long as the block runs.

    `timed` gives a context around each commit, for measuring it.  Raises StoreUnusable where that cannot be done.
    """
    lock = FileLock(path)
    try:
        writing = await open_writer(path)
        try:
            async with AsyncExitStack() as readers:
                reading = await connect(path, read_only=True)
                readers.push_async_callback(reading.close)
                browsing = await connect(path, read_only=True)
                readers.push_async_callback(browsing.close)
                writer = Writer(writing, write_lessons, timed)
                # Not a TaskGroup: errors of the block have to leave it as they are.
                commits = asyncio.get_running_loop().create_task(writer.run(), name="store-writer")
                try:
                    yield SqliteStore(writer, reading, browsing)
                finally:
                    writer.stop()
                    await commits
        finally:
            await writing.close()
    finally:
        lock.release()


class SqliteStore(
    SqliteWatches,
    SqlitePolling,
    SqliteDispatching,
    SqliteDeliveries,
    SqliteLanes,
    SqliteEvents,
    SqliteTokens,
    SqliteKeptAnswers,
    SqliteHousekeeping,
):
    """Implements `relay.core.ports.Store`, part by part."""
