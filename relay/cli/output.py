"""How the command line shows things: tables for people, lines for programs."""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click

from relay.core.duration import format_duration
from relay.core.text import one_line

_COLOURS = {
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


def say(text: str) -> None:
    """Tell a person something beside the data."""
    click.echo(text, err=True)


def json_line(value: object) -> None:
    """Print one JSON value on a line of its own."""
    click.echo(json.dumps(value, ensure_ascii=False))


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows: a table for a terminal, tab-separated without a header otherwise."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(one_line(cell, 500) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="dim")
    for header in headers:
        shown.add_column(header.upper(), overflow="fold")
    for row in rows:
        shown.add_row(*(Text(one_line(cell, 500), style=_COLOURS.get(cell, "")) for cell in row))
    Console().print(shown)


def instant(text: str | None) -> float | None:
    """Return the Unix time of what the API writes, or None."""
    return datetime.fromisoformat(text).timestamp() if text else None


def ago(text: str | None) -> str:
    """Return how long ago an instant was, or how far ahead it is."""
    moment = instant(text)
    if moment is None:
        return "-"
    distance = time.time() - moment  # noqa: TID251 - a person's clock, on their own terminal
    return f"{format_duration(distance)} ago" if distance >= 0 else f"in {format_duration(-distance)}"


def when(text: str | None) -> str:
    """Return an instant as this output wants it: relative for a terminal, as it is otherwise."""
    return ago(text) if sys.stdout.isatty() else text or ""


def summary(watch: dict[str, Any]) -> str:
    """Return what a person wants to know of an ended watch: the first output, or why there is none."""
    outputs, error = watch.get("outputs") or [], watch.get("error") or {}
    if outputs:
        return str(outputs[0]["url"])
    return str(error.get("user_message") or error.get("message") or error.get("code") or "")
