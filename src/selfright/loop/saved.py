"""A state tree as bytes: plain values and numpy arrays, msgpack, no pickle.

The same state gives the same bytes, so that two folds of one log can be compared.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

_ARRAY: Final = 1  # msgpack extension code of (dtype, shape, bytes)


def encode_state(state: dict[str, Any]) -> bytes:
    """Return the bytes of a tree of dicts, lists, scalars and numpy arrays."""
    return msgspec.msgpack.encode(state, enc_hook=_encode)


def decode_state(data: bytes) -> dict[str, Any]:
    """Return what ``encode_state`` wrote. Raises ``ValueError`` for anything else."""
    try:
        state = msgspec.msgpack.decode(data, ext_hook=_decode)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a saved state: {error}") from error
    if not isinstance(state, dict):
        raise TypeError("not a saved state: no mapping")
    return state


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        parts = (array.dtype.str, list(array.shape), array.tobytes())
        return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(parts))
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} is not part of a state")


def _decode(code: int, data: memoryview) -> Any:
    if code != _ARRAY:
        raise ValueError(f"unknown extension {code}")
    dtype, shape, content = msgspec.msgpack.decode(data)
    return np.frombuffer(content, dtype=dtype).reshape(shape).copy()
