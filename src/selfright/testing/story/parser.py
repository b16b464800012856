"""Reads a case: text in, a ``Story`` out, and the line of every mistake."""

from __future__ import annotations

import itertools
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from selfright.clock import US_PER_S
from selfright.testing.clock import START_US
from selfright.testing.story.record import (
    Arrival,
    Expectation,
    Look,
    Story,
    StoryError,
    is_number,
)
from selfright.testing.story.token import (
    as_condition,
    as_count,
    as_field,
    as_time_us,
    as_value,
    is_field,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfright.testing.story.record import Value

    Fields = dict[str, Value]

# Longer than any row of a hand-written case needs: a slip like x1000000 is caught.
_MOST_ROWS: Final = 100_000

_SHORT: Final = {
    "agent": "agent_name",
    "task": "task_id",
    "version": "agent_version",
    "latency_ms": "duration_ms",
    "tokens": "tokens_used",
    "source": "feedback_source",
    "predicted": "predicted_outcome",
    "actual": "actual_outcome",
}
_SCORES: Final = {"correct": 1.0, "wrong": 0.0}
# What a field of a whole block means for its outcomes; the others are of its runs alone.
_OF_OUTCOMES: Final = frozenset({"agent", "source", "delay", "by"})


def parse_story(source: str) -> Story:
    """Return the story that ``source`` tells. Raises ``StoryError`` naming the line."""
    return _Parser().parse(source)


@dataclass(slots=True)
class _Block:
    """A ``load`` while it is read: ``cursor_us`` is where its next row stands."""

    step_us: int
    cursor_us: int
    fields: Fields
    times: int


@dataclass(frozen=True, slots=True)
class _Line:
    """The words of a row line, sorted out."""

    number: int
    words: list[tuple[str | None, int]]
    fields: Fields
    mixed: bool

    @property
    def total(self) -> int:
        return sum(count for _, count in self.words)

    def spread(self) -> list[str | None]:
        """Return the words, each as often as counted, in order or evenly mixed."""
        if not self.mixed:
            return [word for word, count in self.words for _ in range(count)]
        spread: list[str | None] = []
        given = [0] * len(self.words)
        for done in range(1, self.total + 1):
            # Next comes the word that lags most behind its share.
            lags = [
                count * done - given[index] * self.total
                for index, (_, count) in enumerate(self.words)
            ]
            index = lags.index(max(lags))
            given[index] += 1
            spread.append(self.words[index][0])
        return spread


class _Parser:
    def __init__(self) -> None:
        self._title: list[str] = []
        self._settings: dict[str, Value] = {}
        self._arrivals: list[Arrival] = []
        self._looks: list[Look] = []
        self._end_us = START_US
        self._run_ids = itertools.count(1)
        self._began = False

    def parse(self, source: str) -> Story:
        lines = list(self._lines(source))
        at = 0
        while at < len(lines):
            number, _, text = lines[at]
            inner = list(
                itertools.takewhile(lambda line: line[1], itertools.islice(lines, at + 1, None))
            )
            self._statement(number, text, [(line, words) for line, _, words in inner])
            at += 1 + len(inner)
        # Stable: what stands first in the case comes first at the same instant.
        arrivals = sorted(self._arrivals, key=lambda arrival: arrival.at_us)
        return Story(" ".join(self._title), self._settings, tuple(arrivals), tuple(self._looks))

    def _lines(self, source: str) -> Iterator[tuple[int, bool, str]]:
        for number, raw in enumerate(source.splitlines(), start=1):
            text, _, remark = raw.partition("#")
            if text.strip():
                self._began = True
                yield number, text[0].isspace(), text.strip()
            elif remark and not self._began:
                self._title.append(remark.strip())

    def _statement(self, number: int, text: str, inner: list[tuple[int, str]]) -> None:
        verb, _, rest = text.partition(" ")
        if verb == "load":
            self._load(number, rest, inner)
        elif verb == "eval":
            self._eval(number, rest, inner)
        elif verb == "settings":
            self._set(number, rest, inner)
        else:
            raise StoryError(number, f"a line starts with settings, load or eval, not {verb!r}")

    def _set(self, number: int, rest: str, inner: list[tuple[int, str]]) -> None:
        if self._arrivals or self._looks:
            raise StoryError(number, "settings stand before everything else")
        if inner:
            raise StoryError(inner[0][0], "nothing is indented under settings")
        try:
            words = shlex.split(rest)  # a value with blanks stands in quotes
        except ValueError as error:
            raise StoryError(number, f"settings: {error}") from None
        for word in words:
            condition = as_condition(number, word)
            if condition is None or condition.op != "=":
                raise StoryError(number, f"write section.name=value, not {word!r}")
            self._settings[condition.name] = condition.value

    # ---- load ------------------------------------------------------------------------

    def _load(self, number: int, rest: str, inner: list[tuple[int, str]]) -> None:
        step, *tokens = rest.split() or [""]
        block = _Block(as_time_us(number, step), self._end_us, {}, 1)
        for word in tokens:
            if (count := as_count(word)) is not None:
                block.times = count
                continue
            name, value = as_field(number, word)
            if name == "from":
                block.cursor_us = START_US + as_time_us(number, str(value))
            else:
                block.fields[name] = value
        if not inner:
            raise StoryError(number, "a load has lines of run, outcome or act under it")
        for _ in range(block.times):
            previous: list[Arrival] = []
            for line_number, text in inner:
                previous = self._row_line(block, line_number, text, previous)
        self._end_us = max(self._end_us, block.cursor_us)

    def _row_line(
        self, block: _Block, number: int, text: str, previous: list[Arrival]
    ) -> list[Arrival]:
        verb, _, rest = text.partition(" ")
        if verb == "run":
            made = self._runs(block, _row_words(number, rest))
        elif verb == "outcome":
            made = self._outcomes(block, _row_words(number, rest), previous)
        elif verb == "act":
            made = [self._act(block, number, rest)]
        else:
            raise StoryError(number, f"a load holds run, outcome and act, not {verb!r}")
        self._arrivals.extend(made)
        if len(self._arrivals) > _MOST_ROWS:
            raise StoryError(number, f"a case may have {_MOST_ROWS} rows")
        return made if verb == "run" else previous

    def _runs(self, block: _Block, line: _Line) -> list[Arrival]:
        fields = {**block.fields, **line.fields}
        late_us = as_time_us(line.number, str(fields.pop("late", "0s")))
        run_id, task_id = fields.pop("id", None), fields.pop("task", None)
        runs = []
        for index, status in enumerate(line.spread(), start=1):
            row = _named(fields)
            row["run_id"] = _numbered(run_id, index, line.total) or f"run-{next(self._run_ids)}"
            if task_id is not None:
                row["task_id"] = _numbered(task_id, index, line.total)
            if status is not None:
                row["status"] = status
            row.setdefault("status", "success")
            row["timestamp"] = (block.cursor_us - late_us) / US_PER_S
            _require(line.number, row, "agent_name", "agent=")
            runs.append(Arrival(block.cursor_us, "run", row))
            block.cursor_us += block.step_us
        return runs

    def _outcomes(self, block: _Block, line: _Line, previous: list[Arrival]) -> list[Arrival]:
        alone = bool({"run", "task", "alone"} & line.fields.keys())
        if not alone and line.total > len(previous):
            raise StoryError(
                line.number, f"{line.total} outcomes, but {len(previous)} runs in the line before"
            )
        shared = {name: block.fields[name] for name in _OF_OUTCOMES & block.fields.keys()}
        fields = {**shared, **line.fields}
        fields.pop("alone", None)
        delay_us = as_time_us(line.number, str(fields.pop("delay", "0s")))
        outcome_id, by = fields.pop("id", None), fields.pop("by", "run")
        run_id, task_id = fields.pop("run", None), fields.pop("task", None)
        outcomes = []
        for index, word in enumerate(line.spread(), start=1):
            row = _named(fields)
            if outcome_id is not None:
                row["outcome_id"] = _numbered(outcome_id, index, line.total)
            row.update(_score(line.number, word))
            if alone:
                at_us = block.cursor_us + delay_us
                block.cursor_us += block.step_us
                row["run_id"] = _numbered(run_id, index, line.total)
                row["task_id"] = _numbered(task_id, index, line.total)
            else:
                run = previous[index - 1]
                at_us = run.at_us + delay_us
                row["agent_name"] = run.row["agent_name"]
                key = "task_id" if by == "task" else "run_id"
                _require(line.number, run.row, key, "task= on the runs")
                row[key] = run.row[key]
            row["timestamp"] = at_us / US_PER_S
            _require(line.number, row, "agent_name", "agent=")
            outcomes.append(Arrival(at_us, "outcome", row))
        return outcomes

    def _act(self, block: _Block, number: int, rest: str) -> Arrival:
        words, fields = [], dict[str, Any]()
        for word in rest.split():
            if is_field(word):
                name, value = as_field(number, word)
                fields[name] = value
            else:
                words.append(word)
        if not words:
            raise StoryError(number, "an act begins with its verb, e.g. act retrain full")
        at = fields.pop("at", None)
        at_us = block.cursor_us if at is None else START_US + as_time_us(number, str(at))
        return Arrival(at_us, "act", {"verb": words[0], "words": tuple(words[1:]), **fields})

    # ---- eval ------------------------------------------------------------------------

    def _eval(self, number: int, rest: str, inner: list[tuple[int, str]]) -> None:
        words = rest.split()
        if len(words) != 2 or words[0] != "at":
            raise StoryError(number, "write eval at TIME, e.g. eval at 100s")
        at_us = START_US + as_time_us(number, words[1])
        if self._looks and at_us < self._looks[-1].at_us:
            raise StoryError(number, "evals stand in the order of time")
        if not inner:
            raise StoryError(number, "an eval has lines of expect under it")
        expectations = tuple(_expectation(line, text) for line, text in inner)
        self._looks.append(Look(number, at_us, expectations))


def _expectation(number: int, text: str) -> Expectation:
    verb, *tokens = text.split()
    if verb != "expect" or not tokens:
        raise StoryError(number, "under an eval each line is expect [no] KIND ...")
    negated = tokens[0] == "no"
    kind, *rest = (tokens[1:] if negated else tokens) or [""]
    if not kind:
        raise StoryError(number, "say what is not expected")
    conditions = [as_condition(number, word) for word in rest]
    words = [word for word, found in zip(rest, conditions, strict=True) if found is None]
    return Expectation(
        number,
        text,
        negated,
        kind,
        tuple(words),
        tuple(item for item in conditions if item is not None),
    )


def _row_words(number: int, rest: str) -> _Line:
    words: list[tuple[str | None, int]] = []
    fields: Fields = {}
    mixed, total = False, None
    for word in rest.split():
        if (count := as_count(word)) is not None:
            if words:
                words[-1] = (words[-1][0], count)
            else:
                total = count
        elif is_field(word):
            name, value = as_field(number, word)
            fields[name] = value
        elif word == "mixed":
            mixed = True
        else:
            words.append((word, 1))
    if total is not None and words:
        raise StoryError(number, "a count stands behind the word it counts")
    return _Line(number, words or [(None, 1 if total is None else total)], fields, mixed)


def _named(fields: Fields) -> dict[str, Any]:
    """Return the fields under the names of the public methods; dotted ones as mappings."""
    row: dict[str, Any] = {}
    for name, value in fields.items():
        outer, dot, inner = name.partition(".")
        if dot:
            row.setdefault(outer, {})[inner] = value
        else:
            row[_SHORT.get(name, name)] = value
    return row


def _numbered(base: Value, index: int, total: int) -> str | None:
    if base is None:
        return None
    return str(base) if total == 1 else f"{base}-{index}"


def _score(number: int, word: str | None) -> dict[str, float]:
    if word is None:
        return {}
    if word in _SCORES:
        return {"accuracy_score": _SCORES[word]}
    score = as_value(word)
    if not is_number(score):
        raise StoryError(number, f"an outcome is correct, wrong or a score, not {word!r}")
    return {"accuracy_score": float(str(score))}


def _require(number: int, row: dict[str, Any], name: str, how: str) -> None:
    if row.get(name) is None:
        raise StoryError(number, f"say {how}")
