"""The manual clock moves when told and at no other time."""

from __future__ import annotations

from selfright.testing.clock import START_US, ManualClock


def test_it_stands_still() -> None:
    """Reading the clock does not move it."""
    clock = ManualClock()
    assert [clock.now_us(), clock.now_us()] == [START_US, START_US]


def test_it_starts_where_files_without_times_start() -> None:
    """The first reading is 2000-01-01T00:00:00Z unless told otherwise."""
    assert START_US == 946_684_800_000_000
    assert ManualClock(start_us=5).now_us() == 5


def test_it_moves_both_ways() -> None:
    """A test can make the clock step back, as the clocks of real machines do."""
    clock = ManualClock(start_us=10_000_000)
    assert clock.advance(2.5) == 12_500_000
    assert clock.advance(-5) == 7_500_000
    clock.set(3)
    assert clock.now_us() == 3
