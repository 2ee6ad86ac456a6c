"""Classification of IP addresses: only public unicast addresses may be called by default.

Python's `is_global` is not enough: its data depend on the version of Python. This module also
refuses reserved, multicast, deprecated, documentation and unallocated addresses, and checks an IPv4
address embedded in an IPv6 address.
Sources: the IANA special-purpose address registries (RFC 6890 and its updates), the IANA registry
of IPv6 global unicast assignments, RFC 6052 (NAT64), RFC 3056 and 7526 (6to4), RFC 4380 (Teredo),
RFC 5214 (ISATAP), RFC 4291 (IPv4-mapped and -compatible).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

__all__ = ["Address", "Network", "is_public", "parse_address"]

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_REFUSED_NETWORKS: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "100.64.0.0/10",  # carrier-grade NAT
        "192.0.0.0/24",  # IETF protocol assignments
        "192.31.196.0/24",  # AS112: names of private networks
        "192.52.193.0/24",  # AMT relays
        "192.88.99.0/24",  # 6to4 relays, deprecated
        "192.175.48.0/24",  # AS112
        "168.63.129.16/32",  # Azure: host of a virtual machine, reachable from inside
        "161.26.0.0/16",  # IBM Cloud: infrastructure services, reachable only from inside
        "166.8.0.0/14",  # IBM Cloud: service endpoints, reachable only from inside
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved
        "2001::/23",  # IETF protocol assignments: AMT, AS112, benchmarking, ORCHID, Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, deprecated
        "2620:4f:8000::/48",  # AS112
        "2d00::/8",  # unallocated
        "2e00::/7",  # unallocated
        "3000::/4",  # unallocated; 3ffe::/16 was the 6bone, 3fff::/20 is for documentation
    )
)
_UNICAST: Final = IPv6Network("2000::/3")
"""IPv6 range of global unicast. All other addresses are special or reserved."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_ISATAP_MARKERS: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""Bits 64 to 96 of an ISATAP address. The last 32 bits are an IPv4 address."""
_LOW_32: Final = 0xFFFF_FFFF


def is_public(address: Address) -> bool:
    """Return whether the address and any embedded IPv4 address are public unicast addresses."""
    if isinstance(address, IPv4Address):
        return _is_public_unicast(address)
    if address.ipv4_mapped is not None:
        return _is_public_unicast(address.ipv4_mapped)
    low = int(address) & _LOW_32
    if address in _NAT64:
        return _is_public_unicast(IPv4Address(low))
    if (int(address) >> 32) & _LOW_32 in _ISATAP_MARKERS and not _is_public_unicast(
        IPv4Address(low)
    ):
        return False
    # The other forms with an embedded IPv4 address (6to4, Teredo, IPv4-compatible, IPv4-translated)
    # are refused altogether: they are no longer routed, so only an attacker would use one.
    return address in _UNICAST and _is_public_unicast(address)


def _is_public_unicast(address: Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not any(
            address in network
            for network in _REFUSED_NETWORKS
            if network.version == address.version
        )
    )


def parse_address(text: str) -> Address:
    """Parse an address returned by `getaddrinfo` and drop its zone."""
    return ip_address(text.split("%", 1)[0])
