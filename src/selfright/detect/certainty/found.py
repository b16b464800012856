"""What certainty finds about a stream, before it is put into a user's words and units."""

from __future__ import annotations

from typing import NamedTuple

from selfright.detect.certainty.lane import Mark
from selfright.detect.detection import Kind


class Found(NamedTuple):
    """One finding, with all that it was judged from at that outcome.

    Attributes
    ----------
    row
        Place of the outcome in the block.
    slot
        The stream.
    kind
        What is said of it.
    here, changed
        Places of the outcome, and of the change point.
    alarms
        Alarms of the episode so far.
    reference
        Which one raised it: 0 baseline, 1 anchor, 2 threshold.
    bound, temper
        The mean that the reference promised, and how bursts were allowed for.
    before, before_n
        Mean and number of the outcomes that the reference was learnt from; None: none.
    began
        Between how many outcomes before ``here`` the drop probably began, most first.
    level
        A at that outcome: updates between false alarms, on average.
    probes
        Outcomes since the alarm.
    said
        What was said of the episode before; None: nothing yet.
    """

    row: int
    slot: int
    kind: Kind
    here: Mark
    changed: Mark
    alarms: int
    reference: int
    bound: float
    temper: float
    before: float | None
    before_n: int
    began: tuple[int, int] | None
    level: float
    probes: int
    said: Kind | None

    @property
    def n(self) -> int:
        """Outcomes since the change point."""
        return self.here.n - self.changed.n

    @property
    def mean(self) -> float:
        """Their mean, which is biased low: the change point was chosen for it."""
        return (self.here.total - self.changed.total) / self.n if self.n else 0.0
