"""How a daemon is reached: by which address, and over which connection; on the standard library."""

import http.client
import re
import socket
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:8377"
UNIX = "unix:"
"""What the address of a socket of this machine begins with."""

_TOKEN = re.compile(r"[!-~]+")
"""What an HTTP header can carry of a token: visible ASCII."""


def checked_url(text: str) -> str:
    """Return the address of a daemon in full; ``http://`` may be left out, ``unix:/PATH`` is its socket.

    Raises ValueError for what is no address of a server.
    """
    if text.startswith(UNIX + "/") and text.isprintable():
        return text
    url = (text if "://" in text else f"http://{text}").rstrip("/")
    shown = "what holds a user or a password" if "@" in text else f'"{text}"'
    wrong = ValueError(f"{shown} is not an address like {DEFAULT_URL}")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise wrong from None
    strange = not url.isprintable() or not url.isascii() or " " in url
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query or strange:
        raise wrong
    return url


def checked_token(text: str) -> str:
    """Return a token; raises ValueError, without the token in it, for what can be none."""
    if not _TOKEN.fullmatch(text):
        raise ValueError("the token holds characters that no token has")
    return text


def connection_to(url: str, timeout_s: float) -> tuple[http.client.HTTPConnection, str]:
    """Return a connection to a daemon at a checked address, not made yet, and what its paths begin with."""
    if url.startswith(UNIX):
        return _LocalConnection(url.removeprefix(UNIX), timeout_s), ""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s), parts.path


class _LocalConnection(http.client.HTTPConnection):
    """HTTP over the socket of a daemon on this machine."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """See HTTPConnection."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
