"""Every golden case holds, told one by one and in batches.

A case says what came in and what must come of it; the language is described in
``selfright.testing.story``. What may be expected:

``metric AGENT NAME VALUE``, ``metric AGENT NAME<VALUE ...``
    A figure at the time of the look; ``fleet`` is all agents; ``unknown`` is nothing.
``alert [AGENT [METRIC [STATE]]] level= state= threshold= value= rule= count= at=``
    An alert; STATE ``raised`` is any.
``decision retrain [MODE] agent= model= at= state= gate= promoted= outcomes= automatic=``
    A retraining that was asked for, and what has become of it so far.
``suppressed [REASON] agent= times=``
    A retraining that evidence asked for and a rule held back.
``adopted [MODEL] verdict= version= at=``
    A version began to serve.
``serves [MODEL] version= trial= mode=``
    What decides at the time of the look. A run with ``decided=yes`` was chosen by it.
``prefer AGENT over AGENT``, ``choice AGENT share<VALUE``
    What the selection expects, and how it would choose.
``count runs= outcomes= duplicates= late= alerts= retrainings=``, ``health score= status=``

Expected things must exist at least once, with ``n=`` that often, with ``no`` never.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfright.assemble import Learning, open_circle
from selfright.config import Settings, with_values
from selfright.events.batch import Intake
from selfright.events.raw import outcome_batch, run_batch
from selfright.events.record import AgentRun, Decision, OperatorAct, Outcome, RetrainRequested
from selfright.learn.model_type import ModelType
from selfright.learn.strategy import UpdateStrategy
from selfright.loop.simulate import Simulation
from selfright.loop.view import FleetView
from selfright.retrain.registry import MemoryRegistry
from selfright.testing.clock import START_US, ManualClock
from selfright.testing.story.parser import parse_story
from selfright.testing.story.record import Arrival, Expectation, Look, Story, seconds
from selfright.testing.story.token import as_value

CASES = sorted(Path(__file__).parent.glob("*.case"))
SELECTION = ModelType.AGENT_SELECTION
Found = list[dict[str, Any]]

SHORT_METRICS = {
    "accuracy": "avg_accuracy",
    "latency": "avg_latency_ms",
    "p95": "p95_latency_ms",
    "coverage": "accuracy_coverage",
    "runs": "total_tasks",
    "outcomes": "accuracy_sample_size",
}
RUN_DEFAULTS = {"agent_type": "agent", "retry_count": 0}
OUTCOME_DEFAULTS = {"feedback_source": "user"}


class Stage:
    """Where a story is told: a circle over memory, in the story's own time."""

    def __init__(self, story: Story, at_once: int) -> None:
        settings = with_values(Settings(), story.settings)
        strategy = UpdateStrategy(settings.learn.strategy)
        self.circle = open_circle(
            settings,
            learning=Learning(MemoryRegistry(ManualClock()), strategy),
            file_clock=True,
        )
        self.simulation = Simulation(self.circle)
        self._at_once = at_once
        self._row = 0

    def take(self, arrivals: Sequence[Arrival]) -> None:
        """Let rows arrive, at most ``at_once`` together; an operator acts between them."""
        waiting: list[Arrival] = []
        for arrival in arrivals:
            decided = arrival.kind == "run" and arrival.row.pop("decided", False)
            if arrival.kind == "act" or decided or len(waiting) == self._at_once:
                self._feed(waiting)
                waiting = []
            if decided:
                self._decide(arrival)
            if arrival.kind == "act":
                self._act(arrival)
            else:
                waiting.append(arrival)
        self._feed(waiting)

    def _feed(self, arrivals: Sequence[Arrival]) -> None:
        if not arrivals:
            return
        door = self.circle.door
        runs, outcomes, run_seq, outcome_seq = [], [], [], []
        for seq, arrival in enumerate(arrivals):
            if arrival.kind == "run":
                runs.append(door.run(*_in_order(AgentRun, arrival.row, RUN_DEFAULTS), 0))
                run_seq.append(seq)
            else:
                outcomes.append(door.outcome(*_in_order(Outcome, arrival.row, OUTCOME_DEFAULTS), 0))
                outcome_seq.append(seq)
        intake = Intake(
            run_batch(runs, np.array(run_seq, dtype=np.int64)),
            outcome_batch(outcomes, np.array(outcome_seq, dtype=np.int64)),
        )
        rows = np.arange(self._row, self._row + len(arrivals), dtype=np.int64)
        self._row += len(arrivals)
        self.simulation.feed(intake, rows)

    def _decide(self, arrival: Arrival) -> None:
        """Write down that the selection chose the agent of a run, with its probability."""
        slot, arm = self.circle.fold.rooms.slots[SELECTION], str(arrival.row["agent_name"])
        names = list(self.circle.fold.rooms.agents.names)
        choice = slot.choose(names, None, np.random.default_rng(0))
        theirs, trial = choice.challenger, slot.challenger
        name = arrival.row["decision_id"] = f"decision-{arrival.row['run_id']}"
        self.simulation._keep(
            Decision(
                act_id=name,
                ts_us=arrival.at_us,
                model_type=SELECTION.value,
                arm=arm,
                probability=float(choice.probabilities[names.index(arm)]),
                candidates=names,
                probabilities=choice.probabilities.tolist(),
                model_version=slot.served_version or 0,
                mode=slot.mode,
                challenger_version=None if theirs is None or trial is None else trial.version,
                challenger_probabilities=None if theirs is None else theirs.tolist(),
            )
        )

    def _act(self, arrival: Arrival) -> None:
        row = dict(arrival.row)
        verb, words = row.pop("verb"), row.pop("words")
        act_id = f"{verb}-{self._row}"
        if verb == "retrain":
            self.simulation._keep(
                RetrainRequested(
                    act_id=act_id,
                    ts_us=arrival.at_us,
                    model_type=row.get("model", SELECTION.value),
                    mode=words[0] if words else "incremental",
                    reason="the story says so",
                    automatic=False,
                    agents=[],
                    causes=[],
                )
            )
            return
        target = self._alert_id(*words) if verb in {"acknowledge", "mute"} else words[0]
        self.simulation._keep(
            OperatorAct(act_id=act_id, ts_us=arrival.at_us, verb=verb, target=target, arguments=row)
        )

    def _alert_id(self, agent: str, metric: str) -> str:
        (alert,) = (
            alert
            for alert in self.circle.fold.rooms.book.active()
            if alert.agent_name == agent and alert.metric_type.value == metric
        )
        return alert.alert_id

    # ---- what can be looked at -------------------------------------------------------

    def metrics(self, agent: str, at_us: int) -> dict[str, Any]:
        fold = self.circle.fold
        code = None if agent == "fleet" else fold.rooms.agents.get(agent)
        if code is None and agent != "fleet":
            found = FleetView(self.circle).agent(agent, None).metrics
        else:
            found = fold.rooms.metrics.snapshot(code, max(at_us, fold.now_us), None)
        plain = found.to_dict()
        return plain | {short: plain[name] for short, name in SHORT_METRICS.items()}

    def alerts(self) -> Found:
        book = self.circle.fold.rooms.book
        found = book.query(limit=10**6) + book.query(limit=10**6, state="pending")
        return [
            {
                "agent": alert.agent_name,
                "metric": alert.metric_type.value,
                "state": alert.state.value,
                "level": alert.level.value,
                "threshold": alert.threshold,
                "value": alert.current_value,
                "rule": alert.rule,
                "count": alert.count,
                "at": alert.timestamp.timestamp() - START_US / 1e6,
                "message": alert.message,
            }
            for alert in found
        ]

    def retrainings(self) -> Found:
        found = []
        for _, request in self.simulation.requests.values():
            result = self.simulation.results.get(request.act_id)
            gate = None if result is None else result.gate
            proof = None if result is None else result.proof
            found.append(
                {
                    "mode": request.mode,
                    "agent": request.agents,
                    "model": request.model_type,
                    "at": seconds(request.ts_us),
                    "automatic": request.automatic,
                    "causes": request.causes,
                    "rule": [cause.get("rule") for cause in request.causes],
                    "state": None if result is None else result.state,
                    "gate": None if gate is None else gate.verdict,
                    "gate_n": None if gate is None else gate.n,
                    "promoted": result is not None and result.promoted,
                    "outcomes": None if result is None else result.events_processed,
                    "version": None if result is None else result.version,
                    "proof": None if proof is None else proof.verdict,
                    "rolled_back": proof is not None and proof.rolled_back,
                    "error": None if result is None else result.error,
                }
            )
        return found

    def suppressed(self) -> Found:
        return [
            {
                "reason": item.reason.value,
                "agent": item.agent_name or "fleet",
                "times": item.count,
                "detail": item.detail,
            }
            for item in self.circle.fold.rooms.trigger.suppressed
        ]

    def adopted(self) -> Found:
        return [
            {
                "model": act.model_type,
                "verdict": act.verdict,
                "version": act.version,
                "at": seconds(act.ts_us),
            }
            for act in self.circle.fold.trials.adoptions
        ]

    def expected(self, agent: str) -> float:
        return float(self.circle.fold.rooms.slots[SELECTION].served.mean_of([agent], [None])[0])

    def share(self, agent: str) -> float:
        served = self.circle.fold.rooms.slots[SELECTION].served
        names = list(self.circle.fold.rooms.agents.names)
        choice = served.select(names, None, np.random.default_rng(0))
        return float(choice.probabilities[names.index(agent)])


def _in_order(shape: type, row: dict[str, Any], defaults: dict[str, Any]) -> list[Any]:
    fields = shape.__struct_fields__
    unknown = row.keys() - set(fields)
    assert not unknown, f"no field {sorted(unknown)}; there are {', '.join(fields)}"
    filled = {**defaults, **row}
    return [filled.get(name) for name in fields]


# ---- what may be expected -------------------------------------------------------------


def _metric(stage: Stage, expected: Expectation, at_us: int) -> Found:
    agent, *rest = expected.words
    found = stage.metrics(agent, at_us)
    for condition in expected.conditions:
        assert condition.name in found, f"no metric {condition.name}"
    if rest:
        name, *value = rest
        assert len(value) == 1, "write metric AGENT NAME VALUE"
        wanted = None if value[0] == "unknown" else as_value(value[0])
        same = found[name] == (wanted if wanted is None else pytest.approx(wanted, abs=1e-9))
        return [found] if same else []
    return [found]


def _alert(stage: Stage, expected: Expectation, _at_us: int) -> Found:
    agent, metric, state = (*expected.words, None, None, None)[:3]
    return [
        alert
        for alert in stage.alerts()
        if (agent is None or alert["agent"] == (None if agent == "fleet" else agent))
        and (metric is None or metric in {alert["metric"], alert["rule"]})
        and (state in {None, "raised"} or alert["state"] == state)
    ]


def _decision(stage: Stage, expected: Expectation, _at_us: int) -> Found:
    what, mode = (*expected.words, None)[:2]
    assert what == "retrain", "the only decisions so far are to retrain"
    return [item for item in stage.retrainings() if mode is None or item["mode"] == mode]


def _suppressed(stage: Stage, expected: Expectation, _at_us: int) -> Found:
    return [
        item
        for item in stage.suppressed()
        if not expected.words or item["reason"] in expected.words
    ]


def _adopted(stage: Stage, expected: Expectation, _at_us: int) -> Found:
    return [
        item for item in stage.adopted() if not expected.words or item["model"] in expected.words
    ]


def _serves(stage: Stage, expected: Expectation, _at_us: int) -> Found:
    slot = stage.circle.fold.rooms.slots[ModelType((*expected.words, SELECTION)[0])]
    trial = slot.served is not slot.champion
    return [{"version": slot.served_version, "trial": trial, "mode": slot.mode}]


def _prefer(stage: Stage, expected: Expectation, _at_us: int) -> Found:
    better, over, worse = expected.words
    assert over == "over"
    first, second = stage.expected(better), stage.expected(worse)
    return [{better: first, worse: second}] if first > second else []


def _choice(stage: Stage, expected: Expectation, _at_us: int) -> Found:
    (agent,) = expected.words
    return [{"share": stage.share(agent), "expected": stage.expected(agent)}]


def _count(stage: Stage, _expected: Expectation, _at_us: int) -> Found:
    simulation = stage.simulation
    return [
        {
            "runs": simulation.runs,
            "outcomes": simulation.outcomes,
            "duplicates": simulation.duplicates,
            "late": stage.circle.fold.rooms.metrics.late,
            "alerts": len(stage.alerts()),
            "retrainings": len(simulation.requests),
        }
    ]


def _health(stage: Stage, _expected: Expectation, _at_us: int) -> Found:
    health = FleetView(stage.circle).health()
    return [{"score": health["health_score"], "status": health["status"]}]


KINDS: dict[str, Callable[[Stage, Expectation, int], Found]] = {
    "metric": _metric,
    "alert": _alert,
    "decision": _decision,
    "suppressed": _suppressed,
    "adopted": _adopted,
    "serves": _serves,
    "prefer": _prefer,
    "choice": _choice,
    "count": _count,
    "health": _health,
}


def _disappointment(stage: Stage, expected: Expectation, at_us: int) -> str | None:
    """Return what is wrong, None if all is as expected."""
    assert expected.kind in KINDS, f"line {expected.line}: no kind {expected.kind!r}"
    found = KINDS[expected.kind](stage, expected, at_us)
    often = expected.condition("n")
    conditions = [item for item in expected.conditions if item is not often]
    for item in found:
        for condition in conditions:
            assert condition.name in item, f"line {expected.line}: nothing has a {condition.name}"
    matching = [item for item in found if all(c.holds(item[c.name]) for c in conditions)]
    wanted = often.holds(len(matching)) if often else bool(matching) is not expected.negated
    if wanted:
        return None
    shown = "\n    ".join(str(item) for item in found) or "nothing of the kind"
    return f"line {expected.line}: {expected.text}\n  {len(matching)} match of:\n    {shown}"


def tell(source: str, at_once: int) -> list[str]:
    """Tell a story and return every disappointment."""
    story = parse_story(source)
    assert story.looks, "a case without an eval shows nothing"
    stage = Stage(story, at_once)
    arrivals, wrong = list(story.arrivals), []
    for look in story.looks:
        wrong += _look(stage, look, arrivals)
    return wrong


def _look(stage: Stage, look: Look, arrivals: list[Arrival]) -> list[str]:
    come = [arrival for arrival in arrivals if arrival.at_us < look.at_us]
    stage.take(come)
    del arrivals[: len(come)]
    found = (_disappointment(stage, item, look.at_us) for item in look.expectations)
    return [text for text in found if text is not None]


# ---- the cases ------------------------------------------------------------------------


@pytest.mark.parametrize("together", [1, 8], ids=["one by one", "eight at a time"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_case_holds(case: Path, together: int) -> None:
    """What the case promises comes true, whether its rows come one by one or in batches."""
    source = case.read_text(encoding="utf-8")
    # A commit for each row costs a millisecond or two, which long cases cannot afford.
    is_long = len(parse_story(source).arrivals) > 1_000
    wrong = tell(source, max(together, 3) if is_long else together)
    assert not wrong, f"{case.name}\n" + "\n".join(wrong)


def test_every_case_says_what_it_promises() -> None:
    """A case begins with a sentence, and no two promise the same."""
    titles = [parse_story(case.read_text(encoding="utf-8")).title for case in CASES]
    assert len(CASES) >= 10
    assert all(len(title) > 20 for title in titles)
    assert len(set(titles)) == len(titles)


STORY = """\
load 1s agent=planner
  run x100
  outcome mixed correct x60 wrong x40
eval at 100s
"""


@pytest.mark.parametrize(
    "expectation",
    [
        "metric planner accuracy 0.61",
        "metric planner cost_per_task 0.0",
        "metric planner accuracy>0.6",
        "metric planner success_rate unknown",
        "no metric planner accuracy 0.6",
        "no alert planner accuracy raised",
        "alert planner accuracy resolved",
        "alert planner accuracy threshold=0.8",
        "alert planner success_rate",
        "alert stranger accuracy",
        "no decision retrain",
        "decision retrain full",
        "decision retrain agent=stranger",
        "decision retrain n=2",
        "suppressed budget",
        "adopted agent_selection verdict=promoted",
        "serves agent_selection version=9",
        "prefer planner over planner",
        "choice planner share<0.5",
        "count outcomes=99",
        "health status=healthy score>99",
    ],
)
def test_a_false_expectation_is_noticed(expectation: str) -> None:
    """Each kind of expectation can fail: a story that promises too much does not pass."""
    assert len(tell(f"{STORY}  expect {expectation}\n", 1)) == 1


@pytest.mark.parametrize(
    "expectation", ["miracle", "alert planner colour=red", "metric planner beauty<1"]
)
def test_an_expectation_of_nothing_is_refused(expectation: str) -> None:
    """A slip in a case is an error, not a promise that always holds."""
    with pytest.raises(AssertionError, match=r"no kind|nothing has|no metric"):
        tell(f"{STORY}  expect {expectation}\n", 1)
