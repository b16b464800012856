"""Flapping is opening often within the hour, and forgets what is older."""

from __future__ import annotations

from selfright.alerts.flapping import Flapping

HOUR = 3_600_000_000


def test_the_third_opening_within_the_hour_flaps():
    """Not the second, and not the third if the first is an hour ago."""
    flapping = Flapping(3, HOUR)
    key = ("accuracy_min", "a")
    assert [flapping.opens(key, at) for at in (0, 1, 2, 3)] == [False, False, True, True]
    assert not flapping.opens(("accuracy_min", "b"), 4)
    assert not flapping.opens(key, 3 + HOUR)


def test_memory_is_bounded_by_what_alerted_lately():
    """Ten thousand agents that alerted once do not stay for ever."""
    flapping = Flapping(3, HOUR)
    for i in range(10_000):
        flapping.opens(("accuracy_min", f"agent{i}"), i * HOUR // 10)
    assert len(flapping.to_state()) <= 1002
