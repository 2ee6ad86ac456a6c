"""Which addresses may be called without being asked for: public unicast ones, and no others.

Python's `is_global` is only the beginning: addresses that carry an IPv4 address within them are
judged by that one too, and what is reserved, multicast, deprecated, for documentation or not yet
given out for unicast is refused, whatever the version of Python knows about it.
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

_REFUSED: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "100.64.0.0/10",  # shared between a carrier and its customers
        "192.0.0.0/24",  # IETF protocol assignments
        "192.31.196.0/24",  # AS112: names of private networks
        "192.52.193.0/24",  # AMT relays
        "192.88.99.0/24",  # 6to4 relays, deprecated
        "192.175.48.0/24",  # AS112
        "168.63.129.16/32",  # Azure: the host of a virtual machine, from within it
        "161.26.0.0/16",  # IBM Cloud: infrastructure services, reached from within it only
        "166.8.0.0/14",  # IBM Cloud: service endpoints, reached from within it only
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved
        "2001::/23",  # IETF protocol assignments: AMT, AS112, benchmarking, ORCHID, Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, deprecated
        "2620:4f:8000::/48",  # AS112
        "2d00::/8",  # not given out
        "2e00::/7",  # not given out
        "3000::/4",  # not given out; 3ffe::/16 was the 6bone, 3fff::/20 is for documentation
    )
)
_UNICAST: Final = IPv6Network("2000::/3")
"""All that IANA gives out of IPv6 for global unicast; the rest is special or reserved."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""Bits 64 to 96 of an address whose last 32 bits are an IPv4 address."""
_LOW_32: Final = 0xFFFF_FFFF


def is_public(address: Address) -> bool:
    """Whether the address, and every IPv4 address it carries, is public and unicast."""
    if isinstance(address, IPv4Address):
        return _is_ordinary(address)
    if address.ipv4_mapped is not None:
        return _is_ordinary(address.ipv4_mapped)
    low = int(address) & _LOW_32
    if address in _NAT64:
        return _is_ordinary(IPv4Address(low))
    if (int(address) >> 32) & _LOW_32 in _ISATAP and not _is_ordinary(IPv4Address(low)):
        return False
    # The other forms that carry an IPv4 address (6to4, Teredo, IPv4-compatible and -translated) are
    # refused whole: none of them is routed any more, so only an attacker would name one.
    return address in _UNICAST and _is_ordinary(address)


def _is_ordinary(address: Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not any(
            address in network for network in _REFUSED if network.version == address.version
        )
    )


def parse_address(text: str) -> Address:
    """An address as `getaddrinfo` gives it, without its zone."""
    return ip_address(text.split("%", 1)[0])
