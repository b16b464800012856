"""Every stream of every agent under certainty, behind one call.

An agent's success, freedom from errors and accuracy are rates, its latency, memory, cost and
tokens are quantities; tokens and cost are followed both ways, for an agent that suddenly says
little is as odd as one that says much. The fleet as a whole has the rates alone, twenty outcomes
at a time: it finds what befalls many agents of few runs each.

``feed`` takes a block of outcomes and says what is found in it. Somebody who stops at a row in
the middle ``drop``s the block and feeds the part up to there instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from selfright.detect.certainty.bank import NARROW, Block, Floats, Ints
from selfright.detect.certainty.budget import HOUR_US, Budget
from selfright.detect.certainty.found import Found
from selfright.detect.certainty.quantities import SIDES, Quantities
from selfright.detect.certainty.rates import REFERENCES, Rates
from selfright.detect.certainty.season import Season
from selfright.detect.certainty.spike import Spike
from selfright.detect.detection import SYSTEM, WatchedMetric
from selfright.errors import ConfigError

RATES: Final = (WatchedMetric.SUCCESS_RATE, WatchedMetric.ERROR_RATE, WatchedMetric.ACCURACY)
QUANTITIES: Final = (
    WatchedMetric.LATENCY,
    WatchedMetric.COST,
    WatchedMetric.MEMORY,
    WatchedMetric.TOKEN_USAGE,
)
WATCHED: Final = tuple(WatchedMetric)
BOTH_WAYS: Final = frozenset({WatchedMetric.COST, WatchedMetric.TOKEN_USAGE})
_NEW: Final = -1
AT_ONCE: Final = 20  # outcomes of the fleet that are taken as one


@dataclass(frozen=True, slots=True)
class CertaintyPolicy:
    """How sure to be, and of what.

    Parameters
    ----------
    false_alarms_per_week
        That the operator puts up with, for the whole fleet and all its detectors.
    run_length
        Updates between two false alarms of one detector, on average, in place of the former.
    min_drop
        A drop of a rate below what the agent was that is put up with. 0 to .5.
    tempering
        Allow for failures that come in bursts.

    Raises
    ------
    ConfigError
        If a number is outside its range. The operator's fault.
    """

    false_alarms_per_week: float = 1.0
    run_length: float | None = None
    min_drop: float = 0.02
    tempering: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.false_alarms_per_week < 1e9:
            raise ConfigError(
                "false_alarms_per_week", self.false_alarms_per_week, "must be greater than 0"
            )
        if self.run_length is not None and not 10.0 <= self.run_length <= 1e15:
            raise ConfigError("run_length", self.run_length, "must lie between 10 and 1e15")
        if not 0.0 <= self.min_drop <= 0.5:
            raise ConfigError("min_drop", self.min_drop, "must lie between 0 and 0.5")


class Stream(NamedTuple):
    """Whose stream it is, of which metric, and whether its low side is meant (quantities)."""

    scope: int
    metric: WatchedMetric
    low: bool = False


class Rows(NamedTuple):
    """Judged rows as columns: agent, a value per ``WatchedMetric`` or -1, offset, event time."""

    agent: Ints
    values: Floats
    offset: Ints
    ts_us: Ints

    def part(self, first: int, last: int) -> Rows:
        """Return the rows from ``first`` to before ``last``."""
        agent, values, offset, ts_us = self
        at = slice(first, last)
        return Rows(agent[at], values[at], offset[at], ts_us[at])


class Certainty:
    """The e-detectors of a fleet.

    Parameters
    ----------
    policy
        How sure to be.
    thresholds
        By rate: the mean of goodness (1 minus the error rate) that is wanted. A rate without
        one is not followed.
    narrow
        See ``Bank``.
    """

    def __init__(
        self,
        policy: CertaintyPolicy,
        thresholds: Mapping[WatchedMetric, float],
        *,
        narrow: int = NARROW,
    ) -> None:
        self.policy = policy
        self.budget = Budget(policy.false_alarms_per_week, policy.run_length)
        self._thresholds = {metric: thresholds[metric] for metric in RATES if metric in thresholds}
        # Kinds: the rates, then the high and the low side of each quantity.
        self.season = Season(len(RATES) + SIDES * len(QUANTITIES))
        self._seen: list[tuple[int, int, float]] = []  # what a block adds to the season
        self._rates = Rates(min_drop=policy.min_drop, tempering=policy.tempering, narrow=narrow)
        self._quantities = Quantities(narrow=narrow)
        self._rate_streams: list[Stream] = []
        self._baselines: list[Stream] = []
        self._of: dict[tuple[int, int], int] = {}  # (scope, metric) to stream or baseline
        # The same as arrays by agent, for whole blocks.
        self._table = {metric: np.zeros(0, dtype=np.int64) for metric in WatchedMetric}
        # The fleet's outcomes since the last that were taken, by rate: number and sum.
        self._gathered = dict.fromkeys(RATES, (0, 0.0))
        self._before: dict[WatchedMetric, tuple[int, float]] | None = None
        self._updates = 0
        for metric in self._thresholds:
            self._open(SYSTEM, metric)

    def feed(self, rows: Rows, now_us: int) -> list[tuple[Stream, Found]]:
        """Take rows into account, for the time being; return what was found, by row.

        ``now_us`` is the log time of the first row; at a new hour it renews the level.
        """
        if not len(rows.agent):
            return []
        self.budget.begin(now_us)
        self.season.begin(now_us // HOUR_US)
        self._admit(rows)
        self._before, self._updates = dict(self._gathered), 0
        self._seen.clear()
        found = [(self._rate_streams[one.slot], one) for one in self._feed_rates(rows)]
        found += [(self._side(one.slot), one) for one in self._feed_quantities(rows)]
        return sorted(found, key=lambda pair: (pair[1].row, pair[0], pair[1].kind))

    def keep(self) -> None:
        """Make what was fed part of the state for good."""
        self._rates.keep()
        self._quantities.keep()
        self.budget.count(self._updates)
        for kind, n, total in self._seen:
            self.season.note(kind, n, total)
        self._seen.clear()
        self._before, self._updates = None, 0

    def drop(self) -> None:
        """Undo what was fed."""
        self._rates.drop()
        self._quantities.drop()
        if self._before is not None:
            self._gathered = self._before
        self._before, self._updates = None, 0
        self._seen.clear()

    def contained(self, now_us: int) -> list[tuple[Stream, Found]]:
        """Return, once each, the drops that are contained because hardly any outcomes come."""
        return [(self._rate_streams[one.slot], one) for one in self._rates.contained(now_us)]

    # ---- what is told ----------------------------------------------------------------

    def accept(self, scope: int) -> None:
        """Take the present for normal: learn every reference anew, end every episode."""
        for (who, metric), number in self._of.items():
            if who == scope and metric in RATES:
                self._rates.restart(number, anchor=True)
            elif who == scope:
                self._quantities.restart(number)

    def note_full(self, scope: int) -> None:
        """After a full retraining learn the baselines anew; the anchor stays."""
        for metric in RATES:
            number = self._of.get((scope, metric))
            if number is not None:
                self._rates.restart(number, anchor=False)

    def forget(self, scope: int) -> None:
        """Drop everything about ``scope``; should it come back, it begins anew."""
        self.accept(scope)
        for metric in WatchedMetric:
            number = self._of.pop((scope, metric), None)
            if number is not None and metric in QUANTITIES:
                self._quantities.spikes.forget(number)
            if 0 <= scope < len(self._table[metric]):
                self._table[metric][scope] = _NEW

    def suspects(self) -> Iterable[Stream]:
        """Return the streams that alarmed and have not recovered."""
        yield from (self._rate_streams[slot] for slot in self._rates.episodes)
        yield from (self._side(slot) for slot in self._quantities.episodes)

    def spikes(self) -> list[tuple[Stream, Spike]]:
        """Return the newest values far from all that was usual for their agent, newest last."""
        newest = self._quantities.spikes.newest()
        return [(self._baselines[one.of]._replace(low=one.z < 0.0), one) for one in newest]

    # ---- state -----------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as arrays and plain values."""
        return {
            "budget": self.budget.to_state(),
            "season": self.season.to_state(),
            "gathered": [[metric, n, total] for metric, (n, total) in self._gathered.items()],
            "rates": self._rates.to_state(),
            "quantities": self._quantities.to_state(),
            "rate_streams": _pairs(self._rate_streams),
            "baselines": _pairs(self._baselines),
            "forgotten": [
                [number, is_rate]
                for is_rate, streams in ((True, self._rate_streams), (False, self._baselines))
                for number, one in enumerate(streams)
                if self._of.get((one.scope, one.metric)) != number
            ],
        }

    def restored(self, state: Mapping[str, Any]) -> Certainty:
        """Return what ``to_state`` described, under this one's policy and thresholds."""
        other = Certainty(self.policy, self._thresholds)
        other._restore(state)
        return other

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.budget.restore(state["budget"])
        self.season.restore(state["season"])
        self._gathered = {
            WatchedMetric(metric): (n, total) for metric, n, total in state["gathered"]
        }
        self._rates.restore(state["rates"])
        self._quantities.restore(state["quantities"])
        self._rate_streams = _streams(state["rate_streams"])
        for slot, stream in enumerate(self._rate_streams):
            if stream.metric in self._thresholds:
                self._rates.rethreshold(slot, self._thresholds[stream.metric])
        self._baselines = _streams(state["baselines"])
        gone = {(number, is_rate) for number, is_rate in state["forgotten"]}
        self._of = {
            (one.scope, one.metric): number
            for is_rate, streams in ((True, self._rate_streams), (False, self._baselines))
            for number, one in enumerate(streams)
            if (number, is_rate) not in gone
        }
        self._table = {metric: np.zeros(0, dtype=np.int64) for metric in WatchedMetric}
        for (scope, of), number in self._of.items():
            if scope != SYSTEM:
                self._reaching(WatchedMetric(of), scope)[scope] = number

    # ---- inside ----------------------------------------------------------------------

    def _feed_rates(self, rows: Rows) -> list[Found]:
        places: list[Ints] = []
        slots: list[Ints] = []
        values: list[Floats] = []
        for metric in self._thresholds:
            column = rows.values[:, metric]
            at = np.flatnonzero(column >= 0)
            if not len(at):
                continue
            x = 1.0 - column[at] if metric is WatchedMetric.ERROR_RATE else column[at]
            self._seen.append((metric, len(at), float(x.sum())))
            x = _credited(x, self.season.credit[metric])
            places.append(at)
            slots.append(self._table[metric][rows.agent[at]])
            values.append(x)
            of_fleet, means = self._gather(metric, at, x)
            if len(of_fleet):
                places.append(of_fleet)
                fleet = self._of[SYSTEM, metric]
                slots.append(np.full(len(of_fleet), fleet, dtype=np.int64))
                values.append(means)
        if not places:
            return []
        at = np.concatenate(places)
        self._updates += len(REFERENCES) * len(at)
        block = Block(
            np.concatenate(slots), np.concatenate(values), rows.offset[at], rows.ts_us[at]
        )
        found = self._rates.feed(block, self.budget.level)
        return [one._replace(row=int(at[one.row])) for one in found]

    def _gather(self, metric: WatchedMetric, at: Ints, x: Floats) -> tuple[Ints, Floats]:
        """Return where enough of the fleet's outcomes are together, and their means."""
        n, total = self._gathered[metric]
        sums = total + np.cumsum(x)
        full = np.arange(AT_ONCE - n - 1, len(at), AT_ONCE)
        ends = sums[full]
        self._gathered[metric] = (
            (n + len(at)) % AT_ONCE,
            float(sums[-1] - ends[-1]) if len(full) else float(sums[-1]),
        )
        return at[full], np.diff(ends, prepend=0.0) / AT_ONCE

    def _feed_quantities(self, rows: Rows) -> list[Found]:
        places: list[Ints] = []
        numbers: list[Ints] = []
        reported: list[int] = []
        for kind, metric in enumerate(QUANTITIES):
            at = np.flatnonzero(rows.values[:, metric] >= 0)
            if len(at):
                reported.append(kind)
                places.append(at)
                numbers.append(self._table[metric][rows.agent[at]])
                self._updates += len(at) * (1 + (metric in BOTH_WAYS))
        if not places:
            return []
        at, of = np.concatenate(places), np.concatenate(numbers)
        kinds = np.repeat(reported, [len(place) for place in places])
        credit = self.season.credit[len(RATES) :].reshape(SIDES, -1)
        found = self._quantities.feed(
            of,
            rows.values[at, np.array(QUANTITIES)[kinds]],
            kinds,
            rows.offset[at],
            rows.ts_us[at],
            self.budget.level,
            credit,
        )
        sums = self._quantities.sums.transpose(0, 2, 1).reshape(-1, 2)
        self._seen += [
            (len(RATES) + kind, int(n), total) for kind, (n, total) in enumerate(sums.tolist()) if n
        ]
        return [one._replace(row=int(at[one.row])) for one in found]

    def _side(self, slot: int) -> Stream:
        return self._baselines[slot // SIDES]._replace(low=bool(slot % SIDES))

    def _admit(self, rows: Rows) -> None:
        """Open the streams that these rows need, in the order of the rows."""
        fresh: list[tuple[int, WatchedMetric, int]] = []
        most = int(rows.agent.max())
        for metric in WATCHED:
            if metric in RATES and metric not in self._thresholds:
                continue
            known = self._reaching(metric, most)
            new = np.flatnonzero((rows.values[:, metric] >= 0) & (known[rows.agent] == _NEW))
            agents, first = np.unique(rows.agent[new], return_index=True)
            fresh += [
                (row, metric, agent)
                for row, agent in zip(new[first].tolist(), agents.tolist(), strict=True)
            ]
        for _, metric, agent in sorted(fresh):
            self._table[metric][agent] = self._open(agent, metric)

    def _reaching(self, metric: WatchedMetric, agent: int) -> Ints:
        """Return the numbers of a metric's streams by agent, at least up to ``agent``."""
        known = self._table[metric]
        if agent >= len(known):
            room = np.full(max(agent + 1, 2 * len(known)), _NEW, dtype=np.int64)
            room[: len(known)] = known
            known = self._table[metric] = room
        return known

    def _open(self, scope: int, metric: WatchedMetric) -> int:
        """Return the number of a new stream or baseline."""
        if metric in RATES:
            number = self._rates.add(self._thresholds[metric])
            self._rate_streams.append(Stream(scope, metric))
        else:
            number = self._quantities.add(low=metric in BOTH_WAYS)
            self._baselines.append(Stream(scope, metric))
        self._of[scope, metric] = number
        return number


def _credited(x: Floats, credit: float) -> Floats:
    return x + credit * (1.0 - x) if credit else x


def _pairs(streams: list[Stream]) -> Ints:
    return np.array([(one.scope, one.metric) for one in streams], dtype=np.int64).reshape(-1)


def _streams(pairs: Ints) -> list[Stream]:
    return [Stream(scope, WatchedMetric(metric)) for scope, metric in pairs.reshape(-1, 2).tolist()]
