"""When each agent began to run as another version, to mark the drops that began with it.

A new version is judged against what the old one was; nothing is reset: a worse new version is
exactly what has to be caught, and its mark says where to look first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from selfright.detect.detection import Detection
    from selfright.events.batch import RunBatch

# Rows by which a change point may lie behind the change of version that caused it: it is an
# estimate, and the rows of a whole fleet lie between two of one agent.
_SLACK: Final = 10_000


class Change(NamedTuple):
    """The version before (None: the first one known), the one since, and its first run."""

    before: str | None
    version: str
    offset: int


class Versions:
    """The latest change of version of every agent."""

    def __init__(self) -> None:
        self._changes: dict[str, Change] = {}

    def note(self, runs: RunBatch) -> None:
        """Hear of runs, in the order of the log; those without a version tell nothing."""
        versions = runs.agent_version
        if versions.count(None) == len(versions):
            return
        for name, version, offset in zip(runs.agent_name, versions, runs.seq.tolist(), strict=True):
            known = self._changes.get(name)
            if version is None or (known is not None and known.version == version):
                continue
            self._changes[name] = Change(None if known is None else known.version, version, offset)

    def marked(self, detection: Detection, agent_name: str | None) -> Detection:
        """Return a certain finding with the change of version that it began with, if any."""
        change = None if agent_name is None else self._changes.get(agent_name)
        began = detection.inputs.get("changed_offset")
        if change is None or change.before is None or not isinstance(began, int):
            return detection
        if not began - _SLACK <= change.offset <= detection.offset:
            return detection
        marks: dict[str, float | int | str | None] = {
            "version_before": change.before,
            "version": change.version,
            "version_offset": change.offset,
        }
        return replace(detection, inputs={**detection.inputs, **marks})

    def forget(self, agent_name: str) -> None:
        """Forget an agent."""
        self._changes.pop(agent_name, None)

    def to_state(self) -> list[list[str | int | None]]:
        """Return the exact state as plain values."""
        return [[name, *change] for name, change in self._changes.items()]

    @classmethod
    def from_state(cls, state: list[list[str | int | None]]) -> Versions:
        """Return what ``to_state`` described."""
        made = cls()
        for name, before, version, offset in state:
            assert isinstance(offset, int)  # written by ``to_state``
            was = None if before is None else str(before)
            made._changes[str(name)] = Change(was, str(version), offset)
        return made
