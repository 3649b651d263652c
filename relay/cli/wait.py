"""relay wait."""

import math
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_futures
from typing import Any

import click

from relay.cli import output
from relay.cli.client import Client, Unreachable, watch_path
from relay.cli.common import client_of, references, resolve
from relay.cli.exit_codes import ExitCode, of_status, worst
from relay.core.duration import parse_duration
from relay.core.text import one_line

_LONG_POLL_S = 30.0
_RETRY_S = 1.0
_AT_ONCE = 16


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--any", "any_of_them", is_flag=True, help="End with the first that has ended.")
@click.option("--all", "all_of_them", is_flag=True, help="End when all have ended (the default).")
@click.option("--fail-fast", is_flag=True, help="End with the first that did not complete.")
@click.option("--timeout", metavar="30m", help="Wait at most this long; 0 looks once.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one watch a line.")
@click.pass_context
def wait(
    ctx: click.Context,
    ids: tuple[str, ...],
    any_of_them: bool,
    all_of_them: bool,
    fail_fast: bool,
    timeout: str | None,
    as_json: bool,
) -> int:
    """Wait until jobs have ended; the exit code tells how.

    Survives a restart of the daemon; stopping the wait does not stop the watch.

    \b
    Examples:
      relay wait getimg:req-01HXYZVIDEO1234 --timeout 30m
      relay ls --status running --json | jq -r .id | relay wait - --fail-fast
    """
    if any_of_them and all_of_them:
        raise click.UsageError("choose --any or --all")
    client = client_of(ctx)
    found = [resolve(client, reference) for reference in references(ids)]
    return wait_for(client, found, timeout=timeout, as_json=as_json, first=any_of_them, fail_fast=fail_fast)


def wait_for(
    client: Client,
    ids: list[str],
    *,
    timeout: str | None,
    as_json: bool,
    first: bool = False,
    fail_fast: bool = False,
) -> ExitCode:
    """Wait for watches, print each as it ends, and return the exit code of all together."""
    until = _until(timeout)
    waiting = _Waiting(client, until)
    codes: list[ExitCode] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        open_: set[Future[dict[str, Any]]] = {pool.submit(waiting.one, watch_id) for watch_id in dict.fromkeys(ids)}
        try:
            while open_:
                done, open_ = wait_futures(open_, return_when=FIRST_COMPLETED)
                for future in done:
                    watch = future.result()
                    code = of_status(watch["status"])
                    if code is not ExitCode.PENDING:
                        _print(watch, as_json=as_json)
                    codes.append(code)
                if (first and any(code is not ExitCode.PENDING for code in codes)) or (
                    fail_fast and any(code not in (ExitCode.OK, ExitCode.PENDING) for code in codes)
                ):
                    codes = [code for code in codes if code is not ExitCode.PENDING]
                    break
        finally:
            waiting.stopped = True
            for future in open_:
                future.cancel()
    pending = ExitCode.PENDING if timeout is not None and _seconds(timeout) == 0 else ExitCode.TIMED_OUT
    return worst(pending if code is ExitCode.PENDING else code for code in codes)


class _Waiting:
    """Holds what the waiting threads share."""

    def __init__(self, client: Client, until: float | None) -> None:
        self.stopped = False
        self._client = client
        self._until = until
        self._told = False

    def one(self, watch_id: str) -> dict[str, Any]:
        """Return a watch once it has ended, the time is up, or nobody waits any more."""
        while True:
            left = math.inf if self._until is None else self._until - time.monotonic()  # noqa: TID251 - a person waits
            hold_s = 0.0 if self.stopped else max(min(left, _LONG_POLL_S), 0.0)
            try:
                watch: dict[str, Any] = self._client.get(
                    watch_path(watch_id), {"wait": f"{hold_s:.3f}"}, timeout_s=hold_s + 15
                )
            except Unreachable:
                if self.stopped or left <= _RETRY_S:
                    raise
                self._tell_once()
                time.sleep(_RETRY_S)
                continue
            if of_status(watch["status"]) is not ExitCode.PENDING or self.stopped or hold_s >= left:
                return watch

    def _tell_once(self) -> None:
        if not self._told:
            self._told = True
            output.say("the daemon does not answer; waiting for it")


def _seconds(text: str) -> float:
    if text.strip() == "0":
        return 0.0
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"--timeout: {error}") from None


def _until(timeout: str | None) -> float | None:
    return None if timeout is None else time.monotonic() + _seconds(timeout)  # noqa: TID251


def _print(watch: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.json_line(watch)
    else:
        click.echo("\t".join(one_line(part, 2000) for part in (watch["id"], watch["status"], output.summary(watch))))
    sys.stdout.flush()
