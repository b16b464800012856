"""The tree of errors: what to catch, and what each one says."""

from __future__ import annotations

import pickle

import pytest

from selfright import errors
from selfright.errors import (
    BackpressureError,
    ConfigError,
    ConflictError,
    CorruptLogError,
    DataDirectoryLockedError,
    InvalidEventError,
    MissingExtraError,
    SelfrightError,
    StorageError,
    TransportError,
    UnknownNameError,
    did_you_mean,
    shown,
)

# Each error, the builtin a Python reader expects, its message and its data.
EXAMPLES = [
    (
        InvalidEventError("cost", -1, "must not be negative"),
        ValueError,
        "cost=-1: must not be negative",
        {"field": "cost", "value": "-1", "reason": "must not be negative"},
    ),
    (
        ConfigError("server.port", 99_999, "must be at most 65535"),
        ValueError,
        "server.port=99999: must be at most 65535",
        {"setting": "server.port", "value": "99999", "remedy": "must be at most 65535"},
    ),
    (
        MissingExtraError("reading Parquet files", "analytics"),
        ConfigError,
        "pip install 'selfright[analytics]'",
        {"extra": "analytics"},
    ),
    (
        DataDirectoryLockedError("/data", 42),
        ConfigError,
        "is in use by process 42; stop that process",
        {"pid": 42},
    ),
    (
        UnknownNameError("agent", "planer", "did you mean planner?"),
        LookupError,
        "no agent 'planer'; did you mean planner?",
        {"name": "'planer'"},
    ),
    (
        ConflictError("a retraining", "t1"),
        SelfrightError,
        "a retraining: t1 is under way",
        {"running_id": "t1"},
    ),
    (BackpressureError(0.5), SelfrightError, "repeat after 0.5 s", {"retry_after_s": 0.5}),
    (
        TransportError("webhook", "refused", retryable=True),
        ConnectionError,
        "webhook: refused",
        {"target": "webhook", "retryable": True},
    ),
    (
        StorageError("/data/log", "disk full"),
        OSError,
        "/data/log: disk full",
        {"path": "/data/log"},
    ),
    (
        CorruptLogError("/data/log", 17, "bad checksum"),
        SelfrightError,
        "/data/log at offset 17: bad checksum",
        {"offset": 17},
    ),
]


@pytest.mark.parametrize(
    ("error", "builtin", "message", "data"), EXAMPLES, ids=lambda v: type(v).__name__
)
def test_an_error_can_be_caught_read_and_worked_with(
    error: SelfrightError, builtin: type[Exception], message: str, data: dict[str, object]
) -> None:
    """By our base or the builtin, as one line of text, and by its data."""
    assert isinstance(error, SelfrightError)
    assert isinstance(error, builtin)
    assert message in str(error)
    assert "\n" not in str(error)
    assert repr(error).startswith(type(error).__name__)
    for name, value in data.items():
        assert getattr(error, name) == value


def test_every_error_is_in_the_tree_at_the_head_and_has_an_example() -> None:
    """A new class is drawn and tested from its first day."""
    classes = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, SelfrightError)
    }
    for name in classes:
        assert name in (errors.__doc__ or "")
    assert {type(error) for error, *_ in EXAMPLES} == set(classes.values()) - {SelfrightError}


def test_an_owner_may_be_unknown() -> None:
    """A lock file can be unreadable."""
    assert "is in use by another process" in str(DataDirectoryLockedError("/data", None))
    assert str(CorruptLogError("/log", None, "cut off")) == "/log: cut off"
    assert str(UnknownNameError("alert", "a1")) == "no alert 'a1'"


def test_values_are_shown_short() -> None:
    """Payloads, prompts and secrets do not travel in errors."""
    assert shown("a" * 1000) == "'" + "a" * 118 + "…"
    assert len(InvalidEventError("metadata", {"k": "v" * 10_000}, "too large").value) == 120
    assert shown(5) == "5"


class Unshowable:
    """A value whose repr fails."""

    def __repr__(self) -> str:
        raise RuntimeError


def test_a_value_that_cannot_be_shown_does_not_replace_the_error() -> None:
    """The refusal must arrive, whatever was refused."""
    assert "Unshowable" in str(InvalidEventError("cost", Unshowable(), "must be a number"))


def test_what_holds_itself_can_be_shown() -> None:
    """Its repr ends."""
    itself: list[object] = []
    itself.append(itself)
    assert shown(itself) == "[[...]]"


def test_suggestions_are_the_nearest_or_none() -> None:
    """No guess is better than a wild one."""
    known = ["agent_name", "agent_type", "run_id"]
    assert did_you_mean("agent_nmae", known) == "; did you mean agent_name?"
    assert did_you_mean("zzz", known) == ""
    assert did_you_mean(5, known) == ""
    assert did_you_mean("x", []) == ""


@pytest.mark.parametrize(
    "error", [example[0] for example in EXAMPLES], ids=lambda e: type(e).__name__
)
def test_an_error_crosses_a_process(error: SelfrightError) -> None:
    """Workers of a pool send theirs back; one that cannot be sent breaks the pool."""
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)
