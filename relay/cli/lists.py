"""Lists of what the daemon holds: how much of one is shown."""

import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import click

from relay.cli import output
from relay.cli.client import Client
from relay.cli.exit_codes import ExitCode

SCREENFUL = 50
"""How much of a list a person is shown who does not say how much."""

CommandT = TypeVar("CommandT", bound=Callable[..., object])


def limited(command: CommandT) -> CommandT:
    """Let a command take `limit` and `everything`."""
    everything = click.option("--all", "everything", is_flag=True, help="All, however many.")
    limit = click.option(
        "--limit",
        type=click.IntRange(1),
        help=f"At most so many; on a terminal {SCREENFUL} unless said otherwise, elsewhere and with --json all.",
    )
    return limit(everything(command))


def at_most(limit: int | None, otherwise: int | None = None, *, everything: bool) -> int | None:
    """Return how many items are wanted, None for all; raises UsageError where both are said."""
    if everything and limit is not None:
        raise click.UsageError("choose --all or --limit")
    return None if everything else limit or otherwise


def show(
    client: Client,
    path: str,
    query: Mapping[str, object],
    headers: Sequence[str],
    row: Callable[[dict[str, Any]], Sequence[str]],
    *,
    limit: int | None,
    everything: bool,
    as_json: bool,
) -> ExitCode:
    """Print a list of the API: for a program all of it, as it comes; for a person a screenful, and if there is more."""
    if as_json or not sys.stdout.isatty():
        items = client.pages(path, query, at_most(limit, everything=everything))
        return output.listing(items, headers, row, as_json=as_json, filtered=bool(query))
    most = at_most(limit, SCREENFUL, everything=everything)
    items = client.pages(path, query, None if most is None else most + 1)
    code = output.listing(islice(items, most), headers, row, as_json=False, filtered=bool(query))
    if next(items, None) is not None:
        output.say(f"there are more than these {most}: --all shows them")
    return code
