"""The rates of a fleet under certainty: references, alarms and what follows, by stream."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np

from selfright.detect.certainty.bank import NARROW, Bank, Block
from selfright.detect.certainty.bets import (
    NO_GRADE,
    RATE_BETS,
    REFERENCE_GRID,
    TEMPER_GRID,
    Grade,
    grade,
)
from selfright.detect.certainty.change_point import interval
from selfright.detect.certainty.episode import Episode, Finds
from selfright.detect.certainty.found import Found
from selfright.detect.certainty.lane import FIFTY, TEN, Lane, Mark
from selfright.detect.certainty.reference import ANCHORED, Levels, RateReference, Snapshot
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

    def __init__(self, *, min_drop: float, tempering: bool, narrow: int = NARROW) -> None:
        self.bank = Bank(len(REFERENCES), RATE_BETS, narrow)
        self.episodes: dict[int, Episode] = {}
        self.found: list[Found] = []
        self._min_drop, self._tempering = min_drop, tempering
        self._references: list[RateReference] = []
        self._thresholds: list[float] = []
        self._level = 0.0
        self._now: list[list[Grade]] = []  # what each stream is held against
        self._undo: dict[int, Episode | None] = {}  # as they were before the block
        self._undo_tens: list[tuple[int, Snapshot, list[Grade]]] = []
        # Streams that were under suspicion, or begun anew, since their last fifty outcomes.
        self._tainted: set[int] = set()
        self._undo_taint: list[tuple[int, bool]] = []

    def add(self, threshold: float) -> int:
        """Return the number of a new stream whose mean should not be below ``threshold``."""
        self._references.append(RateReference(tempering=self._tempering))
        self._thresholds.append(threshold)
        self._now.append([NO_GRADE, NO_GRADE, grade(threshold, 1.0)])
        return self.bank.add(self._now[-1])

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
        for slot, before, grades in reversed(self._undo_tens):
            self._references[slot].back(before)
            self._now[slot] = grades
        for slot, episode in self._undo.items():
            self._put(slot, episode)
        for slot, tainted in reversed(self._undo_taint):
            (self._tainted.add if tainted else self._tainted.discard)(slot)
        self._forget_undo()

    def restart(self, slot: int, *, anchor: bool) -> None:
        """Learn the references anew; with ``anchor`` end the episode and forget the best, too."""
        self._references[slot].restart(anchor=anchor)
        self._now[slot] = self._grades(slot, self._references[slot].levels())
        self.bank.use(slot, self._now[slot])
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
        self._now[slot] = self._grades(slot, self._references[slot].levels())
        self.bank.use(slot, self._now[slot])
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

    def alarm(self, slot: int, row: int, alarms: int, here: Mark, lane: Lane) -> None:
        """Open an episode, or hear that it goes on."""
        raised = [r for r in range(len(REFERENCES)) if alarms >> r & 1]
        if slot not in self.episodes:
            # Of several that alarm at once the highest says most about how far it fell.
            first = max(raised, key=lambda r: self._now[slot][r])
            self._undo.setdefault(slot, None)
            # Begun anew a moment ago: the sums of the fifty under way are incomplete.
            began = None if slot in self._tainted else self._began(slot, lane)
            if slot not in self._tainted:
                self._undo_taint.append((slot, False))
                self._tainted.add(slot)
            self.episodes[slot] = Episode(
                first, self._now[slot][first], self._thresholds[slot], here, lane.changed(first)
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

    def fifty(self, slot: int, tens: list[float]) -> list[Grade] | None:
        """Accept fifty outcomes; not if the stream was under suspicion, or begun, among them."""
        if slot in self.episodes:
            return None
        if slot in self._tainted:
            self._undo_taint.append((slot, True))
            self._tainted.discard(slot)
            return None
        reference = self._references[slot]
        self._undo_tens.append((slot, reference.snapshot(), self._now[slot]))
        levels = reference.add(tens)
        if levels is None:
            return None
        self._now[slot] = self._grades(slot, levels)
        return self._now[slot]

    # ---- state -----------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as arrays and plain values."""
        states = [reference.to_state() for reference in self._references]
        rings = [ring for _, ring in states]
        return {
            "bank": self.bank.to_state(),
            "thresholds": np.array(self._thresholds),
            "counts": np.array([counts for counts, _ in states], dtype=np.int64).reshape(-1),
            "rings": np.frombuffer(b"".join(rings), dtype=np.uint8).copy(),
            "ring_lengths": np.array([len(ring) for ring in rings], dtype=np.int64),
            "tainted": sorted(self._tainted),
            "episodes": [
                [slot, episode.to_state()] for slot, episode in sorted(self.episodes.items())
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``to_state`` returned."""
        self.bank.restore(state["bank"])
        self._thresholds = state["thresholds"].tolist()
        rings, at = state["rings"].tobytes(), 0
        self._references = []
        for counts, length in zip(
            state["counts"].reshape(-1, 5).tolist(), state["ring_lengths"].tolist(), strict=True
        ):
            reference = RateReference(tempering=self._tempering)
            reference.restore((counts, rings[at : at + length]))
            self._references.append(reference)
            at += length
        self._tainted = set(state["tainted"])
        self._now = [self.bank.grades(slot) for slot in range(len(self.bank))]
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

    def _grades(self, slot: int, levels: Levels) -> list[Grade]:
        drop, temper = self._min_drop, levels.temper
        held = [
            None if level is None else level - drop for level in (levels.baseline, levels.anchor)
        ]
        return [grade(level, temper) for level in (*held, self._thresholds[slot])]

    def _began(self, slot: int, lane: Lane) -> tuple[int, int] | None:
        reference = self._references[slot]
        before = reference.mean
        if not 0.0 < before < 1.0:
            return None
        full, rest = divmod(lane.n % FIFTY, TEN)
        tens = [*reference.latest(_LOOKED_BACK), *lane.tens[:full]]
        return interval(tens, before, (rest, lane.tens[full] if rest else 0.0))

    def _say(self, row: int, slot: int, kind: Kind, here: Mark, episode: Episode) -> None:
        reference = self._references[slot]
        before, before_n = (reference.mean, reference.known) if reference.known else (None, 0)
        if REFERENCES[episode.reference] == "anchor":
            before, before_n = reference.anchor_mean, ANCHORED
        bound, temper = episode.against
        self.found.append(
            Found(
                row, slot, kind, here, episode.changed, episode.alarms, episode.reference,
                bound / REFERENCE_GRID, temper / TEMPER_GRID, before, before_n,
                episode.began, self._level, here.n - episode.at.n, episode.said,
            )
        )  # fmt: skip
        episode.said = kind
