"""relay destinations."""

from typing import Any
from urllib.parse import quote

import click

from relay.cli import output
from relay.cli.common import client_of
from relay.cli.exit_codes import ExitCode
from relay.cli.groups import ListingGroup
from relay.cli.preview import preview

_TRIAL_S = 30.0
"""How long to wait for a trial: longer than the daemon waits for the destination."""


@click.group(cls=ListingGroup)
def destinations() -> None:
    """See the destinations of the configuration, and try one; without a command, ls.

    \b
    Example:
      relay destinations test ops
    """


destinations.add_command(preview)


@destinations.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one destination a line.")
@click.pass_context
def ls(ctx: click.Context, as_json: bool) -> int:
    """List the destinations and how they are; their URLs are secrets and stay with the daemon.

    Hosts of callback URLs come with it where something is wrong with them.

    \b
    Example:
      relay destinations ls --json
    """
    told = client_of(ctx).get("/v1/destinations")
    hosts = ({**item, "name": item["host"], "type": "callback host"} for item in told["callback_hosts"])
    found = [*told["items"], *hosts]
    headers = ("name", "type", "condition", "held", "since", "why")
    return output.listing(found, headers, _row, as_json=as_json, filtered=False)


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    return (
        item["name"],
        item["type"],
        item["condition"],
        str(item["held"]),
        output.when(item["since"]) if item["since"] else "",
        item["detail"] or "",
    )


@destinations.command("enable")
@click.argument("name")
@click.pass_context
def enable(ctx: click.Context, name: str) -> int:
    """Use a destination again that was switched off; what it holds follows once one delivery has arrived.

    \b
    Example:
      relay destinations enable ops
    """
    told = client_of(ctx).post(f"/v1/destinations/{quote(name, safe='')}/enable")
    output.say(f"{name}: is tried again now" if told["enabled"] else f"{name}: was in use already")
    return ExitCode.OK


@destinations.command("test")
@click.argument("name")
@click.pass_context
def test(ctx: click.Context, name: str) -> int:
    """Send a test message to a destination at once; exits with 1 where it does not arrive.

    \b
    Example:
      relay destinations test ops
    """
    told = client_of(ctx).post(f"/v1/destinations/{quote(name, safe='')}/test", timeout_s=_TRIAL_S)
    if told["delivered"]:
        click.echo(f"{name}: delivered")
        return ExitCode.OK
    output.error(f"{name}: not delivered: {told['reason']}")
    return ExitCode.ERROR
