"""How long the command line takes to start, beside an empty Python in the same run.

`relay ls` asks a server that answers at once, so that only the client is
measured; once as programs read it and once on a terminal, where tables are
drawn.  Exits with 1 where a median misses its target.
"""

import json
import os
import pty
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RUNS = 20
WATCHES = 50
VERSION_MS, LS_MS = 150.0, 300.0

_WATCH = {
    "provider": "getimg",
    "job_id": "req-01HXYZVIDEO1234",
    "status": "running",
    "watched_at": "2026-11-21T10:00:00.000Z",
    "next_poll_at": "2026-11-21T10:00:05.000Z",
    "eta": None,
    "polls": 3,
}
_PAGE = json.dumps({"items": [{"id": f"wat_{n:026}", **_WATCH} for n in range(WATCHES)], "next_cursor": None}).encode()


class _Api(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(_PAGE)))
        self.end_headers()
        self.wfile.write(_PAGE)


def took_ms(command: Sequence[str], env: dict[str, str], *, terminal: bool) -> float:
    """Return how long a command takes from its start to its end."""
    started = time.perf_counter()
    if not terminal:
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
        return (time.perf_counter() - started) * 1000
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=env, stdout=theirs) as process:
        os.close(theirs)
        try:
            while os.read(ours, 65536):
                pass
        except OSError:  # Linux's way to tell the end of a terminal
            pass
    os.close(ours)
    assert process.returncode == 0
    return (time.perf_counter() - started) * 1000


def main() -> int:
    """Measure, print a line for each command, and tell whether all meet their targets."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {**os.environ, "RELAY_URL": f"http://127.0.0.1:{server.server_address[1]}", "TERM": "xterm-256color"}
    relay = [sys.executable, "-m", "relay"]
    met = True
    for name, command, terminal, target in (
        ("an empty Python", [sys.executable, "-c", "pass"], False, None),
        ("relay --version", [*relay, "--version"], False, VERSION_MS),
        ("relay ls", [*relay, "ls"], False, LS_MS),
        ("relay ls, on a terminal", [*relay, "ls"], True, LS_MS),
    ):
        took_ms(command, env, terminal=terminal)  # warms the disk's cache
        times = sorted(took_ms(command, env, terminal=terminal) for _ in range(RUNS))
        median = statistics.median(times)
        verdict = "" if target is None else f"  target {target:.0f} ms: {'met' if median <= target else 'MISSED'}"
        met = met and (target is None or median <= target)
        print(f"{name:<26} median {median:6.1f} ms  worst {times[-1]:6.1f} ms{verdict}")
    server.shutdown()
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
