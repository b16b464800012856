"""The runs of one append: which are kept, and whose content they replace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfright.log.identity import contest
from selfright.log.link import MAX_HIDDEN, run_key

if TYPE_CHECKING:
    from selfright.events.batch import RunBatch
    from selfright.log.book import Book
    from selfright.log.identity import Row


class Arrivals:
    """The runs of an intake, held against those that the log has.

    Attributes
    ----------
    kept
        Rows of the intake that are their run's best content; None: all of them.
    replaced
        Run id to the row that stood in the log before a kept one.
    """

    __slots__ = ("_book", "_index", "_known", "_rows", "batch", "kept", "replaced")

    def __init__(self, book: Book, batch: RunBatch) -> None:
        self._book = book
        self.batch = batch
        self.kept: list[int] | None = None
        self.replaced: dict[str, Row] = {}
        self._index: dict[str, int] | None = None
        self._rows: list[Row] | None = None
        self._known: dict[str, Row] = {}
        if not book.unseen(batch.run_id):
            self._choose()

    @property
    def index(self) -> dict[str, int]:
        """Run id to the row of the intake that is kept."""
        if self._index is None:
            ids = self.batch.run_id
            self._index = dict(zip(ids, range(len(ids)), strict=True))
        return self._index

    @property
    def rows(self) -> list[Row]:
        """The intake's runs as stored rows."""
        if self._rows is None:
            self._rows = self.batch.rows()
        return self._rows

    def stands(self, run_id: str) -> bool:
        """Return whether the run is known, now or from before."""
        return run_id in self.index or self._book.run(run_id) is not None

    def rows_of(self, run_ids: list[str]) -> dict[str, Row]:
        """Return the rows of known runs as they stand after this append, and others asked."""
        known = self._known
        if not run_ids:
            return known
        index = self.index
        before = []
        for run_id in run_ids:
            if run_id not in known:
                i = index.get(run_id)
                if i is None:
                    before.append(run_id)
                else:
                    known[run_id] = self.rows[i]
        if before:
            before = list(dict.fromkeys(before))
            known.update(zip(before, self._book.run_rows(before), strict=True))
        return known

    def _choose(self) -> None:
        """Find each id's best content, within the intake and against the log."""
        ids, book, rows = self.batch.run_id, self._book, self.rows
        known = list(dict.fromkeys(run_id for run_id in ids if book.run(run_id) is not None))
        standing = dict(zip(known, book.run_rows(known), strict=True))
        best: dict[str, int] = {}
        for i, run_id in enumerate(ids):
            rival = best.get(run_id)
            held = standing.get(run_id) if rival is None else rows[rival]
            if held is None or self._wins(run_id, rows[i], held):
                best[run_id] = i
                if rival is None and held is not None:
                    self.replaced[run_id] = held
        self._index = best
        self.kept = sorted(best.values())

    def _wins(self, run_id: str, new: Row, held: Row) -> bool:
        link = self._book.find_named(run_id)
        wins, loser = contest(new, held, link.lost if link else ())
        if loser is not None:
            link = link or self._book.open(run_key(run_id), run_id, 0)
            link.lost = [*link.lost, loser][-MAX_HIDDEN:]
            self._book.link_changed(link)
        return wins
