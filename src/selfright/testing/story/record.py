"""What a case says, as data: rows that arrive, and what must hold when somebody looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selfright.clock import US_PER_S
from selfright.errors import SelfrightError
from selfright.testing.clock import START_US

if TYPE_CHECKING:
    Value = str | float | int | bool | None


class StoryError(SelfrightError, ValueError):
    """A case is not written in the language. ``line`` says where; correct it there."""

    def __init__(self, line: int, reason: str) -> None:
        self.line = line
        super().__init__(f"line {line}: {reason}")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A row and when it arrives, microseconds since the epoch.

    ``kind`` is run, outcome or act; the row has the fields of ``record_agent_run`` or
    ``record_accuracy``, that of an act ``verb`` and ``words`` besides its own.
    """

    at_us: int
    kind: str
    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """``name op value`` of an expectation. Times are seconds since the start."""

    name: str
    op: str
    value: Value

    def holds(self, found: object) -> bool:
        """Return whether ``found`` is as wanted; numbers may differ by a billionth."""
        if self.op in {"=", "!="}:
            return _same(found, self.value) is (self.op == "=")
        if not is_number(found) or not is_number(self.value):
            return False
        left, right = float(str(found)), float(str(self.value))
        return {
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
        }[self.op]

    def __str__(self) -> str:
        return f"{self.name}{self.op}{self.value}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """One ``expect`` line: what kind of thing, which one, and how it must be."""

    line: int
    text: str
    negated: bool
    kind: str
    words: tuple[str, ...]
    conditions: tuple[Condition, ...]

    def condition(self, name: str) -> Condition | None:
        """Return the condition on ``name``, if there is one."""
        return next((item for item in self.conditions if item.name == name), None)


@dataclass(frozen=True, slots=True)
class Look:
    """An ``eval`` line with its expectations."""

    line: int
    at_us: int
    expectations: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """A whole case. ``arrivals`` are in order of arrival, ``looks`` in order of time."""

    title: str
    settings: dict[str, Value]
    arrivals: tuple[Arrival, ...]
    looks: tuple[Look, ...]


def seconds(at_us: int) -> float:
    """Return ``at_us`` as seconds since the start of the case."""
    return (at_us - START_US) / US_PER_S


def is_number(value: object) -> bool:
    """Return whether ``value`` is a number, which a truth value is not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(found: object, wanted: Value) -> bool:
    if is_number(found) and is_number(wanted):
        return abs(float(str(found)) - float(str(wanted))) <= 1e-9
    if isinstance(found, (list, tuple, set)):
        return wanted in found
    return found == wanted
