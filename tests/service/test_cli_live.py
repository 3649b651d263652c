"""relay ls --watch, and completion in a shell."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from support.scripted_api import DROPPED, ScriptedApi, problem, scripted_api, watch_document

from relay.cli import cli

A, B = ("wat_" + letter * 26 for letter in "ab")
_QUICK = """
import signal
import relay.cli.live
from relay.cli import main
relay.cli.live._EVERY_S = 0.05
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
main()
"""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedApi]:
    monkeypatch.delenv("RELAY_TOKEN", raising=False)
    with scripted_api() as served:
        yield served


def page(*watches: object) -> tuple[int, object]:
    return 200, {"items": list(watches), "next_cursor": None}


def start(api: ScriptedApi, *arguments: str, stdout: int = subprocess.PIPE) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _QUICK, *arguments],
        env={**os.environ, "RELAY_URL": api.url, "TERM": "xterm-256color", "COLUMNS": "160"},
        stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def interrupt(process: "subprocess.Popen[str]") -> str:
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in told
    return told


def test_a_program_reads_a_line_for_each_change_across_an_outage(api: ScriptedApi) -> None:
    running = watch_document(A, "running")
    api.on(
        "GET",
        "/v1/watches",
        page(running),
        page(running | {"polls": 9}),
        DROPPED,
        (503, problem(503, "the database fails")),
        page(watch_document(B, "queued"), watch_document(A, "completed")),
    )
    process = start(api, "ls", "--watch", "--json")
    assert process.stdout is not None

    lines = [json.loads(process.stdout.readline()) for _ in range(3)]

    assert [(line["id"], line["status"]) for line in lines] == [(A, "running"), (A, "completed"), (B, "queued")]
    assert interrupt(process).count("waiting for it") == 1


def test_a_terminal_is_redrawn(api: ScriptedApi) -> None:
    api.on("GET", "/v1/watches", page(watch_document(A, "running")), page(watch_document(A, "failed")))
    ours, theirs = pty.openpty()
    process = start(api, "ls", "--watch", stdout=theirs)
    os.close(theirs)
    shown, until = "", time.monotonic() + 20
    while "failed" not in shown and time.monotonic() < until:
        if select.select([ours], [], [], 0.1)[0]:
            shown += os.read(ours, 65536).decode()
    interrupt(process)
    os.close(ours)

    assert "running" in shown
    assert re.search(r"\x1b\[\d*[AJK]", shown)  # moves up, or clears, to draw again


def test_without_a_daemon_nothing_is_waited_for() -> None:
    done = CliRunner().invoke(cli, ["--url", "http://127.0.0.1:9", "ls", "--watch"], standalone_mode=False)

    assert "no relay answers" in str(done.exception)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("relay deliv", {"deliveries"}),
        ("relay db ", {"backup", "check", "restore", "stats"}),
        ("relay ls --wa", {"--watch"}),
        ("relay completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_a_shell_is_offered_what_can_follow(words: str, offered: set[str]) -> None:
    env = {"_RELAY_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}

    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'relay'; from relay.cli import main; main()"],
        env={**os.environ, **env}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == offered


@pytest.mark.parametrize(("shell", "sign"), [("bash", "complete "), ("zsh", "#compdef relay"), ("fish", "complete ")])
def test_each_shell_gets_its_script(shell: str, sign: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell], standalone_mode=False)

    assert sign in done.stdout
    assert "_RELAY_COMPLETE" in done.stdout
