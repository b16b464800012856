"""What a log knows about what came before: asked by the joins, told what changed.

Two logs keep it in two ways: in dicts, or in a table. ``join`` and ``expiry`` are the same
for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from selfright.log.identity import Row
    from selfright.log.link import Card, Entry, Link


class Book(Protocol):
    """What a log knows. Links are shared: who changes one says so by the methods below."""

    def unseen(self, run_ids: list[str]) -> bool:
        """Return whether these are all different and none is known."""
        ...

    def claim(self, run_ids: list[str], first_offset: int) -> bool:
        """Place runs from ``first_offset`` on if all are different, new and not awaited.

        Otherwise return False, having learnt nothing.
        """
        ...

    def awaited(self, run_ids: list[str]) -> Iterable[int]:
        """Return the positions of those that outcomes name already."""
        ...

    def run(self, run_id: str) -> int | None:
        """Return the offset of the run as it stands."""
        ...

    def run_rows(self, run_ids: Sequence[str]) -> list[Row]:
        """Return the stored rows of runs that are known, as they stand."""
        ...

    def fill(self, entry: Entry) -> None:
        """Read the row of an outcome that has none at hand."""
        ...

    def act(self, act_id: str) -> int | None:
        """Return the offset of an act."""
        ...

    def find(self, key: str, ts_us: int) -> Link | None:
        """Return the link under ``key``, with all that concerns ``ts_us``.

        That is: the last run not after it, the first one behind, and the outcomes of the
        former. Of a task that thousands of runs bear, the rest may be missing.
        """
        ...

    def open(self, key: str, run_id: str | None, ts_us: int) -> Link:
        """Return that link, a new one about ``run_id`` if there is none.

        Outcomes with an id of their own may be missing where there is no run, for there
        they concern no other outcome.
        """
        ...

    def holds(self, link: Link, entry: Entry) -> bool:
        """Return whether an outcome of the content of ``entry``, without id, is there."""
        ...

    def find_shown(self, row: Row, offset: int) -> tuple[Link | None, Entry | None]:
        """Return the link of an outcome, and the outcome if it is shown at ``offset``."""
        ...

    def held(self, card: Card) -> tuple[Link, Entry] | None:
        """Return the outcome that a card is about, and its link."""
        ...

    def find_named(self, run_id: str) -> Link | None:
        """Return the link of the outcomes that name a run."""
        ...

    def card(self, outcome_id: str) -> Card | None:
        """Return where the outcome of that id is."""
        ...

    def place_card(self, outcome_id: str, card: Card | None) -> None:
        """Learn where the outcome of that id is now; None: nowhere."""
        ...

    def place(self, run_ids: list[str], offsets: Sequence[int]) -> None:
        """Learn where runs stand now."""
        ...

    def place_act(self, act_id: str, offset: int) -> None:
        """Learn where an act stands."""
        ...

    def add_run(self, key: str, ts_us: int, run_id: str) -> Link | None:
        """Add a run to a task's link; return the link if outcomes are there."""
        ...

    def drop_run(self, link: Link, ts_us: int, run_id: str) -> None:
        """Take a run from a task's link, if it is there."""
        ...

    def entries_added(self, entries: Iterable[tuple[Entry, Link]]) -> None:
        """Learn that outcomes came, of an append that is being settled."""
        ...

    def entry_changed(self, link: Link, entry: Entry, *, gone: bool = False) -> None:
        """Learn that an outcome changed how it stands, or went."""
        ...

    def link_changed(self, link: Link) -> None:
        """Learn that ``lost`` or ``pinned`` of the link changed."""
        ...

    def unplace(self, run_ids: Sequence[str], offsets: Sequence[int]) -> None:
        """Forget runs, except those that stand at another offset by now."""
        ...

    def unplace_act(self, act_id: str) -> None:
        """Forget an act."""
        ...

    def close(self, link: Link) -> None:
        """Forget a link, with all that it holds."""
        ...
