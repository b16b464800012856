"""The selection benchmark: it runs without its peers, tells truth from luck, hides no miss."""

from __future__ import annotations

import doctest
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "benchmarks.decisions.learning"
WITHOUT_PEERS = f"""
import runpy, sys
for name in ("bayesianbandits", "mabwiser", "river", "vowpalwabbit"):
    sys.modules[name] = None
sys.argv = ["learning", *sys.argv[1:]]
runpy.run_module("{PACKAGE}", run_name="__main__")
"""


@pytest.fixture
def module(monkeypatch):
    """Return a function from a name to that module of the benchmark."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"{PACKAGE}.{name}")


def run(*arguments):
    """Run the benchmark where no peer is to be had."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_PEERS, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def all_of(back):
    """Return the delays behind all moments, of whatever kind."""
    return [delay for delays in back.values() for delay in delays]


class Recorder:
    """Chooses the first candidate, and remembers what it was told and when."""

    def __init__(self, decision, setup):
        self.setup, self.asked, self.heard = setup, [], []
        self._decision = decision

    def choose(self, task):
        self.asked.append(task)
        return self._decision(task, task.candidates[0])

    def learn(self, decision, reward):
        asked = next(i for i, task in enumerate(self.asked) if task is decision.task)
        self.heard.append((asked, len(self.asked) - 1, reward))


@pytest.fixture
def recorded(module):
    """Return a function that plays a recorder on a problem and returns it."""

    def play(problem):
        made = []

        def new(setup):
            made.append(Recorder(module("policies").Decision, setup))
            return made[0]

        module("play").play(problem, new, 0)
        return made[0]

    return play


def test_a_quick_run_needs_no_peers(module):
    """Every scenario runs, and who is left out is said."""
    done = run("--quick")
    assert done.returncode == 0, done.stderr
    for name in module("scenarios").SCENARIOS:
        assert f"{name} ..." in done.stdout
    for library in module("peers").PACKAGES:
        assert library in done.stdout.splitlines()[0]
    assert "Vowpal Wabbit, SquareCB" not in done.stdout
    assert "decides too little for its figures" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--write"], "--write wants the peers, too"),
        (["--write", "--runs", "3"], "--write wants all of it"),
        (["--runs", "0"], "--runs 0: must be at least 1"),
        (["--tune", "--quick"], "--tune goes with --policy alone"),
    ],
)
def test_what_would_mislead_is_refused(arguments, said):
    """A page of a part, or without the peers, would look like all of it."""
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_policy_that_is_not_installed_is_named():
    """Nobody is given figures of nobody."""
    done = run("--quick", "--policy", "MABWiser, LinTS")
    assert done.returncode == 2
    assert "none of these policies is installed" in done.stderr


def test_a_problem_depends_on_its_seed_alone(module):
    """The same again, another with another seed, and the same agents in every scenario."""
    of = module("scenarios").of
    first, again, other = of("abrupt", 3, 500), of("abrupt", 3, 500), of("abrupt", 4, 500)
    assert np.array_equal(first.drawn, again.drawn)
    assert np.array_equal(first.logit, again.logit)
    assert not np.array_equal(first.logit, other.logit)
    assert np.array_equal(first.context, of("cost", 3, 500).context)
    assert np.array_equal(of("stationary", 3, 500).logit, of("late", 3, 500).logit)
    assert [len(of("stationary", seed, 50).types) for seed in (0, 1)] == [1, 4]


def test_the_problems_are_as_hard_as_they_claim(module):
    """LinUCB earns about .97 of the oracle; who does not look at the task, a fifth less."""
    of, references = module("scenarios").of, module("references")
    policies, play = module("policies"), module("play").play
    problem = of("stationary", 20_001)
    assert play(problem, policies.LinUCB, 0).score == pytest.approx(0.97, abs=0.015)
    many = references.known([of("stationary", seed, 1000) for seed in range(20_000, 20_060)])
    chance, single, per_type = (np.mean(scores) for scores in many.values())
    assert (chance, single, per_type) == pytest.approx((0.59, 0.77, 0.79), abs=0.025)
    rule = play(problem, policies.SuccessRate, 0).score
    assert rule < references.known([problem])["best single agent (knows the future)"][0]


def test_the_best_agents_degrade_and_recover(module):
    """It hurts: they are much worse for a fifth of the time, and as they were afterwards."""
    scenarios = module("scenarios")
    steady, abrupt = scenarios.of("stationary", 5, 4000), scenarios.of("abrupt", 5, 4000)
    lower = steady.logit - abrupt.logit
    kinds = [moment.kind for moment in abrupt.moments]
    assert kinds == (["first"] * 3 + ["recovery"] * 3 + ["repeat"] * 3 + ["recovery"] * 3)
    assert set(np.unique(lower.round(9))) == {0.0, scenarios.DROP}
    best = np.bincount(steady.logit.argmax(axis=1), minlength=10).argsort()[::-1][:3]
    assert (lower[:, best] > 0).mean(axis=0) == pytest.approx(0.4, abs=0.01)
    assert not np.delete(lower, best, axis=1).any()
    first = abrupt.moments[0].at
    assert not lower[first - 1].any()
    assert lower[first].any()


def test_outcomes_are_drawn_from_the_truth(module):
    """Also while an agent is degraded, and when it has recovered."""
    problem = module("scenarios").of("abrupt", 5)
    truth = module("problems").success(problem.logit)
    steady = module("scenarios").of("stationary", 5).logit
    for rows in (problem.logit < steady, problem.logit == steady):
        assert problem.drawn[rows].mean() == pytest.approx(truth[rows].mean(), abs=0.01)


def test_outcomes_are_heard_when_it_is_said(module, recorded):
    """At once, or exactly 500 decisions later, or never."""
    of = module("scenarios").of
    at_once = recorded(of("stationary", 1, 700)).heard
    assert [asked for asked, _, _ in at_once] == list(range(700))
    assert all(asked == heard for asked, heard, _ in at_once)
    late = recorded(of("late", 1, 700)).heard
    assert [(asked, heard) for asked, heard, _ in late] == [(i, i + 500) for i in range(200)]
    assert len(recorded(of("missing", 1, 2000)).heard) == pytest.approx(1600, abs=80)


def test_a_policy_sees_who_is_there_and_no_more(module, recorded):
    """Candidates are those that are available; the vector is type and features."""
    problem = module("scenarios").of("flux", 1, 2000)
    seen = recorded(problem)
    for at, task in enumerate(seen.asked):
        there = [
            name
            for name, is_there in zip(problem.agents, problem.available[at], strict=True)
            if is_there
        ]
        assert list(task.candidates) == there
        assert task.vector.tolist()[4:] == task.context.tolist()
        assert problem.types[int(task.vector[:4].argmax())] == task.task_type
    assert len({task.candidates for task in seen.asked}) == 9
    assert seen.setup.width == 16


def test_a_reward_means_its_utility(module):
    """It lies in 0..1, and its mean goes with the expected utility: cheap and good is best."""
    problem = module("scenarios").of("cost", 2)
    assert problem.reward.min() >= 0.0
    assert problem.reward.max() <= 1.0
    reward, expected = problem.reward.mean(axis=0), problem.expected.mean(axis=0)
    slope = np.polyfit(expected, reward, 1)[0]
    assert slope == pytest.approx(1 / (1 + 4.0 * problem.paid_usd.max()), rel=0.03)
    assert np.corrcoef(expected, reward)[0, 1] > 0.99


def test_the_oracle_scores_one_and_nobody_more(module):
    """The best agent for each task is 1; references lie below it in their order."""
    play, scenarios = module("play"), module("scenarios")
    for name in scenarios.SCENARIOS:
        problem = scenarios.of(name, 1, 1000)
        there = np.where(problem.available, problem.expected, -np.inf)
        assert play.score(problem, there.argmax(axis=1)) == pytest.approx(1.0)
        chance, single, per_type = (
            one[0] for one in module("references").known([problem]).values()
        )
        assert chance < single <= per_type < 1.0, name


def test_an_agent_that_is_gone_cannot_be_chosen(module):
    """A policy that takes no heed of the candidates is not scored."""
    problem = module("scenarios").of("flux", 1, 500)
    with pytest.raises(AssertionError, match="was not there"):
        module("play").score(problem, problem.expected.argmin(axis=1))


def test_back_counts_from_the_change(module):
    """Of who errs for 200 decisions behind a change the window is back after 200 + 100, nearly."""
    play, problem = module("play"), module("scenarios").of("abrupt", 1)
    best, worst = problem.expected.argmax(axis=1), problem.expected.argmin(axis=1)
    assert set(all_of(play.back(problem, best))) == {play.WINDOW}
    chosen = best.copy()
    for moment in problem.moments:
        chosen[moment.at : moment.at + 200] = worst[moment.at : moment.at + 200]
    late = all_of(play.back(problem, chosen))
    assert len(late) == 12
    assert 285 <= min(late) <= max(late) <= 300
    assert set(all_of(play.back(problem, worst))) == {np.inf}


def test_everyone_has_the_same_budget(module):
    """Eight settings each, or one for who has nothing to choose; what is kept is one of them."""
    roster, tuning = module("roster").ROSTER, module("tuning")
    assert {len(one.grid) for one in roster.values()} == {1, 8}
    assert [name for name, one in roster.items() if len(one.grid) == 1] == [
        "success rate, epsilon .1"
    ]
    scenarios = module("scenarios").SCENARIOS
    assert max(scenario.runs for scenario in scenarios.values()) < tuning.FIRST_SEED
    for who, kept in tuning.tuned().items():
        expected = set(scenarios) if roster[who].hindsight else {tuning.ALL}
        assert set(kept) == expected, who
        for one in kept.values():
            assert one["settings"] in roster[who].grid, who


def test_hindsight_alone_chooses_for_a_scenario(module):
    """Whoever does not know what will happen enters every scenario with the same settings."""
    tuning = module("tuning")
    chosen = {
        "LinUCB": {tuning.ALL: {"settings": {"alpha": 0.2}}},
        "LinUCB (hindsight)": {"late": {"settings": {"alpha": 0.1}}},
    }
    assert tuning.settings_of("LinUCB", "late", chosen) == {"alpha": 0.2}
    assert tuning.settings_of("LinUCB (hindsight)", "late", chosen) == {"alpha": 0.1}
    assert tuning.settings_of("LinUCB, discounted", "late", chosen)["alpha"] == 0.1
    names = ["LinUCB", "LinUCB, discounted", "success rate, epsilon .1"]
    assert tuning.untuned(names, chosen) == ["LinUCB, discounted"]


def test_a_missed_target_is_visible(module):
    """Ours is held against its targets, a peer against none."""
    played = [
        module("play").Played(0.94, 50.0, {"first": [900.0, 700.0, 950.0], "recovery": [100.0]}),
        module("play").Played(0.97, 60.0, {"first": [np.inf], "recovery": [120.0]}),
    ]
    scenario = module("scenarios").SCENARIOS["abrupt"]
    fared = {"Selfright": played, "LinUCB": played}
    section = module("page").section("abrupt", scenario, {"a random choice": [0.5, 0.6]}, fared)
    assert section.missed() == [
        "abrupt, Selfright, back: first time: 925 (.75 found), target <= 800"
    ]
    written = module("page").page([section], {"numpy": "2"}, {})
    assert "1 of 4 targets are missed" in written
    assert "| a random choice | 2 | .550 | .500 | .071 |  |  |  |" in written
    assert "| LinUCB | 2 | .955 | .940 | .021 | 55 | 925 (.75 found) | 110 |" in written


def test_the_examples_hold(module):
    """The doctests lie outside of the folders that pytest collects them from."""
    found = doctest.testmod(module("page"))
    assert found.attempted
    assert not found.failed
