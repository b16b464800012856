"""The rates of a fleet under certainty: references, alarms and what follows, by stream."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np

from selfright.detect.certainty.bank import Accused, Bank, Block
from selfright.detect.certainty.bets import (
    NO_GRADE,
    RATE_BETS,
    REFERENCE_GRID,
    TEMPER_GRID,
    Grade,
    grade,
    grades_of,
)
from selfright.detect.certainty.change_point import interval
from selfright.detect.certainty.columns import Floats, Ints
from selfright.detect.certainty.episode import Episode, Finds
from selfright.detect.certainty.found import Found
from selfright.detect.certainty.lane import TEN, Lane, Mark
from selfright.detect.certainty.reference import ANCHORED, Before, Levels, RateReferences
from selfright.detect.detection import Kind

REFERENCES: Final = ("baseline", "anchor", "threshold")
_LOOKED_BACK: Final = 100  # tens in which the beginning of a drop is looked for
_KINDS: Final = {
    Finds.BEYOND: Kind.CERTAIN,
    Finds.LASTS: Kind.CONFIRMED,
    Finds.OVER: Kind.RECOVERED,
}


class Rates:
    """Streams of outcomes in [0, 1] against baseline, anchor and threshold.

    Parameters
    ----------
    min_drop
        A drop below baseline or anchor that is put up with.
    tempering
        Whether bursts of failures are allowed for.
    """

    def __init__(self, *, min_drop: float, tempering: bool) -> None:
        self.bank = Bank(len(REFERENCES), RATE_BETS)
        self.episodes: dict[int, Episode] = {}
        self.found: list[Found] = []
        self._min_drop = min_drop
        self._references = RateReferences(tempering=tempering)
        self._thresholds: list[float] = []
        self._level = 0.0
        self._undo: dict[int, Episode | None] = {}  # as they were before the block
        self._undo_tens: list[Before] = []
        # Streams that were under suspicion, or begun anew, since their last fifty outcomes.
        self._tainted: set[int] = set()
        self._undo_taint: list[tuple[int, bool]] = []

    def add(self, threshold: float) -> int:
        """Return the number of a new stream whose mean should not be below ``threshold``."""
        self._references.add_stream()
        self._thresholds.append(threshold)
        return self.bank.add([NO_GRADE, NO_GRADE, grade(threshold, 1.0)])

    def feed(self, block: Block, level: float) -> list[Found]:
        """Take a block into account, for the time being; return what was found, unsorted."""
        self.found, self._level = [], level
        self.bank.feed(block, level, self)
        return self.found

    def keep(self) -> None:
        """Make what was fed part of the state."""
        self.bank.keep()
        self._forget_undo()

    def drop(self) -> None:
        """Undo what was fed."""
        self.bank.drop()
        for before in reversed(self._undo_tens):
            self._references.back(before)
        for slot, episode in self._undo.items():
            self._put(slot, episode)
        for slot, tainted in reversed(self._undo_taint):
            (self._tainted.add if tainted else self._tainted.discard)(slot)
        self._forget_undo()

    def restart(self, slot: int, *, anchor: bool) -> None:
        """Learn the references anew; with ``anchor`` end the episode and forget the best, too."""
        self._references.restart(slot, anchor=anchor)
        self._hold(slot)
        self.bank.clear(slot)
        # Of the fifty under way the sums are incomplete: they would count as failures.
        self._tainted.add(slot)
        if anchor:
            self.episodes.pop(slot, None)

    def rethreshold(self, slot: int, threshold: float) -> None:
        """Hold a stream against another threshold from here on."""
        if threshold == self._thresholds[slot]:
            return
        self._thresholds[slot] = threshold
        self._hold(slot)
        if slot in self.episodes:
            self.episodes[slot].threshold = threshold

    def contained(self, now_us: int) -> list[Found]:
        """Return the drops of which too few outcomes came within a day to follow them up."""
        self.found = []
        for slot, episode in sorted(self.episodes.items()):
            lane = self.bank.lane(slot)
            here = Mark(lane.n, lane.total, episode.at.offset, now_us)
            if episode.contain(here, now_us):
                self._say(0, slot, Kind.CONTAINED, here, episode)
        return self.found

    # ---- as keeper of the bank -------------------------------------------------------

    def watched(self) -> Collection[int]:
        """Return the streams under suspicion."""
        return self.episodes.keys()

    def outcome(self, slot: int, row: int, x: float, here: Mark) -> None:
        """Take an outcome of a stream under suspicion."""
        episode = self._changing(slot)
        finds = episode.outcome(x, here)
        if finds is None:
            return
        self._say(row, slot, _KINDS[finds], here, episode)
        if finds is Finds.OVER:
            del self.episodes[slot]

    def alarm(self, row: int, alarms: int, here: Mark, accused: Accused) -> None:
        """Open an episode, or hear that it goes on."""
        slot, lane, grades = accused
        raised = [r for r in range(len(REFERENCES)) if alarms >> r & 1]
        if slot not in self.episodes:
            # Of several that alarm at once the highest says most about how far it fell.
            first = max(raised, key=lambda r: grades[r])
            self._undo.setdefault(slot, None)
            # Begun anew a moment ago: the sums of the fifty under way are incomplete.
            began = None if slot in self._tainted else self._began(slot, lane)
            if slot not in self._tainted:
                self._undo_taint.append((slot, False))
                self._tainted.add(slot)
            self.episodes[slot] = Episode(
                first, grades[first], self._thresholds[slot], here, lane.changed(first)
            )
            self.episodes[slot].began = began
            finds = self.episodes[slot].judge(here)
            kind = Kind.DRIFT if finds is None else _KINDS[finds]
            self._say(row, slot, kind, here, self.episodes[slot])
        else:
            episode = self._changing(slot)
            finds = None
            for r in raised:
                deeper = REFERENCES[r] == "threshold"
                finds = finds or episode.alarm(r, here, lane.changed(r), deeper=deeper)
            if finds is not None:
                self._say(row, slot, _KINDS[finds], here, episode)

    def fifties(self, slots: Ints, tens: Floats) -> tuple[Ints, list[list[Grade]]]:
        """Accept fifty outcomes; not of streams under suspicion, or begun, among them."""
        fine = np.ones(len(slots), dtype=np.bool_)
        if self.episodes or self._tainted:
            for at, slot in enumerate(slots.tolist()):
                if slot in self.episodes:
                    fine[at] = False
                elif slot in self._tainted:
                    self._undo_taint.append((slot, True))
                    self._tainted.discard(slot)
                    fine[at] = False
        places = np.flatnonzero(fine)
        if not len(places):
            return places, []
        streams = slots[places]
        self._undo_tens.append(self._references.add(streams, tens[:, places]))
        levels = self._references.levels(streams)
        renewed = ~np.isnan(levels.baseline)
        return places[renewed], self._grades(
            streams[renewed], Levels(*(of[renewed] for of in levels))
        )

    # ---- state -----------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as arrays and plain values."""
        return {
            "bank": self.bank.to_state(),
            "thresholds": np.array(self._thresholds),
            "references": self._references.to_state(),
            "tainted": sorted(self._tainted),
            "episodes": [
                [slot, episode.to_state()] for slot, episode in sorted(self.episodes.items())
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``to_state`` returned."""
        self.bank.restore(state["bank"])
        self._thresholds = state["thresholds"].tolist()
        self._references.restore(state["references"])
        self._tainted = set(state["tainted"])
        self.episodes = {slot: Episode.from_state(found) for slot, found in state["episodes"]}

    # ---- inside ----------------------------------------------------------------------

    def _changing(self, slot: int) -> Episode:
        """Return the stream's episode, having noted what it was."""
        episode = self.episodes[slot]
        if slot not in self._undo:
            self._undo[slot] = episode.copy()
        return episode

    def _forget_undo(self) -> None:
        self._undo.clear()
        self._undo_tens.clear()
        self._undo_taint.clear()

    def _put(self, slot: int, episode: Episode | None) -> None:
        if episode is None:
            self.episodes.pop(slot, None)
        else:
            self.episodes[slot] = episode

    def _hold(self, slot: int) -> None:
        """Hold a stream against its references as they stand."""
        of = np.array([slot])
        self.bank.use(slot, [one for (one,) in self._grades(of, self._references.levels(of))])

    def _grades(self, streams: Ints, levels: Levels) -> list[list[Grade]]:
        """Return by reference the grades of streams."""
        thresholds = np.array([self._thresholds[slot] for slot in streams.tolist()])
        # Whichever is lower: the bound, which is sure of the mean, or what is put up with. Not the
        # one below the other: a bound of few outcomes lies far below the mean as it is.
        baseline = np.minimum(levels.baseline, levels.mean - self._min_drop)
        anchor = np.minimum(levels.anchor, levels.best - self._min_drop)
        held = (baseline, anchor, thresholds)
        return [grades_of(level, levels.temper) for level in held]

    def _began(self, slot: int, lane: Lane) -> tuple[int, int] | None:
        before = self._references.mean(slot)
        if not 0.0 < before < 1.0:
            return None
        full, rest = divmod(lane.since_fifty(), TEN)
        tens = lane.tens()
        return interval(
            [*self._references.latest(slot, _LOOKED_BACK), *tens[:full]],
            before,
            (rest, tens[full] if rest else 0.0),
        )

    def _say(self, row: int, slot: int, kind: Kind, here: Mark, episode: Episode) -> None:
        known = self._references.known(slot)
        before, before_n = (self._references.mean(slot), known) if known else (None, 0)
        if REFERENCES[episode.reference] == "anchor":
            before, before_n = self._references.anchor_mean(slot), ANCHORED
        bound, temper = episode.against
        self.found.append(
            Found(
                row, slot, kind, here, episode.changed, episode.alarms, episode.reference,
                bound / REFERENCE_GRID, temper / TEMPER_GRID, before, before_n,
                episode.began, self._level, here.n - episode.at.n, episode.said,
            )
        )  # fmt: skip
        episode.said = kind
