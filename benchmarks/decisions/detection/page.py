"""The page of the documentation: targets first, then every scenario with its peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.decisions.table import Section

_HEAD = """\
# When is an agent really worse? Measured

Selfright's detectors on simulated agents whose truth is known, beside River's detectors at their
defaults and the rules "mean of the last N below the threshold", on the same outcomes in the same
run. The seeds are fixed. Unless said otherwise: threshold .70, outcomes of 0 and 1, run length
A = 10,000 (one false alarm in so many updates of a detector, at most, on average), plain bets: no
margin, no allowance for bursts. A detector that alarms starts anew; ours begins a new alert once
the former is over. River's slowest detectors are given fewer streams: HDDM a quarter of them,
KSWIN 2 %.

```
pip install -e '.[benchmarks]'
python -m benchmarks.decisions.detection --write
```

Written by that command; not edited by hand. Versions: {versions}.

## Targets

{missed} of {n} targets are missed.

| scenario | target | measured |
|---|---|---|
{targets}

{sections}

## What the figures do not say

- River's ADWIN with `clock=1, delta=.25` is tuned with hindsight, on these very scenarios; at its
  defaults no peer states how rarely it alarms in vain, while our run length is a setting.
- The bound on false alarms is on their number, on average, and holds while the mean given the past
  keeps its reference: not in bursts, where tempering is measured and not proved.
- An agent just below its threshold (.65 against .70) takes a median of 630 outcomes to be certain
  about (400 such agents); until then it is "below threshold, not yet certain".
- Outcomes were drawn, but for the real drift: independent of each other unless said otherwise, one
  for each run, without delay.
"""


def page(sections: Sequence[Section], versions: Mapping[str, str | None]) -> str:
    """Return the page in Markdown."""
    targets = [row for section in sections for row in section.targets()]
    return _HEAD.format(
        versions=", ".join(f"{name} {number}" for name, number in versions.items()),
        missed=sum(len(section.missed()) for section in sections),
        n=len(targets),
        targets="\n".join(targets),
        sections="\n\n".join(section.page() for section in sections),
    )
