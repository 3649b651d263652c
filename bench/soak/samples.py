"""What the daemon takes up, and whether that grows."""

import math
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean, pstdev

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from bench.report import Section, number
from bench.trend import Trend

_WARM_UP = 1 / 3
"""This share of the time comes before the daemon is judged."""
_EDGE = 0.1
_GROWTH = 0.1
_SCATTERS = 2.0
"""Growth, over the time that is judged, is more than this share of the mean, and than it goes up and down anyway."""
_PEAKS = ("database_file",)
"""SQLite keeps the pages that a peak took: whether more and more are used is told by those that are in use."""
_HEADER = ("what", "after warm-up", "at the end", "slope per hour", "growth, in all", "verdict")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: bytes, and numbers of things."""

    at: float
    memory: int
    files: int
    threads: int
    tasks: int
    database_in_use: int
    database_file: int
    write_ahead_log: int


def _in_use(path: Path) -> int:
    """Return the bytes of the pages that hold something."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        pages, free, size = (
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def _size(path: Path) -> int:
    return path.stat().st_size


async def look(session: aiohttp.ClientSession, url: str, pid: int, database: Path) -> Sample:
    """Look at a daemon from outside; the number of its tasks is in its metrics."""
    async with session.get(f"{url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    tasks = next(sample.value for family in families for sample in family.samples if sample.name == "relay_tasks")
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines())  # noqa: ASYNC240 - of the kernel's memory
    return Sample(
        at=time.monotonic(),
        memory=int(status["VmRSS"].split()[0]) * 1024,
        files=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),  # noqa: ASYNC240 - likewise
        threads=int(status["Threads"]),
        tasks=round(tasks),
        database_in_use=_in_use(database),
        database_file=_size(database),
        write_ahead_log=_size(database.with_name(database.name + "-wal")),
    )


@dataclass(frozen=True, slots=True)
class Course:
    """How one figure went, once warmed up, by its line: `growth` and the `scatter` around it are shares of the mean."""

    name: str
    first: float
    last: float
    per_hour: float
    growth: float
    scatter: float

    @property
    def flat(self) -> bool:
        """Whether it does not grow."""
        return self.name in _PEAKS or self.growth <= max(_GROWTH, _SCATTERS * self.scatter)

    def _verdict(self) -> str:
        if self.name in _PEAKS:
            return "its peak"
        return "flat" if self.flat else "GROWS"

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        figures = (
            number(self.first),
            number(self.last),
            f"{self.per_hour:+,.4g}",
            f"{self.growth:+.1%}, ±{self.scatter:.1%}",
        )
        return (self.name.replace("_", " "), *figures, self._verdict())


def courses(samples: Sequence[Sample]) -> list[Course]:
    """Return how everything went; there must be some samples."""
    warm = samples[int(len(samples) * _WARM_UP) :]
    return [_course(field.name, warm) for field in fields(Sample) if field.name != "at"]


def _course(name: str, warm: Sequence[Sample]) -> Course:
    points = [(sample.at, float(getattr(sample, name))) for sample in warm]
    figures = [figure for _, figure in points]
    edge = max(int(len(points) * _EDGE), 1)
    trend, mean = Trend.of(points), max(fmean(figures), 1.0)
    growth = trend.per_s * (points[-1][0] - points[0][0]) / mean
    scatter = pstdev(figures) * math.sqrt(1 - trend.straightness) / mean
    return Course(name, fmean(figures[:edge]), fmean(figures[-edge:]), trend.per_s * 3600, growth, scatter)


def section(samples: Sequence[Sample]) -> Section:
    """Return the table."""
    found = courses(samples)
    how = "By least squares, from when a third of the time is over; sizes in bytes."
    return Section("What it takes up", how, _HEADER, tuple(course.row() for course in found), tuple(found))
