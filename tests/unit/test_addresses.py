"""Only public unicast addresses may be called by default."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from delivery.http.addresses import is_public, parse_address


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "93.184.215.14",
        "168.63.129.15",
        "168.63.129.17",
        "198.17.255.255",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "2a00:1450:4001:80b::200e",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2606:4700::5efe:8.8.8.8",
    ],
)
def test_public_addresses_may_be_called(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.2.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b::a9fe:a9fe",
        "100::1",
        "2001:db8::1",
        "2001:2::1",
        "2001:20::1",
        "2001:0:7f00:1::1",
        "2002:a00:1::1",
        "2002:808:808::1",
        "2606:4700::5efe:10.0.0.1",
        "2606:4700::200:5efe:10.0.0.1",
        "4000::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::5efe:8.8.8.8",
        "::8.8.8.8",
        "::ffff:0:8.8.8.8",
    ],
)
def test_special_addresses_may_not_be_called(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "192.0.0.8",
        "192.88.99.1",
        "168.63.129.16",
        "161.26.0.1",
        "166.9.1.1",
        "192.31.196.1",
        "192.52.193.1",
        "192.175.48.6",
        "2001:3::1",
        "2001:4:112::1",
        "2620:4f:8000::1",
        "3ffe::1",
        "2d00::1",
        "2e00::1",
        "3000::1",
        "::ffff:168.63.129.16",
        "64:ff9b::a83f:8110",
        "224.0.0.1",
        "::7f00:1",
        "::ffff:0:7f00:1",
        "::5efe:7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::1",
        "fec0::1",
        "ff02::1",
        "3fff::1",
        "5f00::1",
    ],
)
def test_special_addresses_that_some_versions_of_python_consider_global_may_not_be_called(
    address: str,
) -> None:
    assert not is_public(ip_address(address))


def test_the_zone_of_a_resolved_address_is_dropped() -> None:
    assert parse_address("fe80::1%eth0") == ip_address("fe80::1")
