"""Which headers a destination may be given, beside those that are relay's own."""

import re
from base64 import b64encode

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[!-~]([ \t!-~]*[!-~])?")
_OWN_PREFIXES = ("content-", "webhook-", "relay-", "proxy-")
_OWN = frozenset(
    {
        "accept-encoding",  # answers are wanted as they are, so that their size is what it seems
        "connection",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""The connection's own (RFC 9110, section 7.6.1), and what the message itself decides."""

_SECRETIVE = re.compile(r"auth|cookie|credential|key|pass|secret|signature|token", re.IGNORECASE)


def checked_name(name: str) -> str:
    """Return the name of a header; raises ValueError for one that is none (RFC 9110, section 5.1), or relay's own."""
    if not _NAME.fullmatch(name):
        raise ValueError("is not the name of a header")
    if name.lower() in _OWN or name.lower().startswith(_OWN_PREFIXES):
        raise ValueError("is reserved: relay or the connection sets it")
    return name


def checked_value(value: str) -> str:
    """Return the value of a header; raises ValueError, not showing it, unless it is visible ASCII within."""
    if not _VALUE.fullmatch(value):
        raise ValueError("must be visible ASCII, without white space around it")
    return value


def is_secretive(name: str) -> bool:
    """Tell whether a header of this name probably carries a secret."""
    return bool(_SECRETIVE.search(name))


def basic_authorization(user: bytes, password: bytes) -> str:
    """Return the value of `Authorization` by which a user logs in (RFC 7617)."""
    return "Basic " + b64encode(user + b":" + password).decode()
