"""Time at the edges: every way to write an instant, one integer."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any

import numpy as np
import pytest

from selfright.errors import InvalidEventError
from selfright.events.timestamp import iso, parse, to_datetime

NEW_YEAR_US = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z


class Nowhere(tzinfo):
    """A zone that does not say where it is."""

    def utcoffset(self, _: datetime | None) -> timedelta | None:
        return None


@pytest.mark.parametrize(
    "value",
    [
        1_704_067_200,
        1_704_067_200.0,
        np.int32(1_704_067_200),
        np.float64(1_704_067_200),
        "2024-01-01T00:00:00Z",
        "2024-01-01t00:00:00z",
        "2024-01-01 00:00:00",
        "2024-01-01T00:00:00.000000+00:00",
        "2024-01-01T05:30:00+05:30",
        "2023-12-31T23:00:00-01:00",
        "2024-01-01",
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 1),  # noqa: DTZ001 - naive ones are UTC
        datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        np.datetime64("2024-01-01"),
        np.datetime64("2024-01-01T00:00:00.000000000"),
    ],
    ids=repr,
)
def test_one_instant_written_in_many_ways(value: Any) -> None:
    """Offsets, no offset, seconds, numpy: the same microseconds."""
    assert parse(value) == NEW_YEAR_US


def test_fractions_are_kept_to_the_microsecond() -> None:
    """Text exactly, floats to the nearest."""
    assert parse("2024-01-01T00:00:00.000001Z") == NEW_YEAR_US + 1
    assert parse(1_704_067_200.25) == NEW_YEAR_US + 250_000
    assert parse(1_704_067_200.123456) == NEW_YEAR_US + 123_456


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -1e-9,
        float("nan"),
        float("inf"),
        1e300,
        10**400,
        1_704_067_200_000,  # milliseconds
        9_214_646_401,
        True,
        np.bool_(1),
        "",
        "5",
        "now",
        "2024-13-01T00:00:00Z",
        "2024-01-01T25:00:00Z",
        "1969-12-31T23:59:59Z",
        "2262-01-02T00:00:00Z",
        "\ud800",
        b"2024-01-01",
        None,
        [],
        date(2024, 1, 1),
        datetime(1960, 1, 1, tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=23))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=23))),
        datetime(2024, 1, 1, tzinfo=Nowhere()),
        np.datetime64("NaT"),
        np.datetime64("1600-01-01"),
    ],
    ids=repr,
)
def test_what_is_no_instant_of_our_time_is_refused(value: Any) -> None:
    """The message names the field and what would do, milliseconds included."""
    with pytest.raises(InvalidEventError, match="seconds since 1970") as caught:
        parse(value, "when")
    assert caught.value.field == "when"


def test_out_and_in_again() -> None:
    """RFC 3339 in UTC with all its microseconds."""
    assert iso(NEW_YEAR_US + 1) == "2024-01-01T00:00:00.000001Z"
    assert parse(iso(NEW_YEAR_US + 1)) == NEW_YEAR_US + 1
    assert to_datetime(NEW_YEAR_US).tzinfo is UTC
    assert parse(to_datetime(NEW_YEAR_US)) == NEW_YEAR_US
