"""Whatever stands, whenever, the trigger keeps to its limits."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from selfright.detect.detection import SYSTEM, Detection, Kind, WatchedMetric
from selfright.events.record import GateRecord, RetrainFinished
from selfright.retrain.trigger import Request, Trigger
from selfright.retrain.trigger_policy import TriggerPolicy

SECOND = 1_000_000
MIN = 60 * SECOND
DAY = 24 * 60 * MIN
ACCURACY = WatchedMetric.ACCURACY


@dataclass
class Evidence:
    """Evidence that stands or not, as a law's example says."""

    scopes: set = field(default_factory=set)
    counts: dict = field(default_factory=dict)

    @property
    def standing_scopes(self):
        """Scopes about which something stands."""
        return self.scopes

    def standing_metrics(self, scope):
        """Metrics that stand."""
        return (ACCURACY,) if scope in self.scopes else ()

    def standing(self, scope):
        """What stands."""
        return (detection(scope, Kind.LIKELY),) if scope in self.scopes else ()

    def seen(self, scope, metric):
        """Outcomes ever."""
        return self.counts.get(scope, 0)

    def window(self, scope, metric):
        """A fleet of which each agent has a fifth of the outcomes."""
        return (100, 0.5) if scope == SYSTEM else (20, 0.5)


def detection(scope, kind):
    """Return a detection of the Beta rule, or of certainty."""
    inputs = {"setting": "accuracy_min", "window_minutes": 60, "min_n": 20}
    if kind in {Kind.CERTAIN, Kind.CONFIRMED, Kind.RECOVERED}:
        inputs |= {"run_length": 1e4, "before": 0.9, "changed_ts_us": 0}
    return Detection(
        "beta", kind, scope, ACCURACY, 0.5, (0.4, 0.6), 100, 0.7, 0.97, 0, 0, inputs
    )  # fmt: skip


def result(act, verdict):
    """Return the record of a retraining's end."""
    failed = verdict in {"failed", "aborted"}
    return RetrainFinished(
        act_id=f"{act.act_id}:done",
        ts_us=0,
        retrain_id=act.act_id,
        model_type=act.model_type,
        retrain_type=act.mode,
        state=verdict if failed else "done",
        reason="",
        automatic=True,
        agents=act.agents,
        gate=None if failed else GateRecord(verdict=verdict),
    )


POLICY = TriggerPolicy(new_outcomes=5, breaker_rejections=4, breaker_us=30 * MIN, daily_budget=8)
VERDICTS = ("promoted", "rejected", "inconclusive", "failed", "aborted")

AGAIN = "again"
CERTAINTIES = (Kind.CERTAIN, Kind.CONFIRMED, Kind.RECOVERED)

# One step: whose outcome, how many, how much later, what stands from now on, what happens
# to the retraining under way, which scopes become normal again, what is certain of whom.
steps = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(1, 6),
        st.one_of(st.integers(0, 2 * MIN), st.integers(0, 8 * 60 * MIN), st.just(-MIN)),
        st.one_of(st.none(), st.sets(st.integers(-1, 3))),
        st.one_of(st.none(), st.sampled_from(VERDICTS)),
        st.one_of(st.none(), st.integers(-1, 3)),
        st.one_of(st.none(), st.tuples(st.integers(-1, 3), st.sampled_from(CERTAINTIES))),
    ),
    max_size=120,
)


def play(story, save_at=None):
    """Return all requests with time and counts, and the final state."""
    trigger, evidence, now = Trigger(POLICY), Evidence(), 0
    under_way, requests, latest, heard = None, [], 0, []
    for offset, (scope, count, later, stands, verdict, normal, certain) in enumerate(story):
        if offset == save_at:
            trigger = Trigger.from_state(POLICY, trigger.to_state())
        now = max(0, now + later)
        latest = max(latest, now)
        if stands is not None:
            for who in stands - evidence.scopes:
                trigger.observe(detection(who, Kind.LIKELY), None)
            evidence.scopes = stands
        if normal is not None:
            evidence.scopes = evidence.scopes - {normal}
            trigger.observe(detection(normal, Kind.UNLIKELY), None)
        if certain is not None:
            trigger.observe(detection(*certain), None)
            heard.append(certain)
        if verdict is not None and under_way is not None:
            trigger.note_finished(result(under_way.act, verdict), now)
            if verdict == "aborted" and under_way.act.mode == "full":
                heard += [(who, AGAIN) for who in under_way.scopes]
            under_way = None
        for who in (scope, SYSTEM):
            evidence.counts[who] = evidence.counts.get(who, 0) + count
        said = trigger.decide(evidence, scope, now, offset, lambda s: None if s < 0 else f"a{s}")
        if isinstance(said, Request):
            assert under_way is None, "two in flight"
            under_way = said
            trigger.note_started(said.act, now)
            requests.append((latest, said, dict(evidence.counts), set(evidence.scopes), heard))
            heard = []
    return requests, trigger.to_state()


def _hear(heard, owed, full_done):
    """Keep the books of what is owed to whom, as the trigger promises to."""
    for scope, kind in heard:
        if kind is Kind.RECOVERED:
            owed.pop(scope, None)
            full_done.discard(scope)
        elif kind is Kind.CERTAIN:
            owed.setdefault(scope, "incremental")
        elif kind == AGAIN:
            # Cut short, nothing was tried: whoever has not recovered is owed it once more.
            if scope in full_done:
                full_done.discard(scope)
                owed[scope] = "full"
        elif scope not in full_done:
            owed[scope] = "full"


@given(steps)
def test_limits_hold_for_any_story(story):
    """One at a time, the daily budget, pauses and new outcomes, and only for what stands."""
    requests, _ = play(story)
    times = [at for at, *_ in requests]
    assert times == sorted(times)
    for i, at in enumerate(times):
        assert sum(1 for other in times[: i + 1] if other > at - DAY) <= POLICY.daily_budget
    last, owed, full_done = {}, {}, set()
    for at, request, counts, standing, heard in requests:
        _hear(heard, owed, full_done)
        assert request.scopes
        assert set(request.scopes) <= standing | owed.keys()
        if request.act.mode == "full":
            assert any(owed.get(scope) == "full" for scope in request.scopes)
        for scope in request.scopes:
            if scope in last and scope not in owed:
                before, seen = last[scope]
                assert at - before >= POLICY.cooldown_us
                assert counts[scope] - seen >= POLICY.new_outcomes
            last[scope] = (at, counts.get(scope, 0))
            if owed.get(scope) == "incremental" or request.act.mode == "full":
                owed.pop(scope, None)
            if request.act.mode == "full":
                full_done.add(scope)


@given(steps, st.integers(0, 120))
def test_checkpoint_plus_rest_equals_the_whole(story, at):
    """Saved and restored anywhere, the trigger decides as if nothing had happened."""
    whole, state = play(story)
    parts, restored = play(story, save_at=at)
    assert [request.act for _, request, *_ in parts] == [request.act for _, request, *_ in whole]
    assert restored == state


@settings(max_examples=10)
@given(st.sampled_from(VERDICTS), st.sampled_from([1, 3, 5]), st.booleans())
def test_a_signal_that_oscillates_makes_no_storm(verdict, agents, recovers):
    """A thousand changes a second for a minute: one attempt per agent at most."""
    trigger, evidence = Trigger(TriggerPolicy()), Evidence()
    made = 0
    for i in range(60_000):
        scope, now = i % agents, i * SECOND // 1000
        evidence.counts[scope] = evidence.counts.get(scope, 0) + 1
        evidence.counts[SYSTEM] = i
        evidence.scopes = {scope, SYSTEM} if i % 2 else set()
        if recovers and not i % 2:
            trigger.observe(detection(scope, Kind.UNLIKELY), None)
        said = trigger.decide(evidence, scope, now, i, str)
        if isinstance(said, Request):
            made += 1
            trigger.note_started(said.act, now)
            trigger.note_finished(result(said.act, verdict), now)
    assert 1 <= made <= agents + 1  # and one for the fleet
    assert len(trigger.suppressed) <= 500
