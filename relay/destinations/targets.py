"""What a watch's destinations are called, and which callback URLs are accepted."""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache

from relay.core.address import AddressPolicy, host_name
from relay.core.errors import InvalidValue
from relay.core.watch import Target
from relay.destinations import url as urls

URL_LIMIT = 2048
_FIELD = "callback_url"
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_NAME_LIMIT = 253
_LABEL_LIMIT = 63
_DEFAULT_PORTS = {"https": 443, "http": 80}


def named_target(name: str) -> Target:
    """Return the target that a destination of the configuration is."""
    return Target(key=name, lane=name, name=name)


def callback_target(url: str, *, allow_http: bool, policy: AddressPolicy) -> Target:
    """Return the target that a callback URL is.

    Raises InvalidValue, naming `callback_url`, for one that could not be
    called.  An IP address in any spelling is held against `policy` at once; what
    a name resolves to is held against it when a socket connects.
    """
    _check_characters(url)
    parts = urls.split(url)
    scheme = _checked_scheme(parts.scheme, allow_http=allow_http)
    if parts.userinfo is not None and "@" in parts.userinfo:
        raise InvalidValue(_FIELD, 'writes an "@" in its user name or password as %40')
    host = _checked_host(parts.host, policy)
    port = _DEFAULT_PORTS[scheme] if parts.port is None else _checked_port(parts.port)
    digest = hashlib.sha256(url.encode()).hexdigest()
    return Target(key=f"url:{digest[:32]}", lane=f"{host}:{port}", url=url)


def callback_names(written: Iterable[str]) -> set[str]:
    """Return the host names in callback URLs, as their targets will have them; never raises."""
    names = set()
    for host in {urls.split(url).host for url in written}:
        try:
            ascii_host = urls.ascii_host(host)
        except ValueError:
            continue
        if (name := host_name(ascii_host)) is not None:
            names.add(name)
    return names


def _check_characters(url: str) -> None:
    if len(url) > URL_LIMIT:
        raise InvalidValue(_FIELD, f"is longer than {URL_LIMIT} characters")
    if not url.isprintable() or " " in url or "\\" in url:
        culprit = next(character for character in url if character in " \\" or not character.isprintable())
        raise InvalidValue(_FIELD, f"must not contain {culprit!a}")
    if "#" in url:
        raise InvalidValue(_FIELD, "must not have a fragment: it is never sent")


def _checked_scheme(scheme: str, *, allow_http: bool) -> str:
    scheme = scheme.lower()
    if scheme == "http" and not allow_http:
        raise InvalidValue(_FIELD, "must begin with https://; callbacks.allow_http would permit http")
    if scheme not in _DEFAULT_PORTS:
        raise InvalidValue(_FIELD, "must be a URL that begins with https://")
    return scheme


@lru_cache(maxsize=1024)  # callbacks lead to few hosts
def _checked_host(written: str, policy: AddressPolicy) -> str:
    """Return the host in lower-case ASCII, without the dot that ends a rooted name."""
    if not written:
        raise InvalidValue(_FIELD, "names no host")
    try:
        host = urls.ascii_host(written)
        address = urls.literal_address(host)
    except ValueError:
        raise InvalidValue(_FIELD, "names a host that is neither a name nor an address") from None
    if address is None:
        _check_name(host)
    host = host.removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        address = "127.0.0.1"  # whatever the resolver says: RFC 6761, section 6.3
    refusal = policy.refusal(address, host) if address is not None else None
    if refusal is not None:
        raise InvalidValue(_FIELD, refusal)
    if "%" in host:
        raise InvalidValue(_FIELD, "must not have a zone in its address")
    return host


def _check_name(host: str) -> None:
    too_long = len(host) > _NAME_LIMIT or any(len(label) > _LABEL_LIMIT for label in host.split("."))
    if too_long or not _NAME.fullmatch(host):
        raise InvalidValue(_FIELD, "names a host that is neither a name nor an address")


def _checked_port(port: str) -> int:
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise InvalidValue(_FIELD, "has a port that is not a number from 1 to 65535")
    return int(port)
