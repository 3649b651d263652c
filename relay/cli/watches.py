"""relay add, ls, show, poll and rm."""

from functools import partial
from typing import Any

import click

from relay.cli import lists, output
from relay.cli.client import ApiError, Unreachable, watch_path
from relay.cli.common import client_of, for_each, pairs, references, resolve, seconds
from relay.cli.exit_codes import ExitCode
from relay.core.text import one_line


@click.command()
@click.argument("provider")
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB_ID...")
@click.option("--param", "params", multiple=True, metavar="K=V", help="A parameter that the provider needs.")
@click.option(
    "--callback-url",
    "callback_urls",
    multiple=True,
    metavar="URL",
    help="Where to POST the outcome; may be repeated.",
)
@click.option("--to", "destinations", multiple=True, metavar="NAME", help="A destination of the configuration.")
@click.option("--deadline", metavar="2h", help="Give up after this long, or at an RFC 3339 time.")
@click.option("--metadata", multiple=True, metavar="K=V", help="Comes back in the event.")
@click.option("--wait", "waits", is_flag=True, help="Wait for the outcome, as `relay wait` does.")
@click.option("--timeout", callback=seconds, metavar="30m", help="With --wait: how long at most; 0 looks once.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one watch a line.")
@click.pass_context
def add(
    ctx: click.Context,
    provider: str,
    job_ids: tuple[str, ...],
    params: tuple[str, ...],
    callback_urls: tuple[str, ...],
    destinations: tuple[str, ...],
    deadline: str | None,
    metadata: tuple[str, ...],
    waits: bool,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Watch jobs of PROVIDER.  The same job again is the same watch; - reads ids from standard input.

    \b
    Examples:
      relay add getimg req-01HXYZVIDEO1234 --callback-url https://shop.example/hooks
      relay add nanogpt RUN_ID --param modelSlug=veo2-video --to ops
      cat ids.txt | relay add lumenfall - --wait --timeout 1h
    """
    if timeout is not None and not waits:
        raise click.UsageError("--timeout goes with --wait", ctx)
    client = client_of(ctx)
    request: dict[str, Any] = {
        "provider": provider,
        "params": pairs(params, "--param"),
        "metadata": pairs(metadata, "--metadata"),
        "destinations": list(destinations),
    }
    if len(callback_urls) == 1:
        request["callback_url"] = callback_urls[0]
    elif callback_urls:
        request["callback_urls"] = list(callback_urls)
    if deadline:
        request["deadline"] = deadline
    added: list[dict[str, Any]] = []
    try:
        for job_id in references(job_ids):
            added.append(client.post("/v1/watches", request | {"job_id": job_id}))
            if not waits:
                _tell_added(added[-1], as_json=as_json)  # at once: the next may be refused
    except (ApiError, Unreachable):
        for watch in added if waits else ():
            _tell_added(watch, as_json=as_json)  # they are watched, and not waited for
        raise
    if not waits:
        return ExitCode.OK
    from relay.cli.wait import wait_for

    return wait_for(client, [watch["id"] for watch in added], timeout_s=timeout, as_json=as_json)


def _tell_added(watch: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.json_line(watch)
        return
    click.echo(watch["id"])
    output.say(one_line(f"{watch['provider']}:{watch['job_id']} is {watch['status']}, next look {_next(watch)}", 2000))


def _next(watch: dict[str, Any]) -> str:
    return output.ago(watch["next_poll_at"]) if watch["next_poll_at"] else "never: it has ended"


@click.command()
@click.option("--status", multiple=True, help="queued, running, or an outcome; may be repeated.")
@click.option("--provider", help="Of one provider.")
@click.option("--since", metavar="1h", help="Added within this time, or since an RFC 3339 time.")
@click.option("--metadata", multiple=True, metavar="K=V", help="With this metadata.")
@lists.limited
@click.option(
    "-w", "--watch", "live", is_flag=True, help="Go on showing what changes, of the newest 50 unless said otherwise."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one watch a line.")
@click.pass_context
def ls(
    ctx: click.Context,
    status: tuple[str, ...],
    provider: str | None,
    since: str | None,
    metadata: tuple[str, ...],
    limit: int | None,
    everything: bool,
    live: bool,
    as_json: bool,
) -> int:
    """List watches, newest first.

    \b
    Examples:
      relay ls --status queued --status running
      relay ls --status failed --since 1d --json
      relay ls --watch --status running
    """
    query: dict[str, object] = {f"metadata.{key}": value for key, value in pairs(metadata, "--metadata").items()}
    query |= {name: value for name, value in (("provider", provider), ("since", since)) if value}
    if status:
        query["status"] = list(status)
    client = client_of(ctx)
    if live:
        from relay.cli.live import follow

        most = lists.at_most(limit, lists.SCREENFUL, everything=everything)
        follow(client, partial(client.pages, "/v1/watches", query, most), _HEADERS, _row, as_json=as_json)
    return lists.show(client, "/v1/watches", query, _HEADERS, _row, limit=limit, everything=everything, as_json=as_json)


_HEADERS = ("id", "provider", "job", "status", "age", "next look", "polls", "likely done")


def _row(watch: dict[str, Any]) -> tuple[str, ...]:
    return (
        watch["id"],
        watch["provider"],
        watch["job_id"],
        watch["status"],
        output.when(watch["watched_at"]),
        output.when(watch["next_poll_at"]) if watch["next_poll_at"] else "",
        str(watch["polls"]),
        output.when(watch["eta"]["likely"]) if watch["eta"] else "",
    )


@click.command()
@click.argument("reference", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(ctx: click.Context, reference: str, as_json: bool) -> int:
    """Show everything about a watch: by its id, a beginning of it, or provider:job_id.

    \b
    Examples:
      relay show getimg:req-01HXYZVIDEO1234
      relay show wat_01m3k --json
    """
    client = client_of(ctx)
    watch = client.get(watch_path(resolve(client, reference)))
    deliveries = list(client.pages("/v1/deliveries", {"watch": watch["id"]}, None))
    if as_json:
        output.json_line(watch | {"deliveries": deliveries})
        return ExitCode.OK
    for name in ("id", "provider", "job_id", "owner", "status", "provider_status", "model", "progress", "last_error"):
        _line(name, watch.get(name))
    for name in ("watched_at", "last_poll_at", "next_poll_at", "deadline", "finalized_at", "polls"):
        _line(name, watch.get(name))
    _line("likely_done", watch["eta"]["likely"] if watch["eta"] else None)
    for url in watch["callback_urls"]:
        _line("callback_url", url)
    for name in watch["destinations"]:
        _line("destination", name)
    for output_item in watch.get("outputs") or []:
        _line("output", output_item["url"])
        _line("expires_at", output_item["expires_at"])
    for name, value in (watch.get("error") or {}).items():
        _line(f"error.{name}", value)
    for name, value in (watch.get("cost") or {}).items():
        _line(f"cost.{name}", value)
    for name, value in watch["metadata"].items():
        output.field(f"metadata.{name}", value)
    for delivery in deliveries:
        tries = f"{delivery['attempts']} attempts"
        _line("delivery", f"{delivery['id']} to {delivery['destination']}: {delivery['state']}, {tries}")
        _line("reason", delivery["reason"])
    return ExitCode.OK


@click.command()
@click.argument("reference", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the figures behind the sentences.")
@click.pass_context
def explain(ctx: click.Context, reference: str, as_json: bool) -> int:
    """Say why a watch stands where it stands.

    How long such jobs took so far, how long this one is likely to take, when
    relay looks again and why then, what ends the watch, who is told, what
    failed last.

    \b
    Examples:
      relay explain getimg:req-01HXYZVIDEO1234
      relay explain wat_01m3k --json | jq .eta
    """
    client = client_of(ctx)
    told = client.get(f"{watch_path(resolve(client, reference))}/explanation")
    if as_json:
        output.json_line(told)
        return ExitCode.OK
    for sentence in told["sentences"]:
        click.echo(one_line(sentence, output.WHOLE))
    return ExitCode.OK


def _line(name: str, value: object) -> None:
    output.field(name.replace("_", " "), value)


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def poll(ctx: click.Context, ids: tuple[str, ...]) -> int:
    """Look at jobs now rather than when the schedule would, but not within min_interval of their last poll.

    \b
    Example:
      relay poll getimg:req-01HXYZVIDEO1234
    """
    client = client_of(ctx)
    return for_each(ids, lambda reference: client.post(f"{watch_path(resolve(client, reference))}/poll"))


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_context
def rm(ctx: click.Context, ids: tuple[str, ...]) -> int:
    """Stop watching, and forget.  The job itself goes on at its provider; nobody will be told.

    \b
    Examples:
      relay rm wat_01m3k
      relay ls --status not_found --json | jq -r .id | relay rm -
    """
    client = client_of(ctx)

    def forget(reference: str) -> None:
        watch_id = resolve(client, reference)
        client.delete(watch_path(watch_id))
        output.say(f"{watch_id} is forgotten")

    return for_each(ids, forget)
