"""Evidence that stands asks for a retraining, and is held back with a reason."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import msgspec
import pytest

from selfright.detect.detection import SYSTEM, Detection, Kind, WatchedMetric
from selfright.errors import ConfigError
from selfright.events.record import GateRecord, RetrainFinished, RetrainRequested, encode_act
from selfright.retrain.suppressed import Reason, Suppressed
from selfright.retrain.trigger import Request, Trigger
from selfright.retrain.trigger_policy import TriggerPolicy

MIN = 60_000_000
HOUR = 60 * MIN
M = WatchedMetric
A, B = 0, 1


def detection(scope, metric=M.ACCURACY, kind=Kind.LIKELY, value=0.6):
    """Return a detection of the Beta rule."""
    return Detection(
        detector="beta",
        kind=kind,
        scope=scope,
        metric=metric,
        value=value,
        interval=(0.5, 0.65),
        n=100,
        threshold=0.7,
        probability=0.97,
        ts_us=0,
        offset=0,
        inputs={"setting": "accuracy_min", "window_minutes": 60, "min_n": 20},
    )


@dataclass
class Evidence:
    """Evidence that stands because a test says so."""

    found: dict = field(default_factory=dict)  # scope to metrics
    counts: dict = field(default_factory=dict)  # scope to outcomes ever
    windows: dict = field(default_factory=dict)  # scope to (n, mean)

    @property
    def standing_scopes(self):
        """Scopes about which something stands."""
        return self.found.keys()

    def standing_metrics(self, scope):
        """Metrics that stand about a scope."""
        return self.found.get(scope, ())

    def standing(self, scope):
        """What stands about a scope."""
        return tuple(detection(scope, metric) for metric in self.found.get(scope, ()))

    def seen(self, scope, metric):
        """Outcomes ever."""
        return self.counts.get(scope, 0)

    def window(self, scope, metric):
        """Count and mean of the window."""
        return self.windows.get(scope, (0, 0.0))


def name_of(scope):
    """Return the name of an agent, None for the fleet."""
    return None if scope == SYSTEM else f"agent{scope}"


class Story:
    """A trigger with its evidence, in which every decision is one outcome later."""

    def __init__(self, policy=None):
        self.trigger = Trigger(policy or TriggerPolicy())
        self.evidence = Evidence()
        self.offset = 0

    def stands(self, scope, *metrics):
        """Let evidence stand from now on; without metrics: no longer."""
        self.evidence.found.pop(scope, None)
        if metrics:
            self.evidence.found[scope] = metrics
            for metric in metrics:
                self.observe(detection(scope, metric))

    def observe(self, found):
        """Let the trigger hear a detection."""
        self.trigger.observe(found, name_of(found.scope))

    def certainly(self, scope, kind=Kind.CERTAIN, metric=M.ACCURACY, changed_us=0):
        """Let the trigger hear what is certain."""
        inputs = {"setting": "accuracy_min", "run_length": 1e4, "before": 0.9}
        inputs |= {"changed_ts_us": changed_us, "changed_offset": 5}
        found = replace(detection(scope, metric, kind), detector="e", probability=None)
        self.observe(replace(found, inputs=inputs))

    def outcome(self, scope=A, at=0, count=1):
        """Take ``count`` outcomes of an agent into account and decide after the last."""
        self.offset += 1
        for who in {scope, SYSTEM}:
            self.evidence.counts[who] = self.evidence.counts.get(who, 0) + count
        return self.trigger.decide(self.evidence, scope, at, self.offset, name_of)

    def finish(self, request, at, verdict="rejected", state="done"):
        """Let a retraining end."""
        act = request.act
        self.trigger.note_started(act, at)
        self.trigger.note_finished(finished(act, verdict, state), at)

    def attempt(self, at, verdict="rejected", count=100, state="done"):
        """Let agent A ask and get a result at once; return the request."""
        request = self.outcome(A, at, count)
        assert isinstance(request, Request), request
        self.finish(request, at, verdict, state)
        return request


def finished(act, verdict="rejected", state="done"):
    """Return the record of a retraining's end."""
    return RetrainFinished(
        act_id=f"{act.act_id}:{state}",
        ts_us=0,
        retrain_id=act.act_id,
        model_type=act.model_type,
        retrain_type=act.mode,
        state=state,
        reason=act.reason,
        automatic=act.automatic,
        agents=act.agents,
        promoted=verdict == "promoted",
        gate=None if state == "failed" else GateRecord(verdict=verdict),
    )


def test_nothing_stands_nothing_happens():
    """A healthy fleet asks for nothing and leaves no trace."""
    story = Story()
    assert story.outcome() is None
    assert story.trigger.to_state() == Trigger(TriggerPolicy()).to_state()


@pytest.mark.parametrize("metric", [M.SUCCESS_RATE, M.ERROR_RATE, M.ACCURACY])
def test_each_of_the_three_rates_asks(metric):
    """Success rate and error rate trigger as accuracy does."""
    story = Story()
    story.stands(A, metric)
    request = story.outcome()
    assert isinstance(request, Request)
    assert (request.act.mode, request.act.agents) == ("incremental", ["agent0"])
    assert request.act.automatic
    assert request.act.model_type == "agent_selection"
    assert [cause["metric"] for cause in request.act.causes] == [metric.word]
    assert request.act.causes[0]["probability"] == 0.97
    assert "agent0" in request.act.reason
    assert "97 % probability" in request.act.reason
    encode_act(request.act)


def test_limits_do_not_ask():
    """Latency, cost, memory and tokens warn; they retrain nothing."""
    story = Story()
    story.stands(A, M.LATENCY, M.COST, M.MEMORY, M.TOKEN_USAGE)
    assert story.outcome() is None
    assert list(story.trigger.suppressed) == []


def test_overlapping_causes_make_one_attempt():
    """All causes and all agents that may ask at this moment are named."""
    story = Story()
    story.stands(B, M.ACCURACY)
    story.stands(A, M.ACCURACY, M.SUCCESS_RATE)
    story.stands(SYSTEM, M.ACCURACY)
    story.evidence.windows = {SYSTEM: (100, 0.8), A: (30, 0.6), B: (30, 0.6)}
    request = story.outcome(A)
    assert request.act.agents == ["agent0", "agent1"]
    assert [(c["agent_name"], c["metric"]) for c in request.act.causes] == [
        (None, "accuracy"),
        ("agent0", "accuracy"),
        ("agent0", "success_rate"),
        ("agent1", "accuracy"),
    ]
    assert story.outcome(B) is None


def test_the_same_log_asks_for_the_same_retraining():
    """The id is a function of model and offset."""
    ids = set()
    for offset in (7, 7, 8):
        story = Story()
        story.offset = offset
        story.stands(A, M.ACCURACY)
        ids.add(story.outcome().act.act_id)
    assert len(ids) == 2


def test_one_at_a_time():
    """While one is under way another agent is held back, recorded once and counted."""
    story = Story()
    story.stands(A, M.ACCURACY)
    request = story.outcome(A)
    story.stands(B, M.ACCURACY)
    held = story.outcome(B, 5)
    assert isinstance(held, Suppressed)
    assert (held.reason, held.agent_name) == (Reason.IN_FLIGHT, "agent1")
    assert request.act.act_id in held.detail
    story.trigger.note_started(request.act, 6)
    assert story.outcome(B, 7) is None
    assert held.count == 2
    assert story.outcome(A, 8) is None  # it is what is under way: not held back
    assert len(story.trigger.suppressed) == 1
    story.finish(request, 9, "promoted")
    assert isinstance(story.outcome(B, 10), Request)


def test_an_undecided_challenger_holds_back():
    """A pending result is no end: the gate is still watching."""
    story = Story()
    story.stands(A, M.ACCURACY)
    request = story.outcome(A)
    story.trigger.note_finished(finished(request.act, "pending", "pending"), 0)
    assert story.trigger.in_flight == request.act.act_id
    story.stands(B, M.ACCURACY)
    assert story.outcome(B, HOUR, 100).reason is Reason.IN_FLIGHT


def test_a_retraining_by_hand_holds_back_too():
    """It is under way until its result; others' results do not end it."""
    story = Story()
    act = RetrainRequested(
        act_id="manual",
        ts_us=0,
        model_type="agent_selection",
        mode="full",
        reason="by hand",
        automatic=False,
        agents=[],
        causes=[],
    )
    story.trigger.note_started(act, 0)
    story.stands(A, M.ACCURACY)
    assert story.outcome(A).reason is Reason.IN_FLIGHT
    other = replace_act(act, act_id="other")
    story.trigger.note_finished(finished(other), 1)
    assert story.outcome(A) is None
    story.trigger.note_started(replace_act(act, act_id="routing", model_type="routing"), 1)
    story.trigger.note_finished(finished(act), 2)
    assert isinstance(story.outcome(A), Request)


def replace_act(act, **changes):
    """Return a record with other values."""
    fields = {name: getattr(act, name) for name in act.__struct_fields__}
    return type(act)(**{**fields, **changes})


def test_five_minutes_and_a_hundred_outcomes():
    """Both are needed between two attempts; the reason says what is missing."""
    story = Story()
    story.stands(A, M.ACCURACY)
    story.attempt(0, "inconclusive")
    held = story.outcome(A, 5 * MIN - 1, 150)
    assert (held.reason, held.detail) == (Reason.COOLDOWN, "1 s left")
    assert isinstance(story.outcome(A, 5 * MIN), Request)
    story = Story()
    story.stands(A, M.ACCURACY)
    story.attempt(0, "inconclusive")
    held = story.outcome(A, HOUR, 99)
    assert (held.reason, held.detail) == (Reason.OUTCOMES, "99 of 100 new outcomes so far")
    assert isinstance(story.outcome(A, HOUR), Request)


def test_the_pause_starts_when_the_trial_ends():
    """A trial of an hour is followed by a pause, not by the next attempt."""
    story = Story()
    story.stands(A, M.ACCURACY)
    request = story.outcome(A)
    story.outcome(A, MIN, 500)
    story.finish(request, HOUR, "inconclusive")
    assert story.outcome(A, HOUR + 4 * MIN).reason is Reason.COOLDOWN
    assert isinstance(story.outcome(A, HOUR + 5 * MIN), Request)


def test_rejections_double_the_pause_up_to_an_hour():
    """5, 10, 20, 40, 60, 60 minutes; a failure counts as one."""
    story = Story(TriggerPolicy(breaker_rejections=100))
    story.stands(A, M.ACCURACY)
    at = 0
    story.attempt(0, state="failed")
    for minutes in (10, 20, 40, 60, 60):
        held = story.outcome(A, at + minutes * MIN - 1, 100)
        assert held is None or held.reason is Reason.COOLDOWN
        at += minutes * MIN
        story.attempt(at)


def test_back_to_normal_resets_the_pause():
    """At P <= .5 the next pause is five minutes again, and the next record is a new one."""
    story = Story(TriggerPolicy(breaker_rejections=100))
    story.stands(A, M.ACCURACY)
    for at in (0, HOUR, 2 * HOUR):
        story.attempt(at)
    first = story.outcome(A, 2 * HOUR + MIN, 100)
    assert first.reason is Reason.COOLDOWN
    story.observe(detection(A, kind=Kind.UNLIKELY))
    story.observe(detection(A))
    again = story.outcome(A, 2 * HOUR + 2 * MIN)
    assert again.reason is Reason.COOLDOWN
    assert again is not first
    assert isinstance(story.outcome(A, 2 * HOUR + 5 * MIN), Request)


def test_an_episode_ends_when_everything_is_normal():
    """Accuracy is normal again, success rate is not: it goes on."""
    story = Story(TriggerPolicy(breaker_rejections=100))
    story.stands(A, M.ACCURACY, M.SUCCESS_RATE)
    for at in (0, HOUR):
        story.attempt(at)
    story.observe(detection(A, kind=Kind.UNLIKELY))
    assert story.outcome(A, HOUR + 19 * MIN, 100).reason is Reason.COOLDOWN


def test_a_rejection_after_the_episode_does_not_double():
    """What the attempt was about is over."""
    story = Story()
    story.stands(A, M.ACCURACY)
    request = story.outcome(A)
    story.observe(detection(A, kind=Kind.UNLIKELY))
    story.finish(request, MIN)
    story.observe(detection(A))
    assert isinstance(story.outcome(A, 6 * MIN, 100), Request)


def test_attempts_in_vain_stay_incremental():
    """However often they did not help: a full one needs certainty."""
    story = Story(TriggerPolicy(breaker_rejections=100))
    story.stands(A, M.ACCURACY)
    modes = [story.attempt(i * 2 * HOUR, "promoted").act.mode for i in range(5)]
    assert modes == ["incremental"] * 5


def test_what_is_certain_passes_the_pause_once():
    """Neither cooldown nor new outcomes are waited for; the next attempt waits for both."""
    story = Story()
    story.stands(A, M.ACCURACY)
    story.attempt(0, "inconclusive")
    assert story.outcome(A, MIN, 1).reason is Reason.COOLDOWN
    story.certainly(A)
    assert story.attempt(MIN, "inconclusive", count=1).act.mode == "incremental"
    story.certainly(A)  # told anew of the same episode: it has had its attempt
    assert story.outcome(A, 2 * MIN, 1) is None or not story.trigger.urgent


def test_what_is_certain_waits_for_what_is_under_way():
    """One at a time, certain or not; then it asks at anybody's outcome."""
    story = Story()
    story.stands(B, M.ACCURACY)
    request = story.outcome(B)
    story.certainly(A)
    assert story.outcome(B, 1).reason is Reason.IN_FLIGHT
    story.stands(B)
    story.finish(request, 2, "inconclusive")
    again = story.outcome(B, 3)
    assert (again.act.agents, again.act.mode) == (["agent0"], "incremental")


def test_the_budget_holds_for_what_is_certain():
    """And the reason is recorded."""
    story = Story(TriggerPolicy(daily_budget=1))
    story.stands(A, M.ACCURACY)
    story.attempt(0, "inconclusive")
    story.certainly(A)
    story.certainly(A, Kind.CONFIRMED)
    assert story.outcome(A, HOUR, 500).reason is Reason.BUDGET
    assert story.outcome(A, 24 * HOUR, 1).act.mode == "full"


def test_a_drop_within_the_threshold_asks_for_nothing():
    """Drift and its escalation are told by alerts alone."""
    story = Story()
    for kind in (Kind.DRIFT, Kind.ESCALATED):
        story.certainly(A, kind)
    story.certainly(A, Kind.DRIFT, M.LATENCY)
    assert story.outcome() is None
    assert not story.trigger.urgent


def test_a_confirmed_drop_is_followed_by_one_full_one():
    """Once, of whatever metrics, until all of them have recovered."""
    story = Story(TriggerPolicy(breaker_rejections=100))
    story.certainly(A)
    assert story.attempt(0).act.mode == "incremental"
    story.certainly(A, Kind.CONFIRMED)
    full = story.attempt(1, count=1)
    assert full.act.mode == "full"
    assert [found["kind"] for found in full.act.causes] == ["confirmed"]
    for metric in (M.ACCURACY, M.SUCCESS_RATE):
        story.certainly(A, Kind.CONFIRMED, metric)
    assert story.outcome(A, 2 * HOUR, 500) is None
    story.certainly(A, Kind.RECOVERED)
    story.certainly(A, Kind.CONFIRMED)
    assert story.outcome(A, 3 * HOUR, 500) is None  # the success rate has not recovered
    for metric in (M.ACCURACY, M.SUCCESS_RATE):
        story.certainly(A, Kind.RECOVERED, metric)
    story.certainly(A)
    assert story.attempt(4 * HOUR).act.mode == "incremental"
    story.certainly(A, Kind.CONFIRMED)
    assert story.attempt(5 * HOUR).act.mode == "full"


def test_what_has_recovered_is_owed_nothing():
    """A full one that was held back is not made up for."""
    story = Story(TriggerPolicy(daily_budget=1))
    story.certainly(A)
    story.attempt(0)
    story.certainly(A, Kind.CONFIRMED)
    assert story.outcome(A, HOUR).reason is Reason.BUDGET
    story.certainly(A, Kind.RECOVERED)
    assert story.outcome(A, 25 * HOUR, 500) is None


def test_a_full_one_that_was_cut_short_is_owed_again():
    """Aborted by a restart nothing was tried; one that failed was."""
    story = Story(TriggerPolicy(breaker_rejections=100))
    story.certainly(A, Kind.CONFIRMED)
    assert story.attempt(0, state="aborted").act.mode == "full"
    assert story.attempt(1, state="failed", count=1).act.mode == "full"
    assert story.outcome(A, HOUR, 500) is None


def test_a_full_one_that_was_cut_short_after_the_recovery_is_not():
    """Nobody needs it any more."""
    story = Story()
    story.certainly(A, Kind.CONFIRMED)
    request = story.outcome(A)
    story.certainly(A, Kind.RECOVERED)
    story.finish(request, 1, state="aborted")
    assert story.outcome(A, HOUR, 500) is None


def test_what_is_certain_closes_the_breaker():
    """A new alarm does; its confirmation does not."""
    story = Story(TriggerPolicy(breaker_rejections=1))
    story.stands(A, M.ACCURACY)
    story.attempt(0)
    story.certainly(B, Kind.CONFIRMED)
    assert story.outcome(B, 1).reason is Reason.BREAKER
    story.certainly(B)
    assert story.outcome(B, 2).act.mode == "full"


def test_the_data_to_trust_begin_at_the_change():
    """By agent, the latest of its metrics; the fleet has none."""
    story = Story()
    story.certainly(A, changed_us=70)
    story.certainly(A, metric=M.SUCCESS_RATE, changed_us=50)
    story.certainly(B, changed_us=20)
    act = story.outcome(A).act
    assert act.since_us == {"agent0": 70, "agent1": 20}
    assert act.agents == ["agent0", "agent1"]
    story = Story()
    story.certainly(SYSTEM, changed_us=9)
    assert (story.outcome(A).act.since_us, story.outcome(A)) == ({}, None)


def test_the_fleet_is_not_owed_what_agents_explain():
    """Each of them is owed its own; the record says so, and nothing is left for later."""
    story = Story()
    story.evidence.windows = {SYSTEM: (500, 0.6), A: (400, 0.5), B: (100, 0.9)}
    story.certainly(A)
    story.attempt(0, "inconclusive")
    story.certainly(SYSTEM)
    assert story.outcome(B, 1).reason is Reason.EXPLAINED
    story.certainly(A, Kind.RECOVERED)
    assert story.outcome(B, HOUR, 500) is None
    story.certainly(A)
    story.evidence.windows = {SYSTEM: (500, 0.5), A: (400, 0.5), B: (100, 0.5)}
    story.attempt(2 * HOUR, "inconclusive")
    story.certainly(SYSTEM, Kind.CONFIRMED)
    request = story.outcome(B, 3 * HOUR, 500)
    assert (request.act.agents, request.act.mode) == ([], "full")


def test_the_fleet_may_be_let_be():
    """What was certain about it is void; its pause stays."""
    story = Story()
    story.certainly(SYSTEM)
    story.trigger.let_be(SYSTEM)
    story.trigger.let_be(A)  # never heard of
    assert story.outcome() is None


def test_the_breaker_opens_after_three_rejections_and_closes_after_six_hours():
    """Of whatever agents; three more are needed to open it anew."""
    story = Story()
    for scope, at in ((0, 0), (1, 1), (2, 2)):
        story.stands(scope, M.ACCURACY)
        request = story.outcome(scope, at)
        story.finish(request, at)
        story.stands(scope)
    story.stands(3, M.ACCURACY)
    held = story.outcome(3, HOUR)
    assert (held.reason, held.detail) == (Reason.BREAKER, "closes in 5 h 0 min")
    assert story.outcome(3, 6 * HOUR + 1) is None
    request = story.outcome(3, 6 * HOUR + 2)
    story.finish(request, 6 * HOUR + 2)
    story.stands(4, M.ACCURACY)
    assert isinstance(story.outcome(4, 6 * HOUR + 3), Request)


def test_old_rejections_do_not_open_the_breaker():
    """Three within 24 hours, not three ever."""
    story = Story()
    story.stands(A, M.ACCURACY)
    for hour in (0, 13, 26, 39):
        story.attempt(hour * HOUR)


def test_twenty_four_attempts_a_day():
    """The 25th waits until the first is a day old."""
    story = Story()
    for scope in range(24):
        story.stands(scope, M.ACCURACY)
        story.finish(story.outcome(scope, scope * MIN), scope * MIN, "promoted")
        story.stands(scope)
    story.stands(99, M.ACCURACY)
    held = story.outcome(99, HOUR)
    assert (held.reason, held.detail) == (Reason.BUDGET, "24 attempts in 24 h; next in 23 h 0 min")
    assert story.outcome(99, 24 * HOUR - 1) is None
    assert isinstance(story.outcome(99, 24 * HOUR), Request)


def test_many_small_agents_ask_together():
    """No agent stands: the fleet asks, about all of it."""
    story = Story()
    story.stands(SYSTEM, M.ACCURACY)
    story.evidence.windows = {SYSTEM: (200, 0.6)}
    request = story.outcome(A)
    assert request.act.agents == []
    assert request.act.reason.startswith("the fleet: accuracy")


def test_the_fleet_does_not_ask_for_what_an_agent_explains():
    """The rest of the fleet is fine, so the agent's own pause counts."""
    story = Story()
    story.stands(A, M.ACCURACY)
    story.stands(SYSTEM, M.ACCURACY)
    story.evidence.windows = {SYSTEM: (200, 0.65), A: (100, 0.4)}
    assert story.attempt(0, "inconclusive").act.agents == ["agent0"]
    held = story.outcome(B, HOUR, 100)
    assert (held.reason, held.agent_name) == (Reason.EXPLAINED, None)
    assert story.outcome(B, HOUR, 99).reason is Reason.OUTCOMES
    story.evidence.windows = {SYSTEM: (200, 0.55), A: (100, 0.4)}  # the rest: 0.70
    assert story.outcome(B, HOUR) is None
    story.evidence.windows = {SYSTEM: (200, 0.5), A: (100, 0.4)}  # the rest: 0.60
    request = story.outcome(B, HOUR, 100)
    assert request.act.agents == []


def test_a_rest_of_few_outcomes_explains_nothing_away():
    """What is left without the agent is too little to say that the fleet is bad."""
    story = Story()
    story.stands(A, M.ACCURACY)
    story.stands(SYSTEM, M.ACCURACY)
    story.evidence.windows = {SYSTEM: (119, 0.4), A: (100, 0.4)}
    assert story.outcome().act.agents == ["agent0"]
    story = Story()
    story.stands(A, M.ACCURACY)
    story.stands(SYSTEM, M.ACCURACY)
    story.evidence.windows = {SYSTEM: (120, 0.4), A: (100, 0.4)}
    assert story.outcome().act.agents == []


def test_time_never_steps_back():
    """A request is not dated before what came earlier."""
    story = Story()
    story.stands(A, M.ACCURACY)
    story.attempt(HOUR, "promoted")
    story.stands(B, M.ACCURACY)
    assert story.outcome(B, MIN).act.ts_us == HOUR


def test_an_agent_in_its_pause_is_not_named_by_another():
    """Overlapping causes do not cut a cooldown short."""
    story = Story()
    story.stands(A, M.ACCURACY)
    story.attempt(0, "promoted")
    story.stands(B, M.ACCURACY)
    request = story.outcome(B, MIN, 100)
    assert request.act.agents == ["agent1"]


def test_forgetting_an_agent():
    """Nothing of it is left; a result that comes later does no harm."""
    story = Story()
    story.stands(A, M.ACCURACY)
    request = story.outcome(A)
    story.trigger.forget(A)
    story.finish(request, 1)
    assert story.trigger.in_flight is None
    assert [scope for scope, _ in story.trigger.to_state()["askers"]] == [SYSTEM]


def test_records_are_bounded():
    """A thousand agents held back: the newest 500 are told."""
    story = Story()
    story.stands(A, M.ACCURACY)
    story.outcome(A)
    for scope in range(1, 1001):
        story.stands(scope, M.ACCURACY)
        story.outcome(scope, scope)
    assert len(story.trigger.suppressed) == 500
    told = story.trigger.suppressed.newest(2)
    assert [record.agent_name for record in told] == ["agent999", "agent1000"]
    assert told[0].to_dict()["reason"] == "in_flight"
    restored = Trigger.from_state(TriggerPolicy(), story.trigger.to_state())
    assert restored.to_state() == story.trigger.to_state()


def test_state_is_plain():
    """It can be written as JSON and read again."""
    story = Story()
    story.stands(A, M.ACCURACY)
    story.attempt(0)
    story.certainly(A, Kind.CONFIRMED)
    story.outcome(A, 1)
    story.certainly(B)
    state = story.trigger.to_state()
    again = Trigger.from_state(TriggerPolicy(), json.loads(json.dumps(state)))
    assert json.dumps(again.to_state()) == json.dumps(state)
    assert again.urgent == story.trigger.urgent == {B}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("new_outcomes", 0),
        ("daily_budget", 0),
        ("breaker_rejections", 0),
        ("cooldown_us", -1),
        ("breaker_us", -1),
        ("cooldown_max_us", MIN),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(name, value):
    """By its name."""
    with pytest.raises(ConfigError, match=name):
        replace(TriggerPolicy(), **{name: value})


def test_an_attempt_that_the_fleet_asked_for_starts_the_pause_of_its_agents():
    """They are not retrained again 20 seconds later; an agent it was not about may ask."""
    story = Story()
    story.stands(SYSTEM, M.ACCURACY)
    request = story.outcome(A, 0, 100)
    assert request.scopes == (SYSTEM,)
    act = replace_act(request.act, agents=["agent0"])
    story.trigger.note_started(act, 0, story.evidence, [A])
    story.trigger.note_finished(finished(act, "inconclusive"), 1_000_000)
    story.stands(SYSTEM)
    story.stands(A, M.ACCURACY)
    held = story.outcome(A, 20_000_000, 200)
    assert held.reason is Reason.COOLDOWN
    assert isinstance(story.outcome(A, 6 * MIN, 1), Request)


def test_what_the_fleet_tried_is_not_held_against_an_agent_that_was_well():
    """Two attempts about the whole fleet do not lengthen an agent's pause."""
    story = Story()
    for at in (0, HOUR):
        story.stands(SYSTEM, M.ACCURACY)
        request = story.outcome(B, at, 200)
        story.trigger.note_started(request.act, at, story.evidence, [A, B])
        story.trigger.note_finished(finished(request.act, "rejected"), at + 1)
    story.stands(SYSTEM)
    story.stands(A, M.ACCURACY)
    request = story.outcome(A, 2 * HOUR, 200)
    assert request.act.mode == "incremental"


def test_what_an_operator_asks_for_starts_nobodys_pause():
    """Only what starts by itself has to pause."""
    story = Story()
    story.stands(A, M.ACCURACY)
    request = story.outcome(A, 0, 100)
    act = replace_act(request.act, act_id="by-hand", automatic=False)
    other = Story()
    other.trigger.note_started(act, 0, other.evidence, [A])
    other.trigger.note_finished(finished(act, "inconclusive"), 1)
    other.stands(A, M.ACCURACY)
    assert isinstance(other.outcome(A, 20_000_000, 100), Request)


def test_an_outcome_of_somebody_who_is_well_changes_nothing():
    """While another agent stands, it need not even be asked about."""
    story = Story()
    story.stands(A, M.ACCURACY)
    before = json.dumps(story.trigger.to_state())
    assert story.outcome(B, at=HOUR) is None
    assert json.dumps(story.trigger.to_state()) == before
    assert isinstance(story.outcome(A, at=HOUR), Request)


def test_a_full_one_that_was_cancelled_is_not_owed_again():
    """Who ended it would have to end it again and again."""
    story = Story()
    story.certainly(A, Kind.CONFIRMED)
    request = story.outcome(A)
    end = msgspec.structs.replace(finished(request.act, state="aborted"), cancelled=True)
    story.trigger.note_finished(end, 1)
    assert story.outcome(A, HOUR, 500) is None


def test_a_schedule_is_held_back_by_nothing_but_what_is_in_flight():
    """And takes nothing from what evidence may ask for."""
    story = Story(TriggerPolicy(schedule="0 * * * *", daily_budget=1, breaker_rejections=1))
    trigger = story.trigger
    assert trigger.scheduled(1, 0) is None  # noted when it is due
    story.stands(A, M.ACCURACY)
    story.attempt(2)  # spends the budget and opens the breaker
    asked = trigger.scheduled(HOUR, 1)
    assert (asked.act.mode, asked.act.agents, asked.act.requested_by) == ("full", [], "schedule")
    assert trigger.scheduled(3 * HOUR, 2) is None
    assert trigger.due_us() is None
    again = Trigger.from_state(trigger.policy, trigger.to_state())
    for one in (trigger, again):
        one.note_started(asked.act, HOUR)
        one.note_finished(finished(asked.act), 3 * HOUR)
        assert one.due_us() == 2 * HOUR
        assert one.scheduled(4 * HOUR, 3) is not None  # what was missed is due once
        assert one.due_us() is None


def test_a_scheduled_one_read_from_the_log_costs_no_budget_and_no_pause():
    """Also where this trigger did not ask for it, and it was about every agent."""
    policy = TriggerPolicy(schedule="0 * * * *", daily_budget=1, breaker_rejections=1)
    timed = Story(policy).trigger
    timed.scheduled(1, 0)
    asked = timed.scheduled(HOUR, 1)
    story = Story(policy)
    story.trigger.note_started(asked.act, HOUR, story.evidence, [A])
    story.trigger.note_finished(finished(asked.act), HOUR)
    story.stands(A, M.ACCURACY)
    assert story.attempt(HOUR + 1).act.mode == "incremental"
