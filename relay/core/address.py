"""Which addresses a callback may reach.

`ipaddress.is_global` alone would let through, among others, Azure's metadata
service, multicast, and IPv4 addresses carried inside IPv6 ones.
"""

import ipaddress
from collections.abc import Sequence
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
_ISATAP = 0x5EFE
_METADATA = tuple(
    ipaddress.ip_network(network)
    for network in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "168.63.129.16/32", "100.100.100.200/32")
)
"""Link-local addresses and the metadata services of clouds."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which addresses may be connected to.

    `operator` is for URLs from the configuration: an operator may mean any
    host, but hardly ever a metadata service.  `allowed` are networks let
    through in any case, and `setting` is the configuration key that holds them.
    """

    allowed: tuple[IPNetwork, ...] = ()
    operator: bool = False
    setting: str = "callbacks.allow_networks"

    def refusal(self, address: str) -> str | None:
        """Return why `address`, a literal IP, may not be connected to, or None where it may."""
        try:
            ip = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
        except ValueError:
            return f'"{address}" is not an IP address'
        if any(ip in network for network in self.allowed if network.version == ip.version):
            return None
        if self.operator:
            return f"{ip} is a link-local or metadata address" if _is_metadata(ip) else None
        if not _is_public(ip):
            return f"{ip} is not a public address; {self.setting} would permit it"
        return None


def parse_networks(values: Sequence[str]) -> tuple[IPNetwork, ...]:
    """Return the networks that `values` name; raises ValueError for one that is none."""
    return tuple(ipaddress.ip_network(value, strict=False) for value in values)


def _unwrapped(ip: IPAddress) -> IPAddress:
    """Return the IPv4 address inside an IPv4-mapped one: the kernel connects to that."""
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return mapped or ip


def _is_public(ip: IPAddress) -> bool:
    if not ip.is_global or ip.is_multicast or ip.is_reserved or _is_metadata(ip):
        return False
    if isinstance(ip, ipaddress.IPv6Address) and int(ip) >> 32 & 0xFFFF == _ISATAP:
        return False
    return not any(ip in network for network in _DENIED if network.version == ip.version)


def _is_metadata(ip: IPAddress) -> bool:
    return any(ip in network for network in _METADATA if network.version == ip.version)
