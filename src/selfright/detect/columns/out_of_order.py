"""Latest outcomes that leave the window out of the order in which they came.

Outcomes that come in the order of their minutes leave in it too, so that counting them is enough.
A late one leaves before others that came earlier; here it is worked out which are left. Only
streams come here of which an outcome leaves within the block while some are out of order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from selfright.detect.columns.entries import Bools, Ints, running, steps

if TYPE_CHECKING:
    from selfright.detect.columns.window import WindowBlock


class Outcomes(NamedTuple):
    """Outcomes of some streams, in the order in which they came, stream by stream."""

    of: Ints  # place of the stream
    value: Ints
    minute: Ints


class Course(NamedTuple):
    """Count and sum of the latest outcomes, and outcomes ever, at each entry of a block."""

    n: Ints
    total: Ints
    seen: Ints


class _Part(NamedTuple):
    """The entries of the streams that are out of order."""

    first: Ints
    size: Ints
    of: Ints
    at: Ints  # where they are in the block
    value: Ints
    minute: Ints
    newest: Ints
    counts: Bools


def followed(
    windows: WindowBlock, which: Ints, held: Outcomes, course: Course, recent: int, minutes: int
) -> Outcomes:
    """Correct the course of the streams at places ``which``; return what is left of them.

    Parameters
    ----------
    held
        Their latest outcomes before the block; ``of`` is a place in ``which``, as in the result.
    recent, minutes
        How many outcomes, and how many minutes, are looked back on.
    """
    part = _part(windows, which)
    order = np.argsort(np.concatenate([held.of, part.of[part.counts]]), kind="stable")
    came = Outcomes(
        np.concatenate([held.of, part.of[part.counts]])[order],
        np.concatenate([held.value, part.value[part.counts]])[order],
        np.concatenate([held.minute, part.minute[part.counts]])[order],
    )
    arrived = running(part.counts)
    seen = course.seen[part.at[part.first]] - 1
    course.seen[part.at] = (seen - arrived[part.first])[part.of] + arrived[1:]
    left = _counted(part, came, held, course, minutes)
    full = np.flatnonzero(np.bincount(came.of, minlength=len(which)) > recent)
    if not len(full):
        return left
    others = ~np.isin(left.of, full)
    parts = [Outcomes(*(column[others] for column in left))]
    parts += [_one_by_one(part, place, held, course, recent, minutes) for place in full.tolist()]
    left = Outcomes(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    order = np.argsort(left.of, kind="stable")
    return Outcomes(*(column[order] for column in left))


def _part(windows: WindowBlock, which: Ints) -> _Part:
    entries = windows.entries
    size = entries.size[which]
    of, step = steps(size)
    at = entries.first[which][of] + step
    counts = np.ones(len(at), dtype=np.bool_) if windows.counts is None else windows.counts[at]
    first = np.cumsum(size) - size
    value, minute, newest = entries.value[at], entries.minute[at], windows.newest[at]
    return _Part(first, size, of, at, value, minute, newest, counts)


def _counted(part: _Part, came: Outcomes, held: Outcomes, course: Course, minutes: int) -> Outcomes:
    """Do it for all streams at once, as if none were full: an outcome leaves by its minute."""
    first, of = part.first, part.of
    origin = min(int(part.newest.min()), int(came.minute.min(initial=part.newest[0])))
    span = int(part.newest.max()) - origin + 1
    reached = of * span + part.newest - origin
    due = came.of * span + np.minimum(came.minute + minutes - origin, span)
    leaves = np.searchsorted(reached, due)  # at this entry, or at none behind the last
    stays = leaves == (first + part.size)[came.of]
    gone_n = np.zeros(len(of), dtype=np.int64)
    gone_total = np.zeros(len(of), dtype=np.int64)
    np.add.at(gone_n, leaves[~stays], 1)
    np.add.at(gone_total, leaves[~stays], came.value[~stays])
    before_n = np.zeros(len(first), dtype=np.int64)
    before_total = np.zeros(len(first), dtype=np.int64)
    np.add.at(before_n, held.of, 1)
    np.add.at(before_total, held.of, held.value)
    for there, before, added, gone in (
        (course.n, before_n, part.counts, gone_n),
        (course.total, before_total, np.where(part.counts, part.value, 0), gone_total),
    ):
        sums = running(added - gone)
        there[part.at] = sums[1:] + (before - sums[first])[of]
    return Outcomes(came.of[stays], came.value[stays], came.minute[stays])


def _one_by_one(
    part: _Part, place: int, held: Outcomes, course: Course, recent: int, minutes: int
) -> Outcomes:
    """Do it for a stream that may be full: there one that comes drives the oldest out, too."""
    mine = held.of == place
    latest = list(zip(held.minute[mine].tolist(), held.value[mine].tolist(), strict=True))
    total, oldest = sum(value for _, value in latest), min(latest, default=(0, 0))[0]
    begin = int(part.first[place])
    here = slice(begin, begin + int(part.size[place]))
    columns = (part.at, part.counts, part.newest, part.minute, part.value)
    for at, counts, newest, *one in zip(
        *(column[here].tolist() for column in columns), strict=True
    ):
        if counts:
            if oldest <= newest - minutes:
                latest = [each for each in latest if each[0] > newest - minutes]
                total = sum(value for _, value in latest)
                oldest = min(latest, default=(one[0], 0))[0]
            if len(latest) == recent:
                total -= latest.pop(0)[1]
            minute, value = one
            latest.append((minute, value))
            total, oldest = total + value, min(oldest, minute)
        course.n[at], course.total[at] = len(latest), total
    pairs = np.array(latest, dtype=np.int64).reshape(-1, 2)
    return Outcomes(np.full(len(pairs), place), pairs[:, 1], pairs[:, 0])
