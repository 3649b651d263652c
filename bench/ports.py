"""Ports of loopback."""

import secrets
import socket
from contextlib import suppress

_LASTING = range(10_000, 32_768)
"""Below what Linux gives to outgoing connections (ip(7), `ip_local_port_range`): nobody comes by one of
these by chance while the daemon that listens on it is killed and started again."""


def free_port() -> int:
    """Return a port that nobody listened on a moment ago, and no outgoing connection will take."""
    while True:
        port = secrets.choice(_LASTING)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
