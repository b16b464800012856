"""A model of the user's own as a version: the files it wrote, kept like every other model's.

Its files become arrays of bytes in ``model.npz``, so that checksums, quarantine, atomic
writes and the promotion log hold for it as for the five.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from selfright.loop.own.protocol import OwnModel
    from selfright.retrain.model_state import State

_KIND: Final = "own"


@dataclass(frozen=True, slots=True)
class Covered:
    """What a version has learnt: everything of log ``log_id`` before ``offset``."""

    log_id: str
    offset: int
    events: int = 0
    time_us: int = 0


def packed(model: OwnModel, covered: Covered) -> State:
    """Return what the model saves, as the state of a version. Raises what the model raises."""
    with tempfile.TemporaryDirectory(prefix="selfright-own-") as name:
        folder = Path(name)
        model.save(name)
        files = {
            path.relative_to(folder).as_posix(): np.frombuffer(path.read_bytes(), np.uint8)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    if not files:
        raise ValueError("save(folder) wrote no file")
    return {
        "kind": _KIND,
        "log_id": covered.log_id,
        "offset": covered.offset,
        "events": covered.events,
        "time_us": covered.time_us,
        "files": files,
    }


def unpacked(model: OwnModel, state: dict[str, Any]) -> Covered:
    """Let the model load what it saved; return what it had learnt then.

    Raises ``ValueError`` for a state of something else, and what the model raises.
    """
    if state.get("kind") != _KIND:
        raise ValueError("the version is no model of the user's own")
    with tempfile.TemporaryDirectory(prefix="selfright-own-") as name:
        for relative, data in state["files"].items():
            path = Path(name) / relative
            if not path.resolve().is_relative_to(Path(name).resolve()):
                raise ValueError(f"the version names a file outside its folder: {relative!r}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(np.asarray(data, np.uint8).tobytes())
        model.load(name)
    return Covered(state["log_id"], state["offset"], state["events"], state["time_us"])
