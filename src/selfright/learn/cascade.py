"""Which agents to try one after the other where an outcome can be checked at once.

A cheap agent first and a dear one on failure can earn more than either alone: the dear one
is paid for only where it is needed. What a chain is worth follows from how probable each
agent's success is, first and after others have failed, and from what it costs:

    U(a, b, ...) = p(a) v - c(a) + (1 - p(a)) (q(b) v - c(b) + (1 - q(b)) (...))

with p the chance at a first attempt, q that after a failure, c the cost of a run and v
what a success is worth, both in dollars. q is not p: tasks that one agent failed at are
hard for the others, too. A step that costs more than it brings is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.hierarchy.thompson import draw, with_floor

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats: TypeAlias = npt.NDArray[np.float64]

# Chains are drawn as often as this; the share that begins with an agent is its probability.
_DRAWS: Final = 256


@dataclass(frozen=True, slots=True)
class Chances:
    """What is believed of each agent's success, and its mean cost; all float64[n].

    ``sd`` are the standard deviations that a choice is drawn with.
    """

    first: Floats
    first_sd: Floats
    later: Floats
    later_sd: Floats
    cost_usd: Floats


@dataclass(frozen=True, slots=True)
class Chain:
    """Positions of the agents to try, and the exact probability of each as the first one.

    ``success`` and ``cost_usd`` are what is expected of the whole chain.
    """

    members: tuple[int, ...]
    probabilities: Floats
    success: float
    cost_usd: float


def best_chain(
    first: Floats, later: Floats, cost_usd: Floats, value_usd: float, longest: int
) -> tuple[int, ...]:
    """Return the chain of highest utility, at most ``longest`` agents.

    Exact for one and two agents; further ones are added as long as the next best is worth
    its cost. O(n log n).

    >>> import numpy as np
    >>> chances, cost = np.array([0.70, 0.75, 0.5]), np.array([0.03, 0.5, 0.4])
    >>> best_chain(chances, chances * 0.4, cost, 10.0, 2)
    (0, 1)
    >>> best_chain(chances, chances * 0.4, cost, 1.0, 2)
    (0,)
    """
    start = int(_starts(first[None], later[None], cost_usd, value_usd, longest)[0])
    return _completed(start, later * value_usd - cost_usd, longest)


def _starts(
    first: Floats, later: Floats, cost_usd: Floats, value_usd: float, longest: int
) -> npt.NDArray[np.intp]:
    """Return the best first agent of each draw, int[draws]; chances are float64[draws, n]."""
    gain = np.maximum(later * value_usd - cost_usd, 0.0)
    tail = np.zeros_like(gain)
    if longest > 1 and gain.shape[1] > 1:
        # The best of the others: the best of all, or the second best for that one itself.
        rows, best = np.arange(len(gain)), gain.argmax(axis=1)
        tail += gain[rows, best][:, None]
        gain[rows, best] = 0.0
        tail[rows, best] = gain.max(axis=1)
    utility = first * value_usd - cost_usd + (1.0 - first) * tail
    starts: npt.NDArray[np.intp] = utility.argmax(axis=1)
    return starts


def choose(
    chances: Chances,
    value_usd: float,
    longest: int,
    floor: float,
    rng: np.random.Generator,
) -> Chain:
    """Draw a chain by Thompson sampling; the first agent from exactly ``probabilities``.

    O(draws * n): about 1 ms for 25 agents.
    """
    n = len(chances.cost_usd)
    noise = rng.standard_normal((2, _DRAWS, n))
    first = np.clip(chances.first + noise[0] * chances.first_sd, 0.0, 1.0)
    later = np.clip(chances.later + noise[1] * chances.later_sd, 0.0, 1.0)
    starts = _starts(first, later, chances.cost_usd, value_usd, longest)
    probabilities = with_floor(np.bincount(starts, minlength=n) / _DRAWS, floor)
    start = draw(probabilities, rng)
    fitting = np.flatnonzero(starts == start)
    # Where the floor alone chose the first, the others follow from what is expected.
    believed = later[rng.choice(fitting)] if fitting.size else chances.later
    members = _completed(start, believed * value_usd - chances.cost_usd, longest)
    return Chain(members, probabilities, *expected(chances, members))


def expected(chances: Chances, members: Sequence[int]) -> tuple[float, float]:
    """Return the chance that any of ``members`` succeeds, and the mean cost in dollars."""
    reached, cost_usd = 1.0, 0.0
    for step, member in enumerate(members):
        cost_usd += reached * float(chances.cost_usd[member])
        reached *= 1.0 - float((chances.later if step else chances.first)[member])
    return 1.0 - reached, cost_usd


def _completed(start: int, gain: Floats, longest: int) -> tuple[int, ...]:
    order = np.argsort(-gain, kind="stable").tolist()
    rest = [i for i in order if i != start and gain[i] > 0.0]
    return (start, *rest[: longest - 1])
