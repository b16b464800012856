"""After a promotion: harm is rolled back by itself, and what a version was worth is told."""

from __future__ import annotations

from selfright.events.record import Decision, OperatorAct, RetrainFinished
from selfright.learn.model import new_model
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.loop.probation import Probation, ProbationPolicy
from selfright.loop.saved import decode_state, encode_state
from selfright.retrain.reward_watch import Earned

SELECTION = ModelType.AGENT_SELECTION


def test_a_harmful_promotion_is_rolled_back(fleet):
    """The version sends everything to the poor agent; its parent serves again, and why is told."""
    bad = fleet.plant(good=0.3, poor=0.95)
    fleet.updater.promote(SELECTION, bad, force=True)
    assert fleet.decide(5).count("poor") == 5
    fleet.decide(195)
    adopted = fleet.adoptions()[-1]
    assert (adopted.verdict, adopted.version, adopted.parent_version) == ("rolled_back", 1, bad)
    assert adopted.proof is not None
    assert adopted.proof.verdict == "worse"
    assert adopted.proof.n < 200
    assert fleet.served() == 1
    assert fleet.updater.registry.current(SELECTION.value) == 1
    assert fleet.decide(20).count("good") >= 15
    gate = fleet.updater.versions(SELECTION)[bad - 1].gate
    assert gate is not None
    assert gate.verdict == "rolled_back"


def test_rewards_alone_show_harm(fleet):
    """A version that knows what it plays and is wrong about what it never tries."""
    bad = fleet.plant(good=0.3, poor=0.5)
    fleet.updater.promote(SELECTION, bad, force=True)
    fleet.decide(200)
    adopted = fleet.adoptions()[-1]
    assert adopted.verdict == "rolled_back"
    assert adopted.proof is not None
    assert adopted.proof.measure == "reward"
    assert (adopted.proof.before or 0) > (adopted.proof.after or 0) + 0.2


def test_a_version_that_follows_the_world_is_not_blamed(fleet):
    """Agents fell before the promotion, others after it: the rewards are lower all the same."""
    fell = {"good": 0.3, "poor": 0.5}
    fleet.decide(150, fell)
    right = fleet.plant(good=0.3, poor=0.5)
    fleet.updater.promote(SELECTION, right, force=True)
    fleet.decide(220, fell)
    assert "rolled_back" not in {adopted.verdict for adopted in fleet.adoptions()}
    assert fleet.served() == right


def test_what_chooses_alike_is_not_blamed(fleet):
    """The fleet became worse after the promotion of a copy: that is not the copy's fault."""
    with fleet.circle.reading() as fold:
        state = fold.rooms.slots[SELECTION].champion.to_state()
    copy = fleet.updater.registry.save(SELECTION.value, state, parent=1)
    fleet.updater.promote(SELECTION, copy, force=True)
    fleet.decide(220, {"good": 0.6, "poor": 0.2})
    assert "rolled_back" not in {adopted.verdict for adopted in fleet.adoptions()}
    assert fleet.served() == copy


def test_rewards_count_only_where_the_two_choose_differently():
    """The same rewards: harm of a version that chooses otherwise, not of one that does not."""
    parent = new_model(SELECTION)
    parent.update(Samples.of(["x", "y"] * 100, [None] * 200, [0.9, 0.1] * 100))
    other = parent.restart(["x"], Samples.of(["x"] * 100, [None] * 100, [0.0] * 100))
    found = []
    for version in (parent, other):
        before = [Earned(None, "x", 1.0)] * 100
        probation = Probation.begin(ProbationPolicy(), parent, None, None, before, 0)
        for i in range(60):
            probation.note(_decision(i), version)
            probation.earn(Earned(None, "y", 0.0))
        found.append(probation.harm)
    assert found == [None, "rewards"]


def _decision(i):
    return Decision(
        act_id=str(i), ts_us=i, model_type=SELECTION.value, arm="y", probability=0.5,
        candidates=["x", "y"], probabilities=[0.5, 0.5], model_version=0, mode="thompson",
    )  # fmt: skip


def test_a_rollback_by_hand_is_not_watched(fleet):
    """Who rolls back knows why; nor is a watch of no runs one."""
    other = fleet.plant(good=0.9, poor=0.5)
    fleet.updater.promote(SELECTION, other, force=True)
    with fleet.circle.reading() as fold:
        slot = fold.rooms.slots[SELECTION]
    assert slot.probation is not None
    fleet.updater.rollback(SELECTION)
    assert slot.probation is None
    assert fleet.served() == 1


def test_no_watch_where_none_is_wanted(make_fleet):
    """``gate.watch_runs = 0`` leaves a forced version alone."""
    fleet = make_fleet(watch_runs=0)
    fleet.decide(100)
    fleet.updater.save()
    bad = fleet.plant(good=0.3, poor=0.95)
    fleet.updater.promote(SELECTION, bad, force=True)
    fleet.decide(200)
    assert fleet.served() == bad


def test_what_has_not_proved_itself_is_nothing_to_go_back_to(fleet):
    """A bad version replaced another bad one on probation: the one before both serves again."""
    for _ in range(2):
        bad = fleet.plant(good=0.3, poor=0.95)
        fleet.updater.promote(SELECTION, bad, force=True)
        fleet.decide(8)
    fleet.decide(192)
    adopted = fleet.adoptions()[-1]
    assert (adopted.verdict, adopted.version) == ("rolled_back", 1)
    assert fleet.served() == 1


def test_a_child_of_what_was_rolled_back_is_not_tried(fleet):
    """A retraining on trial when its parent is rolled back ends; it has the same fault."""
    bad = fleet.plant(good=0.3, poor=0.5)
    fleet.updater.promote(SELECTION, bad, force=True)
    result = fleet.updater.trigger_retraining(SELECTION)
    assert result.state == "pending"
    fleet.decide(200)
    assert fleet.served() == 1
    with fleet.circle.reading() as fold:
        ended = fold.trials.retrainings[result.retrain_id]
        slot = fold.rooms.slots[SELECTION]
    assert ended.gate is not None
    assert (ended.state, ended.gate.verdict) == ("done", "inconclusive")
    assert slot.challenger is None
    assert bad in slot.rolled_back


def test_the_record_of_the_retraining_says_what_it_was_worth(fleet):
    """An honest version, forced, is proved after 200 runs and is not rolled back."""
    fleet.decide(200, {"good": 0.3, "poor": 0.5})
    result = fleet.updater.trigger_retraining(SELECTION)
    fleet.updater.promote(SELECTION, int(result.version), force=True)
    fleet.decide(210, {"good": 0.3, "poor": 0.5})
    with fleet.circle.reading() as fold:
        proved = fold.trials.retrainings[result.retrain_id]
    assert isinstance(proved, RetrainFinished)
    assert proved.promoted
    assert proved.proof is not None
    assert proved.proof.verdict in {"improved", "no_change"}
    assert not proved.proof.rolled_back
    assert fleet.circle.log.find_act(f"{result.retrain_id}:proved") == proved


def test_a_probation_goes_on_from_a_checkpoint(fleet):
    """Halfway through it is written down and read back: the same state, the same end."""
    bad = fleet.plant(good=0.3, poor=0.95)
    fleet.updater.promote(SELECTION, bad, force=True)
    fleet.decide(8)
    with fleet.circle.reading() as fold:
        slot = fold.rooms.slots[SELECTION]
        state = slot.to_state()
        assert slot.probation is not None
        other = type(slot).from_state(decode_state(encode_state(state)))
        assert encode_state(other.to_state()) == encode_state(state)
        samples = Samples.of(["poor"] * 60, [None] * 60, [1.0, 0.0] * 30)
        for one in (slot, other):
            one.learn(samples)
        assert slot.probation.harm == "predictions"
        assert other.probation is not None
        assert other.probation.proof() == slot.probation.proof()


def test_what_a_rolled_back_version_was_made_into_is_not_tried(fleet):
    """A retraining that was under way when its parent was rolled back ends without a trial."""
    with fleet.circle.reading() as fold:
        slot = fold.rooms.slots[SELECTION]
    slot.rolled_back.add(slot.version)
    result = fleet.updater.trigger_retraining(SELECTION)
    assert slot.challenger is None
    with fleet.circle.reading() as fold:
        ended = fold.trials.retrainings[result.retrain_id]
    assert (ended.state, ended.gate.verdict, ended.promoted) == ("done", "inconclusive", False)
    versions = fleet.updater.versions(SELECTION)
    assert versions[-1].gate.verdict == "inconclusive"


def test_another_fold_of_the_log_rolls_back_alike(kept):
    """Nothing but the log decides: a process that comes later finds the same served."""
    first = kept.open()
    kept.runs(first, "a", 300, 0.9)
    kept.runs(first, "b", 300, 0.6)
    first.pump()
    slot = first.fold.rooms.slots[SELECTION]
    low = Samples.of(["a"] * 400, [None] * 400, [1.0] * 100 + [0.0] * 300)
    bad = kept.registry.save(SELECTION.value, slot.champion.restart(["a"], low).to_state())
    promote = OperatorAct(
        act_id="force", ts_us=kept.clock.now_us(), verb="promote", target=SELECTION.value,
        arguments={"version": bad},
    )  # fmt: skip
    first.act(promote)
    first.pump()
    assert kept.registry.current(SELECTION.value) == bad
    for _ in range(20):
        kept.runs(first, "a", 10, 0.9)
        first.pump()
    assert slot.served_version is None
    assert kept.registry.current(SELECTION.value) is None
    second = kept.open()
    assert second.fold.trials.adoptions == first.fold.trials.adoptions
    assert second.fold.trials.adoptions[-1].verdict == "rolled_back"
    assert encode_state(second.fold.to_state()) == encode_state(first.fold.to_state())
