"""What follows from the sums of one arm's features, kept until that arm learns again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]


@dataclass(slots=True, eq=False)
class Within:
    """Moments of all arms around the means of their groups, and the slopes that follow.

    Attributes
    ----------
    xx, xy
        Of the features with each other and with the target, float64[arms, d, d], [arms, d].
    noise
        Variance of the target, shrunk, float64[arms].
    seen
        Sum and sum of squares of the features, whatever the group, float64[arms, 2, d].
    told
        What an arm adds to the case for each feature, float64[arms, 4, d]: whether it varies,
        how much it tells, the excess of that over chance, and the weight of the excess.
    stale
        Arms whose moments are to be worked out anew; ``unsolved``: whose slopes are.
    key, slope, spread, explained, fitted
        What was solved: for which features and precisions, mean and covariance of the slopes,
        what they explain of the squares, and their products with the sums of the features,
        float64[arms, groups].
    """

    xx: Floats
    xy: Floats
    noise: Floats
    seen: Floats
    told: Floats
    stale: Bools
    unsolved: Bools
    key: bytes
    slope: Floats
    spread: Floats
    explained: Floats
    fitted: Floats

    @classmethod
    def of(cls, arms: int, groups: int, d: int) -> Self:
        """Return moments that are all to be worked out."""
        return cls(
            np.zeros((arms, d, d)), np.zeros((arms, d)), np.ones(arms), np.zeros((arms, 2, d)),
            np.zeros((arms, 4, d)), np.ones(arms, np.bool_), np.ones(arms, np.bool_), b"",
            np.zeros((arms, 0)), np.zeros((arms, 0, 0)), np.zeros(arms), np.zeros((arms, groups)),
        )  # fmt: skip

    def void(self, row: int) -> None:
        """Have everything about an arm worked out anew."""
        self.stale[row] = self.unsolved[row] = True
