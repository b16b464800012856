"""The words of a case: times, values, ``name=value``, counts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from selfright.clock import US_PER_S
from selfright.testing.story.record import Condition, StoryError

if TYPE_CHECKING:
    from selfright.testing.story.record import Value

_UNITS: Final = {
    "ms": 1_000,
    "s": US_PER_S,
    "m": 60 * US_PER_S,
    "h": 3_600 * US_PER_S,
    "d": 86_400 * US_PER_S,
}
_WORDS: Final[dict[str, Value]] = {"yes": True, "no": False, "none": None}
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE_TIME: Final = re.compile(rf"(?:{_TIME.pattern})+")
_COUNT: Final = re.compile(r"x(\d+)")
_FIELD: Final = re.compile(r"([A-Za-z_][\w.]*)(!=|<=|>=|=|<|>)(.+)")


def as_count(word: str) -> int | None:
    """Return 100 for ``x100``, None for anything else."""
    found = _COUNT.fullmatch(word)
    return None if found is None else int(found[1])


def is_field(word: str) -> bool:
    """Return whether ``word`` is ``name=value`` or another comparison."""
    return _FIELD.fullmatch(word) is not None


def as_field(line: int, word: str) -> tuple[str, Value]:
    """Return the parts of ``name=value``. Raises ``StoryError``."""
    found = _FIELD.fullmatch(word)
    if found is None or found[2] != "=":
        raise StoryError(line, f"write name=value, not {word!r}")
    return found[1], as_value(found[3])


def as_condition(line: int, word: str) -> Condition | None:
    """Return ``name<value`` as a condition, times in seconds; None where it is none."""
    found = _FIELD.fullmatch(word)
    if found is None:
        return None
    value = as_value(found[3])
    if isinstance(value, str) and _WHOLE_TIME.fullmatch(value):
        value = as_time_us(line, value) / US_PER_S
    return Condition(found[1], found[2], value)


def as_value(text: str) -> Value:
    """Return a number, a truth value or nothing where ``text`` is one, else ``text``."""
    if text in _WORDS:
        return _WORDS[text]
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (int, float)) else text


def as_time_us(line: int, text: str) -> int:
    """Return ``1h30m`` as microseconds. Raises ``StoryError``."""
    if not _WHOLE_TIME.fullmatch(text):
        raise StoryError(line, f"write a time such as 10s or 5m, not {text!r}")
    return round(sum(float(number) * _UNITS[unit] for number, unit in _TIME.findall(text)))
