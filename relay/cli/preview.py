"""relay destinations preview."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from relay.cli import output
from relay.cli.client import watch_path
from relay.cli.common import CONFIG_OPTION, client_of, resolve
from relay.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from relay.core.event import Event

_OUTCOMES = ("completed", "failed", "cancelled", "expired", "not_found", "timed_out")
_RENAMED = {"watch_id": "id"}


@click.command("preview")
@click.argument("name")
@click.option("--watch", "reference", metavar="ID", help="Tell of this watch, which has ended; asks the daemon.")
@click.option("--status", type=click.Choice(_OUTCOMES), help="Tell of a made-up job that ended like this.")
@CONFIG_OPTION
@click.pass_context
def preview(ctx: click.Context, name: str, reference: str | None, status: str | None, config_path: Path | None) -> int:
    """Print the body of the request that would be sent to a destination; nothing is sent.

    The method, the host and the headers go to stderr, with secrets hidden.  The
    destination is that of the configuration as it is on disk, whatever the
    daemon runs on.

    \b
    Examples:
      relay destinations preview ops --status failed
      relay destinations preview ops --watch getimg:req-01HXYZVIDEO1234 | jq .

    \b
    Exit codes: 0 printed, 1 the template failed and the body is relay's own, 2 usage,
      3 no such watch, 69 no daemon, 78 wrong configuration.
    """
    from relay.assembly import destination, learn_secrets
    from relay.core.delivery import first_delivery
    from relay.core.observation import Status
    from relay.core.sample import sample_outcome
    from relay.destinations import named_target
    from relay.log import SecretMask
    from relay.settings import load_settings

    if reference and status:
        raise click.UsageError("choose --watch or --status")
    settings, mask, now = load_settings(config_path), SecretMask(), time.time()  # noqa: TID251 - a person's clock
    if name not in settings.destinations:
        known = ", ".join(sorted(settings.destinations)) or "none"
        raise click.UsageError(f'no destination "{name}" is configured; there is: {known}')
    learn_secrets(settings, mask)
    event = _event_of(ctx, reference) if reference else sample_outcome(Status(status or "completed"), now)
    request = destination(settings, name).request(first_delivery(event, named_target(name), now), event, now)
    output.say(f"{request.method} to {_place(request.url)}")
    for header, value in request.headers.items():
        output.say(f"{header}: {'***' if header.lower() == 'authorization' else mask(value)}")
    sys.stdout.buffer.write((request.body or b"") + b"\n")
    sys.stdout.flush()
    if request.doubt is None:
        return ExitCode.OK
    output.error(request.doubt)
    return ExitCode.ERROR


def _place(url: str) -> str:
    """Return as much of a URL as may be shown: the host of one of Apprise's may be a key."""
    parts = urlsplit(url)
    return parts.hostname or "" if parts.scheme in ("http", "https") else f"{parts.scheme}://***"


def _event_of(ctx: click.Context, reference: str) -> "Event":
    """Return the event of a watch, made again of what the API says of it."""
    client = client_of(ctx)
    shown = client.get(watch_path(resolve(client, reference)))
    if shown.get("event_id") is None:
        raise click.UsageError(f"{reference} has not ended; --status shows a made-up outcome")
    return retold(shown)


def retold(shown: dict[str, Any]) -> "Event":
    """Return the event of an ended watch as the API shows it, without the provider's own body."""
    from relay.core.event import DATA_FIELDS, Event
    from relay.core.instant import parse_instant

    event_type, timestamp = f"job.{shown['status']}", shown["observed_at"]
    data = {name: shown[_RENAMED.get(name, name)] for name in DATA_FIELDS}
    body = {"type": event_type, "timestamp": timestamp, "data": data}
    return Event(
        id=shown["event_id"],
        type=event_type,
        watch_id=shown["id"],
        created_at=parse_instant(timestamp) or 0.0,
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")),
    )
