"""relay reload."""

from typing import Any

import click

from relay.cli import output
from relay.cli.client import ApiError
from relay.cli.common import client_of
from relay.cli.exit_codes import ExitCode

_REFUSED = "urn:relay:problem:config-refused"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def reload(ctx: click.Context, as_json: bool) -> int:
    """Let the daemon take over its configuration as it is on disk now, without a restart.

    All of it is taken over, or nothing: a file that is wrong is reported as
    `relay config check` does, the exit code is 78, and what runs goes on.

    \b
    Examples:
      relay reload
      relay config check && relay reload
    """
    try:
        changed = client_of(ctx).post("/v1/reload")
    except ApiError as error:
        if error.problem.get("type") != _REFUSED:
            raise
        click.echo(str(error), err=True)
        output.error("the running configuration was kept")
        return ExitCode.CONFIG
    if as_json:
        output.json_line(changed)
    else:
        _tell(changed)
    return ExitCode.OK


def _tell(changed: dict[str, Any]) -> None:
    told = [
        f"{kind} {', '.join(sign + name for sign, key in _SIGNS for name in changed[kind][key])}"
        for kind in ("providers", "destinations")
        if any(changed[kind].values())
    ]
    told += changed["sections"]
    click.echo(f"reloaded: {'; '.join(told) or 'nothing changed but, perhaps, secrets'}")
    if changed["needs_restart"]:
        output.say(f"holds from the next start on: {', '.join(changed['needs_restart'])}")


_SIGNS = (("+", "added"), ("-", "removed"), ("~", "changed"))
