"""The page of settings lists every setting with its default and description."""

from __future__ import annotations

from pathlib import Path

from selfright.config import describe

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_lists_what_there_is() -> None:
    """In the order of the tree, no row more and none less."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    expected = [
        f"| `{row.key.split('.', 1)[1]}` "
        f"| {'none' if row.default is None else row.default} | {row.description} |"
        for row in describe()
    ]
    assert rows == expected
