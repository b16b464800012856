"""Latency, cost, tokens and memory of a fleet under certainty, by rank, by stream."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from selfright.detect.certainty.bank import Accused, Bank, Block
from selfright.detect.certainty.bets import (
    NO_GRADE,
    RANK_BETS,
    REFERENCE_GRID,
    Grade,
    grade,
)
from selfright.detect.certainty.columns import Floats, Ints
from selfright.detect.certainty.episode import Episode, Finds
from selfright.detect.certainty.found import Found
from selfright.detect.certainty.lane import Mark
from selfright.detect.certainty.rank import RankPart, RankReferences, octaves
from selfright.detect.certainty.sides import SIDES, Sides
from selfright.detect.certainty.spike import Spike, Spikes
from selfright.detect.detection import Kind

_NO_STREAM: Final = -1


class Quantities:
    """Streams of ranks: one for values that rise, and where that is news one for values that fall.

    A stream of ranks has mean 1/2 until something changes, so there is one reference and
    nothing to confirm: an alarm warns, and a certain return ends it.
    """

    def __init__(self) -> None:
        self.bank = Bank(1, RANK_BETS, fifties=False)
        self.references = RankReferences()
        self.sides = Sides()
        self.spikes = Spikes()
        self.episodes: dict[int, Episode] = {}
        self.found: list[Found] = []
        self._credits = np.zeros((SIDES, 1))
        self.sums = np.zeros((SIDES, 2, 1))
        self._level = 0.0
        self._undo: dict[int, Episode | None] = {}  # as they were before the block
        self._undo_grades: list[tuple[int, list[Grade]]] = []
        self._before: RankPart | None = None

    def add(self, *, low: bool) -> int:
        """Return the number of a new baseline; ``low``: values that fall are news, too."""
        for _ in self.sides.add(low=low):
            self.bank.add([NO_GRADE])
        return self.references.add(low=low)

    def feed(
        self,
        of: Ints,
        values: Floats,
        kind: Ints,
        offset: Ints,
        ts_us: Ints,
        level: float,
        credits_: Floats,
    ) -> list[Found]:
        """Take values of baselines ``of`` into account; return what was found, unsorted.

        The rows of ``Found`` are places in these columns. ``credits_`` holds the season's credit
        by side and ``kind``; what the season learns is left in ``sums``: number and sum of the
        ranks by side and kind.
        """
        self.found, self._level, self._credits = [], level, credits_
        self.sums = np.zeros((SIDES, 2, credits_.shape[1]))
        self._before = self.references.part(np.flatnonzero(np.bincount(of)))
        octave = octaves(values)
        rows = np.arange(len(of))
        while len(rows):
            now, later = self._until_renewal(of, rows)
            self._pass(
                Block(of[now], values[now], offset[now], ts_us[now]), octave[now], now, kind[now]
            )
            rows = later
        return self.found

    def keep(self) -> None:
        """Make what was fed part of the state for good."""
        self.bank.keep()
        self.spikes.keep()
        self._undo.clear()
        self._undo_grades.clear()
        self._before = None

    def drop(self) -> None:
        """Undo what was fed."""
        self.bank.drop()
        self.spikes.drop()
        for slot, before in reversed(self._undo_grades):
            self.bank.use(slot, before)
        for slot, episode in self._undo.items():
            if episode is None:
                self.episodes.pop(slot, None)
            else:
                self.episodes[slot] = episode
        if self._before is not None:
            self.references.write(self._before)
        self.keep()

    def restart(self, of: int) -> None:
        """Learn a baseline anew, and end the episodes of its streams."""
        self.references.restart(of)
        for slot in self.sides.streams(of):
            self.bank.use(slot, [NO_GRADE])
            self.bank.clear(slot)
            self.episodes.pop(slot, None)

    # ---- as keeper of the bank -------------------------------------------------------

    def watched(self) -> Collection[int]:
        """Return the streams under suspicion."""
        return self.episodes.keys()

    def outcome(self, slot: int, row: int, x: float, here: Mark) -> None:
        """Take a rank of a stream under suspicion."""
        episode = self._changing(slot)
        if episode.outcome(x, here) is Finds.OVER:
            self._say(row, slot, Kind.RECOVERED, here, episode)
            del self.episodes[slot]

    def alarm(self, row: int, alarms: int, here: Mark, accused: Accused) -> None:
        """Open an episode, or hear that it goes on."""
        del alarms
        slot, lane, grades = accused
        self.references.tainted[self.sides.baseline(slot)] = True
        if slot in self.episodes:
            self._changing(slot).alarm(0, here, lane.changed(0))
            return
        self._undo.setdefault(slot, None)
        self.episodes[slot] = Episode(0, grades[0], None, here, lane.changed(0))
        self._say(row, slot, Kind.DRIFT, here, self.episodes[slot])

    def fifties(self, slots: Ints, tens: Floats) -> tuple[Ints, list[list[Grade]]]:
        """Do nothing: baselines of ranks are renewed between passes."""
        del slots, tens
        return np.zeros(0, dtype=np.int64), []

    # ---- state -----------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as arrays and plain values."""
        return {
            "bank": self.bank.to_state(),
            "references": self.references.to_state(),
            "spikes": self.spikes.to_state(),
            "episodes": [
                [slot, episode.to_state()] for slot, episode in sorted(self.episodes.items())
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``to_state`` returned."""
        self.bank.restore(state["bank"])
        self.references = RankReferences.from_state(state["references"])
        self.sides = Sides()
        for low in self.references.low[: len(self.references)].tolist():
            self.sides.add(low=low)
        self.spikes = Spikes.from_state(state["spikes"])
        self.episodes = {slot: Episode.from_state(found) for slot, found in state["episodes"]}

    # ---- inside ----------------------------------------------------------------------

    def _changing(self, slot: int) -> Episode:
        """Return the stream's episode, having noted what it was."""
        episode = self.episodes[slot]
        if slot not in self._undo:
            self._undo[slot] = episode.copy()
        return episode

    def _until_renewal(self, of: Ints, rows: Ints) -> tuple[Ints, Ints]:
        """Part the rows where their baselines are renewed next: those before, those after."""
        mine = of[rows]
        counts = np.bincount(mine)
        streams = np.flatnonzero(counts)
        left = np.zeros(len(counts), dtype=np.int64)
        left[streams] = self.references.left(streams)
        over = (counts > left)[mine]
        if not over.any():
            return rows, rows[:0]
        # Only of these streams must the place of each row among its stream's be known.
        late = np.flatnonzero(over)
        order = late[np.argsort(mine[late], kind="stable")]
        begun = np.flatnonzero(np.diff(mine[order], prepend=-1))
        place = np.arange(len(order)) - np.repeat(begun, np.diff(begun, append=len(order)))
        now = np.ones(len(rows), dtype=np.bool_)
        now[order] = place < left[mine[order]]
        return rows[now], rows[~now]

    def _pass(self, block: Block, octave: Ints, rows: Ints, kind: Ints) -> None:
        """Take values of baselines, of which none lies behind a renewal of its baseline."""
        references, of = self.references, block.slot
        ready = references.ready(of)
        mine = block if ready.all() else _where(block, ready)
        if len(mine.slot):
            bucket = references.bucket(mine.slot, octave[ready])
            rank = references.rank(mine.slot, bucket)
            suspects, already, at = set(self.episodes), len(self.found), rows[ready]
            self._judge(mine._replace(x=rank), at, kind[ready])
            far = references.is_far(mine.slot, octave[ready])
            if far.any():
                odd, said = _where(mine, far), self.found[already:]
                z = references.deviation(odd.slot, octave[ready][far])
                self._note(odd, z, at[far], suspects, said)
        references.collect(of, octave)
        due = references.due(of)
        if len(due):
            self._renew(due)

    def _judge(self, ranks: Block, rows: Ints, kind: Ints) -> None:
        """Hold ranks against both sides of their baselines, in one block."""
        of, rank = ranks.slot, ranks.x
        low = np.flatnonzero(self.references.low[of])
        at = np.concatenate([np.arange(len(of)), low])
        side = np.zeros(len(at), dtype=np.int64)
        side[len(of) :] = 1
        x = np.concatenate([1.0 - rank, rank[low]])
        place = side * self.sums.shape[2] + kind[at]
        cells = self.sums[:, 0].size
        self.sums[:, 0] += np.bincount(place, minlength=cells).reshape(SIDES, -1)
        self.sums[:, 1] += np.bincount(place, weights=x, minlength=cells).reshape(SIDES, -1)
        if self._credits.any():
            x += self._credits.reshape(-1)[place] * (1.0 - x)
        already = len(self.found)
        slots = self.sides.high(of)[at] + side
        block = Block(slots, x, ranks.offset[at], ranks.ts_us[at])
        self.bank.feed(block, self._level, self)
        # The bank counts the rows of what it was fed.
        self.found[already:] = [
            found._replace(row=int(rows[at[found.row]])) for found in self.found[already:]
        ]

    def _note(
        self, block: Block, z: Floats, rows: Ints, suspects: set[int], said: list[Found]
    ) -> None:
        """Note spikes, but for those of which an alarm says more.

        ``suspects`` are the streams under suspicion before the pass, ``said`` what was found in
        it. After a great change nearly every value is far from what was usual: without this one
        agent would push those of all others out.
        """
        suspected = np.zeros(len(z), dtype=np.bool_)
        high, low = self.sides.high(block.slot), self.references.low[block.slot]
        for slots in (high, np.where(low, high + 1, _NO_STREAM)):
            open_ = np.isin(slots, list(suspects))
            for one in said:  # each opens an episode or ends it
                open_ ^= (slots == one.slot) & (rows > one.row)
            suspected |= open_
        columns = (block.offset, block.ts_us, block.slot, block.x, z)
        for at in np.flatnonzero(~suspected).tolist():
            offset, ts_us, of, value, deviation = (column[at].item() for column in columns)
            if deviation >= 0.0 or low[at]:
                usual = self.references.median(of) or 0.0
                self.spikes.note(Spike(offset, ts_us, of, value, usual, deviation))

    def _renew(self, streams: Ints) -> None:
        due = set(streams.tolist())
        for slot in self.episodes:
            if self.sides.baseline(slot) in due:
                self.references.tainted[self.sides.baseline(slot)] = True
        below = self.references.renew(streams)
        for stream, bound in zip(streams.tolist(), below.tolist(), strict=True):
            of = grade(bound, 1.0)
            for slot in self.sides.streams(stream):
                self._undo_grades.append((slot, self.bank.grades(slot)))
                self.bank.use(slot, [of])

    def _say(self, row: int, slot: int, kind: Kind, here: Mark, episode: Episode) -> None:
        bound = episode.against[0] / REFERENCE_GRID
        self.found.append(
            Found(
                row, slot, kind, here, episode.changed, episode.alarms, 0, bound, 1.0,
                self.references.median(self.sides.baseline(slot)), 0, None, self._level,
                here.n - episode.at.n, episode.said,
            )
        )  # fmt: skip
        episode.said = kind


def _where(block: Block, which: npt.NDArray[np.bool_]) -> Block:
    return Block(block.slot[which], block.x[which], block.offset[which], block.ts_us[which])
