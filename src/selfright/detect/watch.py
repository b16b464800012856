"""Every detector of every metric of every agent and of the fleet, behind one call.

The watch knows no rule. It turns stored values so that low is bad, hands them to the
detectors that ``DETECTORS`` names for the metric, and turns what they find back into the
user's units.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, TypedDict

import numpy as np

from selfright.detect.beta import BetaQuestion, BetaRule
from selfright.detect.detection import (
    RETRAINING,
    SYSTEM,
    Detection,
    Detector,
    Kind,
    Signal,
    WatchedMetric,
)
from selfright.detect.policy import BOUNDS, WatchPolicy
from selfright.detect.window import WindowRule
from selfright.metrics.interval import wilson

US_PER_MIN: Final = 60_000_000

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]
Reals = np.ndarray[tuple[int], np.dtype[np.float64]]


class WatchState(TypedDict):
    """A watch as flat arrays.

    ``detectors`` holds scope, metric, detector and the lengths of its two parts in
    ``numbers`` and ``reals``, for each detector in turn; ``standing`` scope, metric,
    detector, signal, event time and offset.
    """

    detectors: Numbers
    standing: Numbers
    numbers: Numbers
    reals: Reals


WATCHED: Final = tuple(WatchedMetric)

_NOTHING: Final[tuple[Detection, ...]] = ()
_SAYS: Final = {
    Signal.BEYOND: Kind.BEYOND,
    Signal.CLEARED: Kind.CLEARED,
    Signal.LIKELY: Kind.LIKELY,
    Signal.STANDS: Kind.LIKELY,
    Signal.UNLIKELY: Kind.UNLIKELY,
}
_DETECTIONS: Final = frozenset({Signal.BEYOND, Signal.CLEARED, Signal.LIKELY, Signal.UNLIKELY})
_STANDING: Final = frozenset({Signal.LIKELY, Signal.STANDS})
_NOT_STANDING: Final = frozenset({Signal.UNLIKELY, Signal.FADES})


# A share warns this many standard deviations beyond its threshold: chance explains less
# than that nine times in ten.
_WARN_DEVIATIONS: Final = 1.2816


def _window(policy: WatchPolicy, metric: WatchedMetric) -> Detector:
    bound = BOUNDS[metric]
    is_share = metric.is_rate or metric is WatchedMetric.LATENCY
    scale = bound.sign if is_share else bound.sign * bound.unit
    share = policy.judged(metric)
    return WindowRule(
        share * scale,
        policy.clear(metric) * scale,
        policy.window_minutes,
        policy.min_n,
        _WARN_DEVIATIONS**2 * share * (1.0 - share) if is_share else 0.0,
    )


def _beta(policy: WatchPolicy, metric: WatchedMetric) -> Detector:
    return BetaRule(
        BetaQuestion(
            policy.judged(metric),
            BOUNDS[metric].sign,
            policy.confidence,
            policy.normal,
            policy.recent,
            policy.min_n,
            policy.window_minutes,
        )
    )


Factory = Callable[[WatchPolicy, WatchedMetric], Detector]
Table = Mapping[str, tuple[int, Factory, frozenset[WatchedMetric]]]

# Which detectors read which metric, in the order in which they speak. The number is what
# checkpoints carry: never renumber.
DETECTORS: Final[Table] = {
    "window": (0, _window, frozenset(WatchedMetric)),
    "beta": (1, _beta, frozenset(RETRAINING)),
}


Key = tuple[WatchedMetric, str]  # a metric and the name of one of its detectors


class _Scope:
    """The detectors of one agent, or of the fleet, in the order in which they are asked."""

    __slots__ = ("detectors", "of_metric")

    def __init__(self, policy: WatchPolicy, makers: Sequence[tuple[Key, Factory]]) -> None:
        self.detectors: dict[Key, Detector] = {key: make(policy, key[0]) for key, make in makers}
        self.of_metric = tuple(
            tuple((key, d.update) for key, d in self.detectors.items() if key[0] is metric)
            for metric in WATCHED
        )


class FleetWatch:
    """Follows all watched metrics of all agents and of the fleet; speaks on transitions.

    A scope is an agent's dense code or ``SYSTEM``; whoever feeds the watch calls it for
    both. What it says is a function of the sequence of calls alone: no clock is asked,
    and how the calls are batched does not matter.

    Parameters
    ----------
    policy
        Thresholds and levels. A metric without threshold is ignored.
    table
        Which detectors read which metric.

    Notes
    -----
    0.9 us for one rate of one scope, 6.5 us for ``update_run`` with all six metrics for
    the agent and the fleet. 5 kB a scope, 1 kB more for each metric that it reports and
    1.6 kB more for each of the three rates once 200 outcomes came.
    """

    def __init__(self, policy: WatchPolicy, table: Table = DETECTORS) -> None:
        self.policy = policy
        self._table = table
        self._turns = [_turn(policy, metric) for metric in WATCHED]
        self._makers = [
            ((metric, name), make)
            for metric in WATCHED
            for name, (_, make, metrics) in table.items()
            if metric in metrics and policy.threshold(metric) is not None
        ]
        self._scopes: dict[int, _Scope] = {}
        # Per scope what stands at this moment: the signal that said so, and the event time
        # and offset since which it has stood.
        self._standing: dict[int, dict[Key, tuple[Signal, int, int]]] = {}

    def update(
        self, scope: int, metric: WatchedMetric, x: float, ts_us: int, offset: int
    ) -> tuple[Detection, ...]:
        """Take one value into account; nearly always returns the shared empty tuple.

        Parameters
        ----------
        scope
            Dense code of the agent, or ``SYSTEM``.
        metric
            What ``x`` is.
        x
            In the log's exact units: 0 or 1 for success and error, the score in 0..1 (a
            multiple of 2^-32) for accuracy, whole microseconds, nano-dollars, KiB, tokens.
        ts_us
            Event time.
        offset
            The log's offset of the run or outcome.
        """
        sign, limit = self._turns[metric]
        value = sign * (x if limit is None else x > limit)
        minute = ts_us // US_PER_MIN
        said = _NOTHING
        for key, update in (self._scopes.get(scope) or self._new(scope)).of_metric[metric]:
            signal = update(value, minute, offset)
            if signal is not None:
                said += self._hear(scope, key, signal, ts_us, offset)
        return said

    def update_run(
        self, scope: int, values: Sequence[float], ts_us: int, offset: int
    ) -> tuple[Detection, ...]:
        """Take one decided run (or fresh outcome) into account, for agent and fleet.

        ``values`` holds one value per ``WatchedMetric`` in that order, negative where
        nothing was reported. The same as ``update`` for each of them, first the agent's
        and then the fleet's, in less time.
        """
        minute = ts_us // US_PER_MIN
        said = _NOTHING
        turned = [
            (metric, sign * (x if limit is None else x > limit))
            for metric, x, (sign, limit) in zip(WATCHED, values, self._turns, strict=True)
            if x >= 0
        ]
        for who in (scope, SYSTEM):
            of_metric = (self._scopes.get(who) or self._new(who)).of_metric
            for metric, value in turned:
                for key, update in of_metric[metric]:
                    signal = update(value, minute, offset)
                    if signal is not None:
                        said += self._hear(who, key, signal, ts_us, offset)
        return said

    @property
    def standing_scopes(self) -> Collection[int]:
        """Scopes of which a drop is likely at this moment; empty in a healthy fleet."""
        return self._standing.keys()

    def standing(self, scope: int) -> tuple[Detection, ...]:
        """Return what is likely about ``scope`` at this moment, with the figures of now.

        ``ts_us`` and ``offset`` say since when it has been so without a break. Ordered by
        metric. About 20 us for each.
        """
        found = self._standing.get(scope)
        if not found:
            return _NOTHING
        return tuple(
            self._detection(scope, key, _SAYS[signal], ts_us, offset)
            for key, (signal, ts_us, offset) in sorted(found.items())
        )

    def standing_metrics(self, scope: int) -> tuple[WatchedMetric, ...]:
        """Return which metrics are likely beyond their threshold at this moment."""
        return tuple([metric for metric, _ in self._standing.get(scope, ())])

    def seen(self, scope: int, metric: WatchedMetric) -> int:
        """Return how many outcomes of a rate came ever, late ones beyond the window left out."""
        detector = self._detector(scope, (metric, "beta"))
        return detector.seen if isinstance(detector, BetaRule) else 0

    def window(self, scope: int, metric: WatchedMetric) -> tuple[int, float]:
        """Return count and mean of the window, in the threshold's unit (0, 0.0 if empty)."""
        detector = self._detector(scope, (metric, "window"))
        if not isinstance(detector, WindowRule) or not detector.n:
            return 0, 0.0
        return detector.n, _shown(metric, detector.total / detector.n)

    def note_retraining(self, scope: int) -> None:
        """Set aside the evidence about ``scope``: what served it has been retrained.

        The fleet's evidence is another scope: call it for ``SYSTEM`` too.
        """
        if scope in self._scopes:
            for detector in self._scopes[scope].detectors.values():
                detector.cut()
        self._standing.pop(scope, None)

    def forget(self, scope: int) -> None:
        """Drop everything about ``scope``."""
        self._scopes.pop(scope, None)
        self._standing.pop(scope, None)

    def to_state(self) -> WatchState:
        """Return the exact state as flat arrays. About 50 us a scope."""
        rows: list[tuple[int, int, int, int, int]] = []
        numbers, reals = array("q"), array("d")
        for scope, of_scope in self._scopes.items():
            for (metric, name), detector in of_scope.detectors.items():
                whole, real = detector.to_state()
                rows.append((scope, metric, self._table[name][0], len(whole), len(real)))
                numbers.extend(whole)
                reals.extend(real)
        standing = [
            (scope, metric, self._table[name][0], *since)
            for scope, found in self._standing.items()
            for (metric, name), since in found.items()
        ]
        return {
            "detectors": np.array(rows, dtype=np.int64).reshape(-1),
            "standing": np.array(standing, dtype=np.int64).reshape(-1),
            "numbers": np.frombuffer(numbers, dtype=np.int64).copy(),
            "reals": np.frombuffer(reals, dtype=np.float64).copy(),
        }

    @classmethod
    def from_state(
        cls, policy: WatchPolicy, state: WatchState, table: Table = DETECTORS
    ) -> FleetWatch:
        """Return the watch that ``to_state`` described, under ``policy``.

        The policy may differ: the outcomes seen are judged by the new thresholds from the
        next one on. Evidence of detectors that no longer exist is dropped.
        """
        watch = cls(policy, table)
        names = {number: name for name, (number, _, _) in table.items()}
        numbers = array("q", state["numbers"].astype(np.int64).tobytes())
        reals = array("d", state["reals"].astype(np.float64).tobytes())
        i = j = 0
        for scope, metric, number, whole, real in state["detectors"].reshape(-1, 5).tolist():
            of_scope = watch._scopes.get(scope) or watch._new(scope)
            detector = of_scope.detectors.get((WatchedMetric(metric), names.get(number, "")))
            if detector is not None:
                detector.restore((numbers[i : i + whole], reals[j : j + real]))
            i, j = i + whole, j + real
        for scope, metric, number, *since in state["standing"].reshape(-1, 6).tolist():
            key = (WatchedMetric(metric), names.get(number, ""))
            if watch._detector(scope, key) is not None:
                signal, ts_us, offset = since
                watch._standing.setdefault(scope, {})[key] = (Signal(signal), ts_us, offset)
        return watch

    def _new(self, scope: int) -> _Scope:
        made = self._scopes[scope] = _Scope(self.policy, self._makers)
        return made

    def _detector(self, scope: int, key: Key) -> Detector | None:
        known = self._scopes.get(scope)
        return None if known is None else known.detectors.get(key)

    def _hear(
        self, scope: int, key: Key, signal: Signal, ts_us: int, offset: int
    ) -> tuple[Detection, ...]:
        if signal in _STANDING:
            self._standing.setdefault(scope, {})[key] = (signal, ts_us, offset)
        elif signal in _NOT_STANDING and scope in self._standing:
            self._standing[scope].pop(key, None)
            if not self._standing[scope]:
                del self._standing[scope]
        if signal not in _DETECTIONS:
            return _NOTHING
        return (self._detection(scope, key, _SAYS[signal], ts_us, offset),)

    def _detection(self, scope: int, key: Key, kind: Kind, ts_us: int, offset: int) -> Detection:
        metric, name = key
        found = self._scopes[scope].detectors[key].finding()
        value = _shown(metric, found.total / found.n) if found.n else 0.0
        ratio = metric.is_rate or metric is WatchedMetric.LATENCY
        inputs = {"setting": BOUNDS[metric].setting, **found.inputs}
        if metric is WatchedMetric.LATENCY:
            inputs["limit_ms"] = self.policy.threshold(metric)
        return Detection(
            detector=name,
            kind=kind,
            scope=scope,
            metric=metric,
            value=value,
            interval=wilson(value * found.n, found.n) if ratio else None,
            n=found.n,
            threshold=self.policy.judged(metric),
            probability=found.probability,
            ts_us=ts_us,
            offset=offset,
            inputs=inputs,
        )


def _turn(policy: WatchPolicy, metric: WatchedMetric) -> tuple[int, float | None]:
    """Return the sign that makes low bad, and the limit above which a value counts as one.

    Only of latencies the share above a limit is followed: p95 lies beyond the limit
    exactly when that share is more than 5 %.
    """
    bound, threshold = BOUNDS[metric], policy.threshold(metric)
    by_share = metric is WatchedMetric.LATENCY and threshold is not None
    return bound.sign, threshold * bound.unit if threshold is not None and by_share else None


def _shown(metric: WatchedMetric, mean: float) -> float:
    """Return a detector's mean in the user's unit and orientation."""
    bound = BOUNDS[metric]
    unit = 1 if metric is WatchedMetric.LATENCY else bound.unit
    return bound.sign * mean / unit + 0.0  # + 0.0: no negative zero
