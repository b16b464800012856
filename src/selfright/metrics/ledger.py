"""The sums themselves: what comes in, what is taken back, what is forgotten and when.

Rows wait until there are many or somebody asks. Then each is added to its own minute; to
the running window, if that stands on the minute; and to the totals of the whole past, once
somebody asked for them. All of it is integer addition, so that a retraction undoes an
update without a trace and the order of rows does not matter.

The ledger's clock is the newest event it has seen, or the latest ``advance``; it never
goes back. Minutes more than the horizon before it go to *older*, where only their sum
is kept. A row that comes later than that goes there at once and counts as *late*. The door
clamps times that lie ahead of arrival, so that no wrong clock can push the past out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from selfright.errors import ConfigError
from selfright.metrics import state as states
from selfright.metrics.columns import (
    US_PER_MINUTE,
    delta_of_outcomes,
    delta_of_runs,
    single_outcome,
    single_run,
    starts_of,
    sum_keys,
    translated,
)
from selfright.metrics.labels import Labels, translation
from selfright.metrics.minute import Minute, narrowed
from selfright.metrics.rows import OutcomeRows, RunRows
from selfright.metrics.totals import Totals
from selfright.metrics.window import RollingTotals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from selfright.events.batch import OutcomeBatch, RunBatch
    from selfright.metrics.columns import Delta, Single
    from selfright.metrics.policy import MetricsPolicy

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.integer]
Cells = tuple[Ints, Ints, Ints, Ints]  # agents, their values, keys, their counts

NEVER: Final = 1 << 62  # later than any event
_WAITING: Final = 4096  # rows that are added up together: each then costs half as much
_OPEN: Final = 10  # minutes before now that are not packed: few rows come later than that
_MOST_BYTES: Final = 512  # more than a row adds to a packed minute
_RETIRED: Final = 256  # minutes that wait to be added up: together it is far cheaper
_WORTH_PACKING: Final = 64  # cells and marks from which on packing saves more than it costs


class Ledger:
    """Exact sums per agent over minutes, the running window and the whole past.

    Attributes
    ----------
    minutes
        By number (event time divided by a minute).
    older
        Totals over everything older than the minutes; see ``whole``.
    window
        Totals over the configured window, wherever it stands.
    clock, floor
        Newest minute known, and the oldest one still kept; None before the first event.
    late_runs, late_outcomes
        Rows that came after their minute had been forgotten. A retraction does not
        reduce them.
    seen
        Whether an agent has anything to its name, retracted rows included.
    first_us, last_us
        Oldest and newest run per agent, retracted ones included; ``NEVER`` and -1
        without any.
    changes
        Grows with every change.
    """

    __slots__ = (
        "_archive", "_hot", "_older", "_outcomes", "_retired", "_runs", "_waiting", "_whole",
        "changes", "clock", "first_us", "floor", "labels", "last_us", "late_outcomes",
        "late_runs", "minutes", "policy", "seen", "window",
    )  # fmt: skip

    def __init__(self, policy: MetricsPolicy) -> None:
        self.policy = policy
        self.labels = Labels()
        self.minutes: dict[int, Minute] = {}
        self.window = RollingTotals(policy.window_minutes)
        self.clock: int | None = None
        self.floor: int | None = None
        self.late_runs = 0
        self.late_outcomes = 0
        self.first_us: Ints = np.empty(0, dtype=np.int64)
        self.last_us: Ints = np.empty(0, dtype=np.int64)
        self.seen = np.empty(0, dtype=np.bool_)
        self.changes = 0
        self._waiting = 0  # rows, in the next two
        self._runs: list[RunRows] = []
        self._outcomes: list[OutcomeRows] = []
        self._older = Totals()
        self._retired: list[Minute] = []  # on their way to older
        self._whole: Totals | None = None  # None: nobody asked yet
        self._hot: set[int] = set()  # minutes not packed
        self._archive: dict[int, int] = {}  # bytes of each packed minute

    # Rows

    def update_runs(self, agents: Codes, runs: RunBatch) -> None:
        """Add runs; ``agents`` holds the code of each."""
        if len(runs):
            self._admit(agents)
            self._runs.append(RunRows.of(agents.astype(np.int64), runs))
            self.late_runs += self._arrive(runs.ts_us)

    def update_outcomes(self, agents: Codes, outcomes: OutcomeBatch) -> None:
        """Add outcomes; ``agents`` holds the code of each."""
        if len(outcomes):
            self._admit(agents)
            self._outcomes.append(OutcomeRows.of(agents.astype(np.int64), outcomes))
            self.late_outcomes += self._arrive(outcomes.ts_us)

    def retract_runs(self, agents: Codes, runs: RunBatch) -> None:
        """Take back runs added before. Those of agents since evicted are ignored."""
        codes, kept = self._held(agents)
        if len(codes):
            self._apply(delta_of_runs(RunRows.of(codes, runs.take(kept)), self.labels), -1)

    def retract_outcomes(self, agents: Codes, outcomes: OutcomeBatch) -> None:
        """Take back outcomes added before. Those of agents since evicted are ignored."""
        codes, kept = self._held(agents)
        if len(codes):
            rows = OutcomeRows.of(codes, outcomes.take(kept))
            self._apply(delta_of_outcomes(rows, self.labels), -1)

    def flush(self) -> None:
        """Add up the rows that wait. To be called before anything is read."""
        if self._waiting == 0:
            return
        self._waiting = 0
        runs, outcomes = self._runs, self._outcomes
        self._runs, self._outcomes = [], []
        if runs:
            self._add_runs(RunRows.concat(runs))
        if outcomes:
            self._add_outcomes(OutcomeRows.concat(outcomes))

    # Time

    def advance(self, minute: int) -> None:
        """Move the clock on, if that is ahead of it, and forget what the horizon left behind."""
        if self.clock is not None and minute <= self.clock:
            return
        self.clock = minute
        old, self.floor = self.floor, minute - self.policy.horizon_minutes
        if old is None or old > self.floor:
            self.floor = self.floor if old is None else old
        else:
            self._forget_before(old, self.floor)
        self._pack()

    def evict(self, agent: int) -> None:
        """Forget an agent altogether."""
        self.flush()
        for minute in self.minutes.values():
            minute.drop(agent)
        self._hot.update(self._archive)
        self._archive.clear()
        self.older().clear(agent)
        self._whole = None
        if agent < len(self.last_us):
            self.first_us[agent], self.last_us[agent] = NEVER, -1
            self.seen[agent] = False
        self.window.forget()
        self.changes += 1

    def merge(self, other: Ledger) -> None:
        """Add what another ledger with the same agent codes and policy holds."""
        if other.policy != self.policy:
            raise ConfigError("policy", other.policy, f"must be that of the store: {self.policy}")
        self.flush()
        other.flush()
        self.reserve(len(other.last_us))
        if other.clock is not None:
            self.advance(other.clock)
        if other.floor is not None and self.floor is not None and other.floor > self.floor:
            self._forget_before(self.floor, other.floor)
            self.floor = other.floor
        self.window.forget()
        self._whole = None
        table = translation(other.labels, self.labels)
        for number, minute in other.minutes.items():
            agents, values = minute.cells()
            keys, counts = translated(*minute.marks(), table)
            if self.floor is not None and number >= self.floor:
                self._minute(number).add(agents, values, keys, counts)
            else:
                self.older().add(agents, values, keys, counts)
        self.older().add_totals(other.older(), table)
        seen = len(other.last_us)
        self.seen[:seen] |= other.seen
        self.first_us[:seen] = np.minimum(self.first_us[:seen], other.first_us)
        self.last_us[:seen] = np.maximum(self.last_us[:seen], other.last_us)
        self.late_runs += other.late_runs
        self.late_outcomes += other.late_outcomes
        self.changes += 1
        self._pack()

    def reserve(self, agents: int) -> None:
        """Make room for agents 0..``agents`` - 1."""
        if agents <= len(self.last_us):
            return
        if agents > self.policy.max_agents:
            raise ConfigError("max_agents", self.policy.max_agents, f"agent {agents - 1} came in")
        room = min(max(agents, 2 * len(self.last_us), 16), self.policy.max_agents)
        missing = room - len(self.last_us)
        self.first_us = np.concatenate((self.first_us, np.full(missing, NEVER, dtype=np.int64)))
        self.last_us = np.concatenate((self.last_us, np.full(missing, -1, dtype=np.int64)))
        self.seen = np.concatenate((self.seen, np.zeros(missing, dtype=np.bool_)))
        for totals in (self._older, self.window.totals, self._whole):
            if totals is not None:
                totals.reserve(room)

    def older(self) -> Totals:
        """Return the totals of everything older than the minutes."""
        if self._retired:
            retired, self._retired = self._retired, []
            self._older.add_minutes(retired)
        return self._older

    def whole(self) -> Totals:
        """Return the totals of everything that ever came in; kept up to date once asked for."""
        if self._whole is None:
            self._whole = Totals(len(self.last_us))
            self._whole.add_totals(self.older())
            self._whole.add_minutes(self.minutes.values())
        return self._whole

    # State

    def to_state(self) -> states.State:
        """Return everything but caches as arrays and plain values."""
        self.flush()
        seen = np.flatnonzero(self.seen)
        return {
            "format": states.FORMAT,
            "clock": self.clock,
            "floor": self.floor,
            "late_runs": self.late_runs,
            "late_outcomes": self.late_outcomes,
            "seen_agents": narrowed(seen),
            "first_us": self.first_us[seen],
            "last_us": self.last_us[seen],
            **states.minutes_to_state(self.minutes, self.labels, self.older()),
        }

    @classmethod
    def from_state(cls, policy: MetricsPolicy, state: states.State) -> Self:
        """Return the ledger that ``to_state`` described, under ``policy``."""
        if state.get("format") != states.FORMAT:
            raise ConfigError(
                "metrics state", state.get("format"), f"format must be {states.FORMAT}"
            )
        ledger = cls(policy)
        ledger.labels = states.labels_from_state(state)
        ledger.reserve(states.room_for(state))
        ledger._older = states.older_from_state(state, len(ledger.last_us))
        ledger.minutes = states.minutes_from_state(state)
        ledger._hot = set(ledger.minutes)
        seen = state["seen_agents"]
        ledger.seen[seen] = True
        ledger.first_us[seen], ledger.last_us[seen] = state["first_us"], state["last_us"]
        ledger.late_runs, ledger.late_outcomes = state["late_runs"], state["late_outcomes"]
        ledger.floor = state["floor"]
        if state["clock"] is not None:
            ledger.advance(state["clock"])
        return ledger

    # Inside

    def _admit(self, agents: Codes) -> None:
        """Make room for rows about to wait."""
        self.reserve(int(agents.max()) + 1)
        self.changes += 1
        if self._waiting + len(agents) > _WAITING:
            self.flush()
        self._waiting += len(agents)

    def _arrive(self, ts_us: Ints) -> int:
        """Move the clock by rows that wait now; return how many of them are late."""
        if len(ts_us) > 1:
            return self._arrive_all(ts_us // US_PER_MINUTE)
        minute = ts_us.item(0) // US_PER_MINUTE
        self.advance(minute)
        return int(self.floor is not None and minute < self.floor)

    def _arrive_all(self, minutes: Ints) -> int:
        oldest, newest = int(minutes.min()), int(minutes.max())
        horizon, floor = self.policy.horizon_minutes, self.floor
        late = 0
        if oldest < newest - horizon or (floor is not None and oldest < floor):
            # What each row finds: the clock as moved by those before it and itself.
            at = np.maximum.accumulate(minutes) - horizon
            late = int((minutes < (at if floor is None else np.maximum(at, floor))).sum())
        self.advance(newest)
        return late

    def _add_runs(self, rows: RunRows) -> None:
        if len(rows.agents) == 1:
            agent, ts_us = rows.agents.item(0), rows.ts_us.item(0)
            self.first_us[agent] = min(ts_us, self.first_us.item(agent))
            self.last_us[agent] = max(ts_us, self.last_us.item(agent))
            self.seen[agent] = True
            self._apply_one(single_run(rows, self.labels))
        else:
            np.minimum.at(self.first_us, rows.agents, rows.ts_us)
            np.maximum.at(self.last_us, rows.agents, rows.ts_us)
            self.seen[rows.agents] = True
            self._apply(delta_of_runs(rows, self.labels), 1)

    def _add_outcomes(self, rows: OutcomeRows) -> None:
        self.seen[rows.agents] = True
        if len(rows.agents) == 1:
            for single in single_outcome(rows, self.labels):
                self._apply_one(single)
        else:
            self._apply(delta_of_outcomes(rows, self.labels), 1)

    def _held(self, agents: Codes) -> tuple[Ints, Ints]:
        """Return codes and positions of the rows whose agent has anything to take back."""
        self.flush()
        self.changes += 1
        codes = agents.astype(np.int64)
        kept = np.flatnonzero(codes < len(self.seen))
        kept = kept[self.seen[codes[kept]]]
        return codes[kept], kept

    def _apply_one(self, single: Single) -> None:
        values = np.array(single.values, dtype=np.int64)
        if self._whole is not None:
            self._whole.add_one(single, values)
        if self.window.holds(single.minute):
            self.window.totals.add_one(single, values)
        if self.floor is not None and single.minute < self.floor:
            self._older.add_one(single, values)
        else:
            self._minute(single.minute).add_one(single)

    def _apply(self, delta: Delta, sign: int) -> None:
        values, counts = delta.values, delta.mark_counts
        if sign < 0:
            values, counts = -values, -counts
        batch = _Batch(
            delta.minutes, delta.agents, values, delta.mark_cells, delta.mark_keys(), counts
        )
        if self._whole is not None:
            self._whole.add(*batch.by_agent())
        low, high = self.window.bounds()
        inside = batch.where((batch.minutes >= low) & (batch.minutes <= high))
        if len(inside.minutes):
            self.window.totals.add(*inside.by_agent())
        assert self.floor is not None  # set by the arrival of whatever is applied
        late = batch.minutes < self.floor
        if late.any():
            self._older.add(*batch.where(late).by_agent())
            batch = batch.where(~late)
        for number, part in batch.by_minute():
            self._minute(number).add(*part)

    def _minute(self, number: int) -> Minute:
        minute = self.minutes.get(number)
        if minute is None:
            minute = self.minutes[number] = Minute()
        self._hot.add(number)
        return minute

    def _forget_before(self, old: int, floor: int) -> None:
        gone: Iterable[int] = range(old, floor)
        if floor - old > len(self.minutes):
            gone = [number for number in self.minutes if number < floor]
        for number in gone:
            minute = self.minutes.pop(number, None)
            if minute is not None:
                self._retired.append(minute)
                self._hot.discard(number)
                self._archive.pop(number, None)
                if self.window.holds(number):
                    self.window.forget()
        if len(self._retired) > _RETIRED:
            self.older()

    def _pack(self) -> None:
        """Pack what is hardly written to any more; bound what lies behind the window."""
        if self.clock is None:
            return
        for number in [number for number in self._hot if number < self.clock - _OPEN]:
            self._hot.discard(number)
            if self.minutes[number].weight() >= _WORTH_PACKING:
                self._archive[number] = self.minutes[number].pack()
        edge = self.clock - self.policy.window_minutes
        share = self.policy.archive_mb << 20
        behind = sorted(number for number in self._archive if number < edge)
        size = sum(self._archive[number] for number in behind)
        if self._waiting and size + self._waiting * _MOST_BYTES > share:
            self.flush()  # what goes must not depend on which rows happen to wait
            self._pack()
            return
        for number in behind:
            if size <= share:
                break
            size -= self._archive[number]
            self._forget_before(min(self.minutes), number + 1)
            self.floor = number + 1


class _Batch(NamedTuple):
    """Cells, ordered by agent and minute, and their marks."""

    minutes: Ints
    agents: Ints
    values: Ints
    mark_cells: Ints
    keys: Ints
    counts: Ints

    def where(self, which: npt.NDArray[np.bool_]) -> _Batch:
        """Return the cells that ``which`` selects, and their marks."""
        if which.all():
            return self
        marked = which[self.mark_cells]
        return _Batch(
            self.minutes[which],
            self.agents[which],
            self.values[which],
            (np.cumsum(which) - 1)[self.mark_cells[marked]],
            self.keys[marked],
            self.counts[marked],
        )

    def by_agent(self) -> Cells:
        """Return agents, values, keys and counts with the minutes of an agent added up."""
        starts = starts_of(self.agents)
        if len(starts) == len(self.agents):
            return self.agents, self.values, self.keys, self.counts
        summed = np.add.reduceat(self.values, starts, axis=0)
        return self.agents[starts], summed, *sum_keys(self.keys, self.counts)

    def by_minute(self) -> Iterator[tuple[int, Cells]]:
        """Yield each minute with its agents, values, keys and counts."""
        if len(self.minutes) == 0:
            return
        if self.minutes.min() == self.minutes.max():
            yield int(self.minutes[0]), (self.agents, self.values, self.keys, self.counts)
            return
        order = np.argsort(self.minutes, kind="stable")
        ordered = self.minutes[order]
        starts = starts_of(ordered)
        marked = self.minutes[self.mark_cells]
        mark_order = np.argsort(marked, kind="stable")
        numbers = ordered[starts]
        mark_bounds = np.searchsorted(marked[mark_order], np.append(numbers, NEVER)).tolist()
        bounds = [*starts.tolist(), len(ordered)]
        agents, values = self.agents[order], self.values[order]
        keys, counts = self.keys[mark_order], self.counts[mark_order]
        for i, number in enumerate(numbers.tolist()):
            cells = slice(bounds[i], bounds[i + 1])
            marks = slice(mark_bounds[i], mark_bounds[i + 1])
            yield number, (agents[cells], values[cells], keys[marks], counts[marks])
