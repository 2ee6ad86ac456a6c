"""Properties of the guard against private addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from delivery.http.addresses import is_public

# Copied from the IANA registries and the manuals of clouds, independently of the code.
SPECIAL_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
            "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24",
            "168.63.129.16/32", "161.26.0.0/16", "166.8.0.0/14",
            "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        ),
    )
)  # fmt: skip
SPECIAL_6: Final = tuple(
    map(
        IPv6Network,
        (
            "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "2001::/23",
            "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
            "fec0::/10", "ff00::/8", "2620:4f:8000::/48", "2d00::/8", "2e00::/7", "3000::/4",
        ),
    )
)  # fmt: skip

special_4 = st.sampled_from(SPECIAL_4).flatmap(
    lambda network: st.integers(0, network.num_addresses - 1).map(lambda n: network[n])
)
special_6 = st.sampled_from(SPECIAL_6).flatmap(
    lambda network: st.integers(0, network.num_addresses - 1).map(lambda n: network[n])
)


@given(special_4)
def test_special_ipv4_addresses_are_not_public(address: IPv4Address) -> None:
    assert not is_public(address)


@given(special_6)
def test_special_ipv6_addresses_are_not_public(address: IPv6Address) -> None:
    assert not is_public(address)


@given(special_4, st.integers(0, 2**64 - 1), st.integers(0, 2**16 - 1))
def test_special_ipv4_addresses_within_ipv6_addresses_are_not_public(
    address: IPv4Address, prefix: int, rest: int
) -> None:
    inner = int(address)
    wrapped = [
        inner,  # compatible
        0xFFFF << 32 | inner,  # mapped
        0xFFFF << 48 | inner,  # translated
        0x64_FF9B << 96 | inner,  # NAT64
        0x64_FF9B_0001 << 80 | inner,  # local-use NAT64
        0x2002 << 112 | inner << 80 | rest,  # 6to4
        0x2001_0000 << 96 | inner << 64 | rest,  # Teredo server
        0x2001_0000 << 96 | 0x0808_0808 << 64 | (inner ^ 0xFFFF_FFFF),  # Teredo client
        prefix << 64 | 0x0000_5EFE << 32 | inner,  # ISATAP
        prefix << 64 | 0x0200_5EFE << 32 | inner,  # ISATAP, of a global IPv4 address
    ]
    for value in wrapped:
        assert not is_public(IPv6Address(value))


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_all_other_ipv4_addresses_are_public(address: IPv4Address) -> None:
    special = any(address in network for network in SPECIAL_4)
    assert is_public(address) == (not special)
    assert is_public(IPv6Address(0xFFFF << 32 | int(address))) == (not special)


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_public_ipv6_addresses_are_global_unicast_or_contain_ipv4(
    address: IPv6Address,
) -> None:
    if is_public(address):
        assert (
            address in IPv6Network("2000::/3")
            or address in IPv6Network("::ffff:0:0/96")
            or address in IPv6Network("64:ff9b::/96")
        )
