"""The newest commits in memory, found by offset."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

import numpy as np

from selfright.log.stored import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from selfright.events.batch import Commit
    from selfright.log.identity import Row

# A commit of one run costs 4 KB as columns and 300 bytes packed. Whoever records one run a
# second gets 86,400 such commits a day; whoever records a thousand at once gets columns.
_SMALL: Final = 16
_UNPACKED: Final = 256  # newest commits that stay as they are, for those who follow the log


class Tail:
    """Consecutive commits, oldest first. Not safe to change from two threads at once."""

    __slots__ = ("_commits", "_head", "_packed", "_starts", "next_offset")

    def __init__(self, next_offset: int = 0) -> None:
        self._commits: list[Commit | bytes] = []
        self._starts: list[int] = []
        self._head = 0  # commits before it were dropped; the lists are cut now and then
        self._packed = 0
        self.next_offset = next_offset

    def __len__(self) -> int:
        return len(self._commits) - self._head

    @property
    def first_offset(self) -> int:
        """The oldest offset here; ``next_offset`` when empty."""
        return self._starts[self._head] if len(self) else self.next_offset

    def add(self, commit: Commit) -> None:
        """Add the newest commit."""
        self._starts.append(commit.first_offset)
        self._commits.append(commit)
        self.next_offset = commit.next_offset
        last = len(self._commits) - _UNPACKED
        while self._packed < last:
            old = self._commits[self._packed]
            if not isinstance(old, bytes) and old.next_offset - old.first_offset < _SMALL:
                self._commits[self._packed] = pack(old)
            self._packed += 1

    def oldest_first(self) -> Iterator[Commit]:
        """Yield commits, oldest first."""
        for at in range(self._head, len(self._commits)):
            yield self._at(at)

    def drop_oldest(self) -> None:
        """Drop the oldest commit."""
        self._commits[self._head] = b""
        self._head += 1
        if self._head > _UNPACKED and self._head * 2 > len(self._commits):
            del self._commits[: self._head], self._starts[: self._head]
            self._packed = max(self._packed - self._head, 0)
            self._head = 0

    def clear(self, next_offset: int) -> None:
        """Drop everything; the next commit starts at ``next_offset``."""
        self._commits, self._starts = [], []
        self._head = self._packed = 0
        self.next_offset = next_offset

    def read(self, after: int, limit: int) -> list[Commit]:
        """Return whole commits from the one that holds ``after`` on; see ``EventLog.read``."""
        found: list[Commit] = []
        rows = 0
        at = max(bisect_right(self._starts, after, lo=self._head) - 1, self._head)
        if at < len(self._commits) and self._end(at) <= after:
            at += 1
        while at < len(self._commits) and (rows < limit or not found):
            commit = self._at(at)
            found.append(commit)
            rows += commit.next_offset - commit.first_offset
            at += 1
        return found

    def newest_first(self, before: int) -> Iterator[Commit]:
        """Yield commits that start below ``before``, newest first."""
        at = bisect_right(self._starts, before - 1, lo=self._head) - 1
        while at >= self._head:
            yield self._at(at)
            at -= 1

    def run_rows(self, offsets: Sequence[int]) -> list[Row]:
        """Return the stored rows of the runs at ``offsets``, which must be here."""
        rows: dict[int, Row] = {}
        by_commit: dict[int, list[int]] = {}
        for offset in offsets:
            by_commit.setdefault(bisect_right(self._starts, offset, lo=self._head) - 1, []).append(
                offset
            )
        for at, wanted in by_commit.items():
            runs = self._at(at).runs
            found = runs.take(np.searchsorted(runs.seq, np.array(wanted, dtype=np.int64)))
            rows.update(zip(wanted, found.rows(), strict=True))
        return [rows[offset] for offset in offsets]

    def _at(self, at: int) -> Commit:
        commit = self._commits[at]
        return unpack(commit) if isinstance(commit, bytes) else commit

    def _end(self, at: int) -> int:
        return self._starts[at + 1] if at + 1 < len(self._starts) else self.next_offset
