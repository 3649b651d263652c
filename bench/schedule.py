"""How well the schedule places polls: the production model and policy on simulated jobs of many shapes.

Prints the tables and writes SCHEDULE.md, schedule.json and schedule.svg beside
itself.  All figures but the speed come from seeds: the same everywhere.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.inspection import speed
from bench.inspection.crowd import Crowd, gather
from bench.inspection.exact import PRICE_S
from bench.inspection.figures import Extent, Figures, measure
from bench.inspection.plot import draw
from bench.inspection.replay import TYPICAL_S
from bench.inspection.report import tables
from bench.inspection.shapes import SHAPES

HERE = Path(__file__).parent
FULL = Extent(seeds=10, lag_seeds=5, jobs=1000)
QUICK = Extent(seeds=2, lag_seeds=1, jobs=1000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and unless in a hurry write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two seeds, printed only")
    quick = parser.parse_args(arguments).quick
    started = time.monotonic()
    figures = measure(QUICK if quick else FULL, workers=os.cpu_count() or 1)
    crowds = [gather(shape) for shape in SHAPES.values() if shape.stationary]
    text = tables(figures, crowds, speed.measure())
    print(text)
    if not quick:
        write(figures, crowds, text)
    print(f"took {time.monotonic() - started:.0f} s")
    return 0


def write(figures: Sequence[Figures], crowds: Sequence[Crowd], text: str) -> None:
    """Write the report, the data and the plot."""
    before, after = ((HERE / "inspection" / name).read_text("utf-8") for name in ("preamble.md", "misses.md"))
    (HERE / "SCHEDULE.md").write_text(f"{before}\n{text}\n{after}", "utf-8")
    (HERE / "schedule.json").write_text(json.dumps(data(figures, crowds), indent=1) + "\n", "utf-8")
    draw(figures, HERE / "schedule.svg")


def data(figures: Sequence[Figures], crowds: Sequence[Crowd]) -> object:
    """Return the figures as JSON has them, to four digits."""
    shapes, sharing = ([_rounded(asdict(item)) for item in items] for items in (figures, crowds))
    return {"price_s": PRICE_S, "typical_s": TYPICAL_S, **asdict(FULL), "shapes": shapes, "crowds": sharing}


def _rounded(value: object) -> object:
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {str(key): _rounded(item) for key, item in value.items()}
    return value


if __name__ == "__main__":
    sys.exit(main())
