"""`relay`, whose leases run out soon and whose loops look often, and whose time can be disturbed from outside.

SIGUSR1 sets the wall clock off by the seconds in the file $RELAY_TEST_SKEW;
SIGUSR2 blocks the event loop for $RELAY_TEST_STALL seconds.
"""

import os
import signal
import time
from pathlib import Path

import relay.dispatcher
import relay.poller
from relay.cli import main
from relay.clock import SystemClock

LEASE_S = 3.0

_skew_s = 0.0


def _disturb(*_: object) -> None:
    global _skew_s
    _skew_s = float(Path(os.environ["RELAY_TEST_SKEW"]).read_text())


def _stall(*_: object) -> None:
    time.sleep(float(os.environ["RELAY_TEST_STALL"]))


if __name__ == "__main__":
    for loop in (relay.poller, relay.dispatcher):
        vars(loop).update(_LEASE_S=LEASE_S, _LONGEST_WAIT_S=1.0)
    SystemClock.now = lambda _: time.time() + _skew_s  # type: ignore[method-assign]
    signal.signal(signal.SIGUSR1, _disturb)
    signal.signal(signal.SIGUSR2, _stall)
    main()
