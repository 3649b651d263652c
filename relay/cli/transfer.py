"""relay export and import."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

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
"""Watches, and bytes of them, in one request: the API takes twice as much, and of one watch much less."""


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
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--owner", metavar="NAME", help="Watch them for the tokens of this name, whatever the lines say.")
@click.pass_context
def import_(ctx: click.Context, file: BinaryIO, owner: str | None) -> int:
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
    for batch in _batches(_lines(file, stated)):
        for line, result in zip(batch, _results(client, batch), strict=True):
            created += result.get("status") == 201
            known += result.get("status") == 200
            if "problem" in result:
                refused += 1
                output.error(f"line {line.number}: {result['problem']['detail']}")
    output.say(f"{created} watched anew, {known} already, {refused} refused")
    return ExitCode.ERROR if refused else ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Line:
    """A line with the request that it makes and the bytes of that, or with what is wrong with it."""

    number: int
    request: dict[str, Any] = field(default_factory=dict)
    length: int = 0
    fault: str | None = None


def _results(client: Client, batch: list[_Line]) -> Iterator[dict[str, Any]]:
    watches = [line.request for line in batch if line.fault is None]
    answers = iter(client.post("/v1/watches/batch", {"watches": watches})["items"] if watches else ())
    for line in batch:
        yield next(answers) if line.fault is None else {"problem": {"detail": line.fault}}


def _request(watch: dict[str, Any]) -> dict[str, Any]:
    request = {name: watch[name] for name in _FIELDS if watch.get(name) not in (None, {}, [])}
    if request.get("callback_urls") == [request.get("callback_url")]:
        del request["callback_urls"]  # a relay that knows one of each watch takes it, too
    return request


def _lines(file: BinaryIO, stated: dict[str, str]) -> Iterator[_Line]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield _line(number, line, stated)


def _line(number: int, line: bytes, stated: dict[str, str]) -> _Line:
    try:
        watch = json.loads(line.decode("utf-8-sig"))
        if not isinstance(watch, dict):
            return _Line(number, fault="is not a JSON object")
        request = _request(watch) | stated
        length = len(json.dumps(request, ensure_ascii=False, allow_nan=False).encode())
    except UnicodeError:
        return _Line(number, fault="is not text in UTF-8")
    except (ValueError, RecursionError):
        return _Line(number, fault="is not a JSON object")
    return _Line(number, request, length, "is longer than a watch can be" if length > _BATCH_BYTES else None)


def _batches(lines: Iterable[_Line]) -> Iterator[list[_Line]]:
    batch: list[_Line] = []
    for line in lines:
        if len(batch) == _BATCH or sum(each.length for each in batch) + line.length > _BATCH_BYTES:
            yield batch
            batch = []
        batch.append(line)
    yield batch
