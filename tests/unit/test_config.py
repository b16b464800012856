"""Settings: where each comes from, and what is said when one is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from selfright.config import (
    Described,
    Loaded,
    Settings,
    Thresholds,
    describe,
    load,
    with_thresholds,
    with_values,
)
from selfright.errors import ConfigError


def value_of(settings: Settings, key: str) -> Any:
    """Return a setting by its dotted key."""
    section, name = key.split(".")
    return getattr(getattr(settings, section), name)


def test_defaults_hold_where_nothing_is_given() -> None:
    """The numbers users were promised."""
    loaded = load()
    assert loaded.settings == Settings()
    assert set(loaded.origin.values()) == {"default"}
    assert msgspec.structs.asdict(loaded.settings.thresholds) == {
        "success_rate_min": 0.80,
        "error_rate_max": 0.15,
        "accuracy_min": 0.70,
        "latency_p95_max_ms": 5000.0,
        "cost_per_task_max": 1.0,
        "memory_max_mb": 1024.0,
        "token_per_task_max": 5000.0,
    }


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    """Each key by itself, and the origin says who won."""
    file = tmp_path / "selfright.toml"
    file.write_text("[server]\nport = 1\nhost = 'file'\ndata_dir = 'file'\n", encoding="utf-8")
    environment = {"SELFRIGHT__SERVER__PORT": "2", "SELFRIGHT__SERVER__HOST": "env", "PATH": "x"}
    loaded = load(file=file, environment=environment, flags={"server.port": 3})
    server, origin = loaded.settings.server, loaded.origin
    assert (server.port, origin["server.port"]) == (3, "flag")
    assert (server.host, origin["server.host"]) == ("env", "environment SELFRIGHT__SERVER__HOST")
    assert (server.data_dir, origin["server.data_dir"]) == ("file", str(file))
    assert (server.max_event_bytes, origin["server.max_event_bytes"]) == (1 << 20, "default")


@pytest.mark.parametrize("key", ["server.max_event_bytes", "server.max_batch_bytes"])
def test_what_is_promised_at_most_cannot_be_raised(key: str) -> None:
    """1 MiB an event, 8 MiB a body: a setting above it is refused by name."""
    with pytest.raises(ConfigError, match=key):
        load(flags={key: 16 << 20})


def test_a_flag_not_given_changes_nothing() -> None:
    """The command line passes None for it."""
    assert load(flags={"server.port": None}).origin["server.port"] == "default"


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("SELFRIGHT__SERVER__PORT", "9", "server.port", 9),
        ("SELFRIGHT__THRESHOLDS__ACCURACY_MIN", "0.5", "thresholds.accuracy_min", 0.5),
        ("SELFRIGHT__GATE__EMERGENCY", "false", "gate.emergency", False),
        ("SELFRIGHT__GATE__EMERGENCY", "1", "gate.emergency", True),
        ("SELFRIGHT__LEARN__STRATEGY", "gradient", "learn.strategy", "gradient"),
        ("SELFRIGHT__SERVER__ALLOWED_HOSTS", '["a", "b"]', "server.allowed_hosts", ["a", "b"]),
        ("SELFRIGHT__SYNC__COLUMNS", '{"cost": "usd"}', "sync.columns", {"cost": "usd"}),
        ("SELFRIGHT__NOTIFY__WEBHOOK_URL", "http://x", "notify.webhook_url", "http://x"),
    ],
)
def test_the_environment_speaks_text(variable: str, text: str, key: str, value: object) -> None:
    """Numbers, truth values, and JSON for lists and mappings."""
    assert value_of(load(environment={variable: text}).settings, key) == value


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("thresholds.accuracy_min", 1.5, "<= 1.0"),
        ("thresholds.accuracy_min", -0.1, ">= 0.0"),
        ("thresholds.accuracy_min", float("nan"), "float"),
        ("thresholds.cost_per_task_max", 0, "> 0.0"),
        ("thresholds.cost_per_task_max", float("inf"), "finite"),
        ("thresholds.cost_per_task_max", "inf", "finite"),
        ("thresholds.cost_per_task_max", "nan", "float"),
        ("thresholds.cost_per_task_max", "1e999", "out of range"),
        ("thresholds.cost_per_task_max", True, "float"),
        ("thresholds.cost_per_task_max", "cheap", "float"),
        ("server.port", 65_536, "65535"),
        ("server.port", 1.5, "int"),
        ("server.host", "", "length >= 1"),
        ("server.host", "\ud800", "surrogates"),
        ("server.allowed_hosts", "a,b", 'JSON such as ["a", "b"]'),
        ("server.allowed_hosts", [1], "str"),
        ("server.allowed_hosts", "\ud800", "JSON"),
        ("sync.columns", "a=b", 'JSON such as {"a": "b"}'),
        ("learn.strategy", "magic", "bayesian, exponential, moving_average, gradient"),
        ("gate.emergency", 1, "bool"),
        ("trigger.confidence", 0.5, "> 0.5"),
        ("windows.max_agents", 1, ">= 2"),
    ],
)
def test_a_value_out_of_range_names_key_value_and_remedy(key: str, value: Any, words: str) -> None:
    """And which source it came from."""
    with pytest.raises(ConfigError) as caught:
        load(flags={key: value})
    assert caught.value.setting == key
    assert words in caught.value.remedy
    assert caught.value.remedy.endswith("(flag)")


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("server.prot", "server.port"),
        ("treshold.accuracy_min", "thresholds.accuracy_min"),
        ("accuracy_min", "thresholds.accuracy_min"),
        ("", None),
        ("zzz.zzz", None),
    ],
)
def test_an_unknown_key_is_an_error_with_a_suggestion(key: str, suggestion: str | None) -> None:
    """A misspelt setting that silently does nothing is worse than an error."""
    with pytest.raises(ConfigError, match="no such setting") as caught:
        load(flags={key: 1})
    assert (f"did you mean {suggestion}?" in caught.value.remedy) is (suggestion is not None)


def test_a_misspelt_variable_is_found_too() -> None:
    """Under its own name."""
    with pytest.raises(ConfigError, match=r"server\.port\?.*SELFRIGHT__SERVER__PROT"):
        load(environment={"SELFRIGHT__SERVER__PROT": "1"})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"port = 1", "must be a section [port]"),
        (b"[server\n", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[server]\nprot = 1", "did you mean server.port?"),
        (b"[server]\nport = -1", ">= 0"),
        (b"[server.port]\nx = 1", "expected `int`"),
    ],
)
def test_a_wrong_file_is_told_with_its_name(tmp_path: Path, content: bytes, words: str) -> None:
    """So that the right one of several is corrected."""
    file = tmp_path / "selfright.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(file=file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_file_asked_for_must_be_there(tmp_path: Path, name: str) -> None:
    """A folder is no file either."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load(file=tmp_path / name)


def test_the_table_covers_every_field_with_words() -> None:
    """``config show`` and the documentation are made from it."""
    described = list(describe())
    keys = [row.key for row in described]
    tree = msgspec.to_builtins(Settings())
    assert keys == [f"{section}.{name}" for section in tree for name in tree[section]]
    for row in described:
        assert row.description, row.key
        assert row.default == value_of(Settings(), row.key)


def test_every_setting_can_be_given_and_is_checked() -> None:
    """Its own default passes from everywhere, and a value of no type at all from nowhere."""
    for row in describe():
        if row.default is None:
            continue
        loaded = load(flags={row.key: row.default})
        assert loaded.settings == Settings()
        assert loaded.origin[row.key] == "flag"
        text = row.default
        if not isinstance(row.default, str):
            text = msgspec.json.encode(row.default).decode()
        name = f"SELFRIGHT__{row.key.upper().replace('.', '__')}"
        assert load(environment={name: text}).settings == Settings()
        with pytest.raises(ConfigError):
            load(flags={row.key: object()})


def test_settings_are_frozen() -> None:
    """Nobody turns a number behind another's back."""
    with pytest.raises(AttributeError):
        Settings().server.port = 1  # type: ignore[misc]
    changed = with_values(Settings(), {"server.port": 1, "thresholds.accuracy_min": 0.5})
    assert (changed.server.port, changed.thresholds.accuracy_min) == (1, 0.5)
    assert Settings().server.port == 8000


def test_changing_an_unknown_setting_is_an_error() -> None:
    """As in a file."""
    for key in ("server.prot", "server", "sever.port", "server.port.x"):
        with pytest.raises(ConfigError, match="no such setting"):
            with_values(Settings(), {key: 1})
    with pytest.raises(ConfigError, match="given"):
        with_values(Settings(), {"server.port": -1})


def test_thresholds_merge_into_the_defaults() -> None:
    """Bare names, numpy numbers too; what is not named stays."""
    settings = with_thresholds(Settings(), {"accuracy_min": np.float64(0.5), "memory_max_mb": 10})
    assert settings.thresholds == Thresholds(accuracy_min=0.5, memory_max_mb=10.0)
    assert with_thresholds(Settings(), None) == with_thresholds(Settings(), {}) == Settings()


@pytest.mark.parametrize("value", [2, -1, float("nan"), True, None, "high", [0.5]])
def test_a_threshold_out_of_range_is_an_error(value: Any) -> None:
    """It names the threshold."""
    with pytest.raises(ConfigError, match=r"thresholds\.accuracy_min"):
        with_thresholds(Settings(), {"accuracy_min": value})


def test_an_unknown_threshold_is_an_error_with_a_suggestion() -> None:
    """And the list of those there are."""
    with pytest.raises(ConfigError) as caught:
        with_thresholds(Settings(), {"acuracy_min": 0.5})
    assert "did you mean accuracy_min?" in str(caught.value)
    assert "token_per_task_max" in str(caught.value)


@pytest.mark.parametrize("thing", [Settings(), Thresholds(), load(), Described("a.b", 1, "words")])
def test_a_repr_ends(thing: Settings | Thresholds | Loaded | Described) -> None:
    """And says what it is."""
    assert repr(thing).startswith(type(thing).__name__)
    assert str(thing) == repr(thing)
