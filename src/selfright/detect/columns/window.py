"""The windowed means of all streams against their thresholds: quick to say, never certain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from selfright.detect.columns.entries import (
    METRICS,
    SHIFT,
    Bools,
    Entries,
    Floats,
    Ints,
    changes,
    running,
)
from selfright.detect.columns.lanes import Pairs
from selfright.detect.columns.latch import before, latched
from selfright.detect.detection import Signal, WatchedMetric
from selfright.detect.policy import BOUNDS, WatchPolicy

NEVER: Final = -(1 << 62)  # a minute before all others
# A share warns this many standard deviations beyond its threshold: chance explains less
# than that nine times in ten.
WARN_DEVIATIONS: Final = 1.2816


@dataclass(frozen=True, slots=True)
class WindowQuestion:
    """What is asked of each metric's mean, in the whole numbers that the streams count in."""

    threshold: Floats
    clear: Floats
    noise: Floats
    min_n: int

    @classmethod
    def of(cls, policy: WatchPolicy) -> WindowQuestion:
        """Return the question of ``policy``; a metric without threshold is never beyond it."""
        threshold, clear = np.full(METRICS, -np.inf), np.full(METRICS, np.inf)
        noise = np.zeros(METRICS)
        for metric in WatchedMetric:
            if policy.threshold(metric) is None:
                continue
            bound, share = BOUNDS[metric], policy.judged(metric)
            is_share = metric.is_rate or metric is WatchedMetric.LATENCY
            unit = 1 << int(SHIFT[metric])
            scale = bound.sign * (unit if is_share else bound.unit)
            threshold[metric], clear[metric] = share * scale, policy.clear(metric) * scale
            if is_share:
                noise[metric] = WARN_DEVIATIONS**2 * share * (1.0 - share) * unit * unit
        return cls(threshold, clear, noise, policy.min_n)


class Said(NamedTuple):
    """A rule changed its mind at an entry."""

    entry: int
    signal: Signal


class _Sums(NamedTuple):
    """Running count and sum over the entries, ordered by stream and minute; both begin at 0."""

    minute: Ints
    n: Ints
    total: Ints


class WindowBlock(NamedTuple):
    """The windows at each entry of a block.

    Attributes
    ----------
    newest
        The newest minute so far.
    late
        Streams whose minutes went back.
    counts
        Entries that lie within the window when they come; None: all do.
    beyond
        None: nowhere, neither before nor in the block.
    sums
        None: all came in the newest minute of their stream.
    leaving
        Buckets of before the block that leave in it: place of the stream, minute.
    """

    entries: Entries
    n: Ints
    total: Ints
    newest: Ints
    late: Bools
    counts: Bools | None
    beyond: Bools | None
    sums: _Sums | None
    leaving: tuple[Ints, Ints] | None
    said: list[Said]


class WindowColumns:
    """Says ``BEYOND`` when a windowed mean falls below its threshold, ``CLEARED`` after it.

    It states a fact about what was seen, not yet about the agent: a healthy agent's mean is
    below its threshold now and then. So it warns and never acts. Of a share it speaks only once
    the mean is further below than chance explains nine times in ten: of 1,000 outcomes of a
    healthy agent of rate .84 the bare mean of at least 20 was below .70 at some time in 7.6 % of
    4,000 simulated streams, with this in 0.4 %.

    Parameters
    ----------
    policy
        Thresholds, length of the window. What clears lies a margin beyond the threshold, and
        with fewer than ``min_n`` outcomes in the window nothing changes.

    Notes
    -----
    A window covers the minute of its stream's newest outcome and the minutes before it. A late
    outcome goes to its own minute, one from before the window is ignored.

    At an entry the count is what it was before the block, plus the entries so far, minus the
    buckets and entries that have left. What has left depends on the newest minute so far alone and
    is looked up in running sums, whatever the order of the entries. In a bucket, 2 to 10 bytes
    a minute; they are written when a minute is over.
    """

    def __init__(self, policy: WatchPolicy) -> None:
        self.minutes = policy.window_minutes
        self._question = WindowQuestion.of(policy)
        self.newest: Ints = np.zeros(0, dtype=np.int64)
        self.n: Ints = np.zeros(0, dtype=np.int64)
        self.total: Ints = np.zeros(0, dtype=np.int64)
        # Count and sum of which the buckets know; the rest belongs to the newest minute.
        self._known_n: Ints = np.zeros(0, dtype=np.int64)
        self._known_total: Ints = np.zeros(0, dtype=np.int64)
        self.beyond: Bools = np.zeros(0, dtype=np.bool_)
        self._buckets = Pairs(self.minutes)  # count and sum, by minute % minutes

    def reach(self, streams: int) -> None:
        """Make room to number so many streams."""
        more = streams - len(self.n)
        self.newest = np.concatenate([self.newest, np.full(more, NEVER)])
        nothing = np.zeros(more, dtype=np.int64)
        self.n = np.concatenate([self.n, nothing])
        self.total = np.concatenate([self.total, nothing])
        self._known_n = np.concatenate([self._known_n, nothing])
        self._known_total = np.concatenate([self._known_total, nothing])
        self.beyond = np.concatenate([self.beyond, nothing.astype(np.bool_)])
        self._buckets.reach(streams)

    def feed(self, entries: Entries) -> WindowBlock:
        """Return the windows after each entry; nothing is changed."""
        stream, of, first, minute = entries.stream, entries.of, entries.first, entries.minute
        known = self.newest[stream]
        floor = np.where(known == NEVER, minute[first], known)
        late = minute[first] < floor
        back = (minute[1:] < minute[:-1]) & (of[1:] == of[:-1])
        newest, counts, value, order = minute, None, entries.value, None
        disorder = np.count_nonzero(late) or np.count_nonzero(back)
        steady = not disorder and not np.count_nonzero(minute[entries.last] != known)
        if not steady:
            self._settle(stream)
        if disorder:
            late[of[1:][back]] = True
            key, base = _keys(entries, floor)
            order = key.argsort(kind="stable")
            key[first] = np.maximum(key[first], base + floor)
            newest = np.maximum.accumulate(key) - base[of]
            counts = minute > before(entries, newest, floor) - self.minutes
            value = np.where(counts, value, 0)
        count = np.arange(len(of) + 1) if counts is None else running(counts)
        total = running(value)
        sums = _Sums(minute, count, total)
        if counts is not None:
            sums = _Sums(minute[order], running(counts[order]), running(value[order]))
        n = count[1:] + (self.n[stream] - count[first])[of]
        total = total[1:] + (self.total[stream] - total[first])[of]
        leaving = None
        if not steady and np.count_nonzero((reached := newest[entries.last]) > floor):
            leaving = self._leave(entries, floor, newest, n, total)
            if np.count_nonzero(reached - np.minimum.reduceat(minute, first) >= self.minutes):
                gone = _older(entries, sums.minute, newest - self.minutes)
                n -= sums.n[gone] - sums.n[first][of]
                total -= sums.total[gone] - sums.total[first][of]
        beyond, said = self._judge(entries, n, total, counts)
        return WindowBlock(
            entries, n, total, newest, late, counts, beyond, None if steady else sums, leaving, said
        )

    def keep(self, block: WindowBlock) -> None:
        """Make a block part of the state."""
        entries = block.entries
        stream, last = entries.stream, entries.last
        self.n[stream] = block.n[last]
        self.total[stream] = block.total[last]
        if block.beyond is not None:
            self.beyond[stream] = block.beyond[last]
        if block.sums is None:
            return
        fresh = self.newest[stream] == NEVER
        if np.count_nonzero(fresh):
            self._buckets.open(stream[fresh])
        if block.leaving is not None:
            of, minute = block.leaving
            nothing = np.zeros(len(of), dtype=np.int64)
            self._buckets.write(stream[of], minute % self.minutes, (nothing, nothing), None)
        newest = self.newest[stream] = block.newest[last]
        self._add(entries, block.sums, newest)
        self._known_n[stream] = self.n[stream]
        self._known_total[stream] = self.total[stream]

    def forget(self, stream: Ints) -> None:
        """Drop everything about streams."""
        self._buckets.close(stream)
        self.newest[stream] = NEVER
        self.n[stream] = self.total[stream] = 0
        self._known_n[stream] = self._known_total[stream] = 0
        self.beyond[stream] = False

    def buckets(self, stream: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """Return place of the stream, minute, count and sum of all minutes that have outcomes.

        Of each stream given, which all have outcomes, from the oldest minute to the newest.
        """
        self._settle(stream)
        of = np.repeat(np.arange(len(stream)), self.minutes)
        back = np.tile(np.arange(self.minutes) - self.minutes + 1, len(stream))
        minute = self.newest[stream][of] + back
        shift = SHIFT[stream % METRICS][of]
        count, total = self._buckets.read(stream[of], minute % self.minutes, shift)
        some = np.flatnonzero(count)
        return of[some], minute[some], count[some], total[some]

    def restore(self, stream: Ints, newest: Ints, buckets: tuple[Ints, Ints, Ints, Ints]) -> None:
        """Take over what ``buckets`` returned, as far as this window reaches back."""
        of, minute, count, total = buckets
        self._buckets.open(stream)
        self.newest[stream] = newest
        held = minute > newest[of] - self.minutes
        of, minute, count, total = of[held], minute[held], count[held], total[held]
        np.add.at(self.n, stream[of], count)
        np.add.at(self.total, stream[of], total)
        self._known_n[stream], self._known_total[stream] = self.n[stream], self.total[stream]
        shift = SHIFT[stream % METRICS][of]
        self._buckets.write(stream[of], minute % self.minutes, (count, total), shift)

    # ---- inside ----------------------------------------------------------------------

    def _settle(self, stream: Ints) -> None:
        """Tell the buckets what came in the newest minutes of streams since they were told."""
        stream = stream[self.n[stream] != self._known_n[stream]]
        if not len(stream):
            return
        slot, shift = self.newest[stream] % self.minutes, SHIFT[stream % METRICS]
        count, total = self._buckets.read(stream, slot, shift)
        count += self.n[stream] - self._known_n[stream]
        total += self.total[stream] - self._known_total[stream]
        self._buckets.write(stream, slot, (count, total), shift)
        self._known_n[stream], self._known_total[stream] = self.n[stream], self.total[stream]

    def _leave(
        self, entries: Entries, floor: Ints, newest: Ints, n: Ints, total: Ints
    ) -> tuple[Ints, Ints]:
        """Take the buckets of before the block out of count and total when their time comes."""
        stream, of = entries.stream, entries.of
        ahead = np.minimum(newest[entries.last] - floor, self.minutes)
        ahead[self.newest[stream] == NEVER] = 0
        offset = np.cumsum(ahead) - ahead
        leaving = np.repeat(np.arange(len(stream)), ahead)
        minute = np.arange(len(leaving)) + (floor - self.minutes + 1 - offset)[leaving]
        shift = _picked(entries.shift, leaving)
        ended = self._buckets.read(stream[leaving], minute % self.minutes, shift)
        gone_n, gone_total = running(ended[0]), running(ended[1])
        begin = offset[of]
        upto = begin + np.minimum(newest - floor[of], ahead[of])
        n -= gone_n[upto] - gone_n[begin]
        total -= gone_total[upto] - gone_total[begin]
        return leaving, minute

    def _judge(
        self, entries: Entries, n: Ints, total: Ints, counts: Bools | None
    ) -> tuple[Bools | None, list[Said]]:
        question, of = self._question, entries.of
        metric = entries.metric
        # Divided, not multiplied: a mean that equals the threshold in exact arithmetic
        # then does so here too, for division rounds correctly.
        mean = total / n
        below = mean < question.threshold[metric][of]
        kept = self.beyond[entries.stream]
        if not (np.count_nonzero(below) or np.count_nonzero(kept)):
            return None, []
        enough = n >= question.min_n
        if counts is not None:
            enough &= counts
        below &= enough
        at = np.flatnonzero(below)
        of_at = metric[of[at]]
        short = question.threshold[of_at] * n[at] - total[at]
        below[at] = short * short >= question.noise[of_at] * n[at]
        if not (np.count_nonzero(below) or np.count_nonzero(kept)):
            return None, []
        above = enough & (mean >= question.clear[metric][of])
        beyond = latched(entries, below, above, kept)
        changed = np.flatnonzero(beyond != before(entries, beyond, kept))
        said = [
            Said(at, Signal.BEYOND if beyond[at] else Signal.CLEARED) for at in changed.tolist()
        ]
        return beyond, said

    def _add(self, entries: Entries, sums: _Sums, newest: Ints) -> None:
        """Add a block to the buckets of its minutes."""
        head = changes(entries.of, sums.minute).nonzero()[0]
        end = np.empty_like(head)
        end[:-1], end[-1] = head[1:], len(entries.of)
        of, minute = entries.of[head], sums.minute[head]
        held = minute > newest[of] - self.minutes
        if np.count_nonzero(held) < len(held):
            of, minute, head, end = of[held], minute[held], head[held], end[held]
        whose, slot = entries.stream[of], minute % self.minutes
        shift = _picked(entries.shift, of)
        count, total = self._buckets.read(whose, slot, shift)
        count += sums.n[end] - sums.n[head]
        total += sums.total[end] - sums.total[head]
        self._buckets.write(whose, slot, (count, total), shift)


def _picked(shift: Ints | None, of: Ints) -> Ints | None:
    return None if shift is None else shift[of]


def _keys(entries: Entries, floor: Ints) -> tuple[Ints, Ints]:
    """Return numbers that order entries by stream and minute, and where each stream's begin.

    An entry's is its minute and what is returned second.
    """
    origin = min(int(floor.min()), int(entries.minute.min()))
    span = max(int(floor.max()), int(entries.minute.max())) - origin + 1
    base = np.arange(len(floor)) * span - origin
    return base[entries.of] + entries.minute, base


def _older(entries: Entries, minute: Ints, horizon: Ints) -> Ints:
    """Return, per entry, where those of its stream end whose minute is up to its horizon.

    ``minute`` is that of the entries, ordered by stream and minute.
    """
    origin, span = int(minute.min()), int(minute.max() - minute.min()) + 2
    base = entries.of * span
    lowest = np.clip(horizon - origin + 1, 0, span - 1)
    return np.searchsorted(base + (minute - origin + 1), base + lowest, side="right")
