r"""The life of an alert: a table of states, events and what follows.

============  ============  ============  =========
state         event         becomes       told
============  ============  ============  =========
\-             raised        firing        yes
\-             doubted       pending       no
\-             reported      resolved      yes
pending       held          firing        yes
pending       escalated     firing        yes
pending       acknowledged  acknowledged  no
pending       muted         muted         no
pending       cleared       resolved      no
firing        escalated     firing        yes
firing        acknowledged  acknowledged  yes
firing        muted         muted         yes
firing        cleared       resolved      yes
acknowledged  escalated     firing        yes
acknowledged  muted         muted         yes
acknowledged  cleared       resolved      yes
muted         escalated     firing        yes
muted         acknowledged  acknowledged  yes
muted         muted         muted         no
muted         unmuted       firing        yes
muted         cleared       resolved      no
============  ============  ============  =========

Whatever the table does not name changes nothing: acknowledging twice, muting what is
resolved. *Doubted* is the raising of an alert that keeps coming and going: it must hold
for a while before anybody is told. *Reported* is what needs no end, such as a finished
retraining. *Escalated*: what was a warning is critical now, so that who acknowledged or
muted the warning hears of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class AlertState(StrEnum):
    """Where an alert stands."""

    PENDING = "pending"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    MUTED = "muted"
    RESOLVED = "resolved"


class AlertEvent(StrEnum):
    """What happens to an alert."""

    RAISED = "raised"
    DOUBTED = "doubted"
    REPORTED = "reported"
    HELD = "held"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    MUTED = "muted"
    UNMUTED = "unmuted"
    CLEARED = "cleared"


class Step(NamedTuple):
    """What an event leads to, and whether listeners are told."""

    state: AlertState
    told: bool


_S, _E = AlertState, AlertEvent

STEPS: Final[dict[tuple[AlertState | None, AlertEvent], Step]] = {
    (None, _E.RAISED): Step(_S.FIRING, told=True),
    (None, _E.DOUBTED): Step(_S.PENDING, told=False),
    (None, _E.REPORTED): Step(_S.RESOLVED, told=True),
    (_S.PENDING, _E.HELD): Step(_S.FIRING, told=True),
    (_S.PENDING, _E.ESCALATED): Step(_S.FIRING, told=True),
    (_S.PENDING, _E.ACKNOWLEDGED): Step(_S.ACKNOWLEDGED, told=False),
    (_S.PENDING, _E.MUTED): Step(_S.MUTED, told=False),
    (_S.PENDING, _E.CLEARED): Step(_S.RESOLVED, told=False),
    (_S.FIRING, _E.ESCALATED): Step(_S.FIRING, told=True),
    (_S.FIRING, _E.ACKNOWLEDGED): Step(_S.ACKNOWLEDGED, told=True),
    (_S.FIRING, _E.MUTED): Step(_S.MUTED, told=True),
    (_S.FIRING, _E.CLEARED): Step(_S.RESOLVED, told=True),
    (_S.ACKNOWLEDGED, _E.ESCALATED): Step(_S.FIRING, told=True),
    (_S.ACKNOWLEDGED, _E.MUTED): Step(_S.MUTED, told=True),
    (_S.ACKNOWLEDGED, _E.CLEARED): Step(_S.RESOLVED, told=True),
    (_S.MUTED, _E.ESCALATED): Step(_S.FIRING, told=True),
    (_S.MUTED, _E.ACKNOWLEDGED): Step(_S.ACKNOWLEDGED, told=True),
    (_S.MUTED, _E.MUTED): Step(_S.MUTED, told=False),
    (_S.MUTED, _E.UNMUTED): Step(_S.FIRING, told=True),
    (_S.MUTED, _E.CLEARED): Step(_S.RESOLVED, told=False),
}
