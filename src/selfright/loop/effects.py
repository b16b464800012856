"""What a fold asks the world to do. Data: who runs it, and when, is the control's matter.

In a recovery no effect runs; in a simulation each runs at once, at its offset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfright.alerts.alert import PerformanceAlert
    from selfright.events.record import AnyAct, GateRecord, RetrainRequested
    from selfright.learn.model import Model
    from selfright.learn.samples import Samples


@dataclass(frozen=True, slots=True)
class Append:
    """Append this act to the log."""

    act: AnyAct


@dataclass(frozen=True, slots=True)
class Retrain:
    """Make a challenger of ``champion``, a copy nobody else updates.

    ``recent`` are the newest samples of the affected agents; None where the job has to
    read the log, where it leaves out what happened to the ``deleted`` before.
    """

    request: RetrainRequested
    champion: Model
    parent_version: int | None
    recent: Samples | None
    deleted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Serve:
    """Point the registry at the version that serves from here on; None: at none."""

    model_type: str
    version: int | None
    reason: str
    gate: GateRecord | None = None


@dataclass(frozen=True, slots=True)
class Settle:
    """Have the registry record a verdict that does not change what serves."""

    model_type: str
    version: int
    gate: GateRecord


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell whoever listens that an alert changed its state."""

    alert: PerformanceAlert


Effect = Append | Retrain | Serve | Settle | Notify
