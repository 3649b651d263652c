"""relay deliveries."""

import click

from relay.cli import output
from relay.cli.common import client_of, references
from relay.cli.exit_codes import ExitCode
from relay.core.text import clean


@click.group(invoke_without_command=True)
@click.option("--state", multiple=True, help="pending, held, delivered, exhausted or dropped; may be repeated.")
@click.option("--watch", "watch_id", metavar="ID", help="Of one watch.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one delivery a line.")
@click.pass_context
def deliveries(ctx: click.Context, state: tuple[str, ...], watch_id: str | None, limit: int, as_json: bool) -> int:
    """See what was delivered, and send it again.

    \b
    Examples:
      relay deliveries --state exhausted
      relay deliveries show dlv_...
      relay deliveries resend dlv_...
    """
    if ctx.invoked_subcommand is not None:
        return ExitCode.OK
    query: dict[str, object] = {"watch": watch_id} if watch_id else {}
    if state:
        query["state"] = list(state)
    found = list(client_of(ctx).pages("/v1/deliveries", query, limit))
    if as_json:
        for delivery in found:
            output.json_line(delivery)
        return ExitCode.OK
    output.table(
        ("id", "event", "watch", "to", "state", "attempts", "next", "reason"),
        (
            (
                item["id"],
                item["event_type"],
                item["watch_id"] or "",
                item["destination"],
                item["state"],
                str(item["attempts"]),
                output.when(item["next_attempt_at"]) if item["next_attempt_at"] else "",
                item["reason"] or "",
            )
            for item in found
        ),
    )
    return ExitCode.OK


@deliveries.command("show")
@click.argument("delivery_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(ctx: click.Context, delivery_id: str, as_json: bool) -> int:
    """Show a delivery with every attempt."""
    item = client_of(ctx).get(f"/v1/deliveries/{delivery_id}")
    if as_json:
        output.json_line(item)
        return ExitCode.OK
    for name in ("id", "event_type", "watch_id", "destination", "state", "next_attempt_at", "reason"):
        if item[name]:
            click.echo(f"{name.replace('_', ' '):<18}{clean(str(item[name]))}")
    output.table(
        ("attempt", "started", "took", "http", "verdict", "why"),
        (
            (
                f"{attempt['number']} {attempt['trigger']}",
                output.when(attempt["started_at"]),
                f"{attempt['duration_s']}s",
                str(attempt["status"] or "-"),
                attempt["verdict"],
                attempt["reason"] or "",
            )
            for attempt in item["attempts"]
        ),
    )
    return ExitCode.OK


@deliveries.command("resend")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def resend(ctx: click.Context, ids: tuple[str, ...]) -> int:
    """Send deliveries again at once, under the same webhook-id."""
    client = client_of(ctx)
    for delivery_id in references(ids):
        client.post(f"/v1/deliveries/{delivery_id}/resend")
        output.say(f"{delivery_id} is on its way")
    return ExitCode.OK
