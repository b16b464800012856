"""One pass over some outcomes of each of many streams: what ``Lane.update`` does, all at once.

There are two ways that give the same to the last bit. ``abreast`` takes the first outcome of all
streams, then the second of those that have one, and so on: for many streams of few outcomes.
``at_length`` takes the running totals of all outcomes at once, along time: for few streams of
many outcomes. Only the latter sees an alarm; ``abreast`` says where there may be one.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from selfright.detect.certainty.bets import MARKING, Four
from selfright.detect.certainty.columns import Columns, Floats, Ints, Running, Worths
from selfright.detect.certainty.lane import FIFTY, MOST, TEN

Views = tuple[npt.NDArray[Any], ...]

_MARKING: Final = slice(MARKING[0], MARKING[-1] + 1)
# After so many outcomes abreast it is looked whether there may have been an alarm.
_LOOK: Final = 4
_NEARLY: Final = 1.0 - 1e-9  # what rounding may have taken away
_TENS: Final = TEN * np.arange(FIFTY // TEN)[:, np.newaxis]


class Outcomes(NamedTuple):
    """The outcomes of a pass: by place within it and stream, their row, value, place and time.

    Behind its last outcome, number ``taken``, a stream has any.
    """

    rows: Ints
    x: Floats
    offset: Ints
    ts_us: Ints
    taken: Ints

    def first(self, stream: int, n: int) -> Outcomes:
        """Return the first ``n`` of one stream, along their only axis."""
        rows, x, offset, ts_us, taken = self
        return Outcomes(
            rows[:n, stream], x[:n, stream], offset[:n, stream], ts_us[:n, stream], taken[[stream]]
        )

    def of(self, streams: Ints) -> Outcomes:
        """Return those of some streams."""
        rows, x, offset, ts_us, taken = self
        return Outcomes(
            rows[:, streams], x[:, streams], offset[:, streams], ts_us[:, streams], taken[streams]
        )


class Passed(NamedTuple):
    """The streams behind a pass, the totals on the way, and which references alarmed at its end.

    ``alarms`` is None if none did.
    """

    part: Columns
    taken: Ints
    totals: Floats
    alarms: npt.NDArray[np.bool_] | None

    def of(self, streams: Ints) -> Passed:
        """Return some streams, of a pass without alarms."""
        return Passed(self.part.part(streams), self.taken[streams], self.totals[:, streams], None)


def at_length(part: Columns, worths: Worths, outcomes: Outcomes, level: float) -> Passed:
    """Take the outcomes of each stream, up to its first alarm.

    Parameters
    ----------
    part
        The streams before it; it is used up.
    worths
        What an outcome is worth.
    level
        A, the evidence that makes an alarm.
    """
    rows, x, _, _, taken = outcomes
    steps, width = len(rows), len(taken)
    reals = np.empty((steps + 1, *part.reals.shape))
    reals[0] = part.reals
    run = Running.of(reals, part.references)
    at_zero, slope = worths.of(part.grade)
    run.total[1:] = x
    np.add.accumulate(run.total, axis=0, out=run.total)
    worth = np.multiply(slope, x[:, np.newaxis, np.newaxis], out=run.products[1:])
    worth += at_zero
    np.multiply.accumulate(run.products, axis=0, out=run.products)
    inverse = np.divide(1.0, run.products[:-1], out=run.sums[1:])
    run.heights[1:] = inverse[:, _MARKING]
    np.maximum.accumulate(run.heights, axis=0, out=run.heights)
    np.add.accumulate(run.sums, axis=0, out=run.sums)
    over = _summed((run.products[1:] * run.sums[1:]).swapaxes(0, 1), worths.bets.weights) >= level
    counted = np.arange(1, steps + 1, dtype=np.uint8)[:, np.newaxis] * np.ones(width, np.uint8)
    counted[counted > taken] = 0
    alarms = None
    if over.any():
        over &= (counted > 0)[:, np.newaxis]
        hits = over.any(axis=1)
        alarmed = hits.any(axis=0)
        taken = np.where(alarmed, hits.argmax(axis=0) + 1, taken)
        counted[counted > taken] = 0
        every = np.arange(width)
        alarms = over[taken - 1, :, every].T & alarmed
    sound = run.products[1:, _MARKING] * run.heights[1:] <= 1.0
    last = (sound * counted[:, np.newaxis, np.newaxis]).max(axis=0)
    totals = run.total
    kept = part.reals.shape[0] - run.rows
    part.reals[kept:] = reals[taken, kept:, np.arange(width)].T
    part.total[:] = totals[taken, np.arange(width)]
    _finish(part, outcomes._replace(taken=taken), totals, last)
    return Passed(part, taken, totals, alarms)


def abreast(
    part: Columns, worths: Worths, outcomes: Outcomes, level: float
) -> tuple[Passed, npt.NDArray[np.bool_]]:
    """Take the outcomes of each stream, those with most of them first.

    Returns also of which streams there may have been an alarm on the way: they are to be taken
    ``at_length`` instead.
    """
    rows, x, _, _, taken = outcomes
    run = part.running
    at_zero, slope = worths.of(part.grade)
    top = np.zeros_like(run.products)
    perhaps = np.zeros(len(taken), dtype=np.bool_)
    last_step, doubtful = len(rows) - 1, level * _NEARLY
    last = np.zeros(run.heights.shape, dtype=np.uint8)
    worth, inverse = np.empty_like(top), np.empty_like(top)
    total, sound = np.empty_like(run.heights), np.empty(run.heights.shape, dtype=np.bool_)
    totals = np.empty((len(rows) + 1, len(taken)))
    totals[0] = run.total
    widths = len(taken) - np.cumsum(np.bincount(taken, minlength=len(rows) + 1))
    everything: Views = (run.products, run.sums, run.heights, at_zero, slope, top, last, worth,
                         inverse, total, sound)  # fmt: skip
    views, before = everything, len(taken)
    for step, width in enumerate(widths[: len(rows)].tolist()):
        if width != before:
            views, before = tuple(of[..., :width] for of in everything), width
        products, sums, heights, zero, up, high, newest, value, part_of, mark, is_sound = views
        here = x[step, :width]
        np.add(totals[step, :width], here, out=totals[step + 1, :width])
        np.multiply(up, here, out=value)
        value += zero
        np.divide(1.0, products, out=part_of)
        sums += part_of
        np.maximum(heights, part_of[_MARKING], out=heights)
        products *= value
        if step % _LOOK:
            np.maximum(high, products, out=high)
        else:
            np.copyto(high, products)
        np.multiply(products[_MARKING], heights, out=mark)
        np.less_equal(mark, 1.0, out=is_sound)
        np.copyto(newest, step + 1, where=is_sound)
        if step % _LOOK == _LOOK - 1 or step == last_step:
            # On the way there was no more evidence than the greatest product times the last sum.
            # Of streams that ended on the way both are from their end or before.
            perhaps |= (_summed(top * run.sums, worths.bets.weights) >= doubtful).any(axis=0)
    part.total[:] = totals[taken, np.arange(len(taken))]
    _finish(part, outcomes, totals, last)
    return Passed(part, taken, totals, None), perhaps


def _finish(part: Columns, outcomes: Outcomes, totals: Floats, last: npt.NDArray[np.uint8]) -> None:
    """Note the changed marks (``last`` outcome at which each was sound) and edges; anchor anew."""
    _, _, offset, ts_us, taken = outcomes
    width = len(taken)
    moved = last > 0
    place = np.where(moved, last - 1, 0).astype(np.int64) * width + np.arange(width)
    np.copyto(part.mark_n, part.n + last, where=moved)
    np.copyto(part.mark_total, totals[1:].reshape(-1)[place], where=moved)
    np.copyto(part.mark_offset, offset.reshape(-1)[place], where=moved)
    np.copyto(part.mark_ts, ts_us.reshape(-1)[place], where=moved)
    if len(part.edges):
        begun = _TENS - part.n % FIFTY
        at = np.flatnonzero((begun >= 0) & (begun < taken))
        edge, stream = np.divmod(at, width)
        part.edges[edge, stream] = totals[begun.reshape(-1)[at], stream]
    part.n[:] += taken
    full = np.flatnonzero(part.n % FIFTY == 0)
    if len(full):
        _, all_products, sums, heights = part.running
        products = all_products[..., full]
        sums[..., full] *= products
        heights[..., full] = np.minimum(products[_MARKING] * heights[..., full], MOST)
        all_products[..., full] = 1.0


def _summed(evidence: Floats, weights: Four) -> Floats:
    # By bet, in the order of ``Lane``: rounding must be the same.
    total: Floats = evidence[0] * weights[0]
    for of, weight in zip(evidence[1:], weights[1:], strict=True):
        total += of * weight
    return total
