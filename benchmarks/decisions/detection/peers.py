"""The peers: River's detectors as they come, and the rules that look at the latest N outcomes.

A peer that alarms starts anew, as ours does.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from benchmarks.decisions.detection.streams import Floats

WINDOWS: Final = (20, 100, 500)
WITHOUT: Final = "River is not installed; its detectors are left out"


@dataclass(frozen=True)
class Peer:
    """A detector under a name.

    Attributes
    ----------
    make
        Returns a fresh one; None for a window rule.
    window
        How many outcomes a window rule looks at.
    counts_errors
        Takes failures, 0 or 1, instead of outcomes, and nothing else.
    share
        The share of the streams that it is given: some take too long for all.
    """

    name: str
    make: Callable[[], Any] | None = None
    window: int = 0
    counts_errors: bool = False
    share: float = 1.0


def window_rules() -> list[Peer]:
    """Return the rules that alarm when the mean of the latest N is below the threshold."""
    return [Peer(f"mean of the last {n} < threshold", window=n) for n in WINDOWS]


def river_version() -> str | None:
    """Return the version of River, None without it."""
    try:
        import river as installed
    except ImportError:
        return None
    return str(installed.__version__)


def river() -> list[Peer]:
    """Return River's detectors; none where it is not installed."""
    try:
        from river import drift
        from river.drift import binary
    except ImportError:
        return []
    return [
        Peer("ADWIN", drift.ADWIN),
        Peer("ADWIN clock=1", partial(drift.ADWIN, clock=1)),
        Peer("ADWIN clock=1 delta=.25 (hindsight)", partial(drift.ADWIN, clock=1, delta=0.25)),
        Peer("PageHinkley", drift.PageHinkley),
        Peer("KSWIN", partial(drift.KSWIN, seed=1), share=0.02),
        Peer("HDDM_A", binary.HDDMA, counts_errors=True, share=0.25),
        Peer("HDDM_W", binary.HDDMW, counts_errors=True, share=0.25),
        Peer("DDM", binary.DDM, counts_errors=True),
        Peer("EDDM", binary.EDDM, counts_errors=True),
    ]


def alarms(peer: Peer, x: Floats, threshold: float) -> Iterator[int]:
    """Yield the outcomes of one stream at which ``peer`` alarms."""
    if peer.make is None:
        yield from _below(x, peer.window, threshold)
        return
    given = (1.0 - x).astype(int).tolist() if peer.counts_errors else x.tolist()
    detector = peer.make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of scipy, about ties
        for at, value in enumerate(given):
            detector.update(value)
            if detector.drift_detected:
                yield at
                detector = peer.make()


def counts(peer: Peer, x: Floats, threshold: float) -> list[int]:
    """Return how often ``peer`` alarms in each stream that it is given."""
    return [sum(1 for _ in alarms(peer, stream, threshold)) for stream in given(peer, x)]


def delays(peer: Peer, x: Floats, change: int, within: int, threshold: float) -> list[float]:
    """Return after how many outcomes behind ``change`` it alarms; inf: not in time."""
    found = []
    for stream in given(peer, x[:, : change + within]):
        later = (at - change + 1.0 for at in alarms(peer, stream, threshold) if at >= change)
        found.append(next(later, np.inf))
    return found


def given(peer: Peer, x: Floats) -> Floats:
    """Return the streams that a slow peer is given."""
    return x[: max(1, round(peer.share * len(x)))]


def _below(x: Floats, window: int, threshold: float) -> Iterator[int]:
    sums = np.concatenate([[0.0], np.cumsum(x)])
    # Against rounding: a mean that is the threshold is not below it.
    low = np.flatnonzero(sums[window:] - sums[:-window] < threshold * window - 1e-9) + window - 1
    start = 0
    while (i := int(np.searchsorted(low, start + window - 1))) < len(low):
        yield int(low[i])
        start = int(low[i]) + 1
