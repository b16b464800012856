"""``alerts --why``: an alert and all that it rests on, for reading."""

from __future__ import annotations

from typing import Any, Final

from selfright.cli import show

_BARS: Final = " ▁▂▃▄▅▆▇█"
_WIDTH: Final = 60


def lines_of(explained: dict[str, Any]) -> list[str]:
    """Return an explanation as lines of text."""
    alert, why = explained["alert"], explained["why"]
    lines = [
        f"{alert['alert_id']}  {alert['level']}, {alert['state']}",
        alert["message"],
        "",
        f"opened    {why['opened_by']['message']}",
    ]
    lines += [
        f"          {show.clock_time(turn['at'])}  {turn['event']} -> {turn['state']}"
        for turn in why["course"]
    ]
    certainty = why.get("certainty")
    if certainty is not None:
        lines += ["", *_certainty(certainty)]
    lines += ["", f"next      {alert['recommendation']}", f"runbook   {why['runbook']}"]
    return lines


def _certainty(found: dict[str, Any]) -> list[str]:
    change = found["change_point"]
    most, least = change["began_before_outcomes"]
    between = "" if most is None else f", probably {least} to {most} outcomes before the alarm"
    lines = [
        f"certain   {found['guarantee']}",
        f"against   {found['reference']}, {found['reference_value']:.3g}",
        f"changed   {_since(change)}{between}",
        f"before    {_mean(found['before'])}",
        f"after     {_mean(found['after'])}",
    ]
    if found["evidence"]:
        lines.append(
            f"evidence  {_course([point['share'] for point in found['evidence']])}  1 = alarm"
        )
    if found["events"]:
        lines.append("events    those that mattered most, the latest first")
        lines += [
            f"          {show.clock_time(one['at'])}  {one['value']:.4g}  {one['run_id'] or ''}"
            for one in found["events"][:10]
        ]
    return lines


def _since(change: dict[str, Any]) -> str:
    if change["offset"] < 0:
        return "not known: it has been so from its first event on"
    return f"{show.clock_time(change['at'])}, behind event {change['offset']}"


def _mean(found: dict[str, Any] | None) -> str:
    if found is None:
        return "not known yet"
    if found["interval"] is None:
        return f"{found['value']:.4g}"
    low, high = found["interval"]
    return f"{found['value']:.3f} [{low:.3f}, {high:.3f}], n = {found['n']}"


def _course(shares: list[float]) -> str:
    """Return evidence as bars, each the greatest of its stretch; a full one is an alarm."""
    step = max(1, -(-len(shares) // _WIDTH))
    greatest = [max(shares[at : at + step]) for at in range(0, len(shares), step)]
    top = len(_BARS) - 1
    return "".join(_BARS[min(top, int(top * min(share, 1.0) ** 0.25))] for share in greatest)
