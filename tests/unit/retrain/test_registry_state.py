"""A model's state goes into one npz file and comes out of it the same, or is refused."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from selfright.errors import ConfigError
from selfright.retrain.model_state import ArraySchema, decode_state, encode_state
from selfright.retrain.sealed import seal, unseal

arrays = hnp.arrays(
    dtype=st.sampled_from(["<f8", "<f4", "<i8", "<i4", "u1", "?", ">f8"]),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    elements={"allow_nan": False, "allow_infinity": False},
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
keys = st.text(max_size=8).filter(lambda key: key != "$array")
trees = st.recursive(
    st.one_of(plain, arrays),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=12,
)


@given(st.dictionaries(keys, trees, max_size=5))
def test_every_tree_comes_back_the_same(state):
    """Arrays of any number, order and shape, plain values, the order of keys, at any depth."""
    data, schema = encode_state(state)
    back = decode_state(data, schema)
    assert repr(_signature(back)) == repr(_signature(state))
    assert encode_state(state)[0] == data


def _signature(value):
    """Return a tree as text-comparable values: arrays by type, shape and bytes."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, dict):
        return [(key, _signature(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [_signature(item) for item in value]
    return value


def test_tuples_and_scalars_become_plain():
    """The two conversions that are made, and no other."""
    state = {"pair": (1, 2.5), "n": np.int64(3), "x": np.float32(0.5), "yes": np.bool_(True)}
    data, schema = encode_state(state)
    back = decode_state(data, schema)
    assert back == {"pair": [1, 2.5], "n": 3, "x": 0.5, "yes": True}
    assert [type(back[key]) for key in ("n", "x", "yes")] == [int, float, bool]


def test_views_are_kept_as_what_they_show():
    """Transposed, strided, read-only: the values count."""
    base = np.arange(24.0).reshape(4, 6)
    frozen = base.copy()
    frozen.setflags(write=False)
    state = {"t": base.T, "s": base[::2, ::-1], "r": frozen}
    data, schema = encode_state(state)
    back = decode_state(data, schema)
    assert all(np.array_equal(back[key], state[key]) for key in state)
    assert back["r"].flags.writeable


def test_names_of_agents_may_be_keys():
    """However hostile: a name never becomes a name in the zip."""
    names = ["../../etc/passwd", "a/b", "~0", "", "x" * 500, "\x00", "a.b", "nul\r\n"]
    state = {
        "per_agent": {name: np.array([i]) for i, name in enumerate(names)},
        "a": {"b": np.ones(1)},
    }
    data, schema = encode_state(state)
    assert all(name.replace(".", "").lstrip("~").isalnum() for name in schema)
    back = decode_state(data, schema)
    assert {name: int(back["per_agent"][name][0]) for name in names} == {
        n: i for i, n in enumerate(names)
    }


def test_numpy_reads_the_file():
    """Whoever has numpy and no Selfright can still get at the arrays."""
    data, _ = encode_state({"w": np.arange(3), "deep": {"b": np.eye(2)}, "name": "x"})
    with np.load(BytesIO(data), allow_pickle=False) as found:
        assert sorted(found.files) == ["deep.b", "tree.json", "w"]
        assert np.array_equal(found["deep.b"], np.eye(2))


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"a": float("nan")}, "state.a"),
        ({"a": [1.0, float("inf")]}, "state.a.1"),
        ({"a": {"b": np.array([1.0, np.nan])}}, "state.a.b"),
        ({"a": np.array([np.inf])}, "state.a"),
        ({"a": np.array([object()])}, "state.a"),
        ({"a": np.array(["text"])}, "state.a"),
        ({"a": np.array([1j])}, "state.a"),
        ({"a": {1: 2}}, "state.a"),
        ({"a": {None: 2}}, "state.a"),
        ({"$array": "w"}, "state"),
        ({"a": b"bytes"}, "state.a"),
        ({"a": {1, 2}}, "state.a"),
        ({"a": object()}, "state.a"),
        ({"a": np.datetime64("2026-01-01")}, "state.a"),
    ],
)
def test_what_cannot_be_kept_exactly_is_refused(state, place):
    """When it is saved, with its place in the state; nothing is dropped in silence."""
    with pytest.raises(ConfigError) as refused:
        encode_state(state)
    assert refused.value.setting == place


def test_arrays_must_be_those_of_the_schema():
    """A file with other arrays, types or shapes than announced is no such state."""
    data, schema = encode_state({"w": np.arange(3.0), "v": np.ones(2)})
    for wrong in (
        {},
        {"w": schema["w"]},
        schema | {"x": schema["w"]},
        schema | {"w": ArraySchema("<f4", [3])},
        schema | {"w": ArraySchema("<f8", [4])},
    ):
        with pytest.raises(ValueError, match="manifest"):
            decode_state(data, wrong)


def _with_tree(buffer):
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("tree.json", '{"w":{"$array":"w"}}')
    return buffer.getvalue()


def test_a_pickle_inside_is_not_run():
    """An object array planted in the file is refused, not read."""
    buffer = BytesIO()
    np.savez(buffer, w=np.array([print], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        decode_state(_with_tree(buffer), {"w": ArraySchema("|O", [1])})


def test_not_finite_is_refused_when_read_too():
    """A file that somebody else made."""
    data, schema = encode_state({"w": np.arange(3.0)})
    buffer = BytesIO()
    np.savez(buffer, w=np.array([0.0, np.nan, 1.0]))
    with pytest.raises(ValueError, match="NaN"):
        decode_state(_with_tree(buffer), schema)
    with pytest.raises(ValueError, match="no model file"):
        decode_state(data[: len(data) // 2], schema)


json_values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, min_size=1, max_size=4), st.data())
def test_a_sealed_line_is_read_as_written_or_not_at_all(values, data):
    """Any one byte changed to any other is noticed."""
    line = seal(values)
    assert b"\n" not in line
    assert unseal(line) == values
    assert json.loads(line).keys() == {*values, "sha256"}
    at = data.draw(st.integers(0, len(line) - 1))
    flip = data.draw(st.integers(1, 255))
    broken = bytes([*line[:at], line[at] ^ flip, *line[at + 1 :]])
    with pytest.raises(ValueError, match="checksum"):
        unseal(broken)
