"""Only public addresses pass; whatever leads home, in any spelling, does not."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfright.sinks.address import is_public

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "192.0.0.8",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "198.18.0.1",
    "::1",
    "::",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001::1",
    "2001:db8::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12::1",
    "fec0::1",
    "ff02::1",
    "100::1",
    "not an address",
    "",
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_leads_home_is_not_public(address: str) -> None:
    """Loopback, private, link-local, multicast and translated addresses are refused."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_passes(address: str) -> None:
    """What anybody on the internet could reach may be reached."""
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
def test_a_loopback_in_disguise_is_seen_through(host: str) -> None:
    """Odd spellings are read as the system reads them, then judged."""
    found = socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
    assert found
    assert not any(is_public(str(entry[4][0])) for entry in found)


@given(st.integers(0, 2**32 - 1))
def test_no_ipv6_form_makes_an_ipv4_address_public(number: int) -> None:
    """Mapped, it is judged as itself; translated (6to4, NAT64, compatible) it never passes."""
    inner = IPv4Address(number)
    mapped = IPv6Address((0xFFFF << 32) | number)
    assert is_public(str(mapped)) == is_public(str(inner))
    for carrier in (
        IPv6Address((0x2002 << 112) | (number << 80)),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address(number),
    ):
        assert not is_public(str(carrier))


@given(st.integers(0, 2**32 - 1))
def test_never_more_generous_than_the_standard_library(number: int) -> None:
    """Whatever Python itself calls not global is refused here too."""
    address = IPv4Address(number)
    assert not is_public(str(address)) or address.is_global
