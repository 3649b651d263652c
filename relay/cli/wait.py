"""relay wait."""

import math
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any

import click

from relay.cli import output
from relay.cli.client import ApiError, Client, Unreachable, watch_path
from relay.cli.common import client_of, references, resolve, seconds
from relay.cli.exit_codes import ExitCode, of_status, worst
from relay.core.duration import format_duration
from relay.core.text import one_line

_LONG_POLL_S = 30.0
_ROUND_S = 5.0
"""How long it takes to ask for all, where there are more than can be asked for at once."""
_RETRY_S = 1.0
_REDRAW_S = 0.5
_ENDS = ("earliest", "latest")
_AT_ONCE = 16
_ANSWER_S = 15.0
_UNWELL = 500


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--any", "any_of_them", is_flag=True, help="End with the first that has ended.")
@click.option("--all", "all_of_them", is_flag=True, help="End when all have ended (the default).")
@click.option("--fail-fast", is_flag=True, help="End with the first that did not complete.")
@click.option("--timeout", callback=seconds, metavar="30m", help="Wait at most this long; 0 looks once.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one watch a line.")
@click.pass_context
def wait(
    ctx: click.Context,
    ids: tuple[str, ...],
    any_of_them: bool,
    all_of_them: bool,
    fail_fast: bool,
    timeout: float | None,
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
        raise click.UsageError("choose --any or --all", ctx)
    client = client_of(ctx)
    found = [resolve(client, reference) for reference in references(ids)]
    return wait_for(client, found, timeout_s=timeout, as_json=as_json, first=any_of_them, fail_fast=fail_fast)


def wait_for(
    client: Client,
    ids: Sequence[str],
    *,
    timeout_s: float | None,
    as_json: bool,
    first: bool = False,
    fail_fast: bool = False,
) -> ExitCode:
    """Wait for watches, print each as it ends, and return the exit code of all together.

    Raises ApiError, and Unreachable where no daemon ever answered or none does
    when the time is up.
    """
    ended: list[ExitCode] = []
    pending: list[str] = []
    progress = _Progress() if sys.stderr.isatty() else None
    waiting = _Waiting(client, list(dict.fromkeys(ids)), timeout_s, progress)
    try:
        for watch in waiting.answers():
            code = of_status(watch["status"])
            if code is ExitCode.PENDING:
                pending.append(f"{watch['provider']}:{watch['job_id']} is still {watch['status']}")
                continue
            ended.append(code)
            _print(watch, as_json=as_json)
            if first or (fail_fast and code is not ExitCode.OK):
                return worst(ended)
    finally:
        waiting.stop()
    if not pending or (first and ended):
        return worst(ended)
    for line in pending:
        output.say(one_line(line, 2000))
    return worst([*ended, ExitCode.PENDING if timeout_s == 0 else ExitCode.TIMED_OUT])


class _Waiting:
    """Asks for many watches by turns, on threads that nobody has to wait for.

    They are daemon threads: an interrupt, or the first outcome where only that
    is wanted, must not wait for requests that are held for half a minute.
    """

    def __init__(
        self, client: Client, ids: Sequence[str], timeout_s: float | None, progress: "_Progress | None"
    ) -> None:
        self._client = client
        self._progress = progress
        self._latest: dict[str, dict[str, Any]] = {}
        self._until = math.inf if timeout_s is None else _now() + timeout_s
        self._open = len(ids)
        self._todo: SimpleQueue[str] = SimpleQueue()
        self._answers: SimpleQueue[dict[str, Any] | Exception | str] = SimpleQueue()
        self._stopped = threading.Event()
        self._told = False
        for watch_id in ids:
            self._todo.put(watch_id)
        for _ in range(min(self._open, _AT_ONCE)):
            threading.Thread(target=self._work, daemon=True).start()

    def answers(self) -> Iterator[dict[str, Any]]:
        """Yield each watch once it has ended, or as it is when the time is up; raises what keeps us from asking.

        What a person is to know meanwhile is said here, where the progress is drawn.
        """
        while self._open:
            try:
                answer = self._answers.get(timeout=_REDRAW_S)  # an interrupt may reach another thread only
            except Empty:
                self._draw()
                continue
            if self._progress is not None:
                self._progress.clear()
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, str):
                output.say(answer)
                continue
            self._open -= 1
            self._latest.pop(answer["id"], None)
            yield answer

    def _draw(self) -> None:
        if self._progress is not None:
            self._progress.draw(list(self._latest.values()), self._open)

    def stop(self) -> None:
        """Let the threads end as soon as they can."""
        self._stopped.set()
        for _ in range(_AT_ONCE):
            self._todo.put("")

    def _work(self) -> None:
        while (watch_id := self._todo.get()) and not self._stopped.is_set():
            try:
                watch = self._ask(watch_id)
            except Exception as error:  # noqa: BLE001 - raised again where the answers are read
                self._answers.put(error)
                return
            if watch is None:
                self._todo.put(watch_id)
            else:
                self._answers.put(watch)

    def _ask(self, watch_id: str) -> dict[str, Any] | None:
        """Return a watch that has ended or whose time is up, or None where it has to be asked for again."""
        # What is shown meanwhile is known from a first look that is not held.
        first_look = self._progress is not None and watch_id not in self._latest
        hold_s = 0.0 if first_look else max(0.0, min(self._until - _now(), self._turn_s()))
        try:
            watch: dict[str, Any] = self._client.get(
                watch_path(watch_id), {"wait": f"{hold_s:.3f}"}, timeout_s=hold_s + _ANSWER_S
            )
        except (ApiError, Unreachable) as error:
            if not self._will_pass(error):
                raise
            self._tell_once(error)
            self._stopped.wait(min(_RETRY_S, max(0.0, self._until - _now())))
            return None
        self._latest[watch_id] = watch
        over = of_status(watch["status"]) is not ExitCode.PENDING or _now() >= self._until
        return watch if over else None

    def _turn_s(self) -> float:
        """Return how long one request may be held, so that every watch gets its turn."""
        return _LONG_POLL_S if self._open <= _AT_ONCE else _ROUND_S * _AT_ONCE / self._open

    def _will_pass(self, error: ApiError | Unreachable) -> bool:
        """Whether to wait for a daemon: one that has answered before is away only while it restarts."""
        if isinstance(error, ApiError) and error.status < _UNWELL:
            return False
        return self._client.answered and _now() < self._until and not self._stopped.is_set()

    def _tell_once(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            self._answers.put(one_line(f"{error}; waiting for it"))


class _Progress:
    """One line on the terminal that tells how far the jobs are, until there is something to print."""

    def __init__(self) -> None:
        self._drawn = False

    def draw(self, watches: Sequence[dict[str, Any]], left: int) -> None:
        """Show what is known of the jobs that have not ended."""
        self.clear()
        width = max(shutil.get_terminal_size().columns - 1, 20)
        click.echo(one_line(progress_line(watches, left, output.wall_clock()), width), err=True, nl=False)
        self._drawn = True

    def clear(self) -> None:
        """Make room for a line that stays."""
        if self._drawn:
            click.echo("\r\x1b[2K", err=True, nl=False)
        self._drawn = False


def progress_line(watches: Sequence[dict[str, Any]], left: int, now: float) -> str:
    """Return how far jobs are at the Unix time `now`; of many, the one that is likely to end first."""
    expected = [watch for watch in watches if watch["eta"]]
    if not expected:
        return f"waiting for {left}"
    soonest = min(expected, key=lambda watch: str(watch["eta"]["likely"]))
    ages = (now - output.unix(soonest["watched_at"]), *(output.unix(soonest["eta"][end]) - now for end in _ENDS))
    age, early, late = (format_duration(max(seconds, 0.0)) for seconds in ages)
    done = "" if soonest["progress"] is None else f" and {soonest['progress']:.0%} done"
    state = f"{soonest['status']} for {age}{done}, likely done in {early} to {late}"
    told = f"{soonest['provider']}:{soonest['job_id']} is {state}"
    return told if left == 1 else f"waiting for {left}: {told}"


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - a person waits, on their own clock


def _print(watch: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.json_line(watch)
    else:
        parts = (watch["id"], watch["status"], output.summary(watch))
        click.echo("\t".join(one_line(part, output.WHOLE) for part in parts))
