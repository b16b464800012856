"""Where the value of a setting comes from.

Strongest first: a command line flag, the environment (``SELFRIGHT__SECTION__KEY``), the file
``selfright.toml``, the default. ``Loaded.origin`` says which of them won. The description of
each setting is what ``selfright config show`` and the documentation print.
"""

from __future__ import annotations

import math
import tomllib
from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from selfright.config.sections import Section, Settings, Thresholds
from selfright.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

ENVIRONMENT_PREFIX: Final = "SELFRIGHT__"
FILE_NAME: Final = "selfright.toml"


class Loaded(Struct, frozen=True):
    """Settings and, per dotted key, where the value came from."""

    settings: Settings
    origin: dict[str, str]


class Described(Struct, frozen=True):
    """One row of the documented table of settings."""

    key: str
    default: object
    description: str


def describe() -> Iterator[Described]:
    """Yield every setting with its default and description, in the order of the tree."""
    for section_name, section_type in _sections().items():
        hints = get_type_hints(section_type, include_extras=True)
        default = section_type()
        for name in section_type.__struct_fields__:
            yield Described(
                f"{section_name}.{name}", getattr(default, name), _description(hints[name])
            )


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Loaded:
    """Return the settings that hold, and the origin of each.

    Parameters
    ----------
    file
        A TOML file; None reads none.
    environment
        Variables; only those that start with ``SELFRIGHT__`` count.
    flags
        Dotted keys (``server.port``) to values; None values are flags not given.

    Raises
    ------
    ConfigError
        For an unreadable file, an unknown key (with a suggestion) or a value out of
        range; it names key, value and remedy.
    """
    chosen: dict[str, tuple[object, str]] = {
        row.key: (row.default, "default") for row in describe()
    }
    for key, value, origin in _given(file, environment or {}, flags or {}):
        if key not in chosen:
            raise ConfigError(key, value, f"no such setting{_nearest(key, chosen)} ({origin})")
        chosen[key] = (_checked(key, value, origin), origin)
    tree: dict[str, dict[str, object]] = {}
    for key, (value, _) in chosen.items():
        section, name = key.split(".", 1)
        tree.setdefault(section, {})[name] = value
    settings = msgspec.convert(tree, Settings)
    return Loaded(settings, {key: origin for key, (_, origin) in chosen.items()})


def with_values(settings: Settings, values: Mapping[str, object]) -> Settings:
    """Return ``settings`` with some dotted keys changed. Raises ``ConfigError``."""
    tree = msgspec.to_builtins(settings)
    for key, value in values.items():
        section, _, name = key.partition(".")
        if section not in tree or name not in tree[section]:
            known = [row.key for row in describe()]
            raise ConfigError(key, value, f"no such setting{_nearest(key, known)}")
        tree[section][name] = _checked(key, value, "given")
    return msgspec.convert(tree, Settings)


def _nearest(key: str, known: Iterable[str]) -> str:
    return did_you_mean(key, known) or "; `selfright config show` lists them"


def with_thresholds(settings: Settings, thresholds: Mapping[str, float] | None) -> Settings:
    """Return ``settings`` with thresholds merged in; keys are bare, e.g. ``accuracy_min``."""
    if not thresholds:
        return settings
    known = Thresholds.__struct_fields__
    for name, value in thresholds.items():
        if name not in known:
            raise ConfigError(
                f"alert_thresholds[{name!r}]",
                value,
                f"no such threshold{did_you_mean(name, known)}; known are {', '.join(known)}",
            )
    return with_values(
        settings, {f"thresholds.{name}": value for name, value in thresholds.items()}
    )


def _sections() -> dict[str, type[Section]]:
    return get_type_hints(Settings)


def _given(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]
) -> Iterator[tuple[str, object, str]]:
    if file is not None:
        yield from ((key, value, str(file)) for key, value in _read(file))
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX):
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            yield key, environment[name], f"environment {name}"
    for key, value in flags.items():
        if value is not None:
            yield key, value, "flag"


def _read(file: Path) -> Iterator[tuple[str, object]]:
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError("config file", str(file), f"cannot be read: {error}") from error
    for section, values in tree.items():
        if not isinstance(values, dict):
            raise ConfigError(section, values, f"must be a section [{section}] in {file}")
        for name, value in values.items():
            yield f"{section}.{name}", value


def _checked(key: str, value: object, origin: str) -> object:
    section, name = key.split(".", 1)
    hint = get_type_hints(_sections()[section], include_extras=True)[name]
    # numpy values are plain ones to whoever writes them.
    given = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(given, str) and (structure := _structure(hint)) is not None:
        given = _from_json(key, given, structure, origin)
    try:
        # Text from the environment or a flag may stand for a number or a truth value.
        checked = msgspec.convert(given, hint, strict=not isinstance(given, str))
        msgspec.json.encode(checked)  # settings are recorded, and lone surrogates cannot be
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise ConfigError(key, value, f"{_reason(error, hint)} ({origin})") from error
    if isinstance(checked, float) and not math.isfinite(checked):
        raise ConfigError(key, value, f"must be a finite number ({origin})")
    return checked


def _reason(error: Exception, hint: object) -> str:
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if get_origin(bare) is Literal:
        return f"must be one of {', '.join(get_args(bare))}"
    reason = str(error)
    return f"{reason[:1].lower()}{reason[1:]}"


def _structure(hint: object) -> type | None:
    """Return list or dict where the setting is one: as text it is written in JSON."""
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    origin: type | None = get_origin(bare)
    return origin if origin in {list, dict} else None


def _from_json(key: str, text: str, structure: type, origin: str) -> object:
    example = '["a", "b"]' if structure is list else '{"a": "b"}'
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise ConfigError(key, text, f"must be JSON such as {example} ({origin})") from error


def _description(hint: object) -> str:
    metas = [arg for arg in get_args(hint)[1:] if isinstance(arg, Meta)]
    return next((meta.description for meta in metas if meta.description), "")
