"""What every part of the store works with."""

import sqlite3

from relay.core.errors import StoreError
from relay.store.connection import Connection, within
from relay.store.sql import queries
from relay.store.writer import Row, Writer

_LIST_S = 5.0
"""How long a list may take, its turn included."""


class Part:
    """A part of the store: nothing but the connections, which are the same for all parts."""

    def __init__(self, writer: Writer, reader: Connection, browser: Connection) -> None:
        self._writer = writer
        self._reader = reader
        self._browser = browser

    async def _read(self, name: str, /, **params: object) -> list[Row]:
        try:
            return list(await self._reader.execute_fetchall(queries()[name], params))
        except sqlite3.Error as error:
            raise StoreError(f"the database failed: {error}") from error

    async def _browse(self, name: str, /, **params: object) -> list[Row]:
        """Read what somebody lists; nothing that relay itself asks waits behind it."""
        try:
            return await self._browser.run(within(_LIST_S, queries()[name], params))
        except sqlite3.Error as error:
            raise StoreError(f"the database failed: {error}") from error
