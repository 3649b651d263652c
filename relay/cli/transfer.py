"""relay export and import."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO

import click

from relay.cli import output
from relay.cli.client import Client
from relay.cli.common import client_of
from relay.cli.exit_codes import ExitCode

_LIVE = ("queued", "running")
_FIELDS = (
    "provider",
    "job_id",
    "params",
    "callback_url",
    "callback_urls",
    "destinations",
    "deadline",
    "metadata",
    "owner",
)
"""What makes a watch again; the rest of what is shown came of watching."""
_BATCH = 500
_BATCH_BYTES = 2 * 1024 * 1024
"""Watches, and bytes of them, in one request: the API takes twice as much."""


@click.command("export")
@click.option("--provider", help="Of one provider.")
@click.pass_context
def export(ctx: click.Context, provider: str | None) -> int:
    """Print the watches that have not ended, one JSON object a line, for `relay import`.

    To move everything, history and undelivered events included, use
    `relay db backup`.  A password within a callback URL is left out.

    \b
    Examples:
      relay export > watches.ndjson
      relay export --provider getimg | relay --url http://other:8377 import -
    """
    query: dict[str, object] = {"status": list(_LIVE)} | ({"provider": provider} if provider else {})
    for watch in client_of(ctx).pages("/v1/watches", query, None):
        output.json_line(_request(watch))
    return ExitCode.OK


@click.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8", errors="replace"), default="-")
@click.option("--owner", metavar="NAME", help="Watch them for the tokens of this name, whatever the lines say.")
@click.pass_context
def import_(ctx: click.Context, file: TextIO, owner: str | None) -> int:
    """Watch the jobs of FILE, as `relay export` or `relay ls --json` print them; - is standard input.

    A job that is watched already stays as it is, so importing twice is
    importing once.  A line that is refused is told, and keeps no other from its
    place; the exit code is 1 then.

    For an admin, as over the socket, each is watched for the tokens of the owner
    that its line names; another token watches for itself, and may name none.

    \b
    Examples:
      relay import watches.ndjson
      relay import watches.ndjson --owner shop
      relay export | ssh other relay import
    """
    client, created, known, refused = client_of(ctx), 0, 0, 0
    stated = {} if owner is None else {"owner": owner}
    for batch in _batches(_lines(file)):
        for line, result in zip(batch, _results(client, batch, stated), strict=True):
            created += result.get("status") == 201
            known += result.get("status") == 200
            if "problem" in result:
                refused += 1
                output.error(f"line {line.number}: {result['problem']['detail']}")
    output.say(f"{created} watched anew, {known} already, {refused} refused")
    return ExitCode.ERROR if refused else ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that holds a watch, or None where it does not."""

    number: int
    length: int
    watch: dict[str, Any] | None


def _results(client: Client, batch: list[_Line], stated: dict[str, str]) -> Iterator[dict[str, Any]]:
    watches = [_request(line.watch) | stated for line in batch if line.watch is not None]
    answers = iter(client.post("/v1/watches/batch", {"watches": watches})["items"] if watches else ())
    for line in batch:
        yield next(answers) if line.watch is not None else {"problem": {"detail": "is not a JSON object"}}


def _request(watch: dict[str, Any]) -> dict[str, Any]:
    request = {name: watch[name] for name in _FIELDS if watch.get(name) not in (None, {}, [])}
    if request.get("callback_urls") == [request.get("callback_url")]:
        del request["callback_urls"]  # a relay that knows one of each watch takes it, too
    return request


def _lines(file: TextIO) -> Iterator[_Line]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                watch = json.loads(line)
            except (ValueError, RecursionError):
                watch = None
            yield _Line(number, len(line), watch if isinstance(watch, dict) else None)


def _batches(lines: Iterable[_Line]) -> Iterator[list[_Line]]:
    batch: list[_Line] = []
    for line in lines:
        if len(batch) == _BATCH or sum(each.length for each in batch) + line.length > _BATCH_BYTES:
            yield batch
            batch = []
        batch.append(line)
    yield batch
