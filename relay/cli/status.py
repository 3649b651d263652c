"""relay status."""

from collections.abc import Iterator
from typing import Any

import click

from relay.cli import output
from relay.cli.client import ApiError, Client
from relay.cli.common import client_of
from relay.cli.exit_codes import ExitCode, of_problem
from relay.core.duration import format_duration
from relay.core.text import one_line


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit code tells.")
@click.pass_context
def status(ctx: click.Context, as_json: bool, quiet: bool) -> int:
    """Tell whether the daemon is well, and what it is at; exits with 1 where it is not well.

    Without a token that may read, only the former.

    \b
    Examples:
      relay status || journalctl -u relay --since -10min
      relay status --json | jq .oldest_pending_s
    """
    client = client_of(ctx)
    found = client.readiness()
    if not quiet:
        found |= _details(client)
        if as_json:
            output.json_line(found)
        else:
            _tell(found)
    return ExitCode.OK if found["status"] == "ready" else ExitCode.ERROR


def _details(client: Client) -> dict[str, Any]:
    try:
        return dict(client.get("/v1/status"))
    except ApiError as error:
        lacking = " without a token that may read" if of_problem(error.status) is ExitCode.AUTH else ""
        output.say(one_line(f"no more{lacking}: {error}"))
        return {}


def _tell(found: dict[str, Any]) -> None:
    click.echo(one_line(found["status"]))
    for name, check in found["checks"].items():
        _line(name, "ok" if check["ok"] else str(check["detail"]))
    if "version" in found:
        for name, text in _lines(found):
            _line(name, text)


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "relay", f"{found['version']}, started {output.when(found['started_at'])}"
    refused = "; the file on disk was refused since: relay config check" if found["config"]["refused"] else ""
    yield "configuration", f"read {output.when(found['config']['loaded_at'])}{refused}"
    yield "watches", _counted(found["watches"], "none live")
    yield "deliveries", _counted(found["deliveries"], "none owed")
    if found["oldest_pending_s"] is not None:
        yield "oldest pending", format_duration(found["oldest_pending_s"])
    yield "database", output.size(found["database_bytes"])
    for provider in found["providers"]:
        late = f", polls {format_duration(provider['due_lag_s'])} late" if provider["due_lag_s"] >= 1 else ""
        yield f"provider {provider['name']}", f"{provider['standing']}{late}"


def _counted(numbers: dict[str, int], nothing: str) -> str:
    return ", ".join(f"{number} {name}" for name, number in numbers.items() if number) or nothing


def _line(name: str, text: str) -> None:
    click.echo(f"  {one_line(name):<19} {one_line(text)}")
