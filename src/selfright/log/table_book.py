"""What a log in SQLite knows: the table ``links``, read and written once per append.

``item`` tells what a row of ``links`` is: see ``docs/format/log.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from selfright.errors import CorruptLogError
from selfright.log import link_rows, wide_link
from selfright.log.commit_rows import checked_payload
from selfright.log.identity import NAMED_RUN, OUTCOME_ID, RUN_ID, TS, outcome_digest
from selfright.log.link import (
    Card,
    Entry,
    Link,
    act_key,
    outcome_key,
    outcome_link_key,
    run_key,
    task_key,
    task_of,
)
from selfright.log.stored import decode_outcome, decode_run, encode_row
from selfright.log.wide_link import WideLinks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from selfright.events.batch import Commit, Intake
    from selfright.log.identity import Row
    from selfright.log.schema import Connection

# In the order given: IN (...) would sort the keys first, which costs as much again.
_SELECT: Final = (
    "SELECT links.key, item, links.value FROM json_each(?) AS wanted "
    "CROSS JOIN links ON links.key = wanted.value"
)
_UPSERT: Final = (
    "INSERT INTO links VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
)
_DELETE: Final = "DELETE FROM links WHERE key = ? AND item = ?"


class TableBook:
    """A ``Book`` over ``links`` for one transaction.

    What is asked for is read once; what changes is written by ``save``.
    """

    def __init__(self, connection: Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._read: set[str] = set()
        self._places: dict[str, int] = {}  # of runs and acts, by key
        self._links: dict[str, Link] = {}
        self._cards: dict[str, Card] = {}
        self._run_rows: dict[int, Row] = {}
        self._changed: dict[tuple[str, bytes], bytes | Entry | None] = {}
        self._wide = WideLinks(connection, self._unsealed)
        self._own: set[Entry] = set()  # came in this append: if shown, with a row of their own

    def prefetch(self, keys: Iterable[str]) -> None:
        """Read what is under these keys at once: 1 us a key where nothing is."""
        wanted = [key for key in keys if key not in self._read]
        if not wanted:
            return
        self._read.update(wanted)
        rows = self._connection.execute(_SELECT, (msgspec.json.encode(wanted).decode(),))
        for key, item, stored in rows:
            try:
                self._take(key, item, link_rows.unsealed(key, item, stored))
            except (msgspec.MsgspecError, TypeError, ValueError) as error:
                raise self._astray(f"of {key!r}: {error}") from error

    def _unsealed(self, key: str, item: bytes, stored: bytes) -> bytes:
        try:
            return link_rows.unsealed(key, item, stored)
        except (TypeError, ValueError) as error:
            raise self._astray(f"of {key!r}: {error}") from error

    def prefetch_for(self, intake: Intake | Commit) -> None:
        """Read what settling ``intake``, or forgetting it, will ask for: at once, not by row."""
        runs, rows = intake.runs, intake.outcomes.rows()
        keys = [run_key(run_id) for run_id in runs.run_id]
        tasks = zip(runs.agent_name, runs.task_id, strict=True)
        keys += [task_key(agent, task_id) for agent, task_id in tasks if task_id is not None]
        keys += [act_key(act.act_id) for _, act in intake.acts]
        keys += [outcome_key(row[OUTCOME_ID]) for row in rows if row[OUTCOME_ID] is not None]
        outcome_links = [outcome_link_key(row)[0] for row in rows]
        self.prefetch(dict.fromkeys(keys + outcome_links))
        joined = dict.fromkeys(
            row[NAMED_RUN] or self._best_run(key, row[TS])
            for key, row in zip(outcome_links, rows, strict=True)
        )
        run_ids = [run_id for run_id in joined if run_id is not None]
        self.prefetch([run_key(run_id) for run_id in run_ids])
        known = [run_id for run_id in run_ids if self.run(run_id) is not None]
        of_runs = [task_of(row) for row in self.run_rows(known)]
        self.prefetch(dict.fromkeys(key for key in of_runs if key is not None))

    def save(self) -> None:
        """Write what changed."""
        for link in self._links.values():
            size = len(link.runs) + len(link.entries)
            if size > wide_link.WIDE and link.run_id is None and not link.wide:
                self._widen(link)
        written, deleted = [], []
        for (key, item), value in self._changed.items():
            if value is None:
                deleted.append((key, item))
            else:
                if isinstance(value, Entry):
                    # One that was not read since is as it was.
                    is_own = value.row is None or (value in self._own and value.shown)
                    value = link_rows.encode_entry(value, is_own=is_own)  # noqa: PLW2901
                written.append((key, item, link_rows.sealed(key, item, value)))
        if deleted:
            self._connection.executemany(_DELETE, deleted)
        if written:
            written.sort()  # neighbours share pages
            self._connection.executemany(_UPSERT, written)

    # Runs and acts

    def unseen(self, run_ids: list[str]) -> bool:
        """Return whether these are all different and none is known."""
        keys = [run_key(run_id) for run_id in run_ids]
        self.prefetch(keys)
        return len(set(keys)) == len(keys) and self._places.keys().isdisjoint(keys)

    def claim(self, run_ids: list[str], first_offset: int) -> bool:
        """Place runs from ``first_offset`` on if all are different, new and not awaited."""
        if not self.unseen(run_ids) or self.awaited(run_ids):
            return False
        self.place(run_ids, range(first_offset, first_offset + len(run_ids)))
        return True

    def awaited(self, run_ids: list[str]) -> Iterable[int]:
        """Return the positions of those that outcomes name already."""
        keys = [run_key(run_id) for run_id in run_ids]
        self.prefetch(keys)
        return [i for i, key in enumerate(keys) if key in self._links]

    def run(self, run_id: str) -> int | None:
        """Return the offset of the run as it stands."""
        return self._place_of(run_key(run_id))

    def act(self, act_id: str) -> int | None:
        """Return the offset of an act."""
        return self._place_of(act_key(act_id))

    def run_rows(self, run_ids: Sequence[str]) -> list[Row]:
        """Return the stored rows of runs that are known, as they stand."""
        rows: dict[str, Row] = {}
        at: dict[str, int] = {}
        for run_id in run_ids:
            link = self.find_named(run_id)
            if link is not None and link.pinned is not None:
                rows[run_id] = link.pinned
            else:
                at[run_id] = self._places.get(run_key(run_id), -1)
        self._read_runs([offset for offset in at.values() if offset not in self._run_rows])
        for run_id, offset in at.items():
            row = self._run_rows.get(offset)
            if row is None or row[RUN_ID] != run_id:
                raise self._astray(f"lead to no row of run {run_id!r}")
            rows[run_id] = row
        return [rows[run_id] for run_id in run_ids]

    def place(self, run_ids: list[str], offsets: Sequence[int]) -> None:
        """Learn where runs stand now."""
        for run_id, offset in zip(run_ids, offsets, strict=True):
            self._set_place(run_key(run_id), offset)

    def place_act(self, act_id: str, offset: int) -> None:
        """Learn where an act stands."""
        self._set_place(act_key(act_id), offset)

    def unplace(self, run_ids: Sequence[str], offsets: Sequence[int]) -> None:
        """Forget runs, except those that stand at another offset by now."""
        for run_id, offset in zip(run_ids, offsets, strict=True):
            if self.run(run_id) == offset:
                self._set_place(run_key(run_id), None)

    def unplace_act(self, act_id: str) -> None:
        """Forget an act."""
        self._set_place(act_key(act_id), None)

    # Links and cards

    def find(self, key: str, ts_us: int) -> Link | None:
        """Return the link under ``key``, with all that concerns ``ts_us``."""
        return self._piece(key, ts_us, with_ids=True)

    def open(self, key: str, run_id: str | None, ts_us: int) -> Link:
        """Return that link, a new one about ``run_id`` if there is none."""
        return self._piece(key, ts_us, with_ids=False) or self._new_link(key, run_id)

    def holds(self, link: Link, entry: Entry) -> bool:
        """Return whether an outcome of the content of ``entry``, without id, is there."""
        digest = entry.content_digest()
        return self._wide.holds(link, digest) if link.wide else link.holds(digest)

    def find_shown(self, row: Row, offset: int) -> tuple[Link | None, Entry | None]:
        """Return the link of an outcome, and the outcome if it is shown at ``offset``."""
        link = self._piece(outcome_link_key(row)[0], row[TS], with_ids=False)
        if link is not None and link.wide and row[OUTCOME_ID] is not None:
            self._wide.read_one(link, row[TS], outcome_digest(row))
        return link, None if link is None else link.find(row, offset)

    def held(self, card: Card) -> tuple[Link, Entry] | None:
        """Return the outcome that a card is about, and its link."""
        link = self._piece(card.home, card.ts_us, with_ids=False)
        if link is not None and link.wide:
            self._wide.read_one(link, card.ts_us, card.held)
        entry = None if link is None else link.get(card.ts_us, card.held)
        return None if link is None or entry is None else (link, entry)

    def find_named(self, run_id: str) -> Link | None:
        """Return the link of the outcomes that name a run."""
        return self._piece(run_key(run_id), 0, with_ids=True)

    def add_run(self, key: str, ts_us: int, run_id: str) -> Link | None:
        """Add a run to a task's link; return the link if outcomes are there."""
        link = self.find(key, ts_us) or self._new_link(key, None)
        link.add_run(ts_us, run_id)
        self._run_changed(link, ts_us, run_id, gone=False)
        return link if link.entries else None

    def drop_run(self, link: Link, ts_us: int, run_id: str) -> None:
        """Take a run from a task's link, if it is there."""
        if link.drop_run(ts_us, run_id):
            self._run_changed(link, ts_us, run_id, gone=True)

    def entries_added(self, entries: Iterable[tuple[Entry, Link]]) -> None:
        """Learn that outcomes came, of an append that is being settled."""
        for entry, link in entries:
            self._own.add(entry)
            self.entry_changed(link, entry)

    def entry_changed(self, link: Link, entry: Entry, *, gone: bool = False) -> None:
        """Learn that an outcome changed how it stands, or went."""
        if link.wide:
            self._wide.changed(link, entry, gone=gone)
            self._changed[wide_link.entry_item(link, entry)] = None if gone else entry
            if not entry.has_id:
                ts = None if gone else link_rows.encode_number(entry.ts_us)
                self._changed[wide_link.digest_item(link, entry)] = ts
        else:
            item = link_rows.ENTRY + entry.content_digest()
            self._changed[link.key, item] = None if gone else entry

    def link_changed(self, link: Link) -> None:
        """Learn that ``lost`` or ``pinned`` of the link changed."""
        pinned = None if link.pinned is None else encode_row(link.pinned)
        self._changed[link.key, link_rows.PINNED] = pinned
        self._changed[link.key, link_rows.LOST] = link_rows.encode_digests(link.lost) or None

    def close(self, link: Link) -> None:
        """Forget a link, with all that it holds; of a wide one, what was read of it."""
        for ts_us, run_id in link.runs:
            self._run_changed(link, ts_us, run_id, gone=True)
        for entry in link.entries:
            self.entry_changed(link, entry, gone=True)
        if link.wide:
            link.runs, link.entries = [], []
            return
        del self._links[link.key]
        self._changed[link.key, link_rows.LOST] = None
        self._changed[link.key, link_rows.PINNED] = None

    def card(self, outcome_id: str) -> Card | None:
        """Return where the outcome of that id is."""
        key = outcome_key(outcome_id)
        if key not in self._read:
            self.prefetch([key])
        return self._cards.get(key)

    def place_card(self, outcome_id: str, card: Card | None) -> None:
        """Learn where the outcome of that id is now; None: nowhere."""
        key = outcome_key(outcome_id)
        if card is None:
            self._cards.pop(key, None)
            self._changed[key, link_rows.CARD] = None
        else:
            self._cards[key] = card
            self._changed[key, link_rows.CARD] = link_rows.encode_card(card)

    def fill(self, entry: Entry) -> None:
        """Read the row of an outcome that is shown at an offset of its own."""
        found = self._connection.execute(
            "SELECT offset, kind, crc, payload FROM events WHERE offset = ? AND kind = 1",
            (entry.at,),
        ).fetchone()
        row = None if found is None else decode_outcome(checked_payload(found, self._path))
        if row is None or not entry.says(row):
            raise self._astray(f"lead to no such outcome at offset {entry.at}")
        entry.set_shown(row)

    # Inside

    def _read_runs(self, offsets: list[int]) -> None:
        if offsets:
            found = self._connection.execute(
                "SELECT offset, kind, crc, payload FROM json_each(?) AS wanted "
                "CROSS JOIN events ON offset = wanted.value WHERE kind = 0",
                (msgspec.json.encode(offsets).decode(),),
            )
            for event in found:
                self._run_rows[event[0]] = decode_run(checked_payload(event, self._path))

    def _best_run(self, key: str, ts_us: int) -> str | None:
        link = self._piece(key, ts_us, with_ids=False)
        return None if link is None else link.best_run(ts_us)

    def _piece(self, key: str, ts_us: int, *, with_ids: bool) -> Link | None:
        if key not in self._read:
            self.prefetch([key])
        link = self._links.get(key)
        if link is not None and link.wide:
            self._wide.read(link, ts_us, with_ids=with_ids)
        return link

    def _run_changed(self, link: Link, ts_us: int, run_id: str, *, gone: bool) -> None:
        if link.wide:
            item = wide_link.run_item(link, ts_us, run_id)
            self._changed[item] = None if gone else b""
            if gone:
                self._wide.dropped(item)
        else:
            at = None if gone else link_rows.encode_number(ts_us)
            self._changed[link.key, link_rows.TASK_RUN + run_id.encode()] = at

    def _widen(self, link: Link) -> None:
        """Move a link that has grown too long to be read whole."""
        runs, entries = link.runs, link.entries
        for ts_us, run_id in runs:
            self._run_changed(link, ts_us, run_id, gone=True)
        for entry in entries:
            self.entry_changed(link, entry, gone=True)
        self._changed[link.key, link_rows.WIDE] = b""
        self._wide.add(link)
        for ts_us, run_id in runs:
            self._run_changed(link, ts_us, run_id, gone=False)
        for entry in entries:
            self.entry_changed(link, entry)

    def _place_of(self, key: str) -> int | None:
        if key not in self._read:
            self.prefetch([key])
        return self._places.get(key)

    def _set_place(self, key: str, offset: int | None) -> None:
        if offset is None:
            self._changed[key, link_rows.PLACE] = None
            self._places.pop(key, None)
        else:
            self._changed[key, link_rows.PLACE] = link_rows.encode_number(offset)
            self._places[key] = offset

    def _new_link(self, key: str, run_id: str | None) -> Link:
        link = self._links[key] = Link(key, run_id)
        return link

    def _take(self, key: str, item: bytes, value: bytes) -> None:
        kind, rest = item[:1], item[1:]
        if kind == link_rows.PLACE:
            self._places[key] = link_rows.decode_number(value)
        elif kind == link_rows.TASK_RUN:
            self._link(key).add_run(link_rows.decode_number(value), rest.decode())
        elif kind == link_rows.ENTRY:
            self._link(key).add(link_rows.decode_entry(value, rest))
        elif kind == link_rows.CARD:
            self._cards[key] = link_rows.decode_card(key, value)
        elif kind == link_rows.WIDE:
            self._wide.add(self._link(key))
        elif kind == link_rows.LOST:
            self._link(key).lost = link_rows.decode_digests(value)
        else:
            self._link(key).pinned = decode_run(value)

    def _link(self, key: str) -> Link:
        return self._links.get(key) or self._new_link(key, _run_of(key))

    def _astray(self, what: str) -> CorruptLogError:
        return CorruptLogError(str(self._path), None, f"links {what}")


def place(connection: Connection, path: Path, key: str) -> int | None:
    """Return the offset where the run or act of ``key`` stands."""
    row = connection.execute(
        "SELECT value FROM links WHERE key = ? AND item = x''", (key,)
    ).fetchone()
    try:
        return (
            None if row is None else link_rows.decode_number(link_rows.unsealed(key, b"", row[0]))
        )
    except (TypeError, ValueError) as error:
        raise CorruptLogError(str(path), None, f"links of {key!r}: {error}") from error


def _run_of(key: str) -> str | None:
    own = run_key("")
    return key.removeprefix(own) if key.startswith(own) else None
