"""The figures in words and tables."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.inspection.crowd import JOBS_PER_S, POLLS_PER_S, Crowd
from bench.inspection.figures import EQUAL_MARKS, LAG_MARKS, MARKS, WANTED_LAGS_S, Figures, Series
from bench.inspection.speed import Speed


@dataclass(frozen=True)
class Target:
    """A figure to reach: at most `limit`."""

    text: str
    reached: float
    limit: float

    @property
    def met(self) -> bool:
        return self.reached <= self.limit


def targets(figures: Sequence[Figures]) -> list[Target]:
    """Return the figures to reach, and what was reached."""
    stationary = [shape for shape in figures if shape.stationary]
    after_200 = (shape.ratio[mark] for shape in stationary for mark in shape.ratio if mark >= 200)
    equal_lag = (share for shape in figures for share in shape.polls_at_equal_lag.values())
    return [
        Target("cost after 50 jobs, average of the stationary shapes", average(stationary, 50), 1.05),
        Target("cost after 50 jobs, the same without the queue", average(_without_queue(stationary), 50), 1.05),
        Target("cost after 50 jobs, average of all shapes", average(figures, 50), 1.05),
        Target("cost after 1,000 jobs, average of the stationary shapes", average(stationary, 1000), 1.02),
        Target("cost after 1,000 jobs, the same without the queue", average(_without_queue(stationary), 1000), 1.02),
        Target("cost after 1,000 jobs, average of all shapes", average(figures, 1000), 1.02),
        Target("cost from 200 jobs on, worst stationary shape", max(after_200), 1.10),
        Target("polls at the lag of fixed 5 s, worst shape at any number of jobs", max(equal_lag), 1.10),
        *(
            Target(
                f"mean lag against the wanted after {_number(mark)} jobs, largest deviation of any shape",
                max(abs(lags[mark] - 1) for shape in stationary for lags in shape.lags.values()),
                0.10,
            )
            for mark in (200, 1000)
        ),
        Target(
            "mean lag against the wanted after 1,000 jobs, average deviation",
            statistics.fmean(abs(lags[1000] - 1) for shape in stationary for lags in shape.lags.values()),
            0.10,
        ),
    ]


def average(figures: Iterable[Figures], mark: int) -> float:
    """Return the mean cost ratio of shapes after `mark` jobs."""
    return statistics.fmean(shape.ratio[mark] for shape in figures)


def _without_queue(figures: Iterable[Figures]) -> list[Figures]:
    """Return the shapes whose optimum knows no less than relay is told."""
    return [shape for shape in figures if shape.name != "queue"]


def tables(figures: Sequence[Figures], crowds: Sequence[Crowd], speed: Speed) -> str:
    """Return all tables, in Markdown."""
    changing = [shape for shape in figures if shape.recovery is not None]
    sections = [
        ("Figures to reach", _targets(figures)),
        ("Cost against the informed optimum", _ratios(figures, lambda shape: shape.ratio, averages=True)),
        ("The same, worst seed", _ratios(figures, lambda shape: shape.worst, averages=False)),
        ("Against fixed 5 s, at equal lag or equal polls", _equals(figures)),
        ("Mean lag over the lag that was wanted", _lags(figures)),
        (
            "Jobs after a step change until the cost is below 1.10 for good",
            _table(
                ("durations", "mean of the seeds", "worst seed"),
                [(shape.title, str(shape.recovery), str(shape.worst_recovery or "-")) for shape in changing],
            ),
        ),
        ("Many jobs under one rate", _crowds(crowds)),
        (
            "Speed, on the machine that wrote this",
            f"{speed.decisions_per_s:,.0f} decisions per second, {speed.belief_us:,.0f} microseconds to form a belief.",
        ),
    ]
    return "\n\n".join(f"## {title}\n\n{body}" for title, body in sections) + "\n"


def _targets(figures: Sequence[Figures]) -> str:
    rows = [
        (target.text, f"{target.limit:.2f}", f"{target.reached:.3f}", "met" if target.met else "**missed**")
        for target in targets(figures)
    ]
    return _table(("figure", "at most", "reached", ""), rows)


def _ratios(figures: Sequence[Figures], of: Callable[[Figures], Series], *, averages: bool) -> str:
    rows = [(shape.title, *_costs([shape], of), f"{shape.best_interval_s:.1f} s") for shape in figures]
    if averages:
        stationary = [shape for shape in figures if shape.stationary]
        for title, group in (
            ("average of the stationary", stationary),
            ("the same without the queue", _without_queue(stationary)),
            ("average of all", figures),
        ):
            rows.append((f"**{title}**", *_costs(group, of), ""))
    heads = ("durations", *map(_number, MARKS), "fixed 5 s", "best fixed", "back-off", "best interval")
    return _table(heads, rows)


def _costs(group: Sequence[Figures], of: Callable[[Figures], Series]) -> list[str]:
    """Return the mean of shapes at each mark, and of what they are compared with at the last."""
    baselines = ([shape.fixed for shape in group], [shape.best for shape in group], [shape.back_off for shape in group])
    return [
        *(f"{statistics.fmean(of(shape)[mark] for shape in group):.3f}" for mark in MARKS),
        *(f"{statistics.fmean(series[MARKS[-1]] for series in baseline):.2f}" for baseline in baselines),
    ]


def _equals(figures: Sequence[Figures]) -> str:
    rows = [
        (
            shape.title,
            f"{shape.fixed_lag_s:.2f} s, {shape.fixed_polls:.1f}",
            *(_percent(shape.polls_at_equal_lag[mark]) for mark in MARKS),
            *(_percent(shape.lag_at_equal_polls[mark]) for mark in EQUAL_MARKS),
        )
        for shape in figures
    ]
    heads = ("durations", "fixed 5 s: lag, polls", *(f"polls, {_number(mark)}" for mark in MARKS))
    return _table((*heads, *(f"lag, {_number(mark)}" for mark in EQUAL_MARKS)), rows)


def _lags(figures: Sequence[Figures]) -> str:
    rows = [
        (
            shape.title,
            *(f"{shape.lags[wanted][mark]:.2f}" for wanted in WANTED_LAGS_S for mark in LAG_MARKS),
        )
        for shape in figures
        if shape.lags
    ]
    heads = (f"{wanted:.0f} s, {_number(mark)}" for wanted in WANTED_LAGS_S for mark in LAG_MARKS)
    return _table(("durations", *heads), rows)


def _crowds(crowds: Sequence[Crowd]) -> str:
    how = (
        f"Lag where {JOBS_PER_S:g} jobs a second share {POLLS_PER_S:g} polls a second: "
        "on average, and of 19 in 20 at most.\n"
        "Taking turns spends the same polls, and is the best that can be done where jobs end at any age alike."
    )
    rows = [
        (
            crowd.title,
            f"{crowd.turns_s:.1f} s, {crowd.turns_p95_s:.0f} s",
            f"{crowd.need_s:.1f} s, {crowd.need_p95_s:.0f} s",
            f"{crowd.need_s / crowd.turns_s:.2f}",
        )
        for crowd in crowds
    ]
    return f"{how}\n\n{_table(('durations', 'all in turn', 'relay', 'ratio'), rows)}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(mark: int) -> str:
    return f"{mark:,}"


def _percent(share: float) -> str:
    return f"{(share - 1) * 100:+.0f} %".replace("-", "\N{MINUS SIGN}")
