"""Who takes part, among which settings each may choose, and how many of the runs it is given.

Everyone has eight settings to choose from and the same problems to choose on (``tuning``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from benchmarks.decisions.learning import ours, peers
from benchmarks.decisions.learning.policies import LinUCB, Policy, SuccessRate

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Contestant:
    """A policy under a name.

    Attributes
    ----------
    new
        Makes it from a ``Setup`` and settings.
    grid
        The settings it may choose from; of one, that one. As it ships, if so, comes first: with
        the first it plays as long as it has not chosen.
    share
        The share of the runs that it is given: some take too long for all.
    library
        What it needs, by its name in ``peers.PACKAGES``; None: nothing.
    hindsight
        It chooses anew for each scenario, as nobody could who does not know what will happen.
    """

    new: Callable[..., Policy]
    grid: tuple[Settings, ...]
    share: float = 1.0
    library: str | None = None
    hindsight: bool = False

    def runs(self, most: int) -> int:
        """Return how many of so many runs it is given."""
        return max(1, round(self.share * most))

    @property
    def missing(self) -> bool:
        """Whether what it needs is not installed."""
        return self.library is not None and peers.version(self.library) is None


def _grid(**values: tuple[Any, ...]) -> tuple[Settings, ...]:
    """Return every combination of the values."""
    return tuple(dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))


_BOUNDS: Final = _grid(alpha=(0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.2))
_FADING: Final = _grid(alpha=(0.1, 0.2, 0.4, 0.8), discount=(0.995, 0.999))
# Of Vowpal Wabbit: its default first; a step that does not fall, forgets.
_STEPS: Final = ("-l 0.5", "-l 2", "-l 5", "-l 2 --power_t 0")
ROSTER: Final[dict[str, Contestant]] = {
    ours.NAME: Contestant(
        ours.Selfright, _grid(thompson_variance=(0.25, 0.1, 0.5, 1.0), floor=(0.002, 0.01))
    ),
    "success rate, epsilon .1": Contestant(SuccessRate, ({},)),
    "LinUCB": Contestant(LinUCB, _BOUNDS),
    "LinUCB, discounted": Contestant(LinUCB, _FADING),
    "LinUCB (hindsight)": Contestant(LinUCB, _BOUNDS, hindsight=True),
    "LinUCB, discounted (hindsight)": Contestant(LinUCB, _FADING, hindsight=True),
    "Vowpal Wabbit, SquareCB": Contestant(
        peers.VowpalWabbit,
        _grid(
            options=tuple(
                f"--squarecb --gamma_scale {scale} {rate}" for scale in (10, 40) for rate in _STEPS
            )
        ),
        share=0.1,
        library="Vowpal Wabbit",
    ),
    "Vowpal Wabbit, epsilon": Contestant(
        peers.VowpalWabbit,
        _grid(
            options=tuple(
                f"--epsilon {epsilon} {rate}" for epsilon in (0.02, 0.1) for rate in _STEPS
            )
        ),
        share=0.1,
        library="Vowpal Wabbit",
    ),
    "MABWiser, LinTS": Contestant(
        peers.MABWiser,
        _grid(policy=("LinTS",), alpha=(0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)),
        share=0.05,
        library="MABWiser",
    ),
    "MABWiser, LinGreedy": Contestant(
        peers.MABWiser,
        _grid(policy=("LinGreedy",), epsilon=(0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)),
        share=0.1,
        library="MABWiser",
    ),
    "bayesianbandits": Contestant(
        peers.BayesianBandits,
        _grid(beta=(5.0, 20.0, 80.0, 300.0), rate=(1.0, 0.998)),
        share=0.05,
        library="bayesianbandits",
    ),
    "River, LinUCBDisjoint": Contestant(
        peers.River,
        _grid(beta=(5.0, 20.0, 80.0, 300.0), smoothing=(None, 0.998)),
        share=0.05,
        library="River",
    ),
}


def present() -> dict[str, Contestant]:
    """Return those whose libraries are installed."""
    return {name: one for name, one in ROSTER.items() if not one.missing}
