"""A scikit-learn model of your own in the loop: one that can only be fitted as a whole.

A gradient boosting regressor predicts how long a run takes. It cannot learn event by
event, so ``update`` only remembers, and each retraining fits a new one; the gate lets it
serve if it predicts better. Nothing of it is pickled: what is saved is what it was fitted
on, and loading fits it again.
Run it: ``python examples/own_model_batch_fit.py`` (needs scikit-learn).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor

from selfright import OutcomeEvent, RealTimeModelUpdater

NEWEST = 500  # what it is fitted on: older runs may be stale
WORST = 3.0  # error of a log-latency beyond which a score is no lower: a factor of 20


class LatencyByTrees:
    """Predicts log-latency from the length of the input."""

    score_range = (-WORST, 0.0)

    def __init__(self) -> None:
        self._inputs = np.zeros((0, 1))
        self._targets = np.zeros(0)
        self._model: GradientBoostingRegressor | None = None

    def refit(self, events: Sequence[OutcomeEvent]) -> None:
        """Fit a new model on the newest runs."""
        timed = [event for event in events if _is_timed(event)][-NEWEST:]
        self._fit(_inputs(timed), np.log([event.duration_ms for event in timed]))

    def update(self, events: Sequence[OutcomeEvent]) -> None:
        """Learn nothing: it is fitted as a whole, by retrainings."""

    def score(self, events: Sequence[OutcomeEvent]) -> list[float | None]:
        """Return minus the absolute error of the logarithm; 0 is perfect."""
        expected = self.predict(events)
        return [
            -min(WORST, abs(float(np.log(event.duration_ms) - guess))) if _is_timed(event) else None
            for event, guess in zip(events, expected, strict=True)
        ]

    def predict(self, events: Sequence[OutcomeEvent]) -> list[float]:
        """Return the expected log-latency; that of a second before anything was fitted."""
        if self._model is None or not events:
            return [float(np.log(1000.0))] * len(events)
        found: list[float] = self._model.predict(_inputs(events)).tolist()
        return found

    def save(self, folder: str) -> None:
        """Write what it was fitted on."""
        np.savez(Path(folder) / "fitted_on.npz", inputs=self._inputs, targets=self._targets)

    def load(self, folder: str) -> None:
        """Fit again: the same data give the same model."""
        with np.load(Path(folder) / "fitted_on.npz", allow_pickle=False) as found:
            self._fit(found["inputs"], found["targets"])

    def _fit(self, inputs: np.ndarray, targets: np.ndarray) -> None:
        self._inputs, self._targets = inputs, targets
        model = GradientBoostingRegressor(n_estimators=50, max_depth=2, random_state=0)
        self._model = model.fit(inputs, targets) if len(targets) else None


def _is_timed(event: OutcomeEvent) -> bool:
    return event.kind == "run" and bool(event.duration_ms)


def _inputs(events: Sequence[OutcomeEvent]) -> np.ndarray:
    return np.array([[(event.context_snapshot or {}).get("length", 0.0)] for event in events])


def runs(rng: np.random.Generator, n: int, slope: float) -> list[OutcomeEvent]:
    """Return runs that take longer the longer their input is."""
    lengths = rng.uniform(10, 1000, n)
    took_ms = (100 + slope * lengths) * rng.lognormal(0.0, 0.2, n)
    return [
        OutcomeEvent(
            agent_name="solver",
            context_snapshot={"length": float(length)},
            duration_ms=float(ms),
        )
        for length, ms in zip(lengths, took_ms, strict=True)
    ]


def main() -> None:
    """Fit twice: the second time because the world became slower."""
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        updater = RealTimeModelUpdater(model_storage_path=folder)
        updater.register_model("latency_by_trees", LatencyByTrees())
        for reason, slope in (("the first fit", 1.0), ("everything became slower", 4.0)):
            updater.submit_many(runs(rng, 600, slope))
            result = updater.trigger_retraining("latency_by_trees", reason)
            updater.submit_many(runs(rng, 300, slope))
            version = updater.versions("latency_by_trees")[-1]
            assert version.gate is not None
            print(f"{reason}: version {result.version} is {version.gate.verdict}")
            assert version.gate.verdict == "promoted"
        updater.rollback("latency_by_trees")
        served = [entry.version for entry in updater.promotions("latency_by_trees")]
        print(f"served one after the other: {served}")


if __name__ == "__main__":
    main()
