"""From runs and outcomes to samples: what a model is taught, and what it is not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from selfright.events.batch import Intake
from selfright.events.door import Door
from selfright.events.raw import outcome_batch, run_batch
from selfright.learn.feed import Feed, RewardPolicy, config_key
from selfright.learn.model_type import ModelType
from selfright.log.memory import MemoryLog

DOOR = Door(lambda predicted, actual: float(predicted == actual), clamp_future=False)
NOW = 1_700_000_000_000_000
SELECTION = ModelType.AGENT_SELECTION
OTHERS = (ModelType.ROUTING, ModelType.PARAMETER_OPTIMIZATION)


class Story:
    """Feeds what happens, through a log, and keeps the sum of what was taught."""

    def __init__(self, policy: RewardPolicy | None = None) -> None:
        self.log = MemoryLog(None)
        self.feed = Feed(policy or RewardPolicy())
        self.count = 0
        self.taught: dict[str, list[float]] = {}
        # Of routes and parameter sets: what is added less what is taken back, by model.
        self.others = {model_type: Counter[float]() for model_type in OTHERS}

    def run(
        self, agent: str, status: str, cost: float | None = None, run_id: str | None = None
    ) -> str:
        """Record a run, or correct that of this id; return its id."""
        run_id = run_id or f"r{self.count + 1}"
        self._take(Intake.of(runs=run_batch([self._run(agent, status, cost, run_id)])))
        return run_id

    def _run(self, agent: str, status: str, cost: float | None, run_id: str) -> tuple[object, ...]:
        self.count += 1
        return DOOR.run(
            run_id, agent, "llm", status, 100.0, None, cost, None, None, None, None, None, None,
            None, None, None, None, 0, None, "t", None, None, None, None, None, {"b": 1, "a": 2},
            "fast", NOW + self.count,
        )  # fmt: skip

    def together(self, agent: str, *runs: tuple[str, str], outcome: tuple[str, float]) -> None:
        """Record runs, as (id, status), and the outcome of one in a single commit."""
        rows = [self._run(agent, status, None, run_id) for run_id, status in runs]
        self.count += 1
        run_id, score = outcome
        told = DOOR.outcome(
            agent, None, None, None, "user", None, None, score, None, run_id, NOW + self.count
        )
        outcomes = outcome_batch([told], np.array([len(rows)], dtype=np.int64))
        self._take(Intake(run_batch(rows, np.arange(len(rows))), outcomes))

    def outcome(self, agent: str, run_id: str | None, score: float, source: str = "user") -> None:
        """Record what really came of a run."""
        self.count += 1
        row = DOOR.outcome(
            agent, None, None, None, source, None, None, score, None, run_id, NOW + self.count
        )
        self._take(Intake.of(outcomes=outcome_batch([row])))

    def _take(self, intake: Intake) -> None:
        receipt = self.log.append(intake, NOW + self.count)
        for commit in self.log.read(receipt.first_offset):
            fed = self.feed.take(commit)
            for agent in fed.restarted:
                self.taught[agent] = []
            samples = fed.samples[SELECTION]
            for arm, y, weight in zip(samples.arm, samples.y, samples.weight, strict=True):
                if weight > 0:
                    self.taught.setdefault(arm, []).append(float(y))
                else:
                    self.taught[arm].remove(float(y))
            for model_type, sums in self.others.items():
                found = fed.samples[model_type]
                for y, weight in zip(found.y.tolist(), found.weight.tolist(), strict=True):
                    sums[y] += int(weight)

    def on_routes(self) -> dict[float, int]:
        """Return the rewards that routes were taught, and how often; parameter sets the same."""
        routes, sets = ({y: n for y, n in sums.items() if n} for sums in self.others.values())
        assert routes == sets
        return routes


def test_without_real_outcomes_the_status_teaches() -> None:
    """Success 1, partial a half, failure and timeout 0; what is undecided says nothing."""
    story = Story()
    for status in ("success", "partial", "failure", "timeout", "cancelled", "pending"):
        story.run("a", status)
    assert sorted(story.taught["a"]) == [0.0, 0.0, 0.5, 1.0]


def test_from_the_first_outcome_on_outcomes_teach() -> None:
    """A success that the agent claims of itself teaches nothing any more."""
    story = Story()
    first = story.run("a", "success")
    story.run("a", "success")
    story.outcome("a", first, 0.25)
    story.run("a", "success")
    assert story.taught["a"] == [0.25]


def test_a_failure_counts_until_a_better_outcome_comes() -> None:
    """It is replaced, not added to."""
    story = Story()
    story.outcome("a", story.run("a", "success"), 1.0)
    failed = story.run("a", "failure")
    assert sorted(story.taught["a"]) == [0.0, 1.0]
    story.outcome("a", failed, 0.5)
    assert sorted(story.taught["a"]) == [0.5, 1.0]


def test_a_failure_corrected_after_its_outcome_takes_nothing_back() -> None:
    """The outcome stands in its place already, also where nothing else came with it."""
    story = Story()
    failed = story.run("a", "failure")
    story.outcome("a", failed, 0.5)
    story.run("a", "success", run_id=failed)
    assert story.taught["a"] == [0.5]


def test_a_failure_counts_once_on_its_route_when_outcomes_begin() -> None:
    """Routes and parameter sets keep what statuses taught; nothing of it is taught again."""
    story = Story()
    failed = story.run("a", "failure")
    story.run("a", "timeout")
    story.run("a", "success")
    assert story.on_routes() == {0.0: 2, 1.0: 1}
    story.outcome("a", None, 0.25)  # of another run; from here on outcomes teach
    assert story.on_routes() == {0.0: 2, 1.0: 1}
    story.outcome("a", failed, 0.5)
    assert story.on_routes() == {0.0: 1, 0.5: 1, 1.0: 1}
    assert sorted(story.taught["a"]) == [0.0, 0.25, 0.5]


def test_an_outcome_takes_the_failure_back_that_it_begins_with() -> None:
    """The first outcome of an agent may be that of a failed run: it stands in its place."""
    story = Story()
    story.outcome("a", story.run("a", "failure"), 0.5)
    assert story.on_routes() == {0.5: 1}


def test_what_comes_with_the_first_outcome_counts_once_on_its_route() -> None:
    """In one commit: a failure as 0, what claims success not at all, a correction in its place."""
    story = Story()
    earlier, claimed = story.run("a", "failure"), story.run("a", "success")
    story.together(
        "a",
        ("new", "failure"), ("other", "success"), (earlier, "timeout"), (claimed, "failure"),
        outcome=("other", 0.75),
    )  # fmt: skip
    assert story.on_routes() == {0.0: 3, 0.75: 1}
    assert sorted(story.taught["a"]) == [0.0, 0.0, 0.0, 0.75]
    for run_id in (earlier, claimed, "new"):
        story.outcome("a", run_id, 0.5)
    assert story.on_routes() == {0.5: 3, 0.75: 1}


def test_the_ring_holds_each_failure_once() -> None:
    """For routes, too, what is retrained from is what outcomes have not replaced."""
    story = Story()
    failed = story.run("a", "failure")
    story.run("a", "success")
    story.outcome("a", None, 0.25)
    routes = story.feed.recent.samples(ModelType.ROUTING, ["a"])
    assert (routes.arm, routes.y.tolist()) == (["fast"], [0.0])
    story.outcome("a", failed, 0.5)
    assert story.feed.recent.samples(ModelType.ROUTING, ["a"]).y.tolist() == [0.5]


def test_a_corrected_outcome_replaces_what_was_taught() -> None:
    """The sum of what was taught is that of the outcomes that hold."""
    story = Story()
    run = story.run("a", "success")
    story.outcome("a", run, 0.0)
    story.outcome("a", run, 1.0)
    assert story.taught["a"] == [1.0]


def test_of_two_sources_on_one_run_the_newest_teaches() -> None:
    """One run is one lesson."""
    story = Story()
    run = story.run("a", "success")
    story.outcome("a", run, 0.0, source="judge")
    story.outcome("a", run, 1.0, source="user")
    assert story.taught["a"] == [1.0]


def test_cost_lowers_the_reward_within_declared_bounds() -> None:
    """What lies beyond a bound is pulled back and counted."""
    story = Story(RewardPolicy(w_cost=1.0, cost_bound_usd=1.0))
    story.run("a", "success", cost=0.5)
    assert story.taught["a"] == [0.75]
    story.run("a", "failure", cost=5.0)
    assert 0.0 in story.taught["a"]
    assert story.feed.beyond_bounds == 1


def test_the_newest_samples_are_remembered_per_agent() -> None:
    """As many as asked for, oldest first, for every choosing model."""
    story = Story()
    story.feed.recent.limit  # noqa: B018 - documented attribute
    for number in range(130):
        story.run("a", "success" if number >= 60 else "failure")
    recent = story.feed.recent.samples(SELECTION, ["a"])
    assert len(recent) == story.feed.recent.count("a") == 100
    assert recent.y.tolist() == [0.0] * 30 + [1.0] * 70
    assert np.all(np.diff(recent.ts_us) > 0)
    assert set(story.feed.recent.samples(ModelType.ROUTING, ["a"]).arm) == {"fast"}
    names, n, mean = story.feed.recent.means()
    assert (names, n.tolist(), mean.tolist()) == (["a"], [100], [0.7])
    assert story.feed.recent.newest_agents(10) == ["a"]


def test_a_taken_back_sample_leaves_the_ring_too() -> None:
    """Nothing stale is left to retrain from."""
    story = Story()
    story.outcome("a", story.run("a", "success"), 1.0)
    failed = story.run("a", "failure")
    assert story.feed.recent.samples(SELECTION, ["a"]).y.tolist() == [1.0, 0.0]
    story.outcome("a", failed, 0.5)
    assert story.feed.recent.samples(SELECTION, ["a"]).y.tolist() == [1.0, 0.5]


def test_the_state_goes_on_where_it_was() -> None:
    """Saved and restored between any two events."""
    story, other = Story(), Story()
    for one in (story, other):
        one.outcome("a", one.run("a", "failure"), 0.5)
    other.feed = Feed.from_state(RewardPolicy(), other.feed.to_state())
    for one in (story, other):
        one.outcome("a", one.run("a", "failure"), 0.25)
    assert story.taught == other.taught
    assert (
        story.feed.recent.samples(SELECTION, ["a"]).y.tolist()
        == other.feed.recent.samples(SELECTION, ["a"]).y.tolist()
    )


@pytest.mark.parametrize("config", [{"a": 2, "b": 1}, {"b": 1, "a": 2}])
def test_equal_parameter_sets_have_one_name(config: dict[str, int]) -> None:
    """Whatever the order of their keys."""
    assert config_key(config) == '{"a":2,"b":1}'
