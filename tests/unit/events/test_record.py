"""Acts: what they are on disk, they are again in memory."""

from __future__ import annotations

import inspect
from typing import Any, get_args

import msgspec
import pytest

from selfright.events import record
from selfright.events.door import Door
from selfright.events.record import AgentRun, Outcome, decode_act, encode_act

SAMPLES: dict[str, dict[str, Any]] = {
    "Decision": {
        "model_type": "agent_selection",
        "arm": "planner",
        "probability": 0.25,
        "candidates": ["planner", "coder"],
        "probabilities": [0.25, 0.75],
        "model_version": 3,
        "mode": "learned",
        "context": {"size": 1},
    },
    "RetrainRequested": {
        "model_type": "agent_selection",
        "mode": "incremental",
        "reason": "accuracy",
        "automatic": True,
        "agents": ["planner"],
        "causes": [{"rule": "accuracy_min"}],
    },
    "RetrainFinished": {
        "retrain_id": "t1",
        "model_type": "agent_selection",
        "retrain_type": "full",
        "state": "done",
        "reason": "accuracy",
        "automatic": False,
        "agents": [],
        "gate": record.GateRecord(verdict="promoted", n=80, gain=0.1),
    },
    "ModelAdopted": {
        "model_type": "routing",
        "version": 2,
        "parent_version": 1,
        "verdict": "promoted",
    },
    "AlertTransition": {
        "alert_id": "a1",
        "rule": "accuracy_min",
        "agent_name": None,
        "state": "firing",
        "level": "critical",
        "message": "low",
        "details": {"value": 0.5},
    },
    "OperatorAct": {"verb": "rollback", "target": "routing", "arguments": {"version": 1}},
    "SettingsApplied": {"settings": {"gate": {"level": 0.01}}},
}
ACTS = {act.__name__: act for act in get_args(record.AnyAct)}


def test_every_kind_of_act_has_a_sample_here() -> None:
    """A new kind is tested from its first day."""
    assert set(SAMPLES) == set(ACTS)


@pytest.mark.parametrize("name", sorted(ACTS))
def test_an_act_survives_the_log(name: str) -> None:
    """Encoded, decoded, equal; and its repr says what it is."""
    act = ACTS[name](act_id="x", ts_us=5, **SAMPLES[name])
    assert decode_act(encode_act(act)) == act
    assert repr(act).startswith(name)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xc1", msgspec.msgpack.encode({"act": "none"})])
def test_what_is_no_act_is_refused(data: bytes) -> None:
    """The log turns that into a CorruptLogError."""
    with pytest.raises(msgspec.MsgspecError):
        decode_act(data)


@pytest.mark.parametrize(("kind", "door"), [(AgentRun, Door.run), (Outcome, Door.outcome)])
def test_the_wire_form_and_the_call_have_the_same_fields(kind: Any, door: Any) -> None:
    """The wire door passes the fields by position: one swapped pair would mix them up."""
    parameters = list(inspect.signature(door).parameters)
    assert tuple(parameters[1:-1]) == kind.__struct_fields__
