"""A circle over a log and a registry that outlive it, as a data directory does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from selfright.assemble import Learning, open_circle
from selfright.config import Settings, with_values
from selfright.events.batch import Intake
from selfright.events.raw import run_batch
from selfright.events.record import ModelAdopted, RetrainRequested
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.learn.strategy import UpdateStrategy
from selfright.log.memory import MemoryLog
from selfright.log.protocol import EventLog
from selfright.loop.control import Circle
from selfright.online_learning import RealTimeModelUpdater
from selfright.retrain.registry import MemoryRegistry, ModelRegistry
from selfright.testing.clock import ManualClock

SELECTION = "agent_selection"
WAIT_S = 30.0


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], bool]], bool]:
    """Return what waits for what another thread brings about, and tells whether it came."""

    def wait(holds: Callable[[], bool]) -> bool:
        tick = threading.Event()
        for _ in range(int(WAIT_S / 0.01)):
            if holds():
                return True
            tick.wait(0.01)
        return False

    return wait


@dataclass
class Kept:
    """What is left of a process: its log and its registry. ``open`` starts the next one."""

    clock: ManualClock
    log: EventLog
    registry: ModelRegistry
    settings: Settings = field(default_factory=Settings)
    opened: list[Circle] = field(default_factory=list)
    rows: int = 0

    def open(self) -> Circle:
        """Open a circle, as a process does that was killed before."""
        learning = Learning(self.registry, UpdateStrategy.BAYESIAN)
        circle = open_circle(self.settings, log=self.log, learning=learning, clock=self.clock)
        self.opened.append(circle)
        return circle

    def runs(self, circle: Circle, agent: str, count: int, success: float) -> None:
        """Have an agent run ``count`` times, of which a share of ``success`` succeed."""
        rng = np.random.default_rng(self.rows)
        rows = []
        for _ in range(count):
            self.rows += 1
            status = "success" if rng.random() < success else "failure"
            given = (f"r{self.rows}", agent, "llm", status, 10.0, *[None] * 12, 0, *[None] * 9)
            rows.append(circle.door.run(*given, self.clock.now_us()))
        self.clock.advance(1.0)
        circle.submit(Intake.of(runs=run_batch(rows)))

    def request(self, name: str, *agents: str, automatic: bool = True) -> RetrainRequested:
        """Return a request for an incremental retraining."""
        return RetrainRequested(
            act_id=name, ts_us=self.clock.now_us(), model_type=SELECTION, mode="incremental",
            reason="a test", automatic=automatic, agents=list(agents), causes=[],
        )  # fmt: skip

    def emergency(self, circle: Circle, name: str = "emergency") -> None:
        """Let agent ``a`` fall, so that a version made in an emergency serves."""
        self.runs(circle, "b", 100, 0.7)
        self.runs(circle, "a", 300, 0.95)
        self.runs(circle, "a", 100, 0.3)
        circle.act(self.request(name, "a"))
        circle.pump()

    def until_decided(self, circle: Circle, success: float) -> None:
        """Have agent ``a`` run on until the gate has decided."""
        slots = circle.fold.rooms.slots
        while any(slot.challenger is not None for slot in slots.values()):
            self.runs(circle, "a", 10, success)
            circle.pump()


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Return an empty log and registry in memory; what was started is stopped."""
    clock = ManualClock(1_700_000_000_000_000)
    found = Kept(clock, MemoryLog(), MemoryRegistry(clock))
    yield found
    for circle in found.opened:
        circle.stop()


class Fleet:
    """An updater that chooses between a good agent and a poor one."""

    def __init__(self, folder: Path, **settings: object) -> None:
        made = with_values(Settings(), {f"gate.{name}": value for name, value in settings.items()})
        self.updater = RealTimeModelUpdater(
            model_storage_path=str(folder), enable_auto_save=False, settings=made
        )
        self.rng = np.random.default_rng(11)

    @property
    def circle(self) -> Circle:
        return self.updater.circle

    def decide(self, count: int, truth: dict[str, float] | None = None) -> list[str]:
        """Have so many tasks done; return by whom."""
        truth = truth or {"good": 0.9, "poor": 0.5}
        chosen = []
        for _ in range(count):
            choice = self.updater.select_agent(candidates=sorted(truth))
            reward = float(self.rng.random() < truth[choice.agent_name])
            self.updater.record_outcome(choice.decision_id, reward=reward)
            chosen.append(choice.agent_name)
        self.circle.pump()
        return chosen

    def plant(self, good: float, poor: float, n: int = 400) -> int:
        """Save a version that believes in these rates and is sure; return its number."""
        with self.circle.reading() as fold:
            slot = fold.rooms.slots[ModelType(SELECTION)]
        samples = Samples.concat(
            [
                Samples.of([name] * n, [None] * n, (np.arange(n) < rate * n).astype(float))
                for name, rate in (("good", good), ("poor", poor))
            ]
        )
        state = slot.champion.fit(samples).to_state()
        return self.updater.registry.save(SELECTION, state, parent=slot.version)

    def adoptions(self) -> list[ModelAdopted]:
        with self.circle.reading() as fold:
            return [*fold.trials.adoptions]

    def served(self) -> int | None:
        with self.circle.reading() as fold:
            return fold.rooms.slots[ModelType(SELECTION)].served_version


@pytest.fixture
def make_fleet(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Return what makes a fleet with such settings of the gate; it is closed in the end."""
    made: list[Fleet] = []

    def make(**settings: object) -> Fleet:
        made.append(Fleet(tmp_path / f"models-{len(made)}", **settings))
        return made[-1]

    yield make
    for fleet in made:
        fleet.circle.close()


@pytest.fixture
def fleet(make_fleet: Callable[..., Fleet]) -> Fleet:
    """Return a fleet whose updater saved a first version that knows both agents well."""
    found = make_fleet()
    found.decide(300)
    found.updater.save()
    return found
