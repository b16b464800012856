"""What the joins forget when retention takes rows away.

A row that is gone is no longer known: delivered again, it counts again. Only a run that
some outcome still joins stays *pinned*: corrections of that outcome, and further
feedback, must find it. It goes with the last of those outcomes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfright.log.identity import CONTENT, OUTCOME_ID, RUN_ID, RUN_TS
from selfright.log.link import run_key, task_key, task_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.events.batch import Commit
    from selfright.log.book import Book
    from selfright.log.identity import Row
    from selfright.log.link import Entry, Link


def forget(book: Book, commit: Commit, cut: int) -> None:
    """Forget what ``commit`` brought, when everything before offset ``cut`` is to go.

    Commits are forgotten oldest first. About 0.1 us for a run without a task, 3 us for a
    run with its outcome; three times that where only one of the two goes.
    """
    for _, act in commit.acts:
        book.unplace_act(act.act_id)
    _forget_runs(book, commit, cut)
    if len(commit.outcomes):
        for offset, row in zip(commit.outcomes.seq.tolist(), commit.outcomes.rows(), strict=True):
            _forget_outcome(book, offset, row, cut)


def unpin(book: Book, run_id: str, cut: int) -> None:
    """Forget a pinned run if no outcome from offset ``cut`` on joins it any more."""
    named = book.find_named(run_id)
    if named is not None and named.pinned is not None and _release(book, named.pinned, cut):
        held = book.run(run_id)
        assert held is not None
        book.unplace([run_id], [held])


def _forget_runs(book: Book, commit: Commit, cut: int) -> None:
    runs = commit.runs
    ids, tasks = runs.run_id, runs.task_id
    times, offsets = runs.ts_us.tolist(), runs.seq.tolist()
    named = set(book.awaited(ids))
    tangled = list(named)
    if tasks.count(None) != len(tasks):
        for i, task_id in enumerate(tasks):
            if task_id is None or i in named:
                continue
            link = book.find(task_key(runs.agent_name[i], task_id), times[i])
            if link is None:
                continue
            # Nearly every task has one run, whose outcomes came soon after it.
            if len(link.runs) == 1 and all(entry.at < cut for entry in link.entries):
                if link.runs[0][1] == ids[i] and book.run(ids[i]) == offsets[i]:
                    book.close(link)
            else:
                tangled.append(i)
    if tangled:
        rows = runs.rows()
        for i in tangled:
            if book.run(ids[i]) == offsets[i] and not _release(book, rows[i], cut):
                offsets[i] = -1
    book.unplace(ids, offsets)


def _release(book: Book, run: Row, cut: int) -> bool:
    """Take a run out of its links; return False if outcomes from ``cut`` on pin it."""
    named, key = book.find_named(run[RUN_ID]), task_of(run)
    link = None if key is None else book.find(key, run[RUN_TS])
    joined = [] if link is None else list(link.within(run[RUN_TS], run[RUN_ID]))
    if any(e.shown and e.at >= cut for e in (*joined, *(named.entries if named else ()))):
        named = named or book.open(run_key(run[RUN_ID]), run[RUN_ID], 0)
        if named.pinned is None:
            named.pinned = run
            book.link_changed(named)
        return False
    if named is not None:
        book.close(named)
    if link is not None:
        for entry in joined:
            if not entry.shown:
                _drop(book, link, entry)
        book.drop_run(link, run[RUN_TS], run[RUN_ID])
        _tidy(book, link)
    return True


def _forget_outcome(book: Book, offset: int, row: Row, cut: int) -> None:
    link, entry = book.find_shown(row, offset)
    if row[OUTCOME_ID] is not None:
        card = book.card(row[OUTCOME_ID])
        held = None if card is None else book.held(card)
        if held is None or held[1] is entry:
            book.place_card(row[OUTCOME_ID], None)
    if link is None or entry is None:
        return  # it went with its run, was superseded, or was only shown anew here
    run = row[CONTENT]
    # What lost to it has no row of its own that would take it along later.
    for older in _siblings(link, run):
        if not older.shown and older.ts_us <= entry.ts_us:
            _drop(book, link, older)
    _drop(book, link, entry)
    _tidy(book, link)
    if run is not None:
        unpin(book, run[RUN_ID], cut)


def _siblings(link: Link, run: Row | None) -> Sequence[Entry]:
    if link.run_id is not None:
        return list(link.entries)
    return link.unmatched() if run is None else link.within(run[RUN_TS], run[RUN_ID])


def _drop(book: Book, link: Link, entry: Entry) -> None:
    link.drop(entry)
    book.entry_changed(link, entry, gone=True)


def _tidy(book: Book, link: Link) -> None:
    # Outcomes that lost are worth remembering only beside what they lost to.
    if not (link.runs or link.lost or link.pinned or any(e.shown for e in link.entries)):
        book.close(link)
