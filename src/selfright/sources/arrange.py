"""Which rows of a file count, and in what order: ``--where --order-by --shuffle-within``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from selfright.errors import ConfigError
from selfright.sources.mapping import require_column

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from selfright.events.batch import Ints


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A selection and an order, in the file's words or in ours.

    Parameters
    ----------
    where
        A condition in SQL. None selects all.
    order_by
        Columns to sort by; rows that are equal in all of them stay as they are, and
        empty cells come last.
    shuffle_within
        Columns; rows that are equal in all of them change places at random among each
        other, after the sorting.
    seed
        Of the shuffling.
    also
        Our name to the file's, where the file has no column of our name.
    """

    where: str | None = None
    order_by: tuple[str, ...] = ()
    shuffle_within: tuple[str, ...] = ()
    seed: int = 0
    also: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        columns: Sequence[str],
        column_of: Mapping[str, str],
        *,
        where: str | None,
        order_by: str | None,
        shuffle_within: str | None,
        seed: int,
    ) -> Arrangement:
        """Return the arrangement of options; raise ``ConfigError`` for an unknown column."""
        also = {new: old for new, old in column_of.items() if new not in columns}
        known = (*columns, *also)
        sorting, shuffling = _split(order_by), _split(shuffle_within)
        for name in sorting:
            require_column("order-by", name, known)
        for name in shuffling:
            require_column("shuffle-within", name, known)
        if seed < 0:
            raise ConfigError("seed", seed, "must be 0 or more")
        wanted = where if where and where.strip() else None
        return cls(wanted, sorting, shuffling, seed, also)

    def column(self, name: str) -> str:
        """Return the file's column that ``name`` means."""
        return self.also.get(name, name)


def shuffled(keys: Sequence[Hashable], seed: int) -> Ints:
    """Return which row comes to each place when rows of equal keys change places.

    The places a group holds stay the group's, so groups keep their order.
    """
    rng = np.random.default_rng(seed)
    codes: dict[Any, int] = {}
    code = np.array([codes.setdefault(key, len(codes)) for key in keys], dtype=np.int64)
    by_group = np.argsort(code, kind="stable")
    order = np.empty(len(code), dtype=np.int64)
    for places in np.split(by_group, np.cumsum(np.bincount(code))[:-1]) if len(code) else ():
        order[places] = rng.permutation(places)
    return order


def _split(columns: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in (columns or "").split(","))))
