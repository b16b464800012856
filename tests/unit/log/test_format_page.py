"""The page about the file says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from selfright.events.batch import OUTCOME_COLUMNS, RUN_COLUMNS
from selfright.log import schema

PAGE = (Path(__file__).parents[3] / "docs" / "format" / "log.md").read_text(encoding="utf-8")


def test_columns_of_runs_and_outcomes_are_those_of_the_code():
    """In the same order, for the order is the format."""
    section = PAGE.split("## `events`")[1].split("\n## ")[0]
    listed = re.findall(r"^\| (\d+) \| `(\w+)` \|", section, re.MULTILINE)
    rows = [(int(n), name) for n, name in listed]
    start = [i for i, (n, _) in enumerate(rows) if n == 0]
    runs, outcomes = rows[start[0] : start[1]], rows[start[1] :]
    assert runs == list(enumerate(RUN_COLUMNS))
    assert outcomes == list(enumerate(OUTCOME_COLUMNS))


def test_version_is_that_of_the_code():
    """Whoever changes the format changes the page."""
    assert f"the version of this page: **{schema.VERSION}**" in PAGE
    assert f"`{schema.APPLICATION_ID:#x}`" in PAGE


def test_every_table_and_column_is_described():
    """No table and no column is left out."""
    tables = re.split(r"CREATE TABLE (\w+)", schema._TABLES)[1:]
    assert len(tables) == 8
    for table, columns in zip(tables[::2], tables[1::2], strict=True):
        section = PAGE.split(f"## `{table}`")[1].split("\n## ")[0]
        for column in re.findall(r"(\w+) (?:TEXT|INTEGER|BLOB)\b", columns):
            assert re.search(rf"`[^`]*\b{column}\b[^`]*`", section), (table, column)
