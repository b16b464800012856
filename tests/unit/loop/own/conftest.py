"""Fleets whose updater has a model of the user's own, and models that behave as told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfright import OutcomeEvent, PerformanceMonitor, RealTimeModelUpdater
from selfright.config import Settings, with_values

MINE = "mine"


class Constant:
    """Expects one rate of everybody: ``before`` until it is refitted, ``after`` from then on.

    After ``turns`` more events it expects ``later``. It learns nothing but how many events
    there were, so that no batching changes a score. ``raises``: what it fails at once it is
    refitted and has turned.
    """

    def __init__(
        self,
        before: float = 0.5,
        after: float = 0.9,
        turns: int = 10**9,
        later: float = 0.1,
        raises: tuple[str, ...] = (),
    ) -> None:
        self.before, self.after, self.turns, self.later = before, after, turns, later
        self.raises = raises
        self.refitted = False
        self.seen = self.since = 0

    @property
    def has_turned(self) -> bool:
        return self.refitted and self.since >= self.turns

    def rate(self) -> float:
        return self.later if self.has_turned else self.after if self.refitted else self.before

    def refit(self, events: list[OutcomeEvent]) -> None:
        self.refitted, self.since = True, 0

    def update(self, events: list[OutcomeEvent]) -> None:
        if self.has_turned and "update" in self.raises:
            raise RuntimeError("update is broken")
        self.seen += len(events)
        self.since += len(events)

    def score(self, events: list[OutcomeEvent]) -> list[float | None]:
        if self.has_turned and "score" in self.raises:
            raise RuntimeError("score is broken")
        return [1.0 - (float(event.status == "success") - self.rate()) ** 2 for event in events]

    def save(self, folder: str) -> None:
        (Path(folder) / "all.json").write_text(json.dumps(self.__dict__))

    def load(self, folder: str) -> None:
        self.__dict__.update(json.loads((Path(folder) / "all.json").read_text()))
        self.raises = tuple(self.raises)


@dataclass
class Place:
    """A data directory; ``open`` starts the process that has it, in place of the one before."""

    folder: Path
    model: Callable[[], Any]
    settings: Settings
    monitor: PerformanceMonitor = field(init=False)
    updater: RealTimeModelUpdater = field(init=False)
    is_open: bool = False
    runs: int = 0

    def open(self) -> Place:
        """Start the process, after the end of the one before."""
        self.close()
        self.updater = RealTimeModelUpdater(model_storage_path=str(self.folder / "models"))
        self.monitor = PerformanceMonitor(
            database_url=f"sqlite:///{self.folder / 'log.db'}",
            model_updater=self.updater,
            settings=self.settings,
        )
        self.is_open = True
        self.updater.register_model(MINE, self.model())
        return self

    def close(self) -> None:
        """End the process."""
        if self.is_open:
            self.monitor.close()
        self.is_open = False

    def run(self, n: int, rate: float) -> None:
        """Have so many runs recorded and learnt, of which a share succeeds."""
        rng = np.random.default_rng(self.runs)
        self.runs += n
        self.updater.submit_many(
            OutcomeEvent(
                run_id=f"r{self.runs - n + i}",
                agent_name="a",
                status="success" if rng.random() < rate else "failure",
            )
            for i in range(n)
        )
        self.monitor.flush()
        self.updater.models()

    def row(self) -> dict[str, Any]:
        """Return what is shown of the model."""
        return next(row for row in self.updater.models() if row["model_type"] == MINE)

    def promote_by_gate(self, rate: float = 0.9) -> Any:
        """Retrain, and run until the gate has promoted the new version; return the result."""
        result = self.updater.trigger_retraining(MINE, "a test")
        assert result.state == "pending", result
        while self.row()["on_trial"]:
            self.run(8, rate)
        assert self.row()["version"] == result.version
        return result

    def retraining(self, result: Any) -> Any:
        """Return what became of a retraining, as the monitor lists it."""
        return next(
            one for one in self.monitor.get_retrainings() if one.retrain_id == result.retrain_id
        )

    def alerts(self, rule: str) -> list[Any]:
        """Return the alerts of one rule."""
        return [alert for alert in self.monitor.get_alerts() if alert.rule == rule]


@pytest.fixture
def open_place(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Return what makes a place with a kind of model; keywords are settings of the gate."""
    made: list[Place] = []

    def make(model: Callable[[], Any], **gate: Any) -> Place:
        settings = with_values(Settings(), {f"gate.{name}": value for name, value in gate.items()})
        made.append(Place(tmp_path / f"place-{len(made)}", model, settings))
        made[-1].folder.mkdir()
        return made[-1].open()

    yield make
    for place in made:
        place.close()


@pytest.fixture(scope="session")
def constant() -> type[Constant]:
    """Return the kind of model whose scores no batching changes."""
    return Constant
