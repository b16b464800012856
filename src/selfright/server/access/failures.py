"""How many wrong keys an address may present before it is told to wait.

This is no protection of the keys, which nobody can guess at any speed, but of the service
and its log from clients that fail in a loop. So a right key is never refused on account of
wrong ones from the same address: behind a proxy or a router all clients have the same.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

# Addresses that are remembered; the one that failed least lately makes room.
_MOST_ADDRESSES: Final = 4096
_IPV6_NETWORK_BITS: Final = 64  # what one subscriber is given


@dataclass(slots=True)
class _Bucket:
    """What an address has left. ``is_told``: that it is at its end was logged."""

    left: float
    at_s: float
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class TooMany:
    """An address has to wait. ``is_news``: for the first time since it last was well."""

    wait_s: float
    is_news: bool


class Failures:
    """A bucket per address that wrong keys empty and time fills. For one thread.

    Parameters
    ----------
    per_min
        Wrong keys that an address may present at once, and afterwards per minute.
    """

    def __init__(self, per_min: int) -> None:
        self._most = float(per_min)
        self._per_s = per_min / 60
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def note(self, address: str, now_s: float) -> TooMany | None:
        """Count a wrong key; return how long to wait if there were too many.

        What comes while the bucket is empty is not counted, so that a client which never
        stops does not wait the longer.
        """
        bucket = self._bucket(group_of(address), now_s)
        bucket.left = min(self._most, bucket.left + (now_s - bucket.at_s) * self._per_s)
        bucket.at_s = now_s
        if bucket.left >= 1:
            bucket.is_told = bucket.is_told and bucket.left < self._most
            bucket.left -= 1
            return None
        is_news, bucket.is_told = not bucket.is_told, True
        return TooMany((1 - bucket.left) / self._per_s, is_news)

    def _bucket(self, group: str, now_s: float) -> _Bucket:
        bucket = self._buckets.get(group)
        if bucket is None:
            if len(self._buckets) >= _MOST_ADDRESSES:
                self._buckets.popitem(last=False)
            bucket = self._buckets[group] = _Bucket(self._most, now_s)
        self._buckets.move_to_end(group)
        return bucket


def group_of(address: str) -> str:
    """Return what counts as one client: the address, of IPv6 its network of 64 bits."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((found, _IPV6_NETWORK_BITS), strict=False))
    return str(found)
