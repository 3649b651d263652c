"""relay deliveries."""

from typing import Any

import click

from relay.cli import output
from relay.cli.client import delivery_path
from relay.cli.common import client_of, for_each, resolve
from relay.cli.exit_codes import ExitCode
from relay.cli.groups import ListingGroup
from relay.core.text import one_line


@click.group(cls=ListingGroup)
def deliveries() -> None:
    """See what was delivered, and send it again; without a command, ls.

    \b
    Examples:
      relay deliveries --state exhausted
      relay deliveries show dlv_...
      relay deliveries resend dlv_...
    """


@deliveries.command("ls")
@click.option("--state", multiple=True, help="pending, held, delivered, exhausted or dropped; may be repeated.")
@click.option("--watch", "reference", metavar="ID", help="Of one watch.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one delivery a line.")
@click.pass_context
def ls(ctx: click.Context, state: tuple[str, ...], reference: str | None, limit: int, as_json: bool) -> int:
    """List deliveries, newest first.

    \b
    Examples:
      relay deliveries ls --state pending --state exhausted
      relay deliveries ls --watch getimg:req-01HXYZVIDEO1234 --json
    """
    client = client_of(ctx)
    query: dict[str, object] = {"watch": resolve(client, reference)} if reference else {}
    if state:
        query["state"] = list(state)
    return output.listing(
        client.pages("/v1/deliveries", query, limit),
        ("id", "event", "watch", "to", "state", "attempts", "next", "reason"),
        _row,
        as_json=as_json,
        filtered=bool(query),
    )


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    return (
        item["id"],
        item["event_type"],
        item["watch_id"] or "",
        item["destination"],
        item["state"],
        str(item["attempts"]),
        output.when(item["next_attempt_at"]) if item["next_attempt_at"] else "",
        item["reason"] or "",
    )


@deliveries.command("show")
@click.argument("delivery_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(ctx: click.Context, delivery_id: str, as_json: bool) -> int:
    """Show a delivery with every attempt.

    \b
    Example:
      relay deliveries show dlv_...
    """
    item = client_of(ctx).get(delivery_path(delivery_id))
    if as_json:
        output.json_line(item)
        return ExitCode.OK
    for name in ("id", "event_type", "watch_id", "destination", "state", "next_attempt_at", "reason"):
        if item[name]:
            click.echo(f"{name.replace('_', ' '):<18}{one_line(str(item[name]), output.WHOLE)}")
    output.table(("attempt", "started", "took", "http", "verdict", "why"), map(_attempt_row, item["attempts"]))
    return ExitCode.OK


def _attempt_row(attempt: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{attempt['number']} {attempt['trigger']}",
        output.when(attempt["started_at"]),
        f"{attempt['duration_s']}s",
        str(attempt["status"] or "-"),
        attempt["verdict"],
        attempt["reason"] or "",
    )


@deliveries.command("resend")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def resend(ctx: click.Context, ids: tuple[str, ...]) -> int:
    """Send deliveries again at once, under the same webhook-id.

    \b
    Examples:
      relay deliveries resend dlv_...
      relay deliveries --state exhausted --json | jq -r .id | relay deliveries resend -
    """
    client = client_of(ctx)

    def send(delivery_id: str) -> None:
        client.post(f"{delivery_path(delivery_id)}/resend")
        output.say(f"{one_line(delivery_id)} is on its way")

    return for_each(ids, send)
