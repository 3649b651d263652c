"""How the command line shows things: tables for people, lines for programs."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from relay.cli.exit_codes import ExitCode
from relay.core.duration import format_duration
from relay.core.text import one_line

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {
    "completed": "green",
    "delivered": "green",
    "failed": "red",
    "exhausted": "red",
    "cancelled": "yellow",
    "expired": "yellow",
    "not_found": "yellow",
    "timed_out": "yellow",
    "running": "cyan",
}
"""The colours of states, of watches and of deliveries."""


WHOLE = 100_000
"""How much of a text is shown where it must not be cut: signed URLs are long, and programs compare ids."""
_CELL = 500


def say(text: str) -> None:
    """Tell a person something beside the data."""
    click.echo(text, err=True)


def error(sentence: str, hint: str | None = None) -> None:
    """Tell a person what went wrong, and what may help."""
    say(f"error: {one_line(sentence, 2000)}")
    if hint:
        say(f"hint: {hint}")


def json_line(value: object) -> None:
    """Print one JSON value on a line of its own, in ASCII: what a terminal would obey is escaped."""
    click.echo(json.dumps(value))


def field(name: str, value: object) -> None:
    """Print one thing of many that are told of something, where there is anything to tell."""
    if value not in (None, ""):
        click.echo(f"{one_line(name, WHOLE):<17} {one_line(str(value), WHOLE)}")


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows: a table for a terminal, tab-separated without a header otherwise."""
    if not sys.stdout.isatty():
        for row in rows:
            tabbed(row)
        return
    from rich.console import Console

    Console().print(drawn(headers, rows))


def tabbed(row: Sequence[str]) -> None:
    """Print a row for a program."""
    click.echo("\t".join(one_line(cell, WHOLE) for cell in row))


def drawn(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> "Table":
    """Return rows as a table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="dim")
    for header in headers:
        shown.add_column(header.upper(), overflow="fold")
    for row in rows:
        shown.add_row(*(Text(one_line(cell, _CELL), style=COLOURS.get(cell, "")) for cell in row))
    return shown


def listing(
    items: Iterable[dict[str, Any]],
    headers: Sequence[str],
    row: Callable[[dict[str, Any]], Sequence[str]],
    *,
    as_json: bool,
    filtered: bool,
) -> ExitCode:
    """Print items, for a program as they come; a filter that leaves none of them is told by the exit code."""
    found = 0
    if as_json or not sys.stdout.isatty():
        for found, item in enumerate(items, 1):  # noqa: B007 - the last number is how many there were
            if as_json:
                json_line(item)
            else:
                tabbed(row(item))
    else:
        rows = [row(item) for item in items]
        found = len(rows)
        if rows:
            table(headers, rows)
    if not found and (filtered or sys.stdout.isatty()):
        say("nothing matches" if filtered else "there is nothing yet")
    return ExitCode.NOT_FOUND if filtered and not found else ExitCode.OK


def instant(text: str | None) -> float | None:
    """Return the Unix time of what the API writes, or None."""
    return unix(text) if text else None


def unix(text: str) -> float:
    """Return the Unix time of what the API writes."""
    return datetime.fromisoformat(text).timestamp()


def wall_clock() -> float:
    """Return the Unix time of a person's clock, on their own terminal."""
    return time.time()  # noqa: TID251 - no daemon runs here


def ago(text: str | None) -> str:
    """Return how long ago an instant was, or how far ahead it is."""
    moment = instant(text)
    if moment is None:
        return "-"
    distance = wall_clock() - moment
    return f"{format_duration(distance)} ago" if distance >= 0 else f"in {format_duration(-distance)}"


def when(text: str | None) -> str:
    """Return an instant as this output wants it: relative for a terminal, as it is otherwise."""
    return ago(text) if sys.stdout.isatty() else text or ""


def size(number: int) -> str:
    """Return bytes as a person reads them, as in ``1.5 MiB``."""
    value, unit = float(number), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"


def summary(watch: dict[str, Any]) -> str:
    """Return what a person wants to know of an ended watch: the first output, or why there is none."""
    outputs, error = watch.get("outputs") or [], watch.get("error") or {}
    if outputs:
        return str(outputs[0]["url"])
    return str(error.get("user_message") or error.get("message") or error.get("code") or "")
