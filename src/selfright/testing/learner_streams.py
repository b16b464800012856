"""Samples for learners under test: the usual, and those that nobody would wish for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import numpy as np

from selfright.learn.features import Features, features_of
from selfright.learn.samples import LARGEST, Samples
from selfright.testing.learners import Questions, StreamLearner

Case: TypeAlias = tuple[str, Samples, Questions]

_RATES: Final = {"ada": 0.85, "bo": 0.7, "cy": 0.4}
_FALLEN: Final = 0.1
_ODD_NAMES: Final = (
    "a/b", "", " ", "\n", "é", "日本", "\ud800", "$array", "_other", "..", "'; --", "x" * 5000,
)  # fmt: skip
_HOSTILE: Final[tuple[dict[str, Any], ...]] = (
    {"size": 1e308, "cost": -1e308},
    {"size": -1e308},
    {"size": 5e-324, "tone": "x" * 64},
    {"size": float("inf"), "cost": float("nan"), "tone": ""},
    {f"key {i}": float(i) for i in range(300)},
    {f"key {i}": f"text {i}" for i in range(300)},
    {"": -1.0, "~": -1.0, "a.b": -1.0, "\ud800": -1.0, "features": -1.0},
    {"flag": True, "nothing": None, "deep": {"er": [1]}},
)


def stream(
    learner: StreamLearner, seed: int, n: int, *, falls: bool = False, features: bool = True
) -> Samples:
    """Return n samples of three arms in three groups, within the learner's range.

    Parameters
    ----------
    falls
        Whether ``bo`` breaks half way.
    features
        Whether tasks have features; what is good then depends on one of them.
    """
    rng = np.random.default_rng(seed)
    arms = [[*_RATES][i] for i in rng.integers(len(_RATES), size=n).tolist()]
    groups = [("math", "code", None)[i] for i in rng.integers(3, size=n).tolist()]
    length = np.rint(rng.normal(0.0, 3.0, n) * 16) / 16
    rate = np.array([_RATES[arm] for arm in arms]) + (0.05 * length if features else 0.0)
    if falls:
        rate[n // 2 :][[arm == "bo" for arm in arms[n // 2 :]]] = _FALLEN
    y = (rng.random(n) < rate).astype(np.float64)
    # A quarter is graded.
    y = np.where(rng.random(n) < 0.25, rng.random(n), y)
    of: list[Features | None] | None = None
    if features:
        tones = rng.integers(3, size=n).tolist()
        of = [
            {"length": x, f"tone~{tone}": 1.0} if tone else None
            for x, tone in zip(length.tolist(), tones, strict=True)
        ]
    return Samples.of(arms, groups, _within(learner, y), features=of)


def hostile(learner: StreamLearner, *, features: bool = True, many: int = 10_000) -> Iterator[Case]:
    """Yield samples that are hard to bear, each with a name and with what to ask after them.

    ``many``: arms of the largest fleet.
    """
    rng = np.random.default_rng(0)
    usual = stream(learner, 0, 120, features=False)
    arms, groups = usual.arm, usual.group
    yes_or_no = _within(learner, (rng.random(120) < 0.5).astype(np.float64))
    yield "nothing learnt", Samples.empty(), Questions()
    yield "one sample", usual.take(slice(0, 1)), Questions()
    yield "only the ends of the range", Samples.of(arms, groups, yes_or_no), Questions()
    for share in (0.0, 0.5, 1.0):
        same = _within(learner, np.full(120, share))
        yield f"all targets {share:g}", Samples.of(arms, groups, same), Questions()
    yield "one arm", Samples.of(["ada"] * 120, groups, usual.y), Questions()
    names = [*_ODD_NAMES]
    odd = [names[i % len(names)] for i in range(120)]
    asked = Questions(names, [*names, None])
    yield "odd names", Samples.of(odd, odd[::-1], usual.y), asked
    if learner.high > 1.0:
        far = np.where(rng.random(120) < 0.5, -LARGEST, LARGEST)
        yield "extreme targets", Samples.of(arms, groups, far), Questions()
    crowd = [f"arm {i}" for i in range(many)]
    y = _within(learner, rng.random(many))
    some = [*crowd[:20], "nobody"]
    yield f"{many:,} arms", Samples.of(crowd, ["math"] * many, y), Questions(some)
    if features:
        of = [features_of(_HOSTILE[i % len(_HOSTILE)]) for i in range(120)]
        asked = Questions(features=[one for one in of[: len(_HOSTILE)] if one])
        yield "hostile contexts", Samples.of(arms, groups, usual.y, features=of), asked


def _within(learner: StreamLearner, share: np.ndarray) -> np.ndarray:
    """Return shares of the learner's range as targets."""
    found: np.ndarray = learner.low + (learner.high - learner.low) * share
    return found
