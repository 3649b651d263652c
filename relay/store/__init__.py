"""The durable state: SQLite now, one Protocol of transitions for whatever comes later."""

from relay.store.sqlite import SqliteStore, open_sqlite

__all__ = ["SqliteStore", "open_sqlite"]
