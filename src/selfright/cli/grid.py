"""``backtest --grid``: what many settings would have made of the same history, side by side.

Each combination replays the whole file, with all that the service does. What an operator reads
off is the trade: how often one would have been called, how soon, and what was retrained.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final

from selfright.cli import show
from selfright.cli.replay import open_file, simulate
from selfright.config import with_values
from selfright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from selfright.config import Settings

_MOST: Final = 200  # replays; each takes as long as `selfright replay`
# An alert that is resolved within so few events was probably noise.
_SHORT: Final = 50

_COLUMNS: Final = (
    "certain",
    "critical",
    "warnings",
    "short",
    "incremental",
    "full",
    "promoted",
    "first certain at",
)


def combinations(grid: Sequence[str]) -> list[dict[str, str]]:
    """Return every combination of ``KEY=VALUE,VALUE,...`` arguments.

    Raises ``ConfigError`` for a malformed one, a key given twice, or too many combinations.
    """
    axes: dict[str, list[str]] = {}
    for axis in grid:
        key, equals, text = (part.strip() for part in axis.partition("="))
        values = [value.strip() for value in text.split(",") if value.strip()]
        if not (key and equals and values):
            raise ConfigError("--grid", axis, "write KEY=VALUE,VALUE e.g. detect.min_drop=0,0.05")
        if key in axes:
            raise ConfigError("--grid", axis, f"{key} stands there twice; give its values at once")
        axes[key] = list(dict.fromkeys(values))
    found = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    if len(found) > _MOST:
        raise ConfigError("--grid", list(grid), f"{len(found)} combinations; {_MOST} at most")
    return found


def run(
    file: Path,
    settings: Settings,
    grid: Sequence[str],
    **options: Any,  # noqa: ANN401 - those of ``open_file``
) -> list[dict[str, Any]]:
    """Replay ``file`` under every combination; return what each led to.

    ``options`` are those of ``open_file``.
    """
    chosen = combinations(grid)
    # Every key and value is checked before the first replay begins.
    changed = [with_values(settings, values) for values in chosen]
    results = []
    for number, (values, of) in enumerate(zip(chosen, changed, strict=True), 1):
        name = f"{file.name} ({number} of {len(chosen)})"
        found = simulate(of, open_file(file, **options), name)
        results.append({"settings": values, **_told(found)})
    return results


def _told(found: dict[str, Any]) -> dict[str, Any]:
    alerts = [one for one in found["alerts"] if one["rule"] not in {"retraining", "rollback"}]
    certain = [one for one in alerts if one["certain"]]
    retrained = found["retrainings"]
    return {
        "certain": len(certain),
        "critical": sum(one["level"] == "critical" for one in alerts),
        "warnings": sum(one["level"] == "warning" for one in alerts),
        "short": sum(
            one["resolved_at_event"] is not None
            and one["resolved_at_event"] - one["opened_at_event"] <= _SHORT
            for one in alerts
        ),
        "incremental": sum(one["retrain_type"] == "incremental" for one in retrained),
        "full": sum(one["retrain_type"] == "full" for one in retrained),
        "promoted": sum(one["promoted"] for one in retrained),
        "first certain at": min((one["at_event"] for one in certain), default=None),
        "events": found["events"],
        "duration_s": found["duration_s"],
    }


def tell(results: list[dict[str, Any]]) -> None:
    """Print one row for each combination."""
    keys = list(results[0]["settings"])
    rows = [
        (*(one["settings"][key] for key in keys), *(one[name] for name in _COLUMNS))
        for one in results
    ]
    console = show.console()
    console.print(show.table("Side by side", (*keys, *_COLUMNS), rows))
    console.print(
        f"short: resolved within {_SHORT} events, probably noise; first certain at: number of the "
        "event",
        markup=False,
    )
