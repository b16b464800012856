"""What a task's context says in numbers: the features that a choice may depend on.

Numbers are compressed by ``8 asinh(x / 8)`` (a share or a grade stays what it is, a prompt of
100,000 characters does not outweigh everything else), and rounded, so that sums of products
are exact. Short texts are hashed to a few columns per key: ``language=de`` to one of
the columns of ``language``. What is neither says nothing. No key has to be declared: a feature
that does not help is not used (``hierarchy.slopes``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from math import asinh, isfinite
from typing import Any, Final, TypeAlias

Features: TypeAlias = Mapping[str, float]

# Steps of a feature: sums of a few million products of two of them are exact.
_GRAIN: Final = 2.0**8
# What 10^14 is compressed to: beyond it nothing is told apart.
_LARGEST: Final = 256.0
_LINEAR: Final = 8.0
_BUCKETS: Final = 8  # columns of a key whose values are texts
_LONGEST: Final = 64  # characters of a text that may be a category
_MOST: Final = 256  # keys of one context that are looked at


def features_of(context: Mapping[str, Any] | None) -> Features | None:
    """Return the features of a context, None where it has none.

    Examples
    --------
    >>> found = features_of({"characters": 1200, "tools": True, "notes": ["not", "a", "number"]})
    >>> sorted((name, round(value, 3)) for name, value in found.items())
    [('characters', 45.629), ('tools', 0.996)]
    >>> list(features_of({"language": "de"}).values())
    [1.0]
    """
    if not context:
        return None
    found: dict[str, float] = {}
    for key, value in list(context.items())[:_MOST]:
        if isinstance(value, str):
            if 0 < len(value) <= _LONGEST:
                found[f"{key}~{_bucket(value)}"] = 1.0
        elif isinstance(value, int | float) and isfinite(value):
            found[key] = _compressed(float(value))
    return found or None


def features_key(features: Features | None) -> str | None:
    """Return features as text: equal ones give equal texts."""
    return json.dumps(features, sort_keys=True) if features else None


def features_from(key: str | None) -> Features | None:
    """Return the features that ``features_key`` turned to text."""
    if key is None:
        return None
    found: dict[str, float] = json.loads(key)
    return found


def _compressed(value: float) -> float:
    small = _LINEAR * asinh(value / _LINEAR)
    return round(min(max(small, -_LARGEST), _LARGEST) * _GRAIN) / _GRAIN


def _bucket(value: str) -> int:
    return blake2b(value.encode("utf-8", "surrogatepass"), digest_size=2).digest()[0] % _BUCKETS
