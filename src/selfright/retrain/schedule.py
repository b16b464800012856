"""When a scheduled retraining is due: five fields as in cron, in UTC. Pure.

======================  ==========  =====================
field                   values      names
======================  ==========  =====================
minute                  0-59
hour                    0-23
day of the month        1-31
month                   1-12        jan ... dec
day of the week         0-7         sun ... sat; 0 and 7: Sunday
======================  ==========  =====================

Each is ``*`` or a list of values and ranges (``1,5-9``), with a step where wanted (``*/15``,
``10-40/10``, ``5/20``: from 5 on). A day has to fit both of its fields; where neither begins
with ``*``, one of them is enough, as in every cron.
"""

from __future__ import annotations

import calendar
import datetime as dt
from dataclasses import dataclass
from typing import Final, Self

from selfright.errors import ConfigError

SETTING: Final = "retrain.schedule"
_US_PER_S: Final = 1_000_000
_US_PER_DAY: Final = 86_400 * _US_PER_S
_EPOCH: Final = dt.date(1970, 1, 1)
_EXAMPLE: Final = 'such as "0 3 * * sun", Sundays at 3:00 UTC'
# The 29th of February is due every four years, and once in a while after eight.
_LOOKED_AHEAD_DAYS: Final = 8 * 366


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()  # from ``low`` on

    def parse(self, text: str, whole: str) -> frozenset[int]:
        """Return the values that a field allows. Raises ``ConfigError``."""
        found: set[int] = set()
        for part in text.split(","):
            span, slash, step_text = part.partition("/")
            step = self._number(step_text, part, whole) if slash else 1
            if step < 1:
                raise self._wrong(whole, part, "a step must be at least 1")
            first, last = self._span(span, part, whole, stepped=bool(slash))
            found.update(range(first, last + 1, step))
        return frozenset(found)

    def _span(self, span: str, part: str, whole: str, *, stepped: bool) -> tuple[int, int]:
        if span == "*":
            return self.low, self.high
        first_text, dash, last_text = span.partition("-")
        first = self._value(first_text, part, whole)
        if not dash:
            return first, self.high if stepped else first
        last = self._value(last_text, part, whole)
        if last < first:
            raise self._wrong(whole, part, "a range must not run backwards")
        return first, last

    def _value(self, text: str, part: str, whole: str) -> int:
        name = text.lower()
        if name in self.names:
            return self.low + self.names.index(name)
        value = self._number(text, part, whole)
        if not self.low <= value <= self.high:
            raise self._wrong(whole, part, f"must lie in {self.low}-{self.high}")
        return value

    def _number(self, text: str, part: str, whole: str) -> int:
        if not (text.isascii() and text.isdigit()):
            known = f" or a name such as {self.names[0]}" if self.names else ""
            raise self._wrong(whole, part, f"{text!r} is no number{known}")
        return int(text[:9])  # more digits are beyond every range

    def _wrong(self, whole: str, part: str, why: str) -> ConfigError:
        return ConfigError(SETTING, whole, f"{self.name} {part!r}: {why}; write {_EXAMPLE}")


_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, tuple(name.lower() for name in calendar.month_abbr[1:])),
    _Field("day of the week", 0, 7, _DAYS),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Minutes at which something is due.

    Examples
    --------
    >>> nightly = Schedule.parse("30 2 * * *")
    >>> nightly.next_after(0) // 60_000_000  # minutes after the epoch's midnight
    150
    """

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool  # a day of the month or one of the week is enough

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the schedule. Raises ``ConfigError`` naming the field and the remedy."""
        words = text.split()
        if len(words) != len(_FIELDS):
            raise ConfigError(
                SETTING,
                text,
                f"must be five fields (minute, hour, day of the month, month, day of the week) "
                f"{_EXAMPLE}; it has {len(words)}",
            )
        minutes, hours, days, months, weekdays = (
            field.parse(word, text) for field, word in zip(_FIELDS, words, strict=True)
        )
        made = cls(
            text=" ".join(words),
            minutes=tuple(sorted(minutes)),
            hours=tuple(sorted(hours)),
            days=days,
            months=months,
            weekdays=frozenset(day % 7 for day in weekdays),
            either=not (words[2].startswith("*") or words[4].startswith("*")),
        )
        if made._day_from(_EPOCH) is None:
            raise ConfigError(SETTING, text, f"never comes: no month has such a day; {_EXAMPLE}")
        return made

    def next_after(self, ts_us: int) -> int:
        """Return the first due time later than ``ts_us``, microseconds since the epoch.

        Some microseconds where it is soon, a millisecond where it is years away.
        """
        day, within_us = divmod(ts_us, _US_PER_DAY)
        date = _EPOCH + dt.timedelta(days=day)
        if self._fits(date):
            minute = within_us // (60 * _US_PER_S)
            for hour in self.hours:
                for due in self.minutes:
                    if hour * 60 + due > minute:
                        return _at(date, hour, due)
        found = self._day_from(date + dt.timedelta(days=1))
        assert found is not None  # checked when it was parsed
        return _at(found, self.hours[0], self.minutes[0])

    def _day_from(self, date: dt.date) -> dt.date | None:
        for _ in range(_LOOKED_AHEAD_DAYS):
            if self._fits(date):
                return date
            date += dt.timedelta(days=1)
        return None

    def _fits(self, date: dt.date) -> bool:
        if date.month not in self.months:
            return False
        of_month, of_week = date.day in self.days, date.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either else of_month and of_week


def _at(date: dt.date, hour: int, minute: int) -> int:
    minutes = (date - _EPOCH).days * 1_440 + hour * 60 + minute
    return minutes * 60 * _US_PER_S


class Timetable:
    """Keeps what is due next, in log time, which never runs backwards.

    Parameters
    ----------
    schedule
        None: nothing is ever due.
    """

    def __init__(self, schedule: Schedule | None) -> None:
        self.schedule = schedule
        self.due_us: int | None = None

    def is_due(self, now_us: int) -> bool:
        """Return whether a due time has come; the first look only notes when the next one is."""
        if self.schedule is None:
            return False
        if self.due_us is None:
            self.due_us = self.schedule.next_after(now_us)
        return now_us >= self.due_us

    def ran(self, now_us: int) -> None:
        """Note that what was due has been asked for: once, however often it was missed."""
        if self.schedule is not None:
            self.due_us = self.schedule.next_after(now_us)

    def to_state(self) -> dict[str, object]:
        """Return plain values."""
        text = None if self.schedule is None else self.schedule.text
        return {"schedule": text, "due_us": self.due_us}

    def restore(self, state: dict[str, object]) -> None:
        """Take over what is due next, unless that was by another schedule."""
        due_us = state["due_us"]
        if self.schedule is not None and state["schedule"] == self.schedule.text:
            self.due_us = due_us if isinstance(due_us, int) else None
