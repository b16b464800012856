"""A schedule is due at exactly those minutes that fit its fields, one by one."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from selfright.errors import ConfigError
from selfright.retrain.schedule import Schedule, Timetable

MINUTE_US = 60_000_000
DAY_US = 1_440 * MINUTE_US
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


@st.composite
def fields(draw, low, high, names=()):
    """Draw a field's text and the values that it stands for."""
    values: set[int] = set()
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        first = draw(st.integers(low, high))
        last = draw(st.integers(first, high))
        step = draw(st.integers(1, 20))
        kind = draw(st.sampled_from(["*", "value", "range", "*/", "value/", "range/"]))
        if kind[0] == "*":
            first, last = low, high
        elif kind == "value":
            last = first
        elif kind == "value/":
            last = high
        base = {
            "*": "*", "v": said(draw, first, low, names),
            "r": f"{said(draw, first, low, names)}-{said(draw, last, low, names)}",
        }[kind[0]]  # fmt: skip
        parts.append(f"{base}/{step}" if kind.endswith("/") else base)
        values.update(range(first, last + 1, step if kind.endswith("/") else 1))
    return ",".join(parts), values


def said(draw, value, low, names):
    """Return a value as a number or by its name, in any case."""
    name = names[value - low] if value - low < len(names) else None
    if name is None or draw(st.booleans()):
        return str(value)
    return draw(st.sampled_from([name, name.upper(), name.title()]))


def fits(minute, parsed):
    """Return whether a minute since the epoch fits, looked at alone."""
    when = dt.datetime(1970, 1, 1) + dt.timedelta(minutes=minute)  # noqa: DTZ001 - UTC
    (minutes, _), (hours, _), (days, day), (months, _), (weekdays, weekday) = parsed
    of_month = when.day in days
    of_week = when.isoweekday() in weekdays or (when.isoweekday() == 7 and 0 in weekdays)
    starred = day.startswith("*") or weekday.startswith("*")
    of_day = of_month and of_week if starred else of_month or of_week
    return when.minute in minutes and when.hour in hours and when.month in months and of_day


@examples(max_examples=60)
@given(
    fields(0, 59), fields(0, 23), fields(1, 31), fields(1, 12, MONTHS), fields(0, 7, DAYS),
    st.integers(0, 60 * 366 * DAY_US),
)  # fmt: skip
def test_the_next_due_time_is_the_first_minute_that_fits(minute, hour, day, month, weekday, ts_us):
    """None is passed over, and none comes twice; looked for minute by minute."""
    texts = [text for text, _ in (minute, hour, day, month, weekday)]
    parsed = [(values, text) for text, values in (minute, hour, day, month, weekday)]
    dates = {f"{m}-{d}" for m in month[1] for d in day[1]}
    anyday = not (day[0].startswith("*") or weekday[0].startswith("*"))
    if dates <= {"2-30", "2-31", "4-31", "6-31", "9-31", "11-31"} and not anyday:
        with pytest.raises(ConfigError, match="never comes"):
            Schedule.parse(" ".join(texts))
        return
    schedule = Schedule.parse(" ".join(texts))
    due = schedule.next_after(ts_us)
    assert due % MINUTE_US == 0
    assert due > ts_us
    # Months that do not fit are left out, for the sake of time.
    at = ts_us // MINUTE_US + 1
    for _ in range(100_000):
        if at * MINUTE_US >= due:
            break
        assert not fits(at, parsed)
        at += 1
    assert fits(due // MINUTE_US, parsed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "five fields"), ("* * * *", "it has 4"), ("* * * * * *", "it has 6"),
        ("60 * * * *", "minute '60': must lie in 0-59"), ("* 24 * * *", "hour '24'"),
        ("* * 0 * *", "day of the month '0'"), ("* * * 13 *", "month '13'"),
        ("* * * * 8", "day of the week '8'"), ("* * * * mo", "'mo' is no number or a name"),
        ("x * * * *", "'x' is no number"), ("*/0 * * * *", "a step must be at least 1"),
        ("30-10 * * * *", "must not run backwards"), ("1, * * * *", "'' is no number"),
        ("-1 * * * *", "'' is no number"), ("² * * * *", "no number"),
        ("0 0 30 feb *", "never comes"), ("0 0 31 2,4,6 *", "never comes"),
    ],
)  # fmt: skip
def test_a_wrong_one_is_refused_by_field_value_and_remedy(text, said):
    """An example of a right one stands in every message."""
    with pytest.raises(ConfigError) as refused:
        Schedule.parse(text)
    assert said in str(refused.value)
    assert "0 3 * * sun" in str(refused.value)
    assert refused.value.setting == "retrain.schedule"


def test_the_29th_of_february_comes_after_eight_years_at_most():
    """2100 is no leap year."""
    schedule = Schedule.parse("0 12 29 2 *")
    before = int(dt.datetime(2096, 3, 1, tzinfo=dt.UTC).timestamp()) * 1_000_000
    due = dt.datetime.fromtimestamp(schedule.next_after(before) / 1e6, dt.UTC)
    assert due.isoformat() == "2104-02-29T12:00:00+00:00"


@given(
    st.lists(st.integers(0, 3 * DAY_US), min_size=1, max_size=30), st.integers(0, 29),
    st.booleans(),
)  # fmt: skip
def test_what_was_missed_is_due_once(times, cut, other):
    """However many due times pass between two looks, and across a restart."""
    schedule = Schedule.parse("*/30 * * * *")
    table, seen, last = Timetable(schedule), 0, None
    for place, now_us in enumerate(sorted(times)):
        if place == cut:
            state = table.to_state()
            table = Timetable(Schedule.parse("*/30  *  * * *" if other else "*/30 * * * *"))
            table.restore(state)
        due = table.is_due(now_us)
        assert due == (last is not None and now_us >= schedule.next_after(last))
        if due:
            table.ran(now_us)
            seen += 1
        if due or last is None:
            last = now_us
        assert not table.is_due(now_us)
    assert seen < len(times)
