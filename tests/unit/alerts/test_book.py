"""One alert per rule and agent, told once, counted, closed when all take it back."""

from __future__ import annotations

import json

import pytest

from selfright.alerts.alert import AlertLevel
from selfright.alerts.book import AlertBook, BookPolicy
from selfright.alerts.entry import Evaluation
from selfright.alerts.life import AlertState
from selfright.detect.detection import Detection, Kind, WatchedMetric
from selfright.errors import ConfigError
from selfright.events.record import ModelAdopted, OperatorAct, RetrainFinished
from selfright.metrics.metric_type import MetricType

MIN = 60_000_000
S = AlertState
WINDOW, BETA = "window", "beta"


def detection(kind, offset=0, metric=WatchedMetric.ACCURACY, value=0.61, **inputs):
    """Return a detection by the detector that says such things."""
    detector = WINDOW if kind in {Kind.BEYOND, Kind.CLEARED} else BETA
    setting = "accuracy_min" if metric is WatchedMetric.ACCURACY else "latency_p95_max_ms"
    return Detection(
        detector=detector,
        kind=kind,
        scope=0,
        metric=metric,
        value=value,
        interval=(0.5, 0.7),
        n=87,
        threshold=0.7 if metric is WatchedMetric.ACCURACY else 0.05,
        probability=0.97 if detector == BETA else None,
        ts_us=5,
        offset=offset,
        inputs={"setting": setting, "window_minutes": 60, **inputs},
    )


def act(verb, target, **arguments):
    """Return what an operator decided."""
    return OperatorAct(act_id="a", ts_us=0, verb=verb, target=target, arguments=arguments)


def retraining(state="done", act_id="r1:done", **changes):
    """Return the record of a retraining."""
    fields = {
        "act_id": act_id,
        "ts_us": 0,
        "retrain_id": "r1",
        "model_type": "agent_selection",
        "retrain_type": "incremental",
        "state": state,
        "reason": "accuracy",
        "automatic": True,
        "agents": ["planner"],
        "version": 4,
        "parent_version": 3,
        "promoted": state == "done",
    }
    return RetrainFinished(**{**fields, **changes})


def raised(book, agent="planner", now_us=0, offset=0):
    """Raise the accuracy alert of an agent and return it."""
    (transition,) = book.observe(detection(Kind.BEYOND, offset), agent, now_us)
    return transition.alert


def test_an_alert_is_raised_with_all_it_was_judged_by():
    """Level, value, threshold, sentence, advice, and the exact inputs."""
    book = AlertBook()
    (transition,) = book.observe(detection(Kind.BEYOND), "planner", MIN)
    alert, record = transition.alert, transition.act
    assert transition.told
    assert (alert.level, alert.state) == (AlertLevel.WARNING, S.FIRING)
    assert (alert.rule, alert.metric_type) == ("accuracy_min", MetricType.ACCURACY)
    assert (alert.current_value, alert.threshold, alert.agent_name) == (0.61, 0.7, "planner")
    assert alert.message.startswith("planner: accuracy 0.61")
    assert "planner" in alert.recommendation
    assert alert.details["n"] == 87
    assert alert.timestamp == alert.first_seen == alert.last_seen
    assert alert.timestamp.isoformat() == "1970-01-01T00:01:00+00:00"
    assert (record.alert_id, record.state, record.level) == (alert.alert_id, "firing", "warning")
    assert json.loads(json.dumps(alert.to_dict()))["details"]["inputs"]["window_minutes"] == 60
    assert alert.alert_id in repr(alert)


def test_it_is_told_once_and_counted():
    """A second finding of the same rule adds to the alert; nobody is told again."""
    book = AlertBook()
    alert_id = raised(book).alert_id
    assert book.observe(detection(Kind.LIKELY, 5), "planner", 2 * MIN) == ()
    (alert,) = book.query()
    assert (alert.alert_id, alert.count) == (alert_id, 2)
    assert "97 % probability" in alert.message
    assert alert.last_seen > alert.first_seen


def test_it_stays_until_all_detectors_take_it_back():
    """The windowed mean recovers first; the Beta rule still holds the alert."""
    book = AlertBook()
    raised(book)
    book.observe(detection(Kind.LIKELY), "planner", 1)
    assert book.observe(detection(Kind.CLEARED), "planner", 2) == ()
    assert book.query()[0].state is S.FIRING
    assert book.explain(book.query()[0].alert_id)["held_by"] == ["beta"]
    (transition,) = book.observe(detection(Kind.UNLIKELY, value=0.75), "planner", 3)
    assert transition.alert.state is S.RESOLVED
    assert transition.told
    assert book.active() == []
    assert book.observe(detection(Kind.UNLIKELY), "planner", 4) == ()


def test_agents_and_rules_have_their_own():
    """The fleet, each agent, each rule: each one alert, newest last."""
    book = AlertBook()
    for offset, agent in enumerate(["a", "b", None]):
        raised(book, agent, offset, offset)
    slow = detection(Kind.BEYOND, 3, WatchedMetric.LATENCY, 0.09, limit_ms=5000.0)
    book.observe(slow, "a", 3)
    assert [alert.agent_name for alert in book.query()] == ["a", "b", None, "a"]
    assert [alert.agent_name for alert in book.query(limit=2)] == [None, "a"]
    assert [alert.rule for alert in book.query(agent_name="a")] == [
        "accuracy_min",
        "latency_p95_max_ms",
    ]
    assert len({alert.alert_id for alert in book.query()}) == 4


def test_latency_is_shown_in_its_unit_if_it_was_measured():
    """p95 against its limit rather than a share against 5 %."""
    book = AlertBook()
    slow = detection(Kind.BEYOND, 3, WatchedMetric.LATENCY, 0.09, limit_ms=5000.0)
    (transition,) = book.observe(slow, "a", 3, measured=6210.0)
    assert (transition.alert.current_value, transition.alert.threshold) == (6210.0, 5000.0)
    assert transition.alert.details["value"] == 0.09


def test_the_id_is_a_function_of_the_log():
    """The same rule, agent and offset give the same id; another opening another one."""
    first, again, later = AlertBook(), AlertBook(), AlertBook()
    assert raised(first, offset=7).alert_id == raised(again, now_us=99, offset=7).alert_id
    assert raised(later, offset=8).alert_id != raised(first, "b", offset=8).alert_id


def test_acknowledging_and_muting():
    """Acknowledged stays open; muted comes back by log time; both resolve quietly or not."""
    book = AlertBook()
    alert_id = raised(book).alert_id
    (transition,) = book.operator(act("acknowledge", alert_id), 1)
    assert transition.alert.state is S.ACKNOWLEDGED
    assert book.operator(act("acknowledge", alert_id), 2) == ()
    book.operator(act("mute", alert_id, for_s=60.0), 10)
    assert book.get(alert_id).state is S.MUTED
    assert book.tick(10 + MIN - 1) == ()
    (transition,) = book.tick(10 + MIN)
    assert (transition.alert.state, transition.told) == (S.FIRING, True)
    assert book.tick(10**15) == ()


@pytest.mark.parametrize("for_s", [None, float("inf"), float("nan"), -1.0, "long"])
def test_a_mute_without_a_sensible_length_lasts_until_resolved(for_s):
    """A decision in the log never breaks the fold, whatever its arguments are."""
    book = AlertBook()
    alert_id = raised(book).alert_id
    book.operator(act("mute", alert_id, for_s=for_s), 0)
    assert book.tick(20 * 365 * 24 * 60 * MIN) == ()
    (transition,) = book.observe(detection(Kind.CLEARED), "planner", 1)
    assert (transition.alert.state, transition.told) == (S.RESOLVED, False)


def test_muting_again_sets_the_end_anew():
    """The second mute counts."""
    book = AlertBook()
    alert_id = raised(book).alert_id
    book.operator(act("mute", alert_id, for_s=60.0), 0)
    book.operator(act("mute", alert_id, for_s=600.0), 30_000_000)
    assert book.tick(2 * MIN) == ()
    assert len(book.tick(30_000_000 + 10 * MIN)) == 1


def test_what_names_no_open_alert_changes_nothing():
    """An unknown id, a resolved alert, a verb that is not about alerts."""
    book = AlertBook()
    alert_id = raised(book).alert_id
    book.observe(detection(Kind.CLEARED), "planner", 1)
    assert book.operator(act("acknowledge", alert_id), 2) == ()
    assert book.operator(act("mute", "alert-unknown", for_s=1.0), 2) == ()
    assert book.operator(act("rollback", alert_id), 2) == ()
    assert book.get("alert-unknown") is None
    assert book.explain("alert-unknown") is None


@pytest.mark.parametrize("verb", ["accept_as_normal", "retire"])
def test_closing_all_alerts_of_an_agent(verb):
    """Those of others stay."""
    book = AlertBook()
    raised(book, "a")
    raised(book, "b")
    transitions = book.operator(act(verb, "a"), 1)
    assert [t.alert.state for t in transitions] == [S.RESOLVED]
    assert [alert.agent_name for alert in book.active()] == ["b"]


def test_a_critical_finding_is_heard_through_a_mute():
    """Who muted or acknowledged a warning has not heard of the critical alert."""
    for verb in ("acknowledge", "mute"):
        book = AlertBook()
        alert_id = raised(book).alert_id
        book.operator(act(verb, alert_id), 1)
        worse = Evaluation(
            rule="accuracy_min",
            agent_name="planner",
            metric_type=MetricType.ACCURACY,
            level=AlertLevel.CRITICAL,
            message="certain",
            finder="e-detector",
            mark=9,
        )
        (transition,) = book.raise_(worse, 2)
        assert transition.told
        assert (transition.alert.level, transition.alert.state) == (AlertLevel.CRITICAL, S.FIRING)
        assert transition.alert.alert_id == alert_id


def flap(book, times, start=0):
    """Let an alert come and go, a minute each; return all transitions."""
    said = []
    for i in range(times):
        at = start + 2 * i * MIN
        said += book.observe(detection(Kind.BEYOND, i), "planner", at)
        said += book.observe(detection(Kind.CLEARED, i), "planner", at + MIN)
    return said


def test_an_alert_that_flaps_is_told_only_once_it_holds():
    """Two openings an hour are told, a third has to hold for ten minutes."""
    book = AlertBook()
    said = flap(book, 20)
    assert [t.alert.state for t in said if t.told] == [S.FIRING, S.RESOLVED] * 2
    assert len(book.query(limit=1000)) == 2
    now = 40 * MIN
    (transition,) = book.observe(detection(Kind.BEYOND, 99), "planner", now)
    assert (transition.alert.state, transition.told) == (S.PENDING, False)
    assert book.active() == []
    assert [alert.state for alert in book.query(state="pending")] == [S.PENDING]
    assert book.explain(transition.alert.alert_id)["flapping"]
    assert book.tick(now + 10 * MIN - 1) == ()
    (transition,) = book.tick(now + 10 * MIN)
    assert (transition.alert.state, transition.told) == (S.FIRING, True)
    assert transition.alert.timestamp > transition.alert.first_seen


def test_what_came_and_went_long_ago_does_not_flap():
    """Openings two hours apart are news each time."""
    book = AlertBook()
    for i in range(10):
        assert raised(book, now_us=i * 120 * MIN, offset=i).state is S.FIRING
        book.observe(detection(Kind.CLEARED), "planner", i * 120 * MIN + 1)


def test_history_is_bounded_and_open_alerts_are_not_forgotten():
    """The newest resolved ones are kept, and every open one."""
    book = AlertBook(BookPolicy(history=5))
    raised(book, "open")
    for i in range(20):
        raised(book, f"agent{i}", offset=i)
        book.observe(detection(Kind.CLEARED), f"agent{i}", i)
    assert [alert.agent_name for alert in book.query(limit=100)] == [
        "open",
        *(f"agent{i}" for i in range(15, 20)),
    ]


def test_query_filters():
    """By level, agent and state; an unknown state is refused with the list."""
    book = AlertBook()
    raised(book, "a")
    book.note_retraining(retraining(), 1)
    assert [alert.rule for alert in book.query(level=AlertLevel.INFO)] == ["retraining"]
    assert [alert.rule for alert in book.query(state="firing")] == ["accuracy_min"]
    assert book.query(agent_name="nobody") == []
    with pytest.raises(ConfigError, match="resolved"):
        book.query(state="closed")


def test_every_finished_retraining_is_told_with_its_result():
    """Info, resolved from the start, details are the result; told once per record."""
    book = AlertBook()
    (transition,) = book.note_retraining(retraining(), 1)
    alert = transition.alert
    assert transition.told
    assert (alert.level, alert.state) == (AlertLevel.INFO, S.RESOLVED)
    assert alert.details["version"] == 4
    assert alert.details["promoted"] is True
    assert book.active() == []
    assert book.note_retraining(retraining(), 2) == ()


def test_a_failed_retraining_is_critical_until_one_succeeds():
    """It fires, is acknowledged or not, and the next good result of that model resolves it."""
    book = AlertBook()
    (transition,) = book.note_retraining(retraining("failed", "r1:failed", error="disk"), 1)
    assert (transition.alert.level, transition.alert.state) == (AlertLevel.CRITICAL, S.FIRING)
    other = retraining(act_id="r2:done", model_type="routing", agents=[])
    assert len(book.note_retraining(other, 2)) == 1
    good = retraining(act_id="r3:done", agents=["somebody else"])
    states = [t.alert.state for t in book.note_retraining(good, 3)]
    assert states == [S.RESOLVED, S.RESOLVED]
    assert book.active() == []


def test_a_rollback_is_critical():
    """Both one that a retraining ended in and one by hand."""
    book = AlertBook()
    (transition,) = book.note_retraining(retraining(), 1, rolled_back=True)
    assert transition.alert.level is AlertLevel.CRITICAL
    adopted = ModelAdopted(
        act_id="m1", ts_us=0, model_type="routing", version=3, parent_version=4, verdict="rollback"
    )
    (transition,) = book.note_rollback(adopted, 2)
    assert transition.alert.level is AlertLevel.CRITICAL
    assert "version 4 to version 3" in transition.alert.message


def test_why():
    """An explanation has the opening, the latest finding and the whole course."""
    book = AlertBook()
    alert_id = raised(book, offset=3).alert_id
    book.operator(act("mute", alert_id, for_s=60.0), MIN)
    why = book.explain(alert_id)
    assert why["opened_by"]["offset"] == 3
    assert why["opened_by"]["inputs"]["setting"] == "accuracy_min"
    assert [turn["event"] for turn in why["course"]] == ["raised", "muted"]
    assert why["state_changes_at"] == "1970-01-01T00:02:00.000000Z"
    json.dumps(why)


def test_a_restored_book_goes_on():
    """Open, muted, pending and resolved alerts, flap memory and history survive."""
    book = AlertBook()
    flap(book, 5)
    muted = raised(book, "b", 10 * MIN).alert_id
    book.operator(act("mute", muted, for_s=600.0), 11 * MIN)
    book.observe(detection(Kind.BEYOND, 77), "planner", 12 * MIN)
    book.note_retraining(retraining("failed", "r1:failed"), 12 * MIN)
    state = json.loads(json.dumps(book.to_state()))
    other = AlertBook.from_state(state)
    assert other.to_state() == book.to_state()
    assert other.query(limit=100) == book.query(limit=100)
    for now in (20 * MIN, 21 * MIN, 22 * MIN, 30 * MIN):
        assert other.tick(now) == book.tick(now)
    good = retraining(act_id="r3:done")
    assert other.note_retraining(good, 40 * MIN) == book.note_retraining(good, 40 * MIN)
    assert other.to_state() == book.to_state()


@pytest.mark.parametrize("name", ["history", "flap_openings"])
def test_a_policy_that_makes_no_sense_is_refused(name):
    """By its name."""
    with pytest.raises(ConfigError, match=name):
        BookPolicy(**{name: 0})
