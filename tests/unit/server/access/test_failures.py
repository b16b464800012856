"""Wrong keys: some are answered, then the address is told to wait, and never for long."""

from __future__ import annotations

from selfright.server.access import failures as failures_module
from selfright.server.access.failures import Failures, group_of


def test_so_many_at_once_then_so_many_a_minute() -> None:
    """20 a minute: the 21st waits 3 s, and then there is one more."""
    failures = Failures(20)
    assert [failures.note("10.0.0.1", 0.0) for _ in range(20)] == [None] * 20
    too_many = failures.note("10.0.0.1", 0.0)
    assert too_many is not None
    assert too_many.wait_s == 3.0
    assert failures.note("10.0.0.1", 2.9) is not None
    assert failures.note("10.0.0.1", 3.001) is None
    assert failures.note("10.0.0.1", 3.001) is not None
    assert [failures.note("10.0.0.1", 63.0) for _ in range(20)] == [None] * 20


def test_who_never_stops_does_not_wait_the_longer() -> None:
    """A thousand a second for a minute, and 3 s later one is answered again."""
    failures = Failures(20)
    for i in range(60_000):
        failures.note("10.0.0.1", i / 1000)
    waits = failures.note("10.0.0.1", 60.0)
    assert waits is None or waits.wait_s <= 3.0
    assert failures.note("10.0.0.1", 63.1) is None


def test_one_address_does_not_make_another_wait() -> None:
    """But one subscriber of IPv6 is one client, whichever of its addresses it takes."""
    failures = Failures(1)
    assert failures.note("10.0.0.1", 0.0) is None
    assert failures.note("10.0.0.2", 0.0) is None
    assert failures.note("2001:db8:0:1::1", 0.0) is None
    assert failures.note("2001:db8:0:1:ffff::2", 0.0) is not None
    assert failures.note("2001:db8:0:2::1", 0.0) is None


def test_it_is_news_once_until_the_address_was_well_again() -> None:
    """A log is not flooded by somebody who floods us."""
    failures = Failures(2)
    news = [found.is_news for _ in range(50) if (found := failures.note("a", 0.0)) is not None]
    assert news == [True] + [False] * 47
    assert failures.note("a", 30.0) is None
    again = failures.note("a", 30.0)
    assert again is not None
    assert not again.is_news
    for _ in range(2):
        assert failures.note("a", 3000.0) is None
    again = failures.note("a", 3000.0)
    assert again is not None
    assert again.is_news


def test_a_flood_of_addresses_does_not_fill_the_memory() -> None:
    """The one that failed least lately makes room."""
    failures = Failures(1)
    most = failures_module._MOST_ADDRESSES
    for i in range(3 * most):
        failures.note(f"address {i}", 0.0)
    assert len(failures._buckets) == most
    assert failures.note(f"address {3 * most - 1}", 0.0) is not None
    assert failures.note("address 0", 0.0) is None


def test_what_counts_as_one_client() -> None:
    """However it is written."""
    assert group_of("10.0.0.1") == group_of("::ffff:10.0.0.1") == "10.0.0.1"
    assert group_of("2001:DB8::1") == "2001:db8::/64"
    assert group_of("") == ""
    assert group_of("a socket") == "a socket"
