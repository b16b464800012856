"""The Beta rule over all streams of rates: how probable it is that a rate is beyond its threshold.

With s successes and f failures among the latest outcomes and nothing known before, the true rate
is Beta(1 + s, 1 + f). When at least 95 % of that lies beyond the threshold, a cheap and
reversible act (an incremental retraining behind its gate) is worth it. It is no certainty over
time: asked after every outcome for weeks, it will err now and then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from selfright.detect.columns.entries import (
    METRICS,
    RATES,
    SHIFT,
    Bools,
    Entries,
    Floats,
    Ints,
    running,
    steps,
)
from selfright.detect.columns.latch import before, latched
from selfright.detect.columns.out_of_order import Course, Outcomes, followed
from selfright.detect.columns.ring import Ring
from selfright.detect.columns.window import Said
from selfright.detect.detection import Signal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from selfright.detect.columns.question import BetaQuestion
    from selfright.detect.columns.window import WindowBlock, WindowColumns
    from selfright.detect.detection import WatchedMetric
    from selfright.detect.policy import WatchPolicy


class BetaBlock(NamedTuple):
    """The latest outcomes at each entry of a rate.

    Attributes
    ----------
    rewritten
        Streams of which outcomes left out of order, and what is left of them.
    late
        Entries that came behind a later minute.
    open, stands
        None: no episode was open, neither before nor in the block.
    """

    entries: Entries
    course: Course
    rewritten: tuple[Ints, Outcomes] | None
    late: Ints
    open: Bools | None = None
    stands: Bools | None = None
    said: Sequence[Said] = ()


class BetaColumns:
    """Says ``LIKELY`` at P(beyond) >= .95 over the latest outcomes, ``UNLIKELY`` at <= .5.

    It looks at the last min(n, 200) outcomes of those in the window that came since the last
    retraining (``cut``). In between it says ``FADES`` and ``STANDS`` as the probability
    leaves and reaches the level again: the episode lasts until ``UNLIKELY``.

    Parameters
    ----------
    policy
        Lengths of memory and window.
    questions
        What is asked of each rate.
    windows
        Tells how many outcomes are in the window.

    Notes
    -----
    The latest outcomes are those that came last, and so are those in the window, as long as they
    come in the order of their minutes: their number is the smaller of the two, and their sum
    a difference of running sums, so that of what came before the block only those are read that
    leave. Where some are out of order, they leave in the order in which they came as long as no
    minute ends; where one does, see ``out_of_order``. A byte an outcome kept; see ``ring``.
    """

    def __init__(
        self,
        policy: WatchPolicy,
        questions: Mapping[WatchedMetric, BetaQuestion],
        windows: WindowColumns,
    ) -> None:
        self._recent = policy.recent
        self._minutes = policy.window_minutes
        self._windows = windows
        # Critical sums by metric and count.
        self._likely, self._unlikely = _critical(questions, policy.recent)
        self.seen: Ints = np.zeros(0, dtype=np.int64)  # outcomes ever
        self.late: Ints = np.zeros(0, dtype=np.int64)  # how many had come with the last late one
        self.n: Ints = np.zeros(0, dtype=np.int64)
        self.total: Ints = np.zeros(0, dtype=np.int64)
        self.open: Bools = np.zeros(0, dtype=np.bool_)  # likely once, not yet unlikely
        self.stands: Bools = np.zeros(0, dtype=np.bool_)  # likely at this moment
        self._ring = Ring(policy.recent, policy.window_minutes)

    def reach(self, streams: int) -> None:
        """Make room to number so many streams."""
        nothing = np.zeros(streams - len(self.n), dtype=np.int64)
        self.seen = np.concatenate([self.seen, nothing])
        self.late = np.concatenate([self.late, nothing])
        self.n = np.concatenate([self.n, nothing])
        self.total = np.concatenate([self.total, nothing])
        self.open = np.concatenate([self.open, nothing.astype(np.bool_)])
        self.stands = np.concatenate([self.stands, nothing.astype(np.bool_)])
        self._ring.reach(streams)

    def feed(self, windows: WindowBlock) -> BetaBlock:
        """Return the latest outcomes after each entry of a rate; nothing is changed."""
        entries = windows.entries.rates()
        stream, of, first = entries.stream, entries.of, entries.first
        end = len(of)
        place = np.arange(1, end + 1) - first[of]  # 1 for the first of its stream
        most = self.n[stream][of] + place  # if none had left
        late = windows.late[: len(stream)]
        strays = late | (self.late[stream] > self.seen[stream] - self.n[stream])
        n = np.minimum(np.minimum(most, self._recent), windows.n[:end])
        sums = running(entries.value)
        course = Course(
            n,
            sums[1:] + (self.total[stream] - sums[first])[of],
            self.seen[stream][of] + place,
        )
        gone = most - n
        if np.count_nonzero(gone):
            self._leave(entries, gone, sums, course.total)
        rewritten, behind = None, _NONE
        if np.count_nonzero(strays):
            rewritten = self._out_of_order(windows, entries, strays, course)
        if np.count_nonzero(late):
            behind = np.flatnonzero(entries.minute < windows.newest[:end])
        return self._judged(BetaBlock(entries, course, rewritten, behind), windows)

    def keep(self, block: BetaBlock) -> None:
        """Make a block part of the state."""
        entries, last = block.entries, block.entries.last
        stream = entries.stream
        has = self._ring.has(stream)
        if np.count_nonzero(has) < len(has):
            self._ring.open(stream[~has])
        size = np.minimum(entries.size, self._recent)
        if block.rewritten is not None:
            size[block.rewritten[0]] = 0
        of, step = steps(size)
        at = (last + 1 - size)[of] + step
        position = (self.seen[stream] + entries.size - size)[of] + step
        shift = None if entries.shift is None else entries.shift[of]
        self._ring.write(stream[of], position, (entries.minute[at], entries.value[at]), shift)
        self.n[stream] = block.course.n[last]
        self.total[stream] = block.course.total[last]
        self.seen[stream] = block.course.seen[last]
        if len(block.late):  # of each stream the last one is what remains
            self.late[stream[entries.of[block.late]]] = block.course.seen[block.late]
        if block.rewritten is not None:
            which, left = block.rewritten
            self._lay(stream[which], left)
        if block.open is not None and block.stands is not None:
            self.open[stream] = block.open[last]
            self.stands[stream] = block.stands[last]

    def cut(self, stream: Ints) -> None:
        """Forget the outcomes of streams: they are about what served before a retraining."""
        self.stands[stream] = False
        self.n[stream] = self.total[stream] = 0

    def forget(self, stream: Ints) -> None:
        """Drop everything about streams."""
        self.cut(stream)
        self.seen[stream] = self.late[stream] = 0
        self.open[stream] = False
        self._ring.close(stream)

    def outcomes(self, stream: Ints) -> Outcomes:
        """Return the latest outcomes of streams; ``of`` is the place in ``stream``."""
        of, step = steps(self.n[stream])
        position = (self.seen[stream] - self.n[stream])[of] + step
        metric = (stream % METRICS)[of]
        minute, value = self._ring.read(stream[of], position, metric, SHIFT[metric])
        newest = self._windows.newest[stream][of]
        return Outcomes(of, value, newest - (newest - minute) % self._minutes)

    def restore(self, stream: Ints, seen: Ints, kept: Outcomes) -> None:
        """Take over what ``outcomes`` returned, as far as memory and window reach back."""
        self.seen[stream] = seen
        self._ring.open(stream[stream % METRICS < RATES])
        held = kept.minute > self._windows.newest[stream][kept.of] - self._minutes
        kept = Outcomes(*(column[held] for column in kept))
        size = np.bincount(kept.of, minlength=len(stream))
        age = np.cumsum(size)[kept.of] - np.arange(len(kept.of))  # 1: the newest
        kept = Outcomes(*(column[age <= self._recent] for column in kept))
        np.add.at(self.n, stream[kept.of], 1)
        np.add.at(self.total, stream[kept.of], kept.value)
        self._lay(stream, kept)

    # ---- inside ----------------------------------------------------------------------

    def _leave(self, entries: Entries, gone: Ints, sums: Ints, total: Ints) -> None:
        """Take the ``gone`` oldest outcomes at each entry out of the sums."""
        stream, of, first = entries.stream, entries.of, entries.first
        kept = self.n[stream]
        leaving = np.minimum(gone[entries.last], kept)
        which, step = steps(leaving)
        position = (self.seen[stream] - kept)[which] + step
        shift = None if entries.shift is None else entries.shift[which]
        _, values = self._ring.read(stream[which], position, entries.metric[which], shift)
        left = running(values)
        begin = (np.cumsum(leaving) - leaving)[of]
        total -= left[begin + np.minimum(gone, leaving[of])] - left[begin]
        own = np.maximum(gone - kept[of], 0)
        if np.count_nonzero(own):
            total -= sums[first[of] + own] - sums[first][of]

    def _out_of_order(
        self, windows: WindowBlock, entries: Entries, strays: Bools, course: Course
    ) -> tuple[Ints, Outcomes] | None:
        """Correct the course of streams of which an outcome leaves out of order."""
        horizon = windows.newest[entries.last] - self._minutes
        ends = strays & (windows.newest[entries.last] > self._windows.newest[entries.stream])
        if windows.counts is not None:
            ends[entries.of[~windows.counts[: len(entries.of)]]] = True
        which = np.flatnonzero(ends)
        if not len(which):
            return None
        held = self.outcomes(entries.stream[which])
        leaves = np.minimum.reduceat(entries.minute, entries.first)[which] <= horizon[which]
        leaves[held.of[held.minute <= horizon[which][held.of]]] = True
        held = Outcomes(*(column[leaves[held.of]] for column in held))
        held = held._replace(of=(np.cumsum(leaves) - 1)[held.of])
        which = which[leaves]
        if not len(which):
            return None
        return which, followed(windows, which, held, course, self._recent, self._minutes)

    def _judged(self, block: BetaBlock, windows: WindowBlock) -> BetaBlock:
        entries = block.entries
        row = (entries.metric * (self._recent + 1))[entries.of] + block.course.n
        likely = block.course.total <= self._likely[row]
        is_open, stands = self.open[entries.stream], self.stands[entries.stream]
        if not (np.count_nonzero(likely) or np.count_nonzero(is_open)):
            return block
        normal = ~likely
        unlikely = normal & (block.course.total >= self._unlikely[row])
        if windows.counts is not None:  # what does not count is not judged
            counts = windows.counts[: len(likely)]
            likely, normal, unlikely = likely & counts, normal & counts, unlikely & counts
        standing = latched(entries, likely, normal, stands)
        opened = latched(entries, likely, unlikely, is_open)
        stood, was_open = before(entries, standing, stands), before(entries, opened, is_open)
        said = []
        for at in np.flatnonzero((standing != stood) | (opened != was_open)).tolist():
            if standing[at]:
                signal = Signal.STANDS if was_open[at] else Signal.LIKELY
            else:
                signal = Signal.FADES if opened[at] else Signal.UNLIKELY
            said.append(Said(at, signal))
        return block._replace(open=opened, stands=standing, said=said)

    def _lay(self, stream: Ints, kept: Outcomes) -> None:
        """Write all the latest outcomes of streams anew; count and seen are set."""
        of, step = steps(self.n[stream])
        position = (self.seen[stream] - self.n[stream])[of] + step
        shift = SHIFT[stream % METRICS][of]
        self._ring.write(stream[of], position, (kept.minute, kept.value), shift)


_NONE: Ints = np.zeros(0, dtype=np.int64)


def _critical(
    questions: Mapping[WatchedMetric, BetaQuestion], recent: int
) -> tuple[Floats, Floats]:
    """Return the critical sums by metric and count, end to end, in the streams' units."""
    likely = np.full((RATES, recent + 1), -np.inf)
    unlikely = np.full((RATES, recent + 1), np.inf)
    for metric, question in questions.items():
        unit = float(1 << int(SHIFT[metric]))
        low, high = question.answers()
        likely[metric], unlikely[metric] = np.array(low) * unit, np.array(high) * unit
    return likely.ravel(), unlikely.ravel()
