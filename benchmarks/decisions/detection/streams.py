"""Agents whose truth is known: their outcomes, a row for each stream.

Every scenario draws from a generator of its own, so that it gives the same alone as among others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator


def chance(scenario: str, case: int = 0) -> Generator:
    """Return the generator of a scenario's case."""
    return np.random.default_rng([*scenario.encode(), case])


def outcomes(rng: Generator, rate: Floats, streams: int) -> Floats:
    """Return outcomes of 0 and 1 whose success rate is ``rate`` at each place."""
    return (rng.random((streams, len(rate))) < rate).astype(np.float64)


def pieces(*parts: tuple[float, int]) -> Floats:
    """Return a rate that is constant in parts, each given by its rate and length.

    Examples
    --------
    >>> pieces((0.9, 2), (0.5, 1)).tolist()
    [0.9, 0.9, 0.5]
    """
    return np.concatenate([np.full(length, rate) for rate, length in parts])


def ramp(before: float, after: float, length: int) -> Floats:
    """Return a rate that goes from one value to the other in equal steps."""
    return np.linspace(before, after, length)


def bursts(rng: Generator, rate: float, again: float, streams: int, length: int) -> Floats:
    """Return outcomes of which a failure follows a failure with probability ``again``.

    The success rate is ``rate`` all the same: the chain starts, and stays, in its balance.
    """
    first = (1.0 - rate) * (1.0 - again) / rate
    failed = np.empty((length, streams), dtype=np.bool_)
    now = rng.random(streams) < 1.0 - rate
    for t, drawn in enumerate(rng.random((length, streams))):
        failed[t] = now
        now = drawn < np.where(now, again, first)
    return np.ascontiguousarray(1.0 - failed.T)


def graded(rng: Generator, mean: float, kind: str, streams: int, length: int) -> Floats:
    """Return scores between 0 and 1: ``smooth`` ones or ``quarters``, as judges give them."""
    if kind == "quarters":
        return rng.binomial(4, mean, (streams, length)) / 4.0
    return rng.beta(5.0 * mean, 5.0 * (1.0 - mean), (streams, length))


def versions(rng: Generator, start: float, every: int, streams: int) -> list[Floats]:
    """Return the rates of agents whose every new version is 2 to 5 points worse, down to .70."""
    rates = []
    for _ in range(streams):
        parts, rate = [], start
        while rate > 0.70:
            rate -= rng.uniform(0.02, 0.05)
            parts.append((rate, every))
        rates.append(pieces(*parts))
    return rates


def latencies(rng: Generator, kind: str, streams: int, length: int) -> Floats:
    """Return durations in microseconds, around a second."""
    shape = (streams, length)
    match kind.split():
        case ["lognormal", sigma]:
            seconds = rng.lognormal(0.0, float(sigma), shape)
        case ["Pareto", alpha]:
            seconds = 0.5 * (1.0 + rng.pareto(float(alpha), shape))
        case ["gamma", order]:
            seconds = rng.gamma(float(order), 1.0 / float(order), shape)
        case ["bimodal", share]:
            slow = rng.random(shape) < float(share)  # a cache that misses
            seconds = rng.lognormal(0.0, 0.2, shape) * np.where(slow, 5.0, 0.5)
        case _:
            raise ValueError(kind)
    return seconds * 1e6
