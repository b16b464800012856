"""Outcomes that compete: which of them the log shows, joined to which run.

A *group* is a run, or a name as long as no run bears it. An append soils some groups;
each is settled once, from all outcomes in it, and what differs from how the log showed
it before becomes a retraction and an addition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from selfright.log.expiry import unpin
from selfright.log.identity import AGENT, OUTCOME_ID, RUN_ID, RUN_TS, SOURCE
from selfright.log.link import MAX_HIDDEN, Entry, Link, task_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.events.batch import Ints
    from selfright.log.arrival import Arrivals
    from selfright.log.book import Book
    from selfright.log.identity import Row

    Group = str | Link  # a run's id, or the link whose outcomes have no run
    Slot = str | tuple[str, str]  # an outcome's id, or (agent, feedback source)


class Groups:
    """The groups that one append touches.

    Parameters
    ----------
    positions
        Of the intake's outcomes, among all its rows. Changes are told by the position
        of the row that brought them about.

    Attributes
    ----------
    new
        Outcomes of the intake with the links they were added to.
    moved
        Outcomes of earlier appends that are shown anew, and by the row at which position.
    again
        Those of the new whose id was shown before, with other content.
    kept, joined, primary, fresh
        For each outcome of the intake: whether it is shown, and its last columns.
    retracted, added
        Pairs of position and row as shown before, and as shown from now on.
    """

    __slots__ = (
        "_arrivals", "_book", "_dirty", "_left", "_positions", "_removed",
        "added", "again", "fresh", "joined", "kept", "moved", "new", "primary", "retracted",
    )  # fmt: skip

    def __init__(self, book: Book, arrivals: Arrivals, positions: Ints) -> None:
        self._book = book
        self._arrivals = arrivals
        self._positions = positions
        self._dirty: dict[Entry, tuple[Link, int]] = {}
        self._removed: list[tuple[Entry, Link, int]] = []
        self._left: list[Link] = []
        self.new: list[tuple[Entry, Link]] = []
        self.moved: list[tuple[Entry, int]] = []
        self.again: set[Entry] = set()
        self.kept = [False] * len(positions)
        self.joined: list[Row | None] = [None] * len(positions)
        self.primary = np.ones(len(positions), dtype=np.bool_)
        self.fresh = np.ones(len(positions), dtype=np.bool_)
        self.retracted: list[tuple[int, Row]] = []
        self.added: list[tuple[int, Row]] = []

    def soil(self, entries: Sequence[Entry], link: Link, position: int) -> None:
        """Mark outcomes of earlier appends as to be settled because of the row there."""
        for entry in entries:
            seen = self._dirty.get(entry)
            if seen is None or seen[1] < position:
                self._dirty[entry] = (link, position)

    def part(self, entry: Entry, link: Link, position: int) -> None:
        """Take an outcome away because of the row at ``position``."""
        link.drop(entry)
        self.left(link)
        self._book.entry_changed(link, entry, gone=True)
        self._dirty.pop(entry, None)
        if entry.index < 0:
            self._removed.append((entry, link, position))
        else:
            self.new.remove((entry, link))

    def left(self, link: Link) -> None:
        """Note a link that something was taken from."""
        self._left.append(link)

    def settle(self) -> None:
        """Settle every group that was touched."""
        joined: dict[Group, int] = {}
        self._settle_new(joined)
        groups: dict[Group, int] = {}
        for entry, (link, position) in self._dirty.items():
            run_id = self._join(link, entry.ts_us)
            _touch(groups, link if run_id is None else run_id, position)
            if entry.shown:
                _touch(groups, self._group(entry, link), position)
        for entry, link, position in self._removed:
            if entry.shown:
                _touch(groups, self._group(entry, link), position)
                self.retracted.append((position, entry.as_shown()))
        soiled = set(groups)
        for group, position in joined.items():
            _touch(groups, group, position)
        self._arrivals.rows_of([group for group in groups if isinstance(group, str)])
        for group, position in groups.items():
            self._settle_group(group, position, group in soiled)
        for link in self._left:
            if self._book.find(link.key, 0) is link and link.is_empty():
                self._book.close(link)

    def _settle_new(self, groups: dict[Group, int]) -> None:
        """Show the new outcomes that share their group with none; note the other groups."""
        if not self.new:
            return
        joins = [
            # Spelt out for a task with one run, since nearly all are.
            link.runs[0][1]
            if len(link.runs) == 1 and link.runs[0][0] <= entry.ts_us
            else self._join(link, entry.ts_us)
            for entry, link in self.new
        ]
        joined = [run_id for run_id in joins if run_id is not None]
        rows = self._arrivals.rows_of(joined)
        named = {joined[i] for i in self._book.awaited(joined)}
        for (entry, link), run_id in zip(self.new, joins, strict=True):
            run = None if run_id is None else rows[run_id]
            # Ditto: an outcome alone under its task, whose run is named by none.
            if (
                len(link.entries) == 1 and link.run_id is None and run_id not in named
            ) or self._is_alone(entry, link, run_id):
                self._show_new(entry, run, primary=True, fresh=entry not in self.again)
            else:
                position = int(self._positions[entry.index])
                _touch(groups, link if run_id is None else run_id, position)

    def _join(self, link: Link, ts_us: int) -> str | None:
        if link.run_id is None:
            return link.best_run(ts_us)
        return link.run_id if self._arrivals.stands(link.run_id) else None

    def _is_alone(self, entry: Entry, link: Link, run_id: str | None) -> bool:
        if run_id is None:
            # Without a run nothing is primary among others, and an id is its own slot.
            return len(link.entries) == 1 or entry.has_id
        if len(link.entries) > 1:
            return False
        if link.run_id is None:
            other = self._book.find_named(run_id)
        else:
            run = self._arrivals.rows_of([run_id])[run_id]
            key = task_of(run)
            other = None if key is None else self._book.find(key, run[RUN_TS])
        return other is None or not other.entries

    def _members(self, group: Group) -> list[tuple[Entry, Link]]:
        if not isinstance(group, str):
            if group.run_id is None:
                return [(entry, group) for entry in group.unmatched()]
            return [] if self._join(group, 0) else [(entry, group) for entry in group.entries]
        members: list[tuple[Entry, Link]] = []
        run = self._arrivals.rows_of([group])[group]
        key = task_of(run)
        link = None if key is None else self._book.find(key, run[RUN_TS])
        if link is not None:
            members += [(entry, link) for entry in link.within(run[RUN_TS], group)]
        named = self._book.find_named(group)
        if named is not None:
            members += [(entry, named) for entry in named.entries]
        return members

    def _settle_group(self, group: Group, position: int, soiled: bool) -> None:
        members = self._members(group)
        if isinstance(group, str) and not members:
            unpin(self._book, group, 0)
            return
        best: dict[Slot, Entry] = {}
        for entry, _ in members:
            where = _slot(self.row(entry))
            rival = best.get(where)
            if rival is None or _is_newer(entry, rival):
                best[where] = entry
        # Where only losers came, no row is kept that could bear a change; nor is there any,
        # unless retention took the winner of before.
        if soiled or any(entry.index >= 0 for entry in best.values()):
            run = self._arrivals.rows_of([group])[group] if isinstance(group, str) else None
            self._show_best(members, best, run, position)
        self._forget_oldest([(entry, link) for entry, link in members if not entry.shown])

    def _show_best(
        self,
        members: list[tuple[Entry, Link]],
        best: dict[Slot, Entry],
        run: Row | None,
        position: int,
    ) -> None:
        before = {_slot(self.row(e)) for e, _ in members if e.shown and e.index < 0}
        newest: Entry | None = None
        for entry in best.values():
            if newest is None or _is_newer(entry, newest):
                newest = entry
        for entry, link in members:
            where = _slot(self.row(entry))
            primary = run is None or entry is newest
            if best[where] is not entry:
                self._hide(entry, link, position)
            elif entry.index >= 0:
                fresh = where not in before and entry not in self.again
                self._show_new(entry, run, primary=primary, fresh=fresh)
            else:
                self._show_again(entry, link, run, primary, position)

    def _show_new(self, entry: Entry, run: Row | None, *, primary: bool, fresh: bool) -> None:
        j = entry.index
        self.kept[j] = entry.shown = True
        self.joined[j] = entry.run = run
        if not (primary and fresh):
            self.primary[j] = entry.primary = primary
            self.fresh[j] = entry.fresh = fresh

    def _show_again(
        self, entry: Entry, link: Link, run: Row | None, primary: bool, position: int
    ) -> None:
        """Show an outcome of an earlier append as it stands now, if that changed."""
        if entry.shown:
            was = entry.run
            if (
                entry.primary == primary
                and (was is None) == (run is None)
                and (run is None or was is None or was[RUN_ID] == run[RUN_ID])
                and (run is None or run[RUN_ID] not in self._arrivals.replaced)
            ):
                return
            self.retracted.append((position, entry.as_shown()))
        entry.shown, entry.run, entry.primary, entry.fresh = True, run, primary, False
        self.moved.append((entry, position))
        self.added.append((position, entry.as_shown()))
        self._book.entry_changed(link, entry)

    def _hide(self, entry: Entry, link: Link, position: int) -> None:
        if entry.shown:
            self.retracted.append((position, entry.as_shown()))
            entry.shown, entry.run = False, None
            self._book.entry_changed(link, entry)

    def _forget_oldest(self, hidden: list[tuple[Entry, Link]]) -> None:
        if len(hidden) > MAX_HIDDEN:
            hidden.sort(key=lambda member: (member[0].ts_us, member[0].content_digest()))
            for entry, link in hidden[:-MAX_HIDDEN]:
                link.drop(entry)
                self._book.entry_changed(link, entry, gone=True)

    def row(self, entry: Entry) -> Row:
        """Return the stored row of an outcome; its last columns say nothing."""
        if entry.row is None:
            self._book.fill(entry)
            assert entry.row is not None
        return entry.row

    def _group(self, entry: Entry, link: Link) -> Group:
        """Return the group in which the log shows the outcome so far."""
        self.row(entry)
        return link if entry.run is None else str(entry.run[RUN_ID])


def _slot(row: Row) -> Slot:
    """Return the identity of an outcome within its group."""
    outcome_id: str | None = row[OUTCOME_ID]
    return (row[AGENT], row[SOURCE]) if outcome_id is None else outcome_id


def _is_newer(entry: Entry, rival: Entry) -> bool:
    if entry.ts_us != rival.ts_us:
        return entry.ts_us > rival.ts_us
    return entry.content_digest() > rival.content_digest()


def _touch(groups: dict[Group, int], group: Group, position: int) -> None:
    groups[group] = max(groups.get(group, 0), position)
