"""Columns as lists, with None where a value is unknown: the last step before records.

A list of plain numbers is what records are made of: numpy's own scalars would leak into
JSON and equality, and taking them out one at a time costs more than the sums themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]


def listed(values: npt.NDArray[Any], known: Bools) -> list[list[Any]]:
    """Return each line of ``values`` as a list of plain numbers, None where not ``known``.

    Parameters
    ----------
    values
        Numbers, [columns, rows].
    known
        bool[columns, rows].

    Notes
    -----
    About 10 ns a value, 30 ns in a column that is known in part.
    """
    every, some = np.logical_and.reduce(known, axis=1), np.logical_or.reduce(known, axis=1)
    return [
        values[i].tolist()
        if every[i]
        else blanked(values[i].tolist(), known[i])
        if some[i]
        else [None] * values.shape[1]
        for i in range(len(values))
    ]


def blanked(column: list[Any], known: Bools) -> list[Any]:
    """Return a column with None where not ``known``."""
    if known.all():
        return column
    told: list[bool] = known.tolist()
    return [value if is_known else None for value, is_known in zip(column, told, strict=True)]
