"""Whether something stops growing: what memory of a stream that never ends has to do."""

from __future__ import annotations

from collections.abc import Sequence


def assert_stops_growing(
    sizes: Sequence[int], *, given: Sequence[int], factor: float, spare: int
) -> None:
    """Raise ``AssertionError`` unless the second growth is bounded by the first.

    Parameters
    ----------
    sizes
        Bytes after n, 2n and 4n of what was ``given``. What keeps everything grows twice as
        much the second time; what is bounded grows no more than the first time.
    factor
        Most that the second growth may be of the first.
    spare
        Bytes it may always be: larger numbers are longer.
    """
    before, after = sizes[1] - sizes[0], sizes[2] - sizes[1]
    bounded = after <= max(factor * before, spare)
    one, two, four = (f"{count:,}" for count in given)
    assert bounded, f"states of {sizes} bytes after {one}, {two} and {four} outcomes"
