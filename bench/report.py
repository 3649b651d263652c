"""Results as tables for a person and as JSON for programs."""

import json
import os
import platform
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("aiohttp", "aiosqlite", "APScheduler", "multidict", "pydantic", "structlog", "yarl")


_HEAD = """# How fast relay is

Written by the program that measured it.  Rates are this machine's, and those of whatever else it was doing;
ratios compare what took turns with it in the same run, and are what to go by.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One table: what was measured, how, the cells, and the figures behind them (dataclasses, numbers, texts)."""

    title: str
    how: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    data: object


def number(value: float) -> str:
    """Return a figure with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(found: Section) -> str:
    """Return a section as it is read in a terminal."""
    widths = [max(map(len, column)) for column in zip(found.header, *found.rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in _all_rows(found)]
    return "\n".join(["", found.title, *(line.rstrip() for line in lines)])


def _markdown(found: Section) -> str:
    """Return a section as it stands in a document."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in _all_rows(found)]
    lines.insert(1, "|" + " --- |" * len(found.header))
    return "\n".join([f"## {found.title}", "", found.how, "", *lines, ""])


def _all_rows(found: Section) -> Iterable[Sequence[str]]:
    return found.header, *found.rows


def _machine() -> dict[str, str]:
    """Return what the figures were measured on."""
    cores = os.cpu_count() or 1
    return {
        "processor": f"{_processor()}, {cores} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def write(folder: Path, sections: Sequence[Section], command: str) -> None:
    """Write results.json and RESULTS.md into a folder."""
    folder.mkdir(exist_ok=True)
    whole = {"command": command, "machine": _machine(), "sections": [_plain(each) for each in sections]}
    (folder / "results.json").write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    where = "\n".join(f"- {name}: {value}" for name, value in _machine().items())
    body = "\n".join(_markdown(each) for each in sections)
    text = f"{_HEAD}\nMeasured by `{command}` on\n\n{where}\n\n{body}"
    (folder / "RESULTS.md").write_text(text.rstrip() + "\n", "utf-8")


def _plain(value: object) -> object:
    """Return dataclasses and figures as JSON has them, to five digits."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    match value:
        case float():
            return float(f"{value:.5g}")
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return value


def tell(line: str) -> None:
    """Tell a person how far it is."""
    print(line, file=sys.stderr, flush=True)
