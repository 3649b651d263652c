"""Which addresses a callback may reach.

`ipaddress.is_global` alone would let through, among others, Azure's metadata
service, multicast, and IPv4 addresses carried inside IPv6 ones.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_DENIED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "168.63.129.16/32",  # Azure's host agent
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 anycast
        "::/8",  # unspecified, loopback, IPv4-compatible and IPv4-mapped
        "64:ff9b::/32",  # NAT64, well-known and local prefixes
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fec0::/10",  # site-local
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
    )
)
_METADATA = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure
        "169.254.0.0/16",  # almost every cloud
        "192.0.0.192/32",  # Oracle
        "fd00:42::42/128",  # Scaleway
        "fd00:ec2::/112",  # AWS
        "fd20:ce::254/128",  # Google
        "fe80::/10",
    )
)
"""Link-local addresses, and where clouds hand out the credentials of their machines."""

_COMPATIBLE = ipaddress.IPv6Network("::/96")
_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_ISATAP = 0x5EFE
_LOW_32 = 0xFFFFFFFF

_HOST = re.compile(r"([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z_]([a-z0-9_-]*[a-z0-9_])?")
"""A name in lower-case ASCII, whose last label tells it from an address (WHATWG URL, section 3.5)."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which addresses may be connected to.

    `operator` is for URLs from the configuration: an operator may mean any
    host, but hardly ever a metadata service.  For all others, `allowed` are
    networks let through in any case, and `hosts` are names, or `*.` and what
    names end in, that may resolve to anything but a metadata service.
    """

    allowed: tuple[IPNetwork, ...] = ()
    hosts: tuple[str, ...] = ()
    operator: bool = False

    def refusal(self, address: str, host: str | None = None) -> str | None:
        """Return why `address`, a literal IP, may not be connected to, or None where it may.

        `host` is what the URL says, where that is known: a name, or the address
        in some spelling.
        """
        try:
            ip = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
        except ValueError:
            return f'"{address}" is not an IP address'
        if any(ip in network for network in self.allowed if network.version == ip.version):
            return None
        if self.operator:
            return f"{ip} is a link-local or metadata address" if _leads_to_metadata(ip) else None
        name = host_name(host)
        if name is not None and lists(self.hosts, name):
            if _leads_to_metadata(ip):
                return f"{ip} is a link-local or metadata address; callbacks.allow_networks would permit it"
            return None
        if not _is_public(ip):
            by_name = "" if name is None else ", or callbacks.allow_hosts its name"
            return f"{ip} is not a public address; callbacks.allow_networks would permit it{by_name}"
        return None


def parse_networks(values: Sequence[str]) -> tuple[IPNetwork, ...]:
    """Return the networks that `values` name; raises ValueError for one that is none."""
    return tuple(ipaddress.ip_network(value, strict=False) for value in values)


def parse_hosts(values: Sequence[str]) -> tuple[str, ...]:
    """Return the names that `values` are, some after `*.`; raises ValueError for one that is none."""
    for value in values:
        if host_name(value.removeprefix("*.")) is None:
            raise ValueError(f'{value!a} is not a host name, with or without "*."; addresses go into allow_networks')
    return tuple(value.lower().removesuffix(".") for value in values)


def lists(entries: Sequence[str], name: str) -> bool:
    """Tell whether one of `entries`, as parse_hosts returns them, covers the host `name`."""
    return any(name.endswith(entry[1:]) if entry.startswith("*.") else name == entry for entry in entries)


def host_name(host: str | None) -> str | None:
    """Return the name of a host as names are compared, or None where it is an address in some spelling."""
    name = "" if host is None else host.lower().removesuffix(".")
    return name if _HOST.fullmatch(name) else None


def _unwrapped(ip: IPAddress) -> IPAddress:
    """Return the IPv4 address inside an IPv4-mapped one: the kernel connects to that."""
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return mapped or ip


def _is_public(ip: IPAddress) -> bool:
    if not ip.is_global or ip.is_multicast or ip.is_reserved or _leads_to_metadata(ip):
        return False
    if _is_isatap(ip):
        return False
    return not any(ip in network for network in _DENIED if network.version == ip.version)


def _is_isatap(ip: IPAddress) -> bool:
    return isinstance(ip, ipaddress.IPv6Address) and int(ip) >> 32 & 0xFFFF == _ISATAP


def _leads_to_metadata(ip: IPAddress) -> bool:
    """Tell whether `ip`, or an address that a gateway would make of it, is link-local or a metadata service's."""
    places = [ip, *_carried(ip)] if isinstance(ip, ipaddress.IPv6Address) else [ip]
    return any(place in network for place in places for network in _METADATA if network.version == place.version)


def _carried(ip: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield the IPv4 addresses inside `ip` that gateways of one kind or another read there."""
    if ip in _COMPATIBLE or ip in _TRANSLATED or ip in _NAT64 or ip in _LOCAL_NAT64 or _is_isatap(ip):
        yield ipaddress.IPv4Address(int(ip) & _LOW_32)
    if ip in _LOCAL_NAT64:
        yield from map(ipaddress.IPv4Address, _after_short_prefixes(int(ip)))
    if ip.sixtofour is not None:
        yield ip.sixtofour
    yield from ip.teredo or ()


def _after_short_prefixes(ip: int) -> Iterator[int]:
    """Yield what stands behind prefixes of 48, 56 and 64 bits, around the octet left free (RFC 6052, section 2.2)."""
    joined = ip >> 64 << 56 | ip & (1 << 56) - 1
    for prefix in (48, 56, 64):
        yield joined >> (88 - prefix) & _LOW_32
