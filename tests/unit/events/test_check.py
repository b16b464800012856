"""What attributes and predictions may be made of, and what becomes of them."""

from __future__ import annotations

import dataclasses
import enum
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from selfright.errors import InvalidEventError
from selfright.events import check


class Colour(enum.IntEnum):
    """An enum of numbers."""

    RED = 1


class Ratio(float):
    """A subclass, as libraries of units have them."""

    __slots__ = ()


@dataclasses.dataclass
class Step:
    """A record of the caller's."""

    name: str = "plan"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (0, 0),
        (-(2**63), -(2**63)),
        (2**64 - 1, 2**64 - 1),
        (1e300, 1e300),
        ("text", "text"),
        ((1, (2,)), [1, [2]]),
        ({"a": {"b": [None]}}, {"a": {"b": [None]}}),
        (np.float64(0.5), 0.5),
        (np.array([[1, 2]]), [[1, 2]]),
        (Ratio(0.5), 0.5),
        (Colour.RED, 1),
        (Step(), {"name": "plan"}),
        (Decimal("1.5"), "1.5"),
        (datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00Z"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({3}, [3]),
    ],
    ids=repr,
)
def test_what_has_a_plain_meaning_becomes_it(value: Any, plain: Any) -> None:
    """Only JSON values go on, of exactly Python's own types."""
    kept = check.plain("metadata", {"k": value})["k"]
    assert kept == plain
    assert type(kept) is type(plain)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "must be finite"),
        (np.float32("inf"), "must be finite"),
        (Ratio("nan"), "must be finite"),
        ([{"a": float("-inf")}], "must be finite"),
        (np.array([1.0, np.nan]), "must be finite"),
        (2**64, "must fit into 64 bits"),
        (-(2**63) - 1, "must fit into 64 bits"),
        (b"raw", "must be made of plain JSON values"),
        (bytearray(b"raw"), "must be made of plain JSON values"),
        ({"k": object()}, "must be made of plain JSON values"),
        (1 + 2j, "must be made of plain JSON values"),
        ("\ud800", "holds a lone surrogate"),
        ({"\ud800": 1}, "holds a lone surrogate"),
        ({5: 1}, "keys must be text"),
        ({("a",): 1}, "keys must be text"),
        ("x" * (1024 * 1024), "is larger than 1048576 bytes"),
        (["x" * 600_000, "x" * 600_000], "is larger than 1048576 bytes"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_has_no_plain_meaning_is_refused(value: Any, reason: str) -> None:
    """Each with its own words."""
    with pytest.raises(InvalidEventError) as caught:
        check.plain("metadata", value)
    assert caught.value.reason == reason


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_sixty_four_levels_are_deep_enough() -> None:
    """One more is refused, and so is a thing that holds itself."""
    assert check.plain("metadata", _nested(64)) == _nested(64)
    itself: list[Any] = []
    itself.append(itself)
    for value in (_nested(66), _nested(5_000), {"a": _nested(66)}, itself):
        with pytest.raises(InvalidEventError, match="nested deeper than 64"):
            check.plain("metadata", value)


def test_brackets_in_text_are_no_nesting() -> None:
    """The quick look counts them; the verdict must not."""
    value = {"text": "[{" * 500, "deep": _nested(10)}
    assert check.plain("metadata", value) == value


def test_text_is_cleaned_and_limited() -> None:
    """A thousand characters, each printable."""
    assert check.text("error_type", "x" * 1000) == "x" * 1000
    assert check.text("error_type", "a\u2028b\tc") == "a b c"
    with pytest.raises(InvalidEventError):
        check.text("error_type", "x" * 1001)


def test_numbers_are_compared_in_full_width() -> None:
    """float16 cannot tell the limit from infinity; its infinity must not pass."""
    with pytest.raises(InvalidEventError):
        check.number("duration_ms", np.float16("inf"), 1e10)
    assert check.whole("tokens_used", np.int8(100), 10**11) == 100
    assert type(check.whole("tokens_used", np.uint64(5), 10)) is int
