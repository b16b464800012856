"""A scikit-learn model of your own in the loop: one that learns event by event.

A logistic regression by stochastic gradient descent says how probable it is that an agent
succeeds at a type of task. It learns from every event, is retrained when the world has
changed, and a retrained copy serves once its own scores have proved it better.
Run it: ``python examples/own_model_partial_fit.py`` (needs scikit-learn).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.feature_extraction import FeatureHasher
from sklearn.linear_model import SGDClassifier

from selfright import OutcomeEvent, RealTimeModelUpdater

FEATURES = 256
NEWEST = 100  # events that a refit learns from: what is older may be stale


class SuccessBySgd:
    """Predicts success with ``SGDClassifier.partial_fit``."""

    def __init__(self) -> None:
        self._hasher = FeatureHasher(FEATURES, input_type="string")
        self._model = self._new()

    def refit(self, events: Sequence[OutcomeEvent]) -> None:
        """Forget everything; learn the newest events anew."""
        self._model = self._new()
        for _ in range(5):
            self.update(events[-NEWEST:])

    def update(self, events: Sequence[OutcomeEvent]) -> None:
        """Take a few steps towards what happened."""
        runs = [event for event in events if event.kind == "run"]
        if runs:
            succeeded = [event.status == "success" for event in runs]
            self._model.partial_fit(self._features(runs), succeeded, classes=[False, True])

    def score(self, events: Sequence[OutcomeEvent]) -> list[float | None]:
        """Return 1 less the squared error of the predicted probability; 1 is perfect."""
        if not events:
            return []
        expected = self.predict(events)
        return [
            1.0 - (float(event.status == "success") - p) ** 2 if event.kind == "run" else None
            for event, p in zip(events, expected, strict=True)
        ]

    def predict(self, events: Sequence[OutcomeEvent]) -> list[float]:
        """Return how probable success is; 0.5 before anything was learnt."""
        if not hasattr(self._model, "coef_"):
            return [0.5] * len(events)
        found: list[float] = self._model.predict_proba(self._features(events))[:, 1].tolist()
        return found

    def save(self, folder: str) -> None:
        """Write the weights; nothing is pickled."""
        model = self._model
        learnt = hasattr(model, "coef_")
        np.savez(
            Path(folder) / "weights.npz",
            coef=model.coef_ if learnt else np.zeros((0, FEATURES)),
            intercept=model.intercept_ if learnt else np.zeros(0),
            steps=model.t_ if learnt else 0.0,
        )

    def load(self, folder: str) -> None:
        """Read the weights back."""
        self._model = self._new()
        with np.load(Path(folder) / "weights.npz", allow_pickle=False) as found:
            if len(found["coef"]):
                nothing = self._hasher.transform([["nothing"], ["nothing"]])
                self._model.partial_fit(nothing, [False, True], classes=[False, True])
                self._model.coef_, self._model.intercept_ = found["coef"], found["intercept"]
                self._model.t_ = float(found["steps"])

    def _features(self, events: Sequence[OutcomeEvent]) -> object:
        return self._hasher.transform(
            [[event.agent_name, f"{event.agent_name}/{event.task_type}"] for event in events]
        )

    @staticmethod
    def _new() -> SGDClassifier:
        return SGDClassifier(loss="log_loss", alpha=1e-2, random_state=0)


def runs(rng: np.random.Generator, n: int, rates: dict[str, float]) -> list[OutcomeEvent]:
    """Return runs of agents that succeed at these rates."""
    return [
        OutcomeEvent(
            agent_name=name,
            task_type="plan",
            status="success" if rng.random() < rate else "failure",
        )
        for _ in range(n)
        for name, rate in rates.items()
    ]


def main() -> None:
    """Learn, let an agent fall, retrain, and see the gate decide."""
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        updater = RealTimeModelUpdater(model_storage_path=folder)
        updater.register_model("success_by_sgd", SuccessBySgd())
        updater.submit_many(runs(rng, 5000, {"planner": 0.95, "solver": 0.7}))
        updater.submit_many(runs(rng, 50, {"planner": 0.2, "solver": 0.7}))
        result = updater.trigger_retraining("success_by_sgd", "the planner fell")
        print(f"version {result.version} is {result.state}")
        updater.submit_many(runs(rng, 300, {"planner": 0.2, "solver": 0.7}))
        for version in updater.versions("success_by_sgd"):
            verdict = None if version.gate is None else version.gate.verdict
            print(f"version {version.version}: {version.state}, gate {verdict}")
        assert updater.versions("success_by_sgd")[-1].state == "champion"
        model = updater.get_model("success_by_sgd")
        expected = model.predict(runs(rng, 1, {"planner": 0, "solver": 0}))
        print(f"planner {expected[0]:.2f}, solver {expected[1]:.2f}")
        assert expected[0] < expected[1]


if __name__ == "__main__":
    main()
