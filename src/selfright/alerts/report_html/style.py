"""The style sheet of the report, and the policy that lets nothing but it in.

Meaning is never colour alone: every state is a shape, a word and a colour (Okabe-Ito), and
words stand in the colour of text. No element carries a style of its own, so the policy
can name the sheet by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --raised: #f6f7f9; --line: #d5d9e0; --ink: #111827; --soft: #4b5563;
  --bar: #c9d3e0; --link: #0b5a8f;
  --ok: #0072b2; --warn: #e69f00; --warn-edge: #8a5a00; --crit: #d55e00; --none: #6b7280;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #111827; --raised: #1b2435; --line: #37425a; --ink: #f3f4f6; --soft: #b6bdc9;
    --bar: #3d4a63; --link: #7cc4f2;
    --ok: #56b4e9; --warn: #f0e442; --warn-edge: #f0e442; --crit: #ff8a4c; --none: #9ca3af;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 80rem; padding: 1rem 1.25rem 3rem;
  background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
a { color: var(--link); }
a:focus-visible, [tabindex]:focus-visible { outline: 2px solid var(--ok); outline-offset: 2px; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: baseline; }
h1 { font-size: 1.3rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0 0 .35rem; }
nav { margin: .5rem 0 0; display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
.soft { color: var(--soft); }
.score { font-size: 2rem; font-variant-numeric: tabular-nums; }
.symbols { position: absolute; width: 0; height: 0; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
caption { text-align: left; color: var(--soft); padding: 0 0 .35rem; }
th, td {
  padding: .35rem .5rem; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top; overflow-wrap: break-word;
}
thead th { color: var(--soft); font-weight: 600; font-size: .85rem; white-space: nowrap; }
tbody th { font-weight: 600; }
th.name, td.name { min-width: 7rem; max-width: 22rem; overflow-wrap: anywhere; }
td.text { min-width: 13rem; overflow-wrap: anywhere; }
code { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.interval { display: block; color: var(--soft); font-size: .85rem; }
.mark {
  width: .95em; height: .95em; vertical-align: -.1em; margin-right: .4em; overflow: visible;
}
.state { white-space: nowrap; }
.state.wraps { white-space: normal; overflow-wrap: anywhere; }
.state.crit { font-weight: 700; }
.ok { --fill: var(--ok); --edge: var(--ok); }
.warn { --fill: var(--warn); --edge: var(--warn-edge); }
.crit { --fill: var(--crit); --edge: var(--crit); }
.none { --fill: var(--page); --edge: var(--none); }
.mark, .glyph { fill: var(--fill); stroke: var(--edge); stroke-width: 1.5; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .5rem 0; }
.charts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(34rem, 100%), 1fr));
  gap: 1.5rem 2rem; margin: 1rem 0;
}
figure { margin: 0; }
figcaption { color: var(--soft); font-size: .9rem; }
.chart { display: block; width: 100%; height: auto; }
.chart text { fill: var(--ink); font-size: 12px; }
.chart text.axis { fill: var(--soft); font-size: 11px; }
.chart .end { text-anchor: end; }
.chart .middle { text-anchor: middle; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.chart .bar { fill: var(--bar); }
.chart .range { stroke: var(--ink); stroke-width: 1.5; }
.chart .limit { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 5 4; }
@media (forced-colors: active) {
  .mark, .glyph { fill: CanvasText; stroke: CanvasText; }
  .chart .bar { fill: GrayText; }
  .chart text { fill: CanvasText; }
  .chart .range, .chart .limit, .chart .grid { stroke: CanvasText; }
}
@media print { nav { display: none; } section { break-inside: auto; } tr { break-inside: avoid; } }
"""


def _source() -> str:
    digest = hashlib.sha256(STYLE.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


# What a browser may load for the page: nothing, but for the sheet in it.
POLICY: Final = f"default-src 'none'; style-src {_source()}; base-uri 'none'; form-action 'none'"
