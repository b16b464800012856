"""Bodies are read within limits: sizes, gzip that swells, content types, strict decoding."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfright.clock import monotonic_s
from selfright.errors import InvalidEventError
from selfright.server.body import decode, form_of, inflate, read
from selfright.server.problem import Problem
from selfright.server.shape import MuteBody, PredictBody, RetrainBody, SelectBody

MIB = 1024 * 1024


class Sent:
    """A request whose body arrives in chunks."""

    def __init__(self, *chunks: bytes, length: int | None = None) -> None:
        self._chunks = chunks
        self.headers = {} if length is None else {"content-length": str(length)}
        self.taken = 0

    async def stream(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.taken += 1
            yield chunk


def _read(sent: Any, limit: int) -> bytes:
    return asyncio.run(read(sent, limit))


def test_a_body_within_the_limit_is_read_whole() -> None:
    """Chunk by chunk, however it is cut."""
    assert _read(Sent(b"ab", b"", b"cd"), 4) == b"abcd"


def test_a_body_that_says_it_is_too_large_is_refused_unread() -> None:
    """Nothing of it is taken."""
    sent = Sent(b"x" * 10, length=10)
    with pytest.raises(Problem) as caught:
        _read(sent, 9)
    assert (caught.value.status, caught.value.field, sent.taken) == (413, "body", 0)


def test_a_body_that_does_not_say_is_cut_off_at_the_limit() -> None:
    """An endless stream is not read to its end."""
    sent = Sent(*[b"x" * 1000] * 1000)
    with pytest.raises(Problem) as caught:
        _read(sent, 5000)
    assert (caught.value.status, sent.taken) == (413, 6)


@given(st.binary(max_size=5000), st.integers(1, 3))
def test_gzip_is_taken_off(data: bytes, members: int) -> None:
    """Also where several streams stand one after the other."""
    assert inflate(gzip.compress(data) * members, "gzip", 100_000) == data * members


@pytest.mark.parametrize("encoding", [None, "identity", " Identity "])
def test_a_plain_body_stays_as_it_is(encoding: str | None) -> None:
    """No encoding is fine."""
    assert inflate(b"{}", encoding, 10) == b"{}"


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "x"])
def test_another_encoding_is_refused_with_what_is_accepted(encoding: str) -> None:
    """415, and the header that says what to send."""
    with pytest.raises(Problem) as caught:
        inflate(b"x", encoding, 10)
    assert caught.value.status == 415
    assert "gzip" in caught.value.headers["Accept-Encoding"]


def test_a_gzip_bomb_is_refused_at_once() -> None:
    """1 GiB of zeros in 1 MiB: refused in under 100 ms and without the memory."""
    bomb = gzip.compress(bytes(64 * MIB), 9) * 16
    begun_s = monotonic_s()
    with pytest.raises(Problem) as caught:
        inflate(bomb, "gzip", 8 * MIB)
    assert caught.value.status == 413
    assert monotonic_s() - begun_s < 0.1


def test_a_small_body_that_swells_too_much_is_refused_below_the_limit() -> None:
    """A ratio no real data reaches is refused although it would fit."""
    bomb = gzip.compress(bytes(4 * MIB), 9)
    assert 4 * MIB / len(bomb) > 900
    with pytest.raises(Problem) as caught:
        inflate(bomb, "gzip", 8 * MIB)
    assert (caught.value.status, caught.value.kind) == (413, "suspicious-compression")


def test_real_runs_may_shrink_as_much_as_they_do() -> None:
    """A batch of similar runs in gzip is not taken for a bomb."""
    runs = [
        {"run_id": f"run-{i}", "agent_name": "planner", "status": "success", "duration_ms": 812.5}
        for i in range(20_000)
    ]
    body = msgspec.json.encode(runs)
    assert inflate(gzip.compress(body, 9), "gzip", 8 * MIB) == body


@pytest.mark.parametrize(
    "body",
    [b"no gzip", gzip.compress(b"x" * 1000)[:-9], gzip.compress(b"x") + b"rest", b"\x1f\x8b",
     gzip.compress(b"x")[:-4] + b"\0\0\0\0", zlib.compress(b"x")],
)  # fmt: skip
def test_what_is_no_whole_gzip_is_refused(body: bytes) -> None:
    """Cut off, damaged or followed by something else."""
    with pytest.raises(Problem) as caught:
        inflate(body, "gzip", 10_000)
    assert (caught.value.status, caught.value.field) == (422, "body")


@pytest.mark.parametrize(
    ("content_type", "form"),
    [("application/json", "json"), ("Application/JSON; charset=UTF-8", "json"),
     ("application/x-ndjson", "ndjson"), ("application/ndjson", "ndjson"),
     ("application/msgpack", "msgpack"), ("application/x-msgpack", "msgpack")],
)  # fmt: skip
def test_a_content_type_says_the_form(content_type: str, form: str) -> None:
    """Parameters and case do not matter."""
    assert form_of(content_type) == form


@pytest.mark.parametrize("content_type", [None, "", "text/json", "application/xml"])
def test_an_unknown_form_is_refused(content_type: str | None) -> None:
    """415 names the header."""
    with pytest.raises(Problem) as caught:
        form_of(content_type)
    assert (caught.value.status, caught.value.field) == (415, "Content-Type")


@pytest.mark.parametrize(
    ("shape", "body", "field"),
    [
        (RetrainBody, b'{"reason": 5}', "reason"),
        (RetrainBody, b'{"reason": ""}', "reason"),
        (RetrainBody, b'{"model_type": "x"}', "model_type"),
        (RetrainBody, b'{"force_full_retrain": 1}', "force_full_retrain"),
        (RetrainBody, b'{"full": true}', "full"),
        (RetrainBody, b"[]", "body"),
        (RetrainBody, b"{", "body"),
        (RetrainBody, b"", "body"),
        (RetrainBody, b"\xff", "body"),
        (MuteBody, b'{"for_s": NaN}', "for_s"),
        (MuteBody, b'{"for_s": Infinity}', "for_s"),
        (MuteBody, b'{"for_s": 1e999}', "for_s"),
        (MuteBody, b'{"for_s": -1}', "for_s"),
        (MuteBody, b'{"for_s": "nan"}', "for_s"),
        (SelectBody, b'{"candidates": [""]}', "candidates[0]"),
        (SelectBody, b'{"context": [1]}', "context"),
        (SelectBody, b'{"context": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001, "body"),
        (PredictBody, b'{"top_k": 0}', "top_k"),
    ],
)
def test_a_bad_body_is_refused_with_its_field(shape: type, body: bytes, field: str) -> None:
    """Whatever is wrong, the client reads where."""
    with pytest.raises(InvalidEventError) as caught:
        decode(body, shape)
    assert caught.value.field == field
