"""relay deliveries."""

from functools import partial
from typing import Any

import click

from relay.cli import lists, output
from relay.cli.client import Client, delivery_path
from relay.cli.common import NothingMatched, client_of, for_each, resolve
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
@click.option("--destination", help='To one destination; "callback" means callback URLs.')
@click.option("--since", metavar="1h", help="Made within this time, or since an RFC 3339 time.")
@lists.limited
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one delivery a line.")
@click.pass_context
def ls(
    ctx: click.Context,
    state: tuple[str, ...],
    reference: str | None,
    destination: str | None,
    since: str | None,
    limit: int | None,
    everything: bool,
    as_json: bool,
) -> int:
    """List deliveries, newest first.

    \b
    Examples:
      relay deliveries ls --state pending --state exhausted
      relay deliveries ls --watch getimg:req-01HXYZVIDEO1234 --json
    """
    client = client_of(ctx)
    query: dict[str, object] = {} if reference is None else {"watch": resolve(client, reference)}
    query |= {name: value for name, value in (("destination", destination), ("since", since)) if value}
    if state:
        query["state"] = list(state)
    return lists.show(
        client, "/v1/deliveries", query, _HEADERS, _row, limit=limit, everything=everything, as_json=as_json
    )


_HEADERS = ("id", "event", "watch", "to", "state", "attempts", "next", "reason")


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
    item = client_of(ctx).get(_path(delivery_id))
    if as_json:
        output.json_line(item)
        return ExitCode.OK
    for name in ("id", "event_type", "watch_id", "destination", "state", "next_attempt_at", "reason"):
        output.field(name.replace("_", " "), item[name])
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
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--state", multiple=True, help="delivered, exhausted (the default) or dropped; may be repeated.")
@click.option("--destination", help='To one destination; "callback" means callback URLs.')
@click.option("--watch", "reference", metavar="ID", help="Of one watch.")
@click.option("--provider", help="Of one provider's jobs.")
@click.option("--status", multiple=True, help="Of jobs with this outcome; may be repeated.")
@click.option("--type", "types", multiple=True, help="Of events of this type; may be repeated.")
@click.option("--since", metavar="2h", help="Made within this time, or since an RFC 3339 time.")
@click.option("--until", metavar="1h", help="Made before that, or until an RFC 3339 time.")
@click.option("--rate", metavar="10/s", help="At most so many per s, m, h or d.")
@click.option("--dry-run", is_flag=True, help="Count only.")
@click.pass_context
def resend(ctx: click.Context, /, ids: tuple[str, ...], reference: str | None, dry_run: bool, **wanted: Any) -> int:
    """Send deliveries again, under the same webhook-id: those named, at once, or all that match.

    \b
    Examples:
      relay deliveries resend dlv_...
      relay deliveries resend --since 2h --state exhausted --dry-run
      relay deliveries resend --destination shop --since 1d --rate 5/s
    """
    conditions = {
        {"types": "type"}.get(name, name): _listed(value) for name, value in wanted.items() if value not in (None, ())
    }
    if ids and (conditions or reference is not None or dry_run):
        raise click.UsageError("name deliveries, or say which by options, not both")
    client = client_of(ctx)
    if ids:
        return for_each(ids, partial(_resend_one, client))
    if reference is None and not conditions.keys() - {"rate"}:
        raise click.UsageError("say which: by an ID, or by an option such as --state exhausted")
    if reference is not None:
        conditions["watch"] = resolve(client, reference)
    told = client.post("/v1/deliveries/resend", {**conditions, "dry_run": dry_run})
    return _tell_resent(told)


def _path(delivery_id: str) -> str:
    if not delivery_id.startswith("dlv_"):
        raise NothingMatched(f'no delivery "{delivery_id}": its id is dlv_...')
    return delivery_path(delivery_id)


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _resend_one(client: Client, delivery_id: str) -> None:
    client.post(f"{_path(delivery_id)}/resend")
    output.say(f"{one_line(delivery_id)} is on its way")


def _tell_resent(told: dict[str, Any]) -> int:
    click.echo(told["deliveries"])
    if not told["deliveries"]:
        output.say("nothing matches")
        return ExitCode.NOT_FOUND
    output.say("would be sent again" if told["dry_run"] else f"sent again, the last {output.when(told['last_at'])}")
    return ExitCode.OK


@deliveries.command("drop")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def drop(ctx: click.Context, ids: tuple[str, ...]) -> int:
    """Give deliveries up: no more attempts, and no more waiting.  They may still be resent.

    \b
    Examples:
      relay deliveries drop dlv_...
      relay deliveries ls --state held --json | jq -r .id | relay deliveries drop -
    """
    client = client_of(ctx)

    def give_up(delivery_id: str) -> None:
        state = client.post(f"{_path(delivery_id)}/drop")["state"]
        name = one_line(delivery_id)
        output.say(f"{name} is given up" if state == "dropped" else f"{name} was {state} already, and stays so")

    return for_each(ids, give_up)
