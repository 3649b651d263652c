"""Comparisons that a busy machine cannot spoil: both sides take turns in one run, and only their ratio counts.

A machine that is slow for a while is slow for both halves of a round.  The
median of the rounds' ratios is the figure; the least and the greatest tell how
much to believe it.
"""

import cProfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.report import Section, number


@dataclass(frozen=True, slots=True)
class Take:
    """What one side did in its half of a round; `cpu_s` is that of the process which is measured."""

    operations: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Operations per second."""
        return self.operations / self.wall_s

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU per operation."""
        return self.cpu_s / self.operations * 1e6


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of each side, one right after the other."""

    ours: Take
    bare: Take

    @property
    def ratio(self) -> float:
        """Our rate over the baseline's: 1 is as fast."""
        return self.ours.rate / self.bare.rate

    @property
    def cpu_ratio(self) -> float:
        """Our CPU per operation over the baseline's: 1 is as cheap."""
        return self.ours.cpu_us / self.bare.cpu_us


@dataclass(frozen=True, slots=True)
class Spread:
    """The least, the middle and the greatest of some figures."""

    least: float
    middle: float
    most: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        """Return that of at least one figure."""
        return cls(min(figures), median(figures), max(figures))

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.least:.2f} to {self.most:.2f})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rounds of one operation against its baseline; `target` is the ratio to reach, where one was set."""

    operation: str
    baseline: str
    rounds: tuple[Round, ...]
    target: float | None = None

    @property
    def ratio(self) -> Spread:
        """Our rate over the baseline's."""
        return Spread.of([turn.ratio for turn in self.rounds])

    @property
    def cpu_ratio(self) -> Spread:
        """Our CPU per operation over the baseline's."""
        return Spread.of([turn.cpu_ratio for turn in self.rounds])

    @property
    def rate(self) -> float:
        """Our rate in the middle round."""
        return median(turn.ours.rate for turn in self.rounds)

    def row(self) -> tuple[str, ...]:
        """Return the cells of HEADER."""
        return (
            self.operation,
            number(self.rate),
            f"{number(median(turn.bare.rate for turn in self.rounds))}: {self.baseline}",
            str(self.ratio),
            "" if self.target is None else f"{self.target:g}",
            f"{median(turn.ours.cpu_us for turn in self.rounds):.0f}",
            str(self.cpu_ratio),
        )


HEADER = (
    "operation",
    "per second",
    "baseline, per second",
    "ratio (range)",
    "target",
    "CPU us each",
    "CPU ratio (range)",
)


def section(title: str, how: str, comparisons: Sequence[Comparison]) -> Section:
    """Return the table of some comparisons."""
    return Section(title, how.strip(), HEADER, tuple(each.row() for each in comparisons), tuple(comparisons))


class Stopwatch:
    """Takes the time and the CPU of a process, by default this one, from when it is made."""

    def __init__(self, cpu: Callable[[], float] = time.process_time) -> None:
        self._cpu = cpu
        self._cpu_s = cpu()
        self._began = time.perf_counter()

    def take(self, operations: int) -> Take:
        """Return what has passed, as spent on so many operations."""
        wall_s = time.perf_counter() - self._began
        return Take(operations, wall_s, self._cpu() - self._cpu_s)


@contextmanager
def profiling(report: Path | None) -> Iterator[cProfile.Profile | None]:
    """Give a profile that is written to a file at the end, where one is wanted, for pstats and viewers."""
    if report is None:
        yield None
        return
    profile = cProfile.Profile()
    yield profile
    profile.dump_stats(report)


Side = Callable[[], Awaitable[Take]]


async def rounds(number_of: int, ours: Side, bare: Side, profile: cProfile.Profile | None = None) -> tuple[Round, ...]:
    """Let both sides take turns: ours, bare, ours, bare; a first round warms both up and does not count.

    `profile` sees our side only, and slows it down: its ratios mean nothing.
    """
    await ours()
    await bare()
    done = []
    for _ in range(number_of):
        if profile is not None:
            profile.enable()
        our_take = await ours()
        if profile is not None:
            profile.disable()
        done.append(Round(our_take, await bare()))
    return tuple(done)
