"""The service manager's protocol (sd_notify(3)), a datagram to $NOTIFY_SOCKET."""

import os
import socket
from collections.abc import Mapping


def notify(state: str, env: Mapping[str, str] = os.environ) -> bool:
    """Tell the service manager, where there is one; return whether it was told."""
    address = env.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.connect(address)
            out.sendall(state.encode())
        except OSError:
            return False
    return True


def watchdog_interval_s(env: Mapping[str, str] = os.environ) -> float | None:
    """Return how often the manager wants a sign of life, halved as sd_watchdog_enabled(3) advises, or None."""
    pid, usec = env.get("WATCHDOG_PID", ""), env.get("WATCHDOG_USEC", "")
    if not usec.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 2_000_000 if int(usec) > 0 else None
