"""A database as the first release of relay left it, with jobs that it was watching."""

import json
import sqlite3
import time
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from relay.core.address import AddressPolicy
from relay.core.ids import ENTROPY_BYTES, watch_id
from relay.destinations.targets import callback_target
from relay.store.opening import APPLICATION_ID

_DAY_S = 86400.0


def write_first_schema(
    path: Path, watches: Iterable[dict[str, object]], entropy: Iterable[bytes], *, due_in_s: float
) -> dict[str, str]:
    """Make a database at schema 1 that holds `watches`, as the API would be asked for them; return their ids by job."""
    now, ids = time.time(), {}
    database = sqlite3.connect(path)
    with database:
        database.executescript((resources.files("relay.store") / "schema" / "0001_initial.sql").read_text())
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("PRAGMA user_version = 1")
        for watch, drawn in zip(watches, entropy, strict=False):
            job_id, url = str(watch["job_id"]), str(watch["callback_url"])
            ids[job_id] = watch_id(now, drawn[:ENTROPY_BYTES])
            target = callback_target(url, allow_http=True, policy=AddressPolicy(operator=True))
            times = now, now + _DAY_S, now + due_in_s
            database.execute(
                "INSERT INTO watches (id, provider, job_id, params, metadata, status, created_at, deadline,"
                " next_poll_at) VALUES (?, ?, ?, '{}', ?, 'queued', ?, ?, ?)",
                (ids[job_id], watch["provider"], job_id, json.dumps(watch["metadata"]), *times),
            )
            database.execute(
                "INSERT INTO watch_targets (watch_id, key, lane, url) VALUES (?, ?, ?, ?)",
                (ids[job_id], target.key, target.lane, url),
            )
    database.close()
    return ids
