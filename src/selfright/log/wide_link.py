"""A task that everything bears: its link is read and written piece by piece.

Some callers use one task id for all they do, and after a month a million runs and outcomes
are under one key. Nothing of a link concerns more than two neighbouring runs, though: an
outcome joins the last run not after it, so each run has a *cell*, the time from it to the
next one. A link that outgrows ``WIDE`` items moves to a key of its own, where its items
are sorted by time, and from then on only the cells that an append touches are read.

=====================  ======================================
item                   value
=====================  ======================================
``R``, ts, run id      nothing
``E``, ts, digest      an outcome without an id
``I``, ts, digest      an outcome with one
``D``, digest          the ts under which the outcome without an id is
=====================  ======================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from selfright.log import link_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selfright.log.link import Entry, Link
    from selfright.log.schema import Connection

    Item = tuple[str, bytes]

WIDE: Final = 512
_RUN: Final = b"R"
_PLAIN: Final = b"E"
_IDENTIFIED: Final = b"I"
_DIGEST: Final = b"D"
_WITHIN: Final = "SELECT item, value FROM links WHERE key = ? AND item >= ? AND item < ?"
_FIRST: Final = _WITHIN + " ORDER BY item LIMIT 1"
_LAST: Final = _WITHIN + " ORDER BY item DESC LIMIT 1"
_END_US: Final = 2**63 - 2


def wide_key(key: str) -> str:
    """Return the key of a wide link's items. No name contains the character."""
    return key + "\x1e"


def run_item(link: Link, ts_us: int, run_id: str) -> Item:
    """Return what a run is stored under."""
    return wide_key(link.key), _RUN + link_rows.encode_number(ts_us) + run_id.encode()


def entry_item(link: Link, entry: Entry) -> Item:
    """Return what an outcome is stored under."""
    return _entry_item(link, entry.ts_us, entry.content_digest(), has_id=entry.has_id)


def digest_item(link: Link, entry: Entry) -> Item:
    """Return what an outcome without an id is recognised by."""
    return wide_key(link.key), _DIGEST + entry.content_digest()


def _entry_item(link: Link, ts_us: int, digest: bytes, *, has_id: bool) -> Item:
    kind = _IDENTIFIED if has_id else _PLAIN
    return wide_key(link.key), kind + link_rows.encode_number(ts_us) + digest


class WideLinks:
    """The pieces of wide links that one transaction has read.

    Parameters
    ----------
    unseal
        Returns the value of a stored row; raises what a damaged one shall raise.
    """

    def __init__(
        self, connection: Connection, unseal: Callable[[str, bytes, bytes], bytes]
    ) -> None:
        self._connection = connection
        self._unseal = unseal
        self._cells: dict[str, list[tuple[int, int, bool]]] = {}
        self._seen: set[tuple[str, bytes]] = set()  # outcomes at hand, by key and digest
        self._gone_runs: set[Item] = set()
        self._gone: set[tuple[str, bytes]] = set()

    def add(self, link: Link) -> None:
        """Learn that the link is wide."""
        link.wide = True
        self._cells[link.key] = []

    def read(self, link: Link, ts_us: int, *, with_ids: bool) -> None:
        """Have the cell of ``ts_us`` in the link.

        Where no run is before, outcomes with an id of their own concern nobody until a
        run comes, and there may be very many: they are read only ``with_ids``.
        """
        cells = self._cells[link.key]
        if any(lo <= ts_us < hi and (ids or not with_ids) for lo, hi, ids in cells):
            return
        behind = link_rows.encode_number(min(ts_us, _END_US) + 1)
        last = self._end(link, _LAST, _RUN, _RUN + behind)
        following = self._end(link, _FIRST, _RUN + behind, b"S")
        lo, hi = -1, _END_US + 1
        if last is not None:
            lo = _ts(last)
            for item, _ in self._items(link, _RUN, lo, lo + 1):
                self._add_run(link, item)
        if following is not None:
            hi = _ts(following)
            self._add_run(link, following)
        with_ids = with_ids or last is not None
        for kind in (_PLAIN, _IDENTIFIED) if with_ids else (_PLAIN,):
            for item, value in self._items(link, kind, max(lo, 0), hi):
                self._add_entry(link, item, value)
        cells.append((lo, hi, with_ids))

    def read_one(self, link: Link, ts_us: int, digest: bytes) -> None:
        """Have the outcome with an id, and of this time and content, in the link."""
        key, item = _entry_item(link, ts_us, digest, has_id=True)
        row = self._connection.execute(
            "SELECT value FROM links WHERE key = ? AND item = ?", (key, item)
        ).fetchone()
        if row is not None:
            self._add_entry(link, item, row[0])

    def holds(self, link: Link, digest: bytes) -> bool:
        """Return whether an outcome without id and of this content is there."""
        if (link.key, digest) in self._seen or (link.key, digest) in self._gone:
            return (link.key, digest) in self._seen
        found = self._connection.execute(
            "SELECT 1 FROM links WHERE key = ? AND item = ?",
            (wide_key(link.key), _DIGEST + digest),
        ).fetchone()
        return found is not None

    def changed(self, link: Link, entry: Entry, *, gone: bool) -> None:
        """Learn that an outcome came or went: what is read later must not undo that."""
        mine = (link.key, entry.content_digest())
        if gone:
            self._seen.discard(mine)
            self._gone.add(mine)
        else:
            self._seen.add(mine)
            self._gone.discard(mine)

    def dropped(self, item: Item) -> None:
        """Learn that a run went. Ditto."""
        self._gone_runs.add(item)

    def _end(self, link: Link, sql: str, first: bytes, before: bytes) -> bytes | None:
        key = wide_key(link.key)
        row = self._connection.execute(sql, (key, first, before)).fetchone()
        if row is None:
            return None
        self._unseal(key, row[0], row[1])
        return bytes(row[0])

    def _items(self, link: Link, kind: bytes, lo: int, hi: int) -> Iterator[tuple[bytes, bytes]]:
        bounds = (kind + link_rows.encode_number(lo), kind + link_rows.encode_number(hi))
        yield from self._connection.execute(_WITHIN, (wide_key(link.key), *bounds))

    def _add_run(self, link: Link, item: bytes) -> None:
        ts_us, run_id = _ts(item), item[9:].decode()
        if (wide_key(link.key), item) not in self._gone_runs and not link.has_run(ts_us, run_id):
            link.add_run(ts_us, run_id)

    def _add_entry(self, link: Link, item: bytes, stored: bytes) -> None:
        mine = (link.key, item[9:])
        if mine not in self._seen and mine not in self._gone:
            self._seen.add(mine)
            link.add(
                link_rows.decode_entry(self._unseal(wide_key(link.key), item, stored), item[9:])
            )


def _ts(item: bytes) -> int:
    return link_rows.decode_number(item[1:9])
