"""Tables as people see them."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from selfright.cli import show


def lines(rows, capsys):
    """Return what a table of these rows prints, without its head and its foot."""
    show.console().print(show.table("", ("agent", "value"), rows, numbers=1))
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]


@pytest.mark.parametrize("name", ["planner", "[bold]", "計画", ":warning:", "é", ""])
def test_every_row_that_fits_stands_on_one_line(name, capsys):
    """As written, brackets and colons too, and in line with the others."""
    found = lines([(name, 1), ("coder", 1234.5), (None, None)], capsys)
    assert len(found) == 3
    assert len({cell_len(line) for line in found}) == 1
    assert [line.split("│")[1].strip() for line in found] == [name, "coder", show.NOTHING]
    assert [line.split("│")[2].strip() for line in found] == ["1", "1,234.500", show.NOTHING]


@pytest.mark.parametrize("wide", ["x" * 300, "two\nlines"])
def test_a_cell_of_several_lines_parts_the_rows_around_it(wide, capsys):
    """What stands beside it stays beside it."""
    found = [line.split("│") for line in lines([("a", 1), (wide, 2), ("b", 3)], capsys)]
    by_value = {line[2].strip(): line[1].strip() for line in found}
    assert len(found) > 3
    assert (by_value["1"], by_value["3"]) == ("a", "b")
    assert by_value["2"].startswith(wide[:3])


def test_a_table_without_rows_has_a_head_alone(capsys):
    """And is no error."""
    assert lines([], capsys) == []
