"""``--map NEW=OLD,...``: our words for a file's columns."""

from __future__ import annotations

import pytest

from selfright.errors import ConfigError
from selfright.events.columns import OUTCOME_FIELDS, RUN_FIELDS
from selfright.sources.mapping import FIELDS, is_field, parse_mapping, resolve


def test_pairs_are_told_apart_by_commas() -> None:
    """Spaces do not matter; the empty OLD is kept; an OLD may hold an equals sign."""
    assert parse_mapping(" accuracy_score = reward , status=,,cost=a=b ") == {
        "accuracy_score": "reward",
        "status": "",
        "cost": "a=b",
    }
    assert parse_mapping("") == {}


@pytest.mark.parametrize("text", ["reward", "=reward", "a=b,reward", "cost=a,cost=b"])
def test_what_is_no_pair_is_an_error(text: str) -> None:
    """So is a field that is mapped twice."""
    with pytest.raises(ConfigError):
        parse_mapping(text)


def test_every_field_of_a_run_and_an_outcome_can_be_mapped() -> None:
    """And parts of context and config."""
    assert {*RUN_FIELDS, *OUTCOME_FIELDS, "kind"} == set(FIELDS)
    for name in (*FIELDS, "context.x", "config.a.b"):
        assert is_field(name)
    for name in ("context.", "metadata.x", "reward", ""):
        assert not is_field(name)


def test_columns_fill_the_fields_they_are_named_like_unless_renamed() -> None:
    """The rest is ignored, in the order of the file."""
    found = resolve(
        {"task_type": "status", "cost": "usd", "agent_type": ""},
        ("z", "status", "agent_name", "agent_type", "cost", "usd", "context.x"),
    )
    assert found.column_of == {
        "agent_name": "agent_name",
        "context.x": "context.x",
        "task_type": "status",
        "cost": "usd",
    }
    assert found.ignored == ("z", "agent_type", "cost")


def test_one_column_may_fill_several_fields() -> None:
    """Also the one it is named like, if that is said."""
    found = resolve({"route": "task_type", "task_type": "task_type"}, ("task_type",))
    assert found.column_of == {"route": "task_type", "task_type": "task_type"}
    assert found.ignored == ()
