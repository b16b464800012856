"""What a log in memory knows: dicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfright.log.identity import TS
from selfright.log.link import Link, outcome_link_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from selfright.log.identity import Row
    from selfright.log.link import Card, Entry


class MemoryBook:
    """A ``Book`` in dicts. Changes need no telling: the links are the book.

    Parameters
    ----------
    rows_at
        Returns the stored rows of runs at given offsets.
    """

    __slots__ = ("_acts", "_cards", "_links", "_named", "_rows_at", "_runs")

    def __init__(self, rows_at: Callable[[Sequence[int]], list[Row]]) -> None:
        self._rows_at = rows_at
        self._runs: dict[str, int] = {}
        self._acts: dict[str, int] = {}
        # A task with one run and no outcome yet is that run: most stay so.
        self._links: dict[str, Link | tuple[int, str]] = {}
        self._named: dict[str, Link] = {}  # those that are about a run's name
        self._cards: dict[str, Card] = {}

    def unseen(self, run_ids: list[str]) -> bool:
        """Return whether these are all different and none is known."""
        return len(set(run_ids)) == len(run_ids) and self._runs.keys().isdisjoint(run_ids)

    def claim(self, run_ids: list[str], first_offset: int) -> bool:
        """Place runs from ``first_offset`` on if all are different, new and not awaited."""
        if self._named and not self._named.keys().isdisjoint(run_ids):
            return False
        runs, offsets = self._runs, range(first_offset, first_offset + len(run_ids))
        grown = len(runs) + len(run_ids)
        # To look and to place at once: a look-up in what has long left the caches costs most.
        found = list(map(runs.setdefault, run_ids, offsets))
        if len(runs) == grown:
            return True
        for run_id, offset, at in zip(run_ids, offsets, found, strict=True):
            if at == offset:
                del runs[run_id]
        return False

    def awaited(self, run_ids: list[str]) -> Iterable[int]:
        """Return the positions of those that outcomes name already."""
        named = self._named
        if not named or named.keys().isdisjoint(run_ids):
            return ()
        return [i for i, run_id in enumerate(run_ids) if run_id in named]

    def run(self, run_id: str) -> int | None:
        """Return the offset of the run as it stands."""
        return self._runs.get(run_id)

    def run_rows(self, run_ids: Sequence[str]) -> list[Row]:
        """Return the stored rows of runs that are known, as they stand."""
        rows: dict[str, Row] = {}
        for run_id in run_ids:
            link = self._named.get(run_id)
            if link is not None and link.pinned is not None:
                rows[run_id] = link.pinned
        kept = [run_id for run_id in run_ids if run_id not in rows]
        found = self._rows_at([self._runs[run_id] for run_id in kept])
        rows.update(zip(kept, found, strict=True))
        return [rows[run_id] for run_id in run_ids]

    def fill(self, entry: Entry) -> None:
        """Refuse: entries in memory hold their rows."""
        raise AssertionError(entry)

    def act(self, act_id: str) -> int | None:
        """Return the offset of an act."""
        return self._acts.get(act_id)

    def find(self, key: str, ts_us: int) -> Link | None:
        """Return the link under ``key``, whole."""
        link = self._links.get(key)
        return self._unfold(key, link) if isinstance(link, tuple) else link

    def open(self, key: str, run_id: str | None, ts_us: int) -> Link:
        """Return the link under ``key``, whole, a new one if there is none."""
        link = self._links.get(key)
        if isinstance(link, tuple):
            return self._unfold(key, link)
        if link is None:
            link = self._links[key] = Link(key, run_id)
            if run_id is not None:
                self._named[run_id] = link
        return link

    def holds(self, link: Link, entry: Entry) -> bool:
        """Return whether an outcome of the content of ``entry`` is there."""
        return link.holds(entry.content_digest())

    def find_shown(self, row: Row, offset: int) -> tuple[Link | None, Entry | None]:
        """Return the link of an outcome, and the outcome if it is shown at ``offset``."""
        link = self.find(outcome_link_key(row)[0], row[TS])
        return link, None if link is None else link.find(row, offset)

    def held(self, card: Card) -> tuple[Link, Entry] | None:
        """Return the outcome that a card is about, and its link."""
        link = self.find(card.home, card.ts_us)
        entry = None if link is None else link.get(card.ts_us, card.held)
        return None if link is None or entry is None else (link, entry)

    def _unfold(self, key: str, run: tuple[int, str]) -> Link:
        link = self._links[key] = Link(key, None, [run])
        return link

    def add_run(self, key: str, ts_us: int, run_id: str) -> Link | None:
        """Add a run to a task's link; return the link if outcomes are there."""
        link = self._links.get(key)
        if link is None:
            self._links[key] = (ts_us, run_id)
            return None
        if isinstance(link, tuple):
            link = self._unfold(key, link)
        link.add_run(ts_us, run_id)
        return link if link.entries else None

    def drop_run(self, link: Link, ts_us: int, run_id: str) -> None:
        """Take a run from a task's link, if it is there."""
        link.drop_run(ts_us, run_id)

    def find_named(self, run_id: str) -> Link | None:
        """Return the link of the outcomes that name a run."""
        return self._named.get(run_id)

    def card(self, outcome_id: str) -> Card | None:
        """Return where the outcome of that id is."""
        return self._cards.get(outcome_id)

    def place_card(self, outcome_id: str, card: Card | None) -> None:
        """Learn where the outcome of that id is now; None: nowhere."""
        if card is None:
            self._cards.pop(outcome_id, None)
        else:
            self._cards[outcome_id] = card

    def place(self, run_ids: list[str], offsets: Sequence[int]) -> None:
        """Learn where runs stand now."""
        self._runs.update(zip(run_ids, offsets, strict=True))

    def place_act(self, act_id: str, offset: int) -> None:
        """Learn where an act stands."""
        self._acts[act_id] = offset

    def entries_added(self, entries: Iterable[tuple[Entry, Link]]) -> None:
        """Do nothing."""

    def entry_changed(self, link: Link, entry: Entry, *, gone: bool = False) -> None:
        """Do nothing."""

    def link_changed(self, link: Link) -> None:
        """Do nothing."""

    def unplace(self, run_ids: Sequence[str], offsets: Sequence[int]) -> None:
        """Forget runs, except those that stand at another offset by now."""
        runs = self._runs
        for run_id, offset in zip(run_ids, offsets, strict=True):
            if runs.get(run_id) == offset:
                del runs[run_id]

    def unplace_act(self, act_id: str) -> None:
        """Forget an act."""
        self._acts.pop(act_id, None)

    def close(self, link: Link) -> None:
        """Forget a link, with all that it holds."""
        del self._links[link.key]
        if link.run_id is not None:
            del self._named[link.run_id]
