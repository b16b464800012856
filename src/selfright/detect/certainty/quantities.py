"""Latency, cost, tokens and memory of a fleet under certainty, by rank, by stream."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np

from selfright.detect.certainty.bank import NARROW, Bank, Block, Floats, Ints
from selfright.detect.certainty.bets import (
    NO_GRADE,
    RANK_BETS,
    REFERENCE_GRID,
    Grade,
    grade,
)
from selfright.detect.certainty.episode import Episode, Finds
from selfright.detect.certainty.found import Found
from selfright.detect.certainty.lane import Mark
from selfright.detect.certainty.rank import RankPart, RankReferences, octaves
from selfright.detect.detection import Kind

SIDES: Final = 2  # high, low: streams 2 k and 2 k + 1 share the baseline k


class Quantities:
    """Pairs of streams of ranks: one for values that rise, one for values that fall.

    A stream of ranks has mean 1/2 until something changes, so there is one reference and
    nothing to confirm: an alarm warns, and a certain return ends it.
    """

    def __init__(self, *, narrow: int = NARROW) -> None:
        self.bank = Bank(1, RANK_BETS, narrow)
        self.references = RankReferences()
        self.episodes: dict[int, Episode] = {}
        self.found: list[Found] = []
        self._watched: list[tuple[bool, bool]] = []  # which sides of a baseline are followed
        self._now: list[Grade] = []
        self._level = 0.0
        self._rows: Ints = np.zeros(0, dtype=np.int64)
        self._undo: dict[int, Episode | None] = {}  # as they were before the block
        self._undo_grades: list[tuple[int, Grade]] = []
        self._before: RankPart | None = None

    def add(self, *, low: bool) -> int:
        """Return the number of a new baseline; ``low``: values that fall are news, too."""
        self._watched.append((True, low))
        for _ in range(SIDES):
            self.bank.add([NO_GRADE])
            self._now.append(NO_GRADE)
        return self.references.add()

    def feed(
        self, of: Ints, values: Floats, offset: Ints, ts_us: Ints, level: float
    ) -> list[Found]:
        """Take values of baselines ``of`` into account; return what was found, unsorted.

        The rows of ``Found`` are places in these columns.
        """
        self.found, self._level = [], level
        self._before = self.references.part(np.unique(of))
        octave = octaves(values)
        rows = np.arange(len(of))
        while len(rows):
            now, later = self._until_renewal(of, rows)
            self._pass(of[now], octave[now], now, offset[now], ts_us[now])
            rows = later
        return self.found

    def keep(self) -> None:
        """Make what was fed part of the state for good."""
        self.bank.keep()
        self._undo.clear()
        self._undo_grades.clear()
        self._before = None

    def drop(self) -> None:
        """Undo what was fed."""
        self.bank.drop()
        for slot, before in reversed(self._undo_grades):
            self._now[slot] = before
            self.bank.use(slot, [before])
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
        for slot in (SIDES * of, SIDES * of + 1):
            self._now[slot] = NO_GRADE
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

    def alarm(
        self,
        slot: int,
        row: int,
        alarms: int,
        here: Mark,
        changed: list[Mark],
        tens: list[float],
    ) -> None:
        """Open an episode, or hear that it goes on."""
        del alarms, tens
        self.references.tainted[slot // SIDES] = True
        if slot in self.episodes:
            self._changing(slot).alarm(0, here, changed[0])
            return
        self._undo.setdefault(slot, None)
        self.episodes[slot] = Episode(0, self._now[slot], None, here, changed[0])
        self._say(row, slot, Kind.DRIFT, here, self.episodes[slot])

    def fifty(self, slot: int, tens: list[float]) -> list[Grade] | None:
        """Do nothing: baselines of ranks are renewed between passes."""
        del slot, tens
        return None

    # ---- state -----------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as arrays and plain values."""
        return {
            "bank": self.bank.to_state(),
            "references": self.references.to_state(),
            "low": np.array([low for _, low in self._watched], dtype=np.bool_),
            "episodes": [
                [slot, episode.to_state()] for slot, episode in sorted(self.episodes.items())
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``to_state`` returned."""
        self.bank.restore(state["bank"])
        self.references = RankReferences.from_state(state["references"])
        self._watched = [(True, low) for low in state["low"].tolist()]
        self._now = [self.bank.grades(slot)[0] for slot in range(len(self.bank))]
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
        order = np.argsort(of[rows], kind="stable")
        streams, first, counts = np.unique(of[rows][order], return_index=True, return_counts=True)
        place = np.empty(len(rows), dtype=np.int64)
        place[order] = np.arange(len(rows)) - np.repeat(first, counts)
        room = np.repeat(self.references.left(streams), counts)
        now = np.empty(len(rows), dtype=np.bool_)
        now[order] = place[order] < room
        return rows[now], rows[~now]

    def _pass(self, of: Ints, octave: Ints, rows: Ints, offset: Ints, ts_us: Ints) -> None:
        """Take rows of which none lies behind a renewal of its baseline."""
        references = self.references
        ready = references.ready(of)
        mine = of[ready]
        if len(mine):
            bucket = references.bucket(mine, octave[ready])
            rank: Floats = references.ranks[mine, bucket].astype(np.float64)
            self._rows = rows[ready]
            for side, x in ((0, 1.0 - rank), (1, rank)):
                self._side(side, mine, x, offset[ready], ts_us[ready])
        references.collect(of, octave)
        for stream in references.due(of):
            self._renew(stream)

    def _side(self, side: int, of: Ints, x: Floats, offset: Ints, ts_us: Ints) -> None:
        followed = np.array([self._watched[stream][side] for stream in of.tolist()])
        if not followed.any():
            return
        already = len(self.found)
        self.bank.feed(
            Block(SIDES * of[followed] + side, x[followed], offset[followed], ts_us[followed]),
            self._level,
            self,
        )
        # The bank counts the rows of what it was fed.
        rows = self._rows[followed]
        self.found[already:] = [
            found._replace(row=int(rows[found.row])) for found in self.found[already:]
        ]

    def _renew(self, stream: int) -> None:
        sides = (SIDES * stream, SIDES * stream + 1)
        if any(slot in self.episodes for slot in sides):
            self.references.tainted[stream] = True
        bound = grade(self.references.renew(stream), 1.0)
        for slot in sides:
            self._undo_grades.append((slot, self._now[slot]))
            self._now[slot] = bound
            self.bank.use(slot, [bound])

    def _say(self, row: int, slot: int, kind: Kind, here: Mark, episode: Episode) -> None:
        bound = episode.against[0] / REFERENCE_GRID
        self.found.append(
            Found(
                row, slot, kind, here, episode.changed, episode.alarms, 0, bound, 1.0,
                self.references.median(slot // SIDES), 0, None, self._level, episode.said,
            )
        )  # fmt: skip
        episode.said = kind
