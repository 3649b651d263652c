"""relay demo where it does not end well, and on a terminal; the happy end is told in tests/acceptance."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.cli import cli
from relay.cli.demo_view import Progress, progress_view


def listening(address: str) -> bool:
    host, port = address.removeprefix("http://").split(":")
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((host, int(port))) == 0


def test_what_is_missing_is_the_reason_and_nothing_stays_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter(["1 of 4 callback", TimeoutError(), "1 of 4 callback"])

    def missing(_: object) -> str:
        look = next(looks)
        if isinstance(look, TimeoutError):
            raise look  # as when the time is up between two looks
        return look

    monkeypatch.setattr("relay.cli.demo._missing", missing)

    done = CliRunner().invoke(cli, ["demo"], standalone_mode=False)

    assert done.return_value == 1
    assert "error: after 16 s there is still missing: 1 of 4 callback\n" in done.stderr
    assert "daemon.started" in done.stderr
    addresses = re.findall(r"http://127\.0\.0\.1:\d+", done.stdout.splitlines()[0])
    assert [listening(address) for address in addresses] == [False, False, False]


def test_a_daemon_that_cannot_start_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.cli.demo._CONFIG", "[sever]\n{providers}")

    done = CliRunner().invoke(cli, ["demo"], standalone_mode=False)

    assert done.return_value == 1
    assert "error: the daemon ended with 78 before it was ready\n" in done.stderr
    assert 'unknown key "sever"' in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_demo_that_is_stopped_stops_what_it_started(number: signal.Signals, tmp_path: Path) -> None:
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); from relay.cli import main; main()"
    )
    demo = subprocess.Popen(
        [sys.executable, "-u", "-c", script, "demo"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert demo.stdout is not None
    addresses = re.findall(r"http://127\.0\.0\.1:\d+", demo.stdout.readline())
    assert [listening(address) for address in addresses] == [True, True, True]

    demo.send_signal(number)
    demo.stdout.read()
    demo.stdout.close()

    assert demo.wait(timeout=30) == 130
    assert [listening(address) for address in addresses] == [False, False, False]
    assert list(tmp_path.iterdir()) == []


def job(status: str, provider_status: str, polls: int, told: str = "") -> Progress:
    return Progress("getimg", "req-1", status, provider_status, polls, told)


def test_elsewhere_than_on_a_terminal_each_change_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_view() as show:
        show([job("queued", "", 0)])
        show([job("running", "pending", 1)])
        show([job("running", "pending", 2)])
        show([job("completed", "completed", 3, "refused with 503")])

    assert [re.sub(r" +", " ", line) for line in capsys.readouterr().out.splitlines()] == [
        "watching getimg req-1 queued, 0 polls",
        "watching getimg req-1 running (pending), 1 polls",
        "watching getimg req-1 completed (completed), 3 polls, callback refused with 503",
    ]


def test_a_terminal_sees_a_table_that_changes_in_place() -> None:
    script = (
        "from relay.cli.demo_view import Progress, progress_view\n"
        "with progress_view() as show:\n"
        "    for status in ('running', 'completed'):\n"
        "        show([Progress('getimg', 'req-1', status, 'done', 3, 'delivered')])\n"
    )
    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-c", script], env=env, stdin=subprocess.DEVNULL, stdout=slave)
    os.close(slave)
    sent = b""
    try:
        while chunk := os.read(master, 65536):
            sent += chunk
    except OSError:
        pass  # the other end is closed: Linux says EIO
    os.close(master)

    assert process.wait(timeout=30) == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", sent.decode())
    assert "AT THE PROVIDER" in shown
    assert shown.rstrip().splitlines()[-1].split() == ["getimg", "req-1", "completed", "done", "3", "delivered"]
