"""The table of scores, and the page of the documentation around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from benchmarks.decisions.nab.references import BOARD
from benchmarks.decisions.nab.scoring import Result

CHANCES: Final = 20  # random detectors of which the mean is given: one alone says little


class Line(NamedTuple):
    """A detector's results on the series of even number, on those of odd number, on all."""

    name: str
    even: Result
    odd: Result
    whole: Result

    @classmethod
    def mean(cls, drawn: Sequence[Line]) -> Line:
        """Return the mean of lines of one name."""
        return cls(
            drawn[0].name,
            *(
                Result(*np.mean(results, axis=0).tolist())
                for results in list(zip(*drawn, strict=True))[1:]
            ),
        )


_HEAD = """\
# Sensor series with labelled anomalies: the Numenta Anomaly Benchmark

58 series (servers, clicks, traffic, tweets, machines, some made up) with 116 windows in which
something happened. Version 1.1, standard profile: the earliest detection in a window counts, the
earlier the better; each detection elsewhere costs .11 at most; one threshold for all series, the
best for their sum, as the benchmark has it. 0 is silence, 100 perfection.

**This is not what Selfright's detectors are for.** They ask whether the runs of an agent are still
those that they were: many runs, no clock, heavy tails, and a promise of few false alarms. The
series here are readings of sensors every few minutes, with days and weeks in them; each value
depends on the one before. What is a change of level to the rank detector is mostly Monday
morning; while its alarm stands the spike detector rests. As they ship, both do no better here
than chance, and whoever watches sensors should take a detector that was made for them.

```
python -m benchmarks.decisions.nab --write
```

Written by that command in some two minutes; not edited by hand. The series are looked for where
`SELFRIGHT_SHARED_DATA` says, or in `../shared/data` beside the checkout.

## Figures

{table}

*Even* and *odd* are the halves of the series by their number, each with a threshold of its own;
windows found and false positives are those on all series. "Random" is the mean of {chances} draws.

Published, on all series, some of it for version 1.0: {board}.

## How they were scored

- The scoring is checked by what must come out: silence 0, perfection 100, chance about 11 as
  published; and the benchmark's windowed Gaussian, run here, {gaussian:.1f} of the published 39.6.
- *As it ships*: every series is one agent whose tokens are the values, in millionths. Where one of
  the first 200 values is 0 or less the series is read on a straight scale that these 200 values set
  (their median and half their 16-84 % range), for ever; that is decided before anything is scored.
  Nothing else differs from series to series, and nothing looks ahead.
- The spike detector scores |z| / (|z| + 5), the rank detector the logarithm of its evidence over
  that of the level (10,000) at which it alarms, 1 at an alarm. While an alarm stands both are
  silent, as they are towards an operator; on a series with days that is most of the time.
- *Spike detector alone*: nothing silences it. Every row of a disturbance is charged then.
- *Said once*: only what is higher than in the 400 rows before. *Values and steps*: the mean of the
  scores of the values and of their differences. Both were chosen on the even series, of more than
  a hundred combinations that were tried; the odd ones were looked at once, for this table. They do
  not ship: an agent's runs come one by one, and each that is far from usual is worth its note.
  Beside them stands what the benchmark's windowed Gaussian makes of being said once.
"""


def table(lines: Sequence[Line]) -> str:
    """Return the scores in Markdown."""
    head = [
        "| detector | even | odd | all | windows found | false positives |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join(head + [_row(line) for line in lines])


def page(lines: Sequence[Line]) -> str:
    """Return the page in Markdown."""
    whole = {line.name: line.whole.score for line in lines}
    return _HEAD.format(
        table=table(lines),
        chances=CHANCES,
        board=", ".join(f"{name} {score:.1f}" for name, score in BOARD.items()),
        gaussian=whole["windowed Gaussian"],
    )


def _row(line: Line) -> str:
    scores = " | ".join(f"{of.score:.1f}" for of in line[1:])
    found = f"{line.whole.found:.0f} of {line.whole.windows:.0f}"
    return f"| {line.name} | {scores} | {found} | {line.whole.false_positives:.0f} |"
