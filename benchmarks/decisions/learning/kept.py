"""Runs that were played before, kept in a file: hours of them survive an interruption.

A run is taken from the file only if nothing that could change it has changed: its settings, the
code of the problems and of the contestant, and the version of the contestant's library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import selfright
from benchmarks.decisions.learning import ours, peers
from benchmarks.decisions.learning.play import Played
from benchmarks.decisions.learning.roster import ROSTER

if TYPE_CHECKING:
    from benchmarks.decisions.learning.season import Job

_HERE: Final = Path(__file__).parent
_LEARN: Final = Path(selfright.__file__).parent / "learn"
_PROBLEM: Final = ("problems.py", "scenarios.py", "play.py")
_PLAYERS: Final = ("policies.py", "peers.py")


class Kept:
    """A file of played runs, one line of JSON each; what cannot be read is played again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._played: dict[str, Played] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                key, score, microseconds, back = json.loads(line)
            except ValueError:
                continue  # the line that was being written when somebody pulled the plug
            ended = {kind: [np.inf if x is None else x for x in ns] for kind, ns in back.items()}
            self._played[key] = Played(score, microseconds, ended)

    def find(self, job: Job) -> Played | None:
        """Return how a job fared, None if it was not played yet."""
        return self._played.get(_key(job))

    def add(self, job: Job, played: Played) -> None:
        """Keep how a job fared; written at once."""
        back = {kind: [None if np.isinf(x) else x for x in ns] for kind, ns in played.back.items()}
        line = json.dumps([_key(job), played.score, played.microseconds, back])
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._played[_key(job)] = played


def _key(job: Job) -> str:
    settings: Mapping[str, Any] = dict(sorted(job.settings.items()))
    return json.dumps([job.who, settings, job.scenario, job.seed, job.decisions, _code(job.who)])


@cache
def _code(who: str) -> str:
    """Return a fingerprint of all that decides how a contestant fares on a problem."""
    files = [_HERE / name for name in _PROBLEM]
    library = ROSTER[who].library
    if who == ours.NAME:
        files += [_HERE / "ours.py", *sorted(_LEARN.rglob("*.py"))]
    else:
        files += [_HERE / name for name in _PLAYERS]
    print_of = blake2b(str(library and peers.version(library)).encode(), digest_size=8)
    for file in files:
        print_of.update(file.read_bytes())
    return print_of.hexdigest()
