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

from selfright.detect.certainty.bank import Block
from selfright.detect.certainty.budget import HOUR_US, Budget
from selfright.detect.certainty.columns import Floats, Ints
from selfright.detect.certainty.found import Found
from selfright.detect.certainty.owners import Owners, Stream
from selfright.detect.certainty.quantities import Quantities
from selfright.detect.certainty.rates import REFERENCES, Rates
from selfright.detect.certainty.season import Season
from selfright.detect.certainty.sides import SIDES
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
_GRID: Final = 1 << 32
_SEASON_GRID: Final = 1 << 16
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

    Notes
    -----
    6.7 kB an agent that reports six metrics and accuracy, up to 2 kB more until its quantities
    have their first baselines, at 200 values.
    """

    def __init__(
        self,
        policy: CertaintyPolicy,
        thresholds: Mapping[WatchedMetric, float],
    ) -> None:
        self.policy = policy
        self.budget = Budget(policy.false_alarms_per_week, policy.run_length)
        self._thresholds = {metric: thresholds[metric] for metric in RATES if metric in thresholds}
        # Kinds: the rates, then the high and the low side of each quantity.
        self.season = Season(len(RATES) + SIDES * len(QUANTITIES))
        self._seen: list[tuple[int, int, float]] = []  # what a block adds to the season
        self._rates = Rates(min_drop=policy.min_drop, tempering=policy.tempering)
        self._quantities = Quantities()
        self._rate_streams, self._baselines = Owners(RATES), Owners(QUANTITIES)
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
        for _, number in self._rate_streams.of(scope):
            self._rates.restart(number, anchor=True)
        for _, number in self._baselines.of(scope):
            self._quantities.restart(number)

    def note_full(self, scope: int) -> None:
        """After a full retraining learn the baselines anew; the anchor stays."""
        for _, number in self._rate_streams.of(scope):
            self._rates.restart(number, anchor=False)

    def forget(self, scope: int) -> None:
        """Drop everything about ``scope``; should it come back, it begins anew."""
        self.accept(scope)
        for metric, _ in list(self._rate_streams.of(scope)):
            self._rate_streams.close(scope, metric)
        for metric, number in list(self._baselines.of(scope)):
            self._quantities.spikes.forget(number)
            self._baselines.close(scope, metric)

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
            "rate_streams": self._rate_streams.to_state(),
            "baselines": self._baselines.to_state(),
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
        self._rate_streams = Owners.from_state(RATES, state["rate_streams"])
        self._baselines = Owners.from_state(QUANTITIES, state["baselines"])
        for slot in range(len(self._rate_streams)):
            threshold = self._thresholds.get(self._rate_streams[slot].metric)
            if threshold is not None:
                self._rates.rethreshold(slot, threshold)

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
            # Rounded, so that how rows are batched does not matter in weeks of them.
            total = int(np.rint(x * _SEASON_GRID).sum()) / _SEASON_GRID
            self._seen.append((metric, len(at), total))
            x = _credited(x, self.season.credit[metric])
            places.append(at)
            slots.append(self._rate_streams.numbers(rows.agent[at], metric))
            values.append(x)
            of_fleet, means = self._gather(metric, at, x)
            if len(of_fleet):
                places.append(of_fleet)
                fleet = self._rate_streams.number(SYSTEM, metric)
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
                numbers.append(self._baselines.numbers(rows.agent[at], metric))
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
        sides = self._quantities.sides
        return self._baselines[sides.baseline(slot)]._replace(low=sides.is_low(slot))

    def _admit(self, rows: Rows) -> None:
        """Open the streams that these rows need, in the order of the rows."""
        fresh: list[tuple[int, WatchedMetric, int]] = []
        for metric in WATCHED:
            if metric in RATES and metric not in self._thresholds:
                continue
            owners = self._rate_streams if metric in RATES else self._baselines
            new = owners.without(rows.agent, metric)
            if not new.any():
                continue
            new &= rows.values[:, metric] >= 0
            at = np.flatnonzero(new)
            agents, first = np.unique(rows.agent[at], return_index=True)
            fresh += [
                (row, metric, agent)
                for row, agent in zip(at[first].tolist(), agents.tolist(), strict=True)
            ]
        for _, metric, agent in sorted(fresh):
            self._open(agent, metric)

    def _open(self, scope: int, metric: WatchedMetric) -> None:
        if metric in RATES:
            self._rate_streams.open(scope, metric)
            self._rates.add(self._thresholds[metric])
        else:
            self._baselines.open(scope, metric)
            self._quantities.add(low=metric in BOTH_WAYS)


def _credited(x: Floats, credit: float) -> Floats:
    # On the grid of the scores: sums are then exact, in any order.
    return np.rint((x + credit * (1.0 - x)) * _GRID) / _GRID if credit else x
