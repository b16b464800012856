"""A model's state as one npz file: arrays and plain values in, the very same ones out.

A state is a tree: dicts with text keys, lists, text, numbers, truth values, None and
numpy arrays of numbers, at any depth. Each array is a member ``<path>.npy`` of the zip,
so that ``numpy.load`` reads it; the rest is the member ``tree.json``. Nothing is ever
pickled, and what cannot be stored exactly is refused when it is saved, not found missing
when it is needed.

The same state, with dicts in the same order, gives the same bytes.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from io import BytesIO
from typing import Any, Final

import msgspec
import numpy as np
from numpy.lib import format as npy

from selfright.errors import ConfigError

State = dict[str, Any]

_TREE: Final = "tree.json"
# Stands in the tree where an array was.
_ARRAY: Final = "$array"
_KINDS: Final = "biuf"  # truth values and numbers; no objects, no text
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_]{1,64}")


class ArraySchema(msgspec.Struct, frozen=True):
    """What an array must be like when it is read back."""

    dtype: str
    shape: list[int]


def encode_state(state: State) -> tuple[bytes, dict[str, ArraySchema]]:
    """Return the bytes of the npz file and the schema of the arrays in it.

    A tuple comes back as a list and a numpy scalar as a plain number; everything else
    comes back equal, arrays bit by bit.

    Raises
    ------
    ConfigError
        For what cannot be stored exactly, and for NaN or infinity: a model that has
        diverged is never saved. Names the place in the state.
    """
    arrays: dict[str, np.ndarray] = {}
    tree = _Encoder(arrays).encode(state, ())
    # Unsorted: the order of a dict's keys may mean the order of the arms.
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False)
    buffer = BytesIO()
    # Stored, not deflated: small files, and reading is then hardly more than a copy.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)
        # A fixed date (ZipInfo's default), or equal states would differ in their bytes.
        archive.writestr(zipfile.ZipInfo(_TREE), text)
    schema = {name: ArraySchema(a.dtype.str, list(a.shape)) for name, a in arrays.items()}
    return buffer.getvalue(), schema


def decode_state(data: bytes, schema: dict[str, ArraySchema]) -> State:
    """Return the state that ``encode_state`` was given.

    Raises
    ------
    ValueError
        If the arrays are not those of ``schema`` or hold NaN or infinity, or the bytes
        are no such file.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()} - {_TREE}
            if names != set(schema):
                raise ValueError("its arrays are not those of the manifest")
            arrays = {name: _read(archive, name, schema[name]) for name in schema}
            tree = json.loads(archive.read(_TREE))
        state: State = _restored(tree, arrays)
        return state
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError) as error:
        raise ValueError(f"it is no model file: {error}") from error


class _Encoder:
    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self._arrays = arrays

    def encode(self, value: object, path: tuple[str, ...]) -> object:
        """Return ``value`` as JSON-able, with its arrays taken out."""
        if isinstance(value, np.ndarray):
            return {_ARRAY: self._take(value, path)}
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, dict):
            return {self._key(k, path): self.encode(v, (*path, k)) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.encode(v, (*path, str(i))) for i, v in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            raise _refused(path, value, "must be finite; a diverged model is not saved")
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise _refused(path, value, "must be plain values and arrays of numbers")

    def _key(self, key: object, path: tuple[str, ...]) -> str:
        if not isinstance(key, str) or key == _ARRAY:
            raise _refused(path, key, f"keys must be text other than {_ARRAY}")
        return key

    def _take(self, array: np.ndarray, path: tuple[str, ...]) -> str:
        if array.dtype.kind not in _KINDS:
            raise _refused(path, array.dtype, "an array must hold numbers or truth values")
        if not np.isfinite(array).all():
            raise _refused(path, "NaN or infinity", "must be finite; a diverged model is not saved")
        # Keys may be names of agents, which are no names for files; "~" starts no plain key.
        plain = all(_PLAIN_KEY.fullmatch(part) for part in path)
        name = ".".join(path) if plain else f"~{len(self._arrays)}"
        self._arrays[name] = np.asarray(array)
        return name


def _refused(path: tuple[str, ...], value: object, remedy: str) -> ConfigError:
    return ConfigError(".".join(("state", *path)), value, remedy)


def _read(archive: zipfile.ZipFile, name: str, expected: ArraySchema) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        array = npy.read_array(member, allow_pickle=False)
    if array.dtype.str != expected.dtype or list(array.shape) != expected.shape:
        raise ValueError(f"array {name} is not of the dtype and shape of the manifest")
    if array.dtype.kind not in _KINDS or not np.isfinite(array).all():
        raise ValueError(f"array {name} holds NaN or infinity")
    return array


def _restored(value: Any, arrays: dict[str, np.ndarray]) -> Any:  # noqa: ANN401 - a JSON tree
    if isinstance(value, dict):
        if _ARRAY in value:
            return arrays[value[_ARRAY]]
        return {key: _restored(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_restored(item, arrays) for item in value]
    return value
