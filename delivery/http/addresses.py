"""Which addresses may be called without being asked for: public unicast ones, and no others.

Python's `is_global` is only the beginning: addresses that carry an IPv4 address within them are
judged by that one too, and what is reserved, multicast, deprecated or for documentation is refused.
Sources: the IANA special-purpose address registries (RFC 6890 and its updates), RFC 6052 (NAT64),
RFC 3056 (6to4), RFC 4380 (Teredo), RFC 5214 (ISATAP), RFC 4291 (IPv4-mapped and -compatible).
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
        "192.0.0.0/24",  # IETF protocol assignments
        "192.88.99.0/24",  # 6to4 relays, deprecated
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved
        "64:ff9b:1::/48",  # local-use NAT64
        "100::/64",  # discard only
        "2001:2::/48",  # benchmarking
        "2001:10::/28",  # ORCHID
        "2001:20::/28",  # ORCHIDv2
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fec0::/10",  # site-local, deprecated
        "ff00::/8",  # multicast
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""Bits 64 to 96 of an address whose last 32 bits are an IPv4 address."""
_IPV4_TRANSLATED: Final = IPv6Network("::ffff:0:0:0/96")
_IPV4_COMPATIBLE: Final = IPv6Network("::/96")
_LOW_32: Final = 0xFFFF_FFFF


def is_public(address: Address) -> bool:
    """Whether the address, and every IPv4 address it carries, is public and unicast."""
    carried = _carried(address)
    if carried:
        # A mapped address is never global by itself; where it leads is what counts.
        return _leads_out(address) and all(is_public(inner) for inner in carried)
    return (
        address.is_global
        and not address.is_multicast
        and not any(
            address in network for network in _REFUSED if network.version == address.version
        )
    )


def _leads_out(address: Address) -> bool:
    """Whether an address that carries another one may be called if that one may."""
    assert isinstance(address, IPv6Address)
    return address.ipv4_mapped is not None or address in _NAT64


def _carried(address: Address) -> tuple[IPv4Address, ...]:
    if isinstance(address, IPv4Address):
        return ()
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    value = int(address)
    if (
        address in _NAT64
        or address in _IPV4_TRANSLATED
        or address in _IPV4_COMPATIBLE
        or (value >> 32) & _LOW_32 in _ISATAP
    ):
        return (IPv4Address(value & _LOW_32),)
    return ()


def parse_address(text: str) -> Address:
    """An address as `getaddrinfo` gives it, without its zone."""
    return ip_address(text.split("%", 1)[0])
