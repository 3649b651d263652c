"""URLs taken apart as text, so that what is not understood is sent as it was written."""

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from yarl import URL

from relay.core.headers import basic_authorization

_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_AUTHORITY_END = re.compile(r"[/?#]")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
_IPV4_BYTES = 4


@dataclass(frozen=True, slots=True)
class Parts:
    """The pieces of a URL, unaltered; `host` keeps its brackets, `rest` begins at the path.

    `userinfo` and `port` are None where their separator is absent.
    """

    scheme: str
    userinfo: str | None
    host: str
    port: str | None
    rest: str


def split(url: str) -> Parts:
    """Return the pieces of `url` (RFC 3986, section 3); never raises."""
    scheme, _, remainder = url.partition("://")
    authority = _AUTHORITY_END.split(remainder, maxsplit=1)[0]
    rest = remainder[len(authority) :]
    userinfo, at, location = authority.rpartition("@")
    closing = location.find("]") if location.startswith("[") else -1
    colon = location.find(":", closing + 1)
    host, port = (location, None) if colon < 0 else (location[:colon], location[colon + 1 :])
    return Parts(scheme, userinfo if at else None, host, port, rest)


def sendable(url: str) -> tuple[str, str | None]:
    """Return `url` as it goes out, and the value of `Authorization` that its userinfo means, if any.

    Everything but the userinfo stays byte for byte; a host outside ASCII
    becomes punycode, and other characters outside ASCII are percent-encoded
    (RFC 3987, section 3.1).  Never raises: what cannot be sent is left for the
    transport to say.
    """
    parts = split(url)
    host = parts.host
    if not host.isascii():
        try:
            host = ascii_host(host)
        except ValueError:
            return url, None
    port = "" if parts.port is None else f":{parts.port}"
    wire = f"{parts.scheme}://{host}{port}{quote(parts.rest, safe=_ASCII)}"
    return wire, None if parts.userinfo is None else _basic(parts.userinfo)


def _basic(userinfo: str) -> str:
    user, _, password = userinfo.partition(":")
    return basic_authorization(unquote_to_bytes(user), unquote_to_bytes(password))


def ascii_host(host: str) -> str:
    """Return a host name as resolvers are asked for it: lower case, punycode, ASCII digits and dots.

    Raises ValueError for a name that IDNA cannot carry.
    """
    folded = unicodedata.normalize("NFKC", host).lower()
    if folded.isascii():
        return folded
    return URL.build(scheme="https", host=folded).raw_host or ""


def literal_address(host: str) -> str | None:
    """Return the IP address that `host`, in ASCII, spells, or None for a name.

    Reads what `inet_aton` reads, as resolvers do: one to four numbers, each
    decimal, octal after a 0 or hexadecimal after 0x, of which the last fills
    the bytes that are left.  Raises ValueError for what ends in a number but is
    no address: no name may (WHATWG URL, section 3.5).
    """
    if host.startswith("["):
        return str(ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]")))
    labels = host.removesuffix(".").split(".")
    if not _NUMBER.fullmatch(labels[-1]):
        return None
    if len(labels) > _IPV4_BYTES or not all(map(_NUMBER.fullmatch, labels)):
        raise ValueError(f'"{host}" is not an IPv4 address')
    *leading, last = map(_c_integer, labels)
    left = _IPV4_BYTES - len(leading)
    if any(number > 0xFF for number in leading) or last >= 256**left:
        raise ValueError(f'"{host}" is not an IPv4 address')
    return str(ipaddress.IPv4Address(bytes(leading) + last.to_bytes(left, "big")))


def _c_integer(text: str) -> int:
    """Read a number as C does."""
    if text[:2] in ("0x", "0X"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)
