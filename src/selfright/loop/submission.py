"""Many runs or outcomes at once: what a batch call passed, checked, as one intake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from selfright.errors import InvalidEventError
from selfright.events.batch import Intake
from selfright.events.columns import run_columns
from selfright.events.raw import run_batch
from selfright.events.record import AgentRun
from selfright.events.wire import Rejection

if TYPE_CHECKING:
    from selfright.events.door import Door
    from selfright.loop.control import Circle

_FIELDS: Final = AgentRun.__struct_fields__
_DEFAULTS: Final[dict[str, Any]] = dict.fromkeys(_FIELDS)


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of a batch: how many rows count, were known already, were refused."""

    accepted: int
    duplicates: int
    rejected: tuple[Rejection, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as the REST answer has them."""
        return {
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "rejected": [msgspec.structs.asdict(item) for item in self.rejected],
        }


def checked_runs(door: Door, runs: Any, now_us: int) -> tuple[Intake, tuple[Rejection, ...]]:
    """Return an intake of the good rows of ``runs`` and the refused ones.

    ``runs`` is a mapping of equal-long columns, an Arrow table, or an iterable of
    mappings or ``AgentRun`` structs. A row that also has ``accuracy_score`` is a run
    and its outcome.
    """
    if isinstance(runs, Mapping) or hasattr(runs, "column_names"):
        batch, rejected = run_columns(runs, now_us)
        return Intake.of(batch), tuple(rejected)
    rows: list[Any] = []
    refused: list[Rejection] = []
    for index, run in enumerate(runs):
        try:
            rows.append(door.run(*_arguments(run, now_us)))
        except InvalidEventError as error:
            refused.append(Rejection(index, error.field, error.reason))
        except msgspec.ValidationError as error:
            refused.append(Rejection(index, "body", str(error)))
    return Intake.of(run_batch(rows)), tuple(refused)


def _arguments(run: Any, now_us: int) -> tuple[Any, ...]:
    if isinstance(run, AgentRun):
        return (*msgspec.structs.astuple(run), now_us)
    if not isinstance(run, Mapping):
        raise InvalidEventError("run", run, "must be a mapping or an AgentRun")
    for name in run:
        if name not in _DEFAULTS:
            raise InvalidEventError(
                str(name), run[name], f"no such field; known are {', '.join(_FIELDS)}"
            )
    for name in ("run_id", "agent_name"):
        if name not in run:
            raise InvalidEventError(name, None, "is required")
    filled = {**_DEFAULTS, "agent_type": "agent", "status": "success", "retry_count": 0, **run}
    return (*(filled[name] for name in _FIELDS), now_us)


def submit_checked(circle: Circle, intake: Intake, rejected: tuple[Rejection, ...]) -> IngestReport:
    """Commit the good rows and say what became of all; blocks until they are durable.

    Raises ``BackpressureError`` or ``StorageError``; then nothing was kept.
    """
    if not len(intake):
        return IngestReport(0, 0, rejected)
    receipt = circle.submit(intake)
    known = receipt.duplicates  # no acts are among them
    rows = len(intake.runs) + len(intake.outcomes)
    return IngestReport(rows - known, known, rejected)
