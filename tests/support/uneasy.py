"""`relay`, whose leases run out soon and whose loops look often, and whose time can be disturbed from outside.

Names in `.test` are this host, but while the file $RELAY_TEST_NAMELESS exists
their resolver hangs.  SIGUSR1 sets the wall clock off by the seconds in the file
$RELAY_TEST_SKEW, which is gone once that is done; SIGUSR2 blocks the event loop
for $RELAY_TEST_STALL seconds.
"""

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import relay.dispatcher
import relay.poller
import relay.store.opening
from relay.cli import main
from relay.clock import SystemClock

LEASE_S = 3.0
LOCK_S = 0.5
"""So long a write waits for another program's lock: at a stop the one under way, and then the last."""
RESOLVER_S = 20.0
"""As long as a resolver tries by default where no name server answers (resolv.conf(5): 5 s, twice, two servers)."""

_skew_s = 0.0
_getaddrinfo = socket.getaddrinfo


def _disturb(*_: object) -> None:
    global _skew_s
    wanted = Path(os.environ["RELAY_TEST_SKEW"])
    _skew_s = float(wanted.read_text())
    wanted.unlink()


def _stall(*_: object) -> None:
    time.sleep(float(os.environ["RELAY_TEST_STALL"]))


def _resolve(host: str | bytes | None, *arguments: Any, **options: Any) -> Any:
    if not str(host).endswith(".test"):
        return _getaddrinfo(host, *arguments, **options)
    if Path(os.environ["RELAY_TEST_NAMELESS"]).exists():
        time.sleep(RESOLVER_S)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return _getaddrinfo("127.0.0.1", *arguments, **options)


if __name__ == "__main__":
    for loop in (relay.poller, relay.dispatcher):
        vars(loop).update(_LEASE_S=LEASE_S, _LONGEST_WAIT_S=1.0)
    SystemClock.now = lambda _: time.time() + _skew_s  # type: ignore[method-assign]
    vars(relay.store.opening)["_BUSY_TIMEOUT_MS"] = int(LOCK_S * 1000)
    socket.getaddrinfo = _resolve
    signal.signal(signal.SIGUSR1, _disturb)
    signal.signal(signal.SIGUSR2, _stall)
    main()
