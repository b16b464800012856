"""Both rules over every metric of every agent and of the fleet, behind one call.

The watch takes blocks of rows: ``feed`` says what they bring, for the time being; ``keep`` makes
that part of the state, ``drop`` leaves it as it was. In between ``at`` puts the watch at any row
of the block: whoever asks then finds what stood at that very moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from selfright.detect.columns.beta import BetaColumns
from selfright.detect.columns.entries import METRICS, SHIFT, Turn, number
from selfright.detect.columns.question import questions_of
from selfright.detect.columns.standing import Since, Standing, Turned
from selfright.detect.columns.state import WatchState, most_scope, restore, stored
from selfright.detect.columns.window import WindowColumns
from selfright.detect.detection import SYSTEM, Detection, Finding, Kind, Signal, WatchedMetric
from selfright.detect.policy import BOUNDS, WatchPolicy
from selfright.metrics.interval import wilson

if TYPE_CHECKING:
    from collections.abc import Collection

    from selfright.detect.certainty.fleet import Rows
    from selfright.detect.columns.beta import BetaBlock
    from selfright.detect.columns.entries import Ints
    from selfright.detect.columns.window import Said, WindowBlock

WINDOW: Final = "window"
BETA: Final = "beta"
# In the order in which they speak.
RULES: Final = (WINDOW, BETA)

_SAYS: Final = {
    Signal.BEYOND: Kind.BEYOND,
    Signal.CLEARED: Kind.CLEARED,
    Signal.LIKELY: Kind.LIKELY,
    Signal.UNLIKELY: Kind.UNLIKELY,
}
_NOBODY: Final = np.zeros(0, dtype=np.int64)
_STANDING: Final = frozenset({Signal.LIKELY, Signal.STANDS})


class Figures(NamedTuple):
    """Count and sum of what a rule judges from, and how many outcomes came ever."""

    n: int
    total: int
    seen: int


class _Block:
    """What was fed and not yet kept."""

    def __init__(self, rows: Rows, windows: WindowBlock, beta: BetaBlock) -> None:
        self.rows = rows
        self.windows = windows
        self.beta = beta
        self._places: dict[int, int] = {}

    def stream(self, entry: int) -> tuple[int, WatchedMetric]:
        """Return whose entry it is, and of which metric."""
        entries = self.windows.entries
        scope, metric = divmod(int(entries.stream[entries.of[entry]]), METRICS)
        return scope - 1, WatchedMetric(metric)

    def place(self, entry: int) -> tuple[int, bool, int]:
        """Return row, whether it is the fleet's, and metric: the order in which it is told."""
        scope, metric = self.stream(entry)
        return int(self.windows.entries.row[entry]), scope == SYSTEM, metric

    def entry(self, stream: int, row: int) -> int | None:
        """Return the stream's latest entry up to ``row``, None if it has none yet."""
        entries = self.windows.entries
        if not self._places:
            self._places = {stream: place for place, stream in enumerate(entries.stream.tolist())}
        place = self._places.get(stream)
        if place is None:
            return None
        first = int(entries.first[place])
        rows = entries.row[first : int(entries.last[place]) + 1]
        behind = int(np.searchsorted(rows, row, side="right"))
        return first + behind - 1 if behind else None

    def window(self, entry: int) -> Figures:
        """Return the window's figures after an entry."""
        return Figures(int(self.windows.n[entry]), int(self.windows.total[entry]), 0)

    def latest(self, entry: int) -> Figures:
        """Return those of the latest outcomes; the entry is one of a rate."""
        n, total, seen = self.beta.course
        return Figures(int(n[entry]), int(total[entry]), int(seen[entry]))


class FleetWatch:
    """Follows all watched metrics of all agents and of the fleet; speaks on transitions.

    A scope is an agent's dense code or ``SYSTEM``. What the watch says is a function of the
    sequence of rows alone: no clock is asked, and how they are batched does not matter.

    Parameters
    ----------
    policy
        Thresholds and levels. A metric without threshold is ignored.
    rules
        Those that speak.

    Notes
    -----
    With six metrics a row, for the agent and the fleet together: 0.7 us a row in blocks of 1,024
    rows of 200 agents, twice that where rows come half a minute late, 1.2 us for one agent that
    reports every 10 s, 4 us where each row is of another agent and in a new minute, 130 us for a
    block of one row. 2.6 kB an agent that reports six metrics and accuracy in all minutes of an
    hour, 0.6 kB more with more than 127 outcomes in a minute, 1.8 kB more where its scores are
    graded.
    """

    def __init__(self, policy: WatchPolicy, rules: Collection[str] = RULES) -> None:
        self.policy = policy
        self._rules = rules
        self._turn = Turn(policy)
        self._windows = WindowColumns(policy)
        self._questions = questions_of(policy)
        self._beta = BetaColumns(policy, self._questions, self._windows)
        self._standing = Standing()
        self._room = 0  # scopes
        self._block: _Block | None = None
        self._agents = _NOBODY  # whose the rows of the block are
        self._row: int | None = None

    # ---- rows ------------------------------------------------------------------------

    def feed(self, rows: Rows) -> dict[int, tuple[Detection, ...]]:
        """Take rows into account, for the time being; return what is said at which of them.

        First of the agent, then of the fleet, by metric. A block that was not kept is dropped.
        """
        self.drop()
        if not len(rows.agent):
            return {}
        self._agents = rows.agent
        self._reach(int(rows.agent.max()) + 2)
        entries = self._turn.entries(rows.agent, rows.values, rows.ts_us)
        if not len(entries.row):
            return {}
        windows = self._windows.feed(entries)
        block = self._block = _Block(rows, windows, self._beta.feed(windows))
        if not (windows.said or block.beta.said):
            self._standing.feed([])
            return {}
        return self._hear(block)

    def keep(self) -> None:
        """Make what was fed part of the state for good."""
        if self._block is not None:
            self._windows.keep(self._block.windows)
            self._beta.keep(self._block.beta)
            self._standing.keep()
        self._block = self._row = None
        self._agents = _NOBODY

    def drop(self) -> None:
        """Undo what was fed."""
        self._standing.feed([])
        self._block = self._row = None
        self._agents = _NOBODY

    # ---- what stands -----------------------------------------------------------------

    def at(self, row: int) -> None:
        """Answer from now on as of ``row`` of the block, until it is kept or dropped."""
        self._row = row
        self._standing.at(row)

    def standing_rows(self) -> Ints:
        """Return the rows of the block after which something stands about agent or fleet."""
        return self._standing.rows(self._agents)

    @property
    def standing_scopes(self) -> Collection[int]:
        """Scopes of which a drop is likely at this moment; empty in a healthy fleet."""
        return sorted(self._standing.now)

    def standing(self, scope: int) -> tuple[Detection, ...]:
        """Return what is likely about ``scope`` at this moment, with the figures of now.

        ``ts_us`` and ``offset`` say since when it has been so without a break. Ordered by
        metric. About 20 us for each.
        """
        told = []
        for metric, since in sorted(self._standing.now.get(scope, {}).items()):
            finding = self._finding(BETA, metric, self._figures(scope, metric, BETA))
            told.append(self._detection(BETA, Kind.LIKELY, (scope, metric), finding, since))
        return tuple(told)

    def standing_metrics(self, scope: int) -> tuple[WatchedMetric, ...]:
        """Return which metrics are likely beyond their threshold at this moment."""
        return tuple(self._standing.now.get(scope, ()))

    def seen(self, scope: int, metric: WatchedMetric) -> int:
        """Return how many outcomes of a rate came ever, late ones beyond the window left out."""
        return self._figures(scope, metric, BETA).seen if metric.is_rate else 0

    def window(self, scope: int, metric: WatchedMetric) -> tuple[int, float]:
        """Return count and mean of the window, in the threshold's unit (0, 0.0 if empty)."""
        n, total, _ = self._figures(scope, metric, WINDOW)
        return (n, _shown(metric, total / (1 << int(SHIFT[metric])) / n)) if n else (0, 0.0)

    # ---- what is told ----------------------------------------------------------------

    def note_retraining(self, scope: int) -> None:
        """Set aside the evidence about ``scope``: what served it has been retrained.

        The means are left alone, for what was seen was seen. The fleet's evidence is another
        scope: call it for ``SYSTEM`` too.
        """
        if scope < self._room - 1:
            self._beta.cut(_streams(scope))
            self._standing.forget(scope)

    def forget(self, scope: int) -> None:
        """Drop everything about ``scope``."""
        if scope < self._room - 1:
            self._windows.forget(_streams(scope))
            self._beta.forget(_streams(scope))
            self._standing.forget(scope)

    # ---- state -----------------------------------------------------------------------

    def to_state(self) -> WatchState:
        """Return the exact state that was kept, as arrays."""
        return stored(self._windows, self._beta, self._standing.kept)

    @classmethod
    def from_state(
        cls, policy: WatchPolicy, state: WatchState, rules: Collection[str] = RULES
    ) -> FleetWatch:
        """Return the watch that ``to_state`` described, under ``policy``.

        The policy may differ: the outcomes seen are judged by the new thresholds from the
        next one on. What a shorter window does not reach, and metrics that have no threshold any
        more, are dropped.
        """
        watch = cls(policy, rules)
        watched = [metric for metric in WatchedMetric if policy.threshold(metric) is not None]
        watch._reach(most_scope(state) + 2)
        watch._standing.kept = restore(state, watched, watch._windows, watch._beta)
        watch.drop()
        return watch

    # ---- inside ----------------------------------------------------------------------

    def _reach(self, scopes: int) -> None:
        if scopes > self._room:
            self._room = scopes + scopes // 16
            self._windows.reach(self._room * METRICS)
            self._beta.reach(self._room * METRICS)

    def _hear(self, block: _Block) -> dict[int, tuple[Detection, ...]]:
        """Return what is said at which row, and note what stands from there on."""
        heard: list[tuple[int, bool, int, int, Said]] = []
        for turn, (rule, said) in enumerate(
            ((WINDOW, block.windows.said), (BETA, block.beta.said))
        ):
            if rule in self._rules:
                heard += [(*block.place(one.entry), turn, one) for one in said]
        heard.sort(key=lambda found: found[:-1])
        told: dict[int, tuple[Detection, ...]] = {}
        turned = []
        for row, _, _, turn, (entry, signal) in heard:
            scope, metric = block.stream(entry)
            since = Since(int(block.rows.ts_us[row]), int(block.rows.offset[row]))
            if turn:
                stands = since if signal in _STANDING else None
                turned.append(Turned(row, scope, metric, stands))
            if signal in _SAYS:
                figures = block.latest(entry) if turn else block.window(entry)
                finding = self._finding(RULES[turn], metric, figures)
                one = self._detection(RULES[turn], _SAYS[signal], (scope, metric), finding, since)
                told[row] = (*told.get(row, ()), one)
        self._standing.feed(turned)
        return told

    def _figures(self, scope: int, metric: WatchedMetric, rule: str) -> Figures:
        """Return what a rule judges from at this moment."""
        stream = number(scope, metric)
        if self._block is not None and self._row is not None:
            entry = self._block.entry(stream, self._row)
            if entry is not None:
                of_block = self._block.window if rule == WINDOW else self._block.latest
                return of_block(entry)
        if scope >= self._room - 1:
            return Figures(0, 0, 0)
        columns = self._windows if rule == WINDOW else self._beta
        return Figures(
            int(columns.n[stream]), int(columns.total[stream]), int(self._beta.seen[stream])
        )

    def _finding(self, rule: str, metric: WatchedMetric, figures: Figures) -> Finding:
        total = figures.total / (1 << int(SHIFT[metric]))
        if rule == BETA:
            return self._questions[metric].finding(figures.n, total)
        inputs = {"window_minutes": self.policy.window_minutes, "min_n": self.policy.min_n}
        return Finding(figures.n, total, None, inputs)

    def _detection(
        self,
        rule: str,
        kind: Kind,
        stream: tuple[int, WatchedMetric],
        found: Finding,
        since: Since,
    ) -> Detection:
        scope, metric = stream
        value = _shown(metric, found.total / found.n) if found.n else 0.0
        ratio = metric.is_rate or metric is WatchedMetric.LATENCY
        inputs = {"setting": BOUNDS[metric].setting, **found.inputs}
        if metric is WatchedMetric.LATENCY:
            inputs["limit_ms"] = self.policy.threshold(metric)
        return Detection(
            detector=rule,
            kind=kind,
            scope=scope,
            metric=metric,
            value=value,
            interval=wilson(value * found.n, found.n) if ratio else None,
            n=found.n,
            threshold=self.policy.judged(metric),
            probability=found.probability,
            ts_us=since.ts_us,
            offset=since.offset,
            inputs=inputs,
        )


def _streams(scope: int) -> Ints:
    return number(scope, 0) + np.arange(METRICS)


def _shown(metric: WatchedMetric, mean: float) -> float:
    """Return a mean in the user's unit and orientation."""
    bound = BOUNDS[metric]
    unit = 1 if metric is WatchedMetric.LATENCY else bound.unit
    return bound.sign * mean / unit + 0.0  # + 0.0: no negative zero
