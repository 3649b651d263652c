"""The service manager's protocol, and the unit that relay ships."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from relay.systemd import notify, watchdog_interval_s

UNIT = Path(__file__).parents[3] / "systemd" / "relay.service"


def test_a_state_reaches_the_manager_s_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))

        assert notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert manager.recv(64) == b"READY=1"


def test_an_abstract_socket_is_reached_as_well() -> None:
    name = f"relay-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")

        assert notify("STATUS=well", {"NOTIFY_SOCKET": f"@{name}"})
        assert manager.recv(64) == b"STATUS=well"


def test_without_a_manager_nothing_is_told(tmp_path: Path) -> None:
    assert not notify("READY=1", {})
    assert not notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "nothing")})


def test_the_watchdog_is_fed_twice_as_often_as_it_asks() -> None:
    assert watchdog_interval_s({"WATCHDOG_USEC": "60000000"}) == 30.0
    assert watchdog_interval_s({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}) == 30.0
    assert watchdog_interval_s({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}) is None
    assert watchdog_interval_s({}) is None
    assert watchdog_interval_s({"WATCHDOG_USEC": "0"}) is None


needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


@needs_systemd
def test_the_unit_is_sandboxed_to_1_2_or_better() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=12", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@needs_systemd
def test_the_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    copy = tmp_path / "relay.service"
    copy.write_text(UNIT.read_text().replace("/opt/relay/bin/relay", "/bin/true"))

    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_grace_period_fits_into_the_time_to_stop() -> None:
    assert "TimeoutStopSec=45" in UNIT.read_text()
