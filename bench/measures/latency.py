"""From a job's end to the first byte of its callback, by the clock of this machine.

A provider and receiver in one process tells ends and takes callbacks; between
is `relay serve`.  "from the provider's answer" counts from when the answer that
told the end left the provider, and so holds the whole way: reading it,
deciding, committing, claiming, signing, connecting.  "from the commit" counts
from the daemon's own log line `watch.ended`, which follows the commit.  Jobs
end evenly over time; half load means as many other polls as half of what the
daemon was seen to sustain right before.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.loopback.server import ENDING, seen, serving
from bench.measures.capacity import RAMP_S, fill_offline, sustainable
from bench.measures.ground import configure, fill, folder, served
from bench.measures.options import Options
from bench.report import Section, number
from relay.store import open_sqlite

_ENDS_PER_S = 50
_INTERVAL_S = 2.0
_LAST_S = 30.0
_TARGET_MS = 20
_HEADER = ("load", "jobs", "from the commit: p50", "p99", "from the provider's answer: p50", "p99", "target p99")


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds to the first byte, in order."""

    load: str
    from_commit_ms: Sequence[float]
    from_answer_ms: Sequence[float]

    def row(self, target: str) -> tuple[str, ...]:
        """Return the cells of the table."""
        columns = (self.from_commit_ms, self.from_answer_ms)
        cells = (f"{number(quantile(column, share))} ms" for column in columns for share in (0.5, 0.99))
        return (self.load, str(len(self.from_commit_ms)), *cells, target)


async def measure(options: Options) -> list[Section]:
    """Measure without load and at half load."""
    rate = await sustainable(options)
    idle = await _latency("none", options, 0.0)
    half = await _latency(f"{number(rate / 2)} polls a second, half of what it sustains", options, rate / 2)
    rows = (idle.row(f"{_TARGET_MS} ms"), half.row(""))
    return [Section("Latency of callbacks", str(__doc__).strip(), _HEADER, rows, (idle, half))]


async def _latency(load: str, options: Options, polls_per_s: float) -> Latency:
    jobs, calls = options.count(500), dict[str, float]()
    told = dict[str, float]()
    with folder() as path:
        async with serving() as server:
            port = configure(path, server.url, interval=f"{_INTERVAL_S:.0f}s")
            if polls_per_s:
                await fill_offline(path, round(polls_per_s * _INTERVAL_S), _INTERVAL_S)
            begin = time.time() + options.seconds(RAMP_S + _INTERVAL_S)
            async with open_sqlite(path / "relay.db") as store:
                job_ids = (f"{ENDING}{number:08d}" for number in range(jobs))
                await fill(store, job_ids, jobs, lambda place: begin + place / _ENDS_PER_S, server.port)
            async with served(path, port), asyncio.timeout(begin - time.time() + jobs / _ENDS_PER_S + _LAST_S):
                while len(calls) < jobs:
                    await asyncio.sleep(0.5)
                    saw = await seen(server)
                    calls, told = calls | saw.called, told | saw.told
        committed = _commits(path / "daemon.log")
    return Latency(
        load,
        sorted((calls[job_id] - committed[job_id]) * 1000 for job_id in calls),
        sorted((calls[job_id] - told[job_id]) * 1000 for job_id in calls),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the figure that this share of them does not exceed."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _commits(log: Path) -> dict[str, float]:
    """Return when the end of each job was written, by the daemon's log."""
    lines = (json.loads(line) for line in log.read_text("utf-8").splitlines() if line.startswith("{"))
    return {
        line["job_id"]: datetime.fromisoformat(line["timestamp"]).timestamp()
        for line in lines
        if line["event"] == "watch.ended"
    }
