"""Which column of a file stands for which field: ``--map NEW=OLD,...``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from selfright.errors import ConfigError, did_you_mean
from selfright.events.columns import OUTCOME_FIELDS, RUN_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

KIND: Final = "kind"
FIELDS: Final = (KIND, *dict.fromkeys((*RUN_FIELDS, *OUTCOME_FIELDS)))
# Columns of these prefixes go, under the rest of their name, into the mapping so called.
PREFIXES: Final = ("context.", "config.")


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """The fields a file fills, in the file's words, and what it holds beyond them.

    Attributes
    ----------
    column_of
        Field to the file's column.
    ignored
        The file's columns that fill no field.
    """

    column_of: dict[str, str]
    ignored: tuple[str, ...]


def parse_mapping(text: str) -> dict[str, str]:
    """Return ``NEW=OLD,...`` as a mapping of NEW to OLD; OLD may be empty.

    Raises ``ConfigError`` for anything else, and for a NEW that is given twice.
    """
    mapping: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        new, equals, old = (part.strip() for part in pair.partition("="))
        if not equals or not new:
            raise ConfigError("map", pair, "write NEW=OLD,... e.g. accuracy_score=reward")
        if new in mapping:
            raise ConfigError("map", pair, f"{new} is mapped twice")
        mapping[new] = old
    return mapping


def resolve(
    mapping: Mapping[str, str], columns: Sequence[str], *, setting: str = "map"
) -> ColumnMap:
    """Return which field each column fills; ``setting`` is what errors blame.

    A column that bears the name of a field fills it, unless it is renamed; a mapping to
    the empty name leaves that field out. Raises ``ConfigError`` for a NEW that is no
    field or an OLD that is no column, with a suggestion.
    """
    for new, old in mapping.items():
        if not is_field(new):
            remedy = f"{new} is no field{did_you_mean(new, FIELDS)}; fields are {_listed(FIELDS)}"
            raise ConfigError(setting, f"{new}={old}", f"{remedy}, context.NAME and config.NAME")
        if old:
            require_column(setting, old, columns)
    renamed = {old for old in mapping.values() if old}
    column_of = {
        name: name
        for name in columns
        if is_field(name) and name not in mapping and name not in renamed
    }
    column_of |= {new: old for new, old in mapping.items() if old}
    used = set(column_of.values())
    return ColumnMap(column_of, tuple(name for name in columns if name not in used))


def is_field(name: str) -> bool:
    """Return whether ``name`` is a field of a run or an outcome, or of its context or config."""
    return name in FIELDS or any(
        name.startswith(prefix) and len(name) > len(prefix) for prefix in PREFIXES
    )


def require_column(setting: str, name: str, columns: Sequence[str]) -> None:
    """Raise ``ConfigError`` where a file has no column ``name``."""
    if name not in columns:
        hint = did_you_mean(name, columns)
        raise ConfigError(setting, name, f"no such column{hint}; columns are {_listed(columns)}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
