"""A list that is shown over and over."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from relay.cli import output
from relay.cli.client import ApiError, Client, Unreachable
from relay.core.text import one_line

_EVERY_S = 2.0
_UNWELL = 500

Fetch = Callable[[], Iterable[dict[str, Any]]]
Row = Callable[[dict[str, Any]], Sequence[str]]


def follow(client: Client, fetch: Fetch, headers: Sequence[str], row: Row, *, as_json: bool) -> NoReturn:
    """Show a list until interrupted.

    A terminal is redrawn; elsewhere a line is printed for each item that is new
    or has another status.  A daemon that is away for a while is waited for;
    raises Unreachable where none ever answered, and ApiError.
    """
    if sys.stdout.isatty() and not as_json:
        _redraw(client, fetch, headers, row)
    seen: dict[str, str] = {}
    while True:
        for item in reversed(_fetched(client, fetch)):
            if seen.get(item["id"]) != item["status"]:
                seen[item["id"]] = item["status"]
                if as_json:
                    output.json_line(item)
                else:
                    output.tabbed(row(item))
        sys.stdout.flush()
        _pause()


def _redraw(client: Client, fetch: Fetch, headers: Sequence[str], row: Row) -> NoReturn:
    from rich.live import Live

    with Live(auto_refresh=False) as screen:
        while True:
            screen.update(output.drawn(headers, [row(item) for item in _fetched(client, fetch)]), refresh=True)
            _pause()


def _fetched(client: Client, fetch: Fetch) -> list[dict[str, Any]]:
    told = False
    while True:
        try:
            return list(fetch())
        except (ApiError, Unreachable) as error:
            if not client.answered or (isinstance(error, ApiError) and error.status < _UNWELL):
                raise
            if not told:
                output.say(one_line(f"{error}; waiting for it"))
                told = True
            _pause()


def _pause() -> None:
    time.sleep(_EVERY_S)  # a person's clock, on their own terminal
