"""What a model learns from, as columns: who, in which group, how well, how often counted.

Targets are rounded to multiples of 2^-20 on entry. A sum of such numbers is exact in
float64 (up to 2^33 samples of at most 1), so it does not depend on the order in which
they are added: two workers that split a stream agree to the last bit with one that did not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.features import Features

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

# A millionth is finer than any score or log-latency is known.
GRAIN: Final = 2.0**20
# Beyond this a sum of squares of a few million samples would no longer be exact. As the
# logarithm of a latency it is 10^27 years.
LARGEST: Final = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """n samples in columns, in order of arrival.

    Parameters
    ----------
    arm
        What was chosen or measured: an agent, a route, a parameter set.
    group
        Within what it is judged: a task type, or the agent whose parameters they are.
        None: not said.
    y
        Targets: rewards and scores in 0..1, latencies as ``log(ms)``. Rounded to
        multiples of 2^-20.
    weight
        +1 adds a sample, -1 takes one back that was added before.
    ts_us
        When it happened, microseconds UTC.
    features
        What is known of each task, see ``features``; None where nothing is of any.

    Raises
    ------
    ValueError
        If the columns differ in length, a target is not finite or beyond +-100, or a
        weight is not +1 or -1.

    Examples
    --------
    >>> import numpy as np
    >>> samples = Samples.of(["planner", "coder"], ["math", None], [1.0, 0.25])
    >>> len(samples), samples.y.tolist(), samples.weight.tolist()
    (2, [1.0, 0.25], [1.0, 1.0])
    >>> samples.take(np.array([False, True])).arm
    ['coder']
    """

    arm: list[str]
    group: list[str | None]
    y: Floats
    weight: Floats
    ts_us: Ints
    features: list[Features | None] | None = None

    def __post_init__(self) -> None:
        y = np.asarray(self.y, dtype=np.float64)
        weight = np.asarray(self.weight, dtype=np.float64)
        ts_us = np.asarray(self.ts_us, dtype=np.int64)
        n = len(self.arm)
        if not (len(self.group) == n and y.shape == weight.shape == ts_us.shape == (n,)):
            raise ValueError(
                f"columns differ: {n} arms, {len(self.group)} groups, y {y.shape}, "
                f"weight {weight.shape}, ts_us {ts_us.shape}"
            )
        if self.features is not None and len(self.features) != n:
            raise ValueError(f"columns differ: {n} arms, features of {len(self.features)}")
        # One sample at a time is how a slow stream comes: numbers beat arrays of one.
        largest = np.abs(y).max(initial=0.0) if n != 1 else abs(float(y[0]))
        # A NaN fails every comparison, so one test catches it too.
        if not largest <= LARGEST:
            raise ValueError(f"targets must be finite and within +-{LARGEST:g}")
        if not ((np.abs(weight) == 1.0).all() if n != 1 else abs(float(weight[0])) == 1.0):
            raise ValueError("a weight must be 1 (add) or -1 (take back)")
        y = np.rint(y * GRAIN) / GRAIN if n != 1 else np.array([round(float(y[0]) * GRAIN) / GRAIN])
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "ts_us", ts_us)

    def __len__(self) -> int:
        return len(self.arm)

    @classmethod
    def of(
        cls,
        arm: Sequence[str],
        group: Sequence[str | None],
        y: Sequence[float] | Floats,
        weight: float = 1.0,
        ts_us: int = 0,
        features: Sequence[Features | None] | None = None,
    ) -> Samples:
        """Return samples of one weight and one time: for tests, examples, simulations."""
        n = len(arm)
        return cls(
            [*arm], [*group], np.asarray(y, dtype=np.float64),
            np.full(n, weight), np.full(n, ts_us, dtype=np.int64),
            None if features is None else [*features],
        )  # fmt: skip

    @classmethod
    def empty(cls) -> Samples:
        """Return no samples: what an arm is restarted with when all about it is void."""
        return cls.of([], [], [])

    @classmethod
    def concat(cls, parts: Iterable[Samples]) -> Samples:
        """Return the samples of all parts, in their order."""
        listed = [part for part in parts if len(part)]
        if len(listed) == 1:
            return listed[0]
        if not listed:
            return cls.empty()
        return cls(
            [arm for part in listed for arm in part.arm],
            [group for part in listed for group in part.group],
            np.concatenate([part.y for part in listed]),
            np.concatenate([part.weight for part in listed]),
            np.concatenate([part.ts_us for part in listed]),
            _joined(listed),
        )

    def take(self, chosen: Bools | Ints | slice) -> Samples:
        """Return the chosen samples: a mask of all, their positions, or a slice."""
        index = np.arange(len(self))[chosen].tolist()
        return Samples(
            [self.arm[i] for i in index],
            [self.group[i] for i in index],
            self.y[index],
            self.weight[index],
            self.ts_us[index],
            None if self.features is None else [self.features[i] for i in index],
        )

    def for_arms(self, arms: Iterable[str]) -> Samples:
        """Return the samples of these arms."""
        wanted = set(arms)
        return self.take(np.fromiter((arm in wanted for arm in self.arm), np.bool_, len(self)))

    def for_groups(self, groups: Iterable[str | None]) -> Samples:
        """Return the samples within these groups."""
        wanted = set(groups)
        return self.take(np.fromiter((g in wanted for g in self.group), np.bool_, len(self)))


def _joined(parts: Sequence[Samples]) -> list[Features | None] | None:
    if all(part.features is None for part in parts):
        return None
    return [
        one
        for part in parts
        for one in (part.features if part.features is not None else [None] * len(part))
    ]
