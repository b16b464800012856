"""Which deliveries count, and which run an outcome belongs to: a function of their set.

Outcomes arrive before their runs, twice, corrected, out of order. Whatever the order and
however batched, the log must end up saying the same. So nothing is decided for good:
every outcome ever delivered stays in a link (``link``), and each append settles anew
those groups that it touches:

1. each run's id goes to its best content (``identity``);
2. each outcome joins the run it names, or the run of its task with the greatest
   (timestamp, run_id) that is not after it, or none yet;
3. of the outcomes in one group (one run, or one name as long as no run is there) the
   best of each identity is *shown*: ``outcome_id`` where given, else (agent, group,
   feedback source);
4. of those shown for one run, the newest is *primary*.

What differs from how the log showed it before is retracted and added again, not fresh,
at the offset of the row that brought the change about. A row that would come and go
within one append is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from selfright.errors import CorruptLogError
from selfright.log.arrival import Arrivals
from selfright.log.group import Groups
from selfright.log.identity import GIVEN, OUTCOME_ID, RUN_ID, RUN_TS, TS
from selfright.log.link import (
    MAX_HIDDEN,
    Card,
    Entry,
    outcome_key,
    outcome_link_key,
    task_key,
    task_of,
)

if TYPE_CHECKING:
    from selfright.events.batch import Bools, Intake, Ints
    from selfright.log.book import Book
    from selfright.log.identity import Row


@dataclass(frozen=True, slots=True)
class Settled:
    """What an append comes to.

    Attributes
    ----------
    next_offset
        The first offset behind this commit.
    run_offsets, outcome_offsets, act_offsets
        For each row of the intake its offset, -1 for a duplicate.
    joined, primary, fresh
        Those columns, for each outcome of the intake.
    retracted_runs, retracted_outcomes, added_outcomes
        Pairs (offset of the row that brought it about, row), ascending.
    """

    next_offset: int
    run_offsets: Ints
    outcome_offsets: Ints
    act_offsets: Ints
    joined: list[Row | None]
    primary: Bools
    fresh: Bools
    retracted_runs: list[tuple[int, Row]]
    retracted_outcomes: list[tuple[int, Row]]
    added_outcomes: list[tuple[int, Row]]


def settle(book: Book, intake: Intake, first_offset: int) -> Settled:
    """Return what ``intake`` comes to, and tell ``book`` what changed.

    About 0.1 us for a run without a task, 5 us for a run and its outcome.
    """
    if _only_new(book, intake, first_offset):
        return _all_kept(len(intake.runs), first_offset)
    step = _Step(book, intake)
    step.take_runs()
    step.take_outcomes()
    step.take_acts()
    step.groups.settle()
    return step.finish(first_offset)


def _only_new(book: Book, intake: Intake, first_offset: int) -> bool:
    """Return whether these are runs that concern nothing else; then the book has them."""
    runs = intake.runs
    if intake.acts or len(intake.outcomes) or runs.task_id.count(None) != len(runs):
        return False
    return book.claim(runs.run_id, first_offset)


def _all_kept(runs: int, first_offset: int) -> Settled:
    """Return what so many runs come to where each one stays as it came."""
    none, nothing = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)
    offsets = np.arange(first_offset, first_offset + runs)
    return Settled(first_offset + runs, offsets, none, none, [], nothing, nothing, [], [], [])


class _Step:
    """One append while it is being settled. A *position* orders its rows across kinds."""

    __slots__ = ("acts_kept", "arrivals", "book", "groups", "intake", "positions")

    def __init__(self, book: Book, intake: Intake) -> None:
        self.book = book
        self.intake = intake
        self.positions = _positions(intake)
        self.arrivals = Arrivals(book, intake.runs)
        self.groups = Groups(book, self.arrivals, self.positions[1])
        self.acts_kept: list[bool] = []

    def take_runs(self) -> None:
        """Add the kept runs to their tasks, and mark the outcomes they may concern."""
        runs, book, arrivals = self.intake.runs, self.book, self.arrivals
        ids, tasks = runs.run_id, runs.task_id
        if tasks.count(None) != len(tasks):
            replaced, at = arrivals.replaced, self.positions[0]
            agents, times = runs.agent_name, runs.ts_us.tolist()
            add_run = book.add_run
            for i in range(len(ids)) if arrivals.kept is None else arrivals.kept:
                task_id = tasks[i]
                if task_id is not None and ids[i] not in replaced:
                    link = add_run(task_key(agents[i], task_id), times[i], ids[i])
                    if link is not None:
                        self.groups.soil(link.within(times[i], ids[i]), link, int(at[i]))
        for run_id, old in arrivals.replaced.items():
            i = arrivals.index[run_id]
            self._replace(old, arrivals.rows[i], int(self.positions[0][i]))
        for i in book.awaited(ids):
            named = book.find_named(ids[i])
            if named is not None and arrivals.index.get(ids[i]) == i:
                self.groups.soil(named.entries, named, int(self.positions[0][i]))

    def _replace(self, old: Row, new: Row, position: int) -> None:
        """Let a run's new content stand where the old one stood."""
        run_id, was, now = new[RUN_ID], task_of(old), task_of(new)
        named = self.book.find_named(run_id)
        if named is not None and named.pinned is not None:
            named.pinned = None  # it has a row of its own again
            self.book.link_changed(named)
        stays = was == now and old[RUN_TS] == new[RUN_TS]
        link = None if was is None else self.book.find(was, old[RUN_TS])
        if link is not None and was is not None:
            if not stays:
                self.book.find(was, old[RUN_TS] - 1)  # the run before takes its outcomes over
                self.book.drop_run(link, old[RUN_TS], run_id)
                self.groups.left(link)
            self.groups.soil(link.within(old[RUN_TS], run_id), link, position)
        if now is not None and not stays:
            link = self.book.add_run(now, new[RUN_TS], run_id)
            if link is not None:
                self.groups.soil(link.within(new[RUN_TS], run_id), link, position)

    def take_outcomes(self) -> None:
        """Add the outcomes whose content is new to their links."""
        book, new = self.book, self.groups.new
        for j, row in enumerate(self.intake.outcomes.rows()):
            key, named = outcome_link_key(row)
            entry = Entry(row[TS], row, -1, False, None, True, True, row[OUTCOME_ID] is not None, j)
            if entry.has_id and not self._take_identified(entry, row, key):
                continue
            link = book.open(key, named, entry.ts_us)
            if (link.entries or link.wide) and not entry.has_id and book.holds(link, entry):
                continue
            link.add(entry)
            new.append((entry, link))
        book.entries_added(new)

    def _take_identified(self, entry: Entry, row: Row, key: str) -> bool:
        """Return whether this is the best content of its ``outcome_id``; part with the other."""
        outcome_id, book, digest = row[OUTCOME_ID], self.book, entry.content_digest()
        card = book.card(outcome_id)
        if card is None:
            card = Card(outcome_key(outcome_id))
        else:
            if digest == card.held or digest in card.lost:
                return False
            wins = (entry.ts_us, digest) > (card.ts_us, card.held)
            # As in ``contest``: repeated, the loser would come with a later time.
            if not (card.given if wins else row[GIVEN]):
                card.lost = [*card.lost, card.held if wins else digest][-MAX_HIDDEN:]
                book.place_card(outcome_id, card)
            if not wins:
                return False
            found = book.held(card)
            if found is None:
                raise CorruptLogError(
                    "links", None, f"outcome {outcome_id!r} is not where they say"
                )
            home, held = found
            if held.shown or held in self.groups.again:
                self.groups.again.add(entry)
            self.groups.part(held, home, int(self.positions[1][entry.index]))
        card.home, card.held, card.ts_us, card.given = key, digest, entry.ts_us, row[GIVEN]
        book.place_card(outcome_id, card)
        return True

    def take_acts(self) -> None:
        """Keep the acts whose id is new."""
        known: set[str] = set()
        for _, act in self.intake.acts:
            self.acts_kept.append(act.act_id not in known and self.book.act(act.act_id) is None)
            known.add(act.act_id)

    def finish(self, first_offset: int) -> Settled:
        """Number what is kept, in the order of the intake, and tell the book."""
        run_at, outcome_at, act_at = self.positions
        groups, rows = self.groups, len(run_at) + len(outcome_at) + len(act_at)
        kept = np.ones(rows, dtype=np.bool_)
        if self.arrivals.kept is not None:
            kept[run_at] = False
            kept[run_at[self.arrivals.kept]] = True
        kept[outcome_at] = groups.kept
        kept[act_at] = self.acts_kept
        # For a row that is not kept: the offset of the kept one before it.
        offsets = np.cumsum(kept) + (first_offset - 1)
        np.maximum(offsets, first_offset, out=offsets)
        next_offset = first_offset + int(np.count_nonzero(kept))
        places = offsets[outcome_at].tolist()
        for entry, _ in groups.new:
            entry.at, entry.index = places[entry.index], -1
        for entry, position in groups.moved:
            entry.at = int(offsets[position])
        numbers = np.where(kept, offsets, -1) if next_offset - first_offset < rows else offsets
        run_offsets, outcome_offsets, act_offsets = (numbers[at] for at in self.positions)
        self._place(run_offsets, act_offsets)
        replaced = [
            (int(run_at[self.arrivals.index[run_id]]), row)
            for run_id, row in self.arrivals.replaced.items()
        ]

        def at_offsets(pairs: list[tuple[int, Row]]) -> list[tuple[int, Row]]:
            placed = [(int(offsets[position]), row) for position, row in pairs]
            return sorted(placed, key=lambda pair: pair[0])

        return Settled(
            next_offset,
            run_offsets,
            outcome_offsets,
            act_offsets,
            groups.joined,
            groups.primary,
            groups.fresh,
            at_offsets(replaced),
            at_offsets(groups.retracted),
            at_offsets(groups.added),
        )

    def _place(self, run_offsets: Ints, act_offsets: Ints) -> None:
        ids, places = self.intake.runs.run_id, run_offsets.tolist()
        if self.arrivals.kept is not None:
            ids = [ids[i] for i in self.arrivals.kept]
            places = [places[i] for i in self.arrivals.kept]
        self.book.place(ids, places)
        for (_, act), offset in zip(self.intake.acts, act_offsets.tolist(), strict=True):
            if offset >= 0:
                self.book.place_act(act.act_id, offset)


def _positions(intake: Intake) -> tuple[Ints, Ints, Ints]:
    """Return for the rows of each kind their rank by ``seq`` among all."""
    runs, outcomes, acts = len(intake.runs), len(intake.outcomes), len(intake.acts)
    if not outcomes and not acts:
        none = np.empty(0, dtype=np.int64)
        return np.arange(runs), none, none
    act_seq = np.array([seq for seq, _ in intake.acts], dtype=np.int64)
    seq = np.concatenate([intake.runs.seq, intake.outcomes.seq, act_seq])
    rank = np.empty(len(seq), dtype=np.int64)
    rank[np.argsort(seq, kind="stable")] = np.arange(len(seq))
    return rank[:runs], rank[runs : runs + outcomes], rank[runs + outcomes :]
