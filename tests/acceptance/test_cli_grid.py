"""``backtest --grid``: many settings over one history, and what a newcomer gets wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from selfright.cli.app import app

pytestmark = pytest.mark.acceptance


@pytest.fixture
def history(tmp_path):
    """Return a file of runs of an agent that falls from .92 to .5."""
    rng = np.random.default_rng(1)
    lines = [
        json.dumps(
            {
                "run_id": f"r{i}",
                "agent_name": "planner",
                "status": "success" if rng.random() < (0.92 if i < 800 else 0.5) else "failure",
                "duration_ms": 100.0,
                "timestamp": 1.79e9 + 10 * i,
            }
        )
        for i in range(1200)
    ]
    path = tmp_path / "runs.ndjson"
    path.write_text("\n".join(lines))
    return path


def _run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_every_combination_is_played_and_differs_where_it_should(history):
    """A longer run length finds the same drop later; a useless threshold asks for nothing."""
    done = _run(
        "backtest", history, "--json", "--grid", "detect.run_length=1e3,1e9",
        "--grid", "detect.min_drop=0,0.02",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [one["settings"] for one in found] == [
        {"detect.run_length": length, "detect.min_drop": drop}
        for length in ("1e3", "1e9")
        for drop in ("0", "0.02")
    ]
    soon, _, late, _ = (one["first certain at"] for one in found)
    assert 0 < soon < late
    assert late >= 800
    assert all(one["certain"] for one in found)


def test_a_table_for_people(history):
    """One row for each setting."""
    done = _run("backtest", history, "--grid", "detect.min_drop=0,0.05")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("\n│") == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "either --matrix or --grid"),
        (("--matrix", "--grid", "detect.min_drop=0"), "either --matrix or --grid"),
        (("--grid", "detect.min_drop"), "write KEY=VALUE"),
        (("--grid", "detect.min_dro=1"), "did you mean detect.min_drop"),
        (("--grid", "detect.min_drop=much"), "detect.min_drop"),
        (("--grid", "detect.min_drop=0", "--grid", "detect.min_drop=1"), "stands there twice"),
        (("--grid", "trigger.new_outcomes=" + ",".join(map(str, range(1, 300)))), "at most"),
    ],
)
def test_mistakes_are_told_before_anything_is_played(history, arguments, told):
    """The option, the value and what to write instead."""
    done = _run("backtest", history, *arguments)
    assert done.exit_code == 2, done.output
    assert told in done.output
    assert "Traceback" not in done.output
