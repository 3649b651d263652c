"""relay wait: whom it asks, when it ends, and what it survives."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.scripted_api import DROPPED, Asked, ScriptedApi, problem, scripted_api, watch_document

from relay.cli import cli
from relay.cli.client import ApiError, Unreachable
from relay.cli.wait import progress_line

A, B, C = ("wat_" + letter * 26 for letter in "abc")

_INTERRUPTIBLE = """
import signal
from relay.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
main()
"""

_INTERRUPTED_ELSEWHERE = """
import signal, sys, threading
from relay.cli import client, main
signal.signal(signal.SIGINT, signal.default_int_handler)
ask = client.Client.get

def get(self, *arguments, **options):
    while sys._current_frames()[threading.main_thread().ident].f_code.co_name != "answers":
        pass
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    return ask(self, *arguments, **options)

client.Client.get = get
main()
"""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedApi]:
    monkeypatch.delenv("RELAY_TOKEN", raising=False)
    monkeypatch.setattr("relay.cli.wait._RETRY_S", 0.01)
    with scripted_api() as served:
        yield served


def run(api: ScriptedApi, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(cli, ["wait", *arguments], input=stdin, env={"RELAY_URL": api.url}, standalone_mode=False)


def waits_of(api: ScriptedApi) -> list[str]:
    return [asked.query["wait"][0] for asked in api.asked]


@pytest.mark.parametrize(
    ("status", "code"),
    [("completed", 0), ("failed", 10), ("cancelled", 11), ("expired", 12), ("not_found", 12), ("timed_out", 12)],
)
def test_the_exit_code_tells_the_outcome(api: ScriptedApi, status: str, code: int) -> None:
    api.watch(A, status, outputs=[{"url": "https://x/1.mp4?sig=a%2Bb"}])

    done = run(api, A)

    assert (done.return_value, done.stdout, done.stderr) == (code, f"{A}\t{status}\thttps://x/1.mp4?sig=a%2Bb\n", "")
    assert waits_of(api) == ["30.000"]


def test_each_job_is_told_as_it_ends_and_the_worst_decides(api: ScriptedApi) -> None:
    for watch_id, status in ((A, "completed"), (B, "cancelled"), (C, "expired")):
        api.watch(watch_id, status)

    done = run(api, "-", "--json", stdin=f"{A} {B}\n{C}\n{A}\n")

    assert done.return_value == 12
    told = {watch["id"]: watch["status"] for watch in map(json.loads, done.stdout.splitlines())}
    assert told == {A: "completed", B: "cancelled", C: "expired"}
    assert len(api.asked) == 3


def test_any_ends_with_the_first_and_waits_for_no_other(api: ScriptedApi) -> None:
    api.watch(A, "running")
    api.on("GET", f"/v1/watches/{B}", lambda _: api.held.wait(10) and (200, watch_document(B, "completed")))

    done = run(api, A, B, "--any")

    assert (done.return_value, done.stdout) == (0, f"{B}\tcompleted\t\n")
    assert api.holding == 1


def test_fail_fast_ends_with_the_first_that_did_not_complete(api: ScriptedApi) -> None:
    api.watch(A, "running")
    api.watch(B, "completed")
    api.on("GET", f"/v1/watches/{C}", lambda _: api.held.wait(10) and (200, watch_document(C, "failed")))

    done = run(api, A, B, C, "--fail-fast")

    assert done.return_value == 10
    assert api.holding == 1


def test_more_jobs_than_can_be_asked_for_at_once_get_their_turn(
    api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.cli.wait._ROUND_S", 0.05)
    ids = [f"wat_{number:026d}" for number in range(40)]
    for watch_id in ids[:-1]:
        api.watch(watch_id, "running")
    api.watch(ids[-1], "failed")

    assert run(api, *ids, "--any", "--timeout", "30s").return_value == 10
    assert set(waits_of(api)[:16]) == {"0.020"}  # 16 of 40 at once, so that a round takes 0.05 s


def test_a_timeout_of_0_looks_at_each_exactly_once(api: ScriptedApi) -> None:
    for watch_id in (A, B):
        api.watch(watch_id, "running")

    done = run(api, A, B, "--timeout", "0")

    assert (done.return_value, done.stdout) == (8, "")
    assert waits_of(api) == ["0.000", "0.000"]


@pytest.mark.parametrize(("status", "code"), [("failed", 10), ("cancelled", 11), ("expired", 12), ("completed", 8)])
def test_an_outcome_that_is_known_outweighs_what_is_pending(api: ScriptedApi, status: str, code: int) -> None:
    api.watch(A, "running")
    api.watch(B, status)

    assert run(api, A, B, "--timeout", "0").return_value == code


def test_time_that_runs_out_is_124(api: ScriptedApi) -> None:
    api.watch(A, "queued")
    api.watch(B, "completed")

    done = run(api, A, B, "--timeout", "100ms")

    assert (done.return_value, done.stdout) == (124, f"{B}\tcompleted\t\n")
    assert re.fullmatch(r"getimg:\S+ is still queued\n", done.stderr)


def test_any_is_content_with_one_although_time_ran_out_for_another(api: ScriptedApi) -> None:
    api.watch(A, "queued")
    api.watch(B, "completed")

    assert run(api, A, B, "--any", "--timeout", "0").return_value == 0


@pytest.mark.parametrize(
    "trouble",
    [DROPPED, (503, problem(503, "the database is busy")), (500, {}), (502, b"<html>Bad Gateway")],
    ids=["gone", "unavailable", "failed", "proxy"],
)
def test_a_daemon_that_is_away_for_a_while_is_waited_for(api: ScriptedApi, trouble: Any) -> None:
    pending = (200, watch_document(A, "running"))
    api.on(
        "GET", f"/v1/watches/{A}", pending, trouble, trouble, pending, trouble, (200, watch_document(A, "completed"))
    )

    done = run(api, A, "--timeout", "30s")

    assert (done.return_value, done.stdout) == (0, f"{A}\tcompleted\t\n")
    assert done.stderr.count("waiting for it") == 1
    assert len(api.asked) == 6


def test_a_daemon_that_never_answered_is_not_waited_for(api: ScriptedApi) -> None:
    api.on("GET", f"/v1/watches/{A}", DROPPED)

    assert isinstance(run(api, A, "--timeout", "30s").exception, Unreachable)
    assert len(api.asked) == 1


def test_a_daemon_that_does_not_come_back_in_time_is_unreachable(api: ScriptedApi) -> None:
    api.on("GET", f"/v1/watches/{A}", (200, watch_document(A, "running")), DROPPED)

    assert isinstance(run(api, A, "--timeout", "100ms").exception, Unreachable)


def test_a_watch_that_is_removed_meanwhile_ends_the_wait(api: ScriptedApi) -> None:
    api.on("GET", f"/v1/watches/{A}", (200, watch_document(A, "running")), (404, problem(404, "no watch")))

    done = run(api, A, "--timeout", "30s")

    assert isinstance(done.exception, ApiError)
    assert done.exception.status == 404


def test_an_interrupt_ends_the_wait_at_once_with_130(api: ScriptedApi) -> None:
    api.watch(A, "running")
    process = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTIBLE, "wait", A],
        env={**os.environ, "RELAY_URL": api.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert api.held.wait(20)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)

    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err
    assert api.holding == 1


def test_an_interrupt_that_the_system_hands_to_another_thread_ends_the_wait_as_well(api: ScriptedApi) -> None:
    """It does not wake the first thread, which alone can heed it."""
    api.watch(A, "running")

    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED_ELSEWHERE, "wait", A],
        env={**os.environ, "RELAY_URL": api.url},
        capture_output=True,
        timeout=20,
        check=False,
    )

    assert (done.returncode, done.stdout) == (130, b"")


def test_adding_and_waiting_is_one_command(api: ScriptedApi) -> None:
    api.on("POST", "/v1/watches", (201, watch_document(A, "queued")))
    api.watch(A, "failed", error={"code": "x", "message": "m", "user_message": "Not allowed."})

    done = CliRunner().invoke(
        cli,
        ["add", "getimg", "req-1", "--wait", "--timeout", "1m"],
        env={"RELAY_URL": api.url},
        standalone_mode=False,
    )

    assert (done.return_value, done.stdout) == (10, f"{A}\tfailed\tNot allowed.\n")


def expecting(watch_id: str, job_id: str, likely: str, **more: object) -> dict[str, Any]:
    eta = {"likely": likely, "earliest": "2026-11-21T10:00:50.000Z", "latest": "2026-11-21T10:01:21.000Z", "jobs": 9}
    return watch_document(watch_id, "running", job_id=job_id, eta=eta, **more)


NOW = datetime.fromisoformat("2026-11-21T10:00:41.000Z").timestamp()


def test_one_job_is_shown_against_what_is_expected_of_it() -> None:
    watch = expecting(A, "a", "2026-11-21T10:01:00.000Z", progress=0.4)

    assert progress_line([watch], 1, NOW) == "getimg:a is running for 41s and 40% done, likely done in 9s to 40s"


def test_of_many_jobs_the_one_that_is_likely_to_end_first_is_shown() -> None:
    later, sooner = expecting(A, "a", "2026-11-21T10:09:00.000Z"), expecting(B, "b", "2026-11-21T10:01:00.000Z")

    assert progress_line([later, sooner], 3, NOW) == (
        "waiting for 3: getimg:b is running for 41s, likely done in 9s to 40s"
    )


def test_where_nothing_is_expected_only_the_number_is_shown() -> None:
    assert progress_line([watch_document(A, "running")], 2, NOW) == "waiting for 2"


def test_a_terminal_shows_progress_until_there_is_an_outcome_to_print(api: ScriptedApi) -> None:
    """The line is drawn on standard error and wiped before the outcome; standard output is data only."""
    outcomes = iter(["running", "completed"])
    drawn = threading.Event()

    def answer(asked: Asked) -> tuple[int, dict[str, Any]]:
        if (status := next(outcomes)) == "completed":
            drawn.wait(20)
        return 200, expecting(A, "a", "2026-11-21T10:01:00.000Z") | {"status": status, "outputs": []}

    api.on("GET", f"/v1/watches/{A}", answer)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "relay", "wait", A],
        env={**os.environ, "RELAY_URL": api.url, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    shown = b""
    try:
        while b"likely done in" not in shown:
            shown += os.read(master, 65536)
        drawn.set()
        printed, _ = process.communicate(timeout=30)
        while True:
            shown += os.read(master, 65536)
    except OSError:
        pass  # the other end is closed: Linux says EIO
    finally:
        drawn.set()
        os.close(master)

    assert printed.decode() == f"{A}\tcompleted\t\n"
    assert shown.startswith(b"getimg:a is running for ")
    assert shown.endswith(b"\r\x1b[2K")
    assert [asked.query["wait"][0] for asked in api.asked] == ["0.000", "30.000"]


def test_what_is_said_beside_the_progress_has_a_line_of_its_own(api: ScriptedApi) -> None:
    """The daemon goes away once progress is drawn, and refuses once it is drawn again."""
    drawn = [threading.Event(), threading.Event()]

    def answer(asked: Asked) -> Any:
        if len(api.asked) == 1:
            return 200, expecting(A, "a", "2026-11-21T10:01:00.000Z")
        drawn[len(api.asked) - 2].wait(20)
        return DROPPED if len(api.asked) == 2 else (404, problem(404, "no watch"))

    api.on("GET", f"/v1/watches/{A}", answer)
    master, slave = pty.openpty()
    script = "import relay.cli.wait\nrelay.cli.wait._RETRY_S = 0.01\nrelay.cli.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "wait", A],
        env={**os.environ, "RELAY_URL": api.url, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    shown = ""
    try:
        while True:
            shown += os.read(master, 65536).decode()
            before, told, behind = shown.partition("waiting for it")
            for event, part in zip(drawn, (before, behind if told else ""), strict=True):
                if "likely done in" in part:
                    event.set()
    except OSError:
        pass  # the other end is closed: Linux says EIO
    finally:
        os.close(master)

    assert process.wait(timeout=30) == 3
    left = [line.rpartition("\x1b[2K")[2] for line in shown.split("\r\n")]
    assert left == [
        f"no relay answers at {api.url} (Remote end closed connection without response); waiting for it",
        "error: no watch",
        "",
    ]
