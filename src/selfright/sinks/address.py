"""Which network addresses a webhook may reach: public ones, by a list of what is public.

A URL that an attacker can influence, directly or through DNS, must not become a request
to the machine itself, its network or the cloud's metadata service. ``ipaddress.is_global``
alone lets several ways around pass on Python 3.11 (NAT64, 6to4, IPv4-compatible), so
addresses that carry another one inside are refused altogether.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Final

# IANA special-purpose registry, plus multicast and the retired 6to4 relays.
_SPECIAL_V4: Final = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Only this block of IPv6 is given out as global unicast; NAT64, link-local, unique local,
# multicast and IPv4-compatible addresses lie outside it.
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_SPECIAL_V6: Final = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries an IPv4 address
        "3fff::/20",
    )
)


def is_public(address: str) -> bool:
    """Return whether a numeric address is a public one; False if it is no address at all."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return _is_public_v4(parsed.ipv4_mapped)
        return parsed in _GLOBAL_V6 and not any(parsed in block for block in _SPECIAL_V6)
    return _is_public_v4(parsed)


def _is_public_v4(address: IPv4Address) -> bool:
    return not any(address in block for block in _SPECIAL_V4)
