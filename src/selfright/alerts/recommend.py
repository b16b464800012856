"""What to do about an alert: a concrete next step per rule and level, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from selfright.alerts.alert import AlertLevel

RUNBOOK: Final = "docs/performance_monitor.md#troubleshooting"

_STEPS: Final[Mapping[tuple[str, AlertLevel], str]] = {
    ("accuracy_min", AlertLevel.WARNING): (
        "Compare predicted and actual in {agent}'s latest wrong outcomes. If its model, prompt "
        "or data changed, undo that; with automatic retraining on, an incremental retraining "
        "is tried once the drop is 95 % probable."
    ),
    ("accuracy_min", AlertLevel.CRITICAL): (
        "Take {agent} out of the candidates or roll its last change back now, then retrain "
        "(`selfright retrain --full`) once good outcomes come in again."
    ),
    ("success_rate_min", AlertLevel.WARNING): (
        "Look at the error types of {agent}'s latest unsuccessful runs. A dependency that is "
        "down is not cured by retraining; for anything else an incremental retraining is tried "
        "once the drop is 95 % probable."
    ),
    ("success_rate_min", AlertLevel.CRITICAL): (
        "Send {agent}'s tasks to another agent now and look at its latest unsuccessful runs."
    ),
    ("error_rate_max", AlertLevel.WARNING): (
        "Group {agent}'s latest failures and timeouts by error type; raise a limit or repair "
        "the dependency that most of them name."
    ),
    ("error_rate_max", AlertLevel.CRITICAL): (
        "Send {agent}'s tasks to another agent now, then group its latest failures and timeouts "
        "by error type: if most share one, repair what it names."
    ),
    ("latency_p95_max_ms", AlertLevel.WARNING): (
        "Look at {agent}'s slowest runs: their task types, tokens and retries. Lower its "
        "timeout or turn budget, or choose a faster model for these task types."
    ),
    ("cost_per_task_max", AlertLevel.WARNING): (
        "Look at {agent}'s dearest runs: tokens, retries and turns. Lower max_tokens or the "
        "turn budget, or give cost a weight in the selection (`learn.w_cost`)."
    ),
    ("memory_max_mb", AlertLevel.WARNING): (
        "Check {agent} for contexts or caches that grow from run to run; restart it if memory "
        "rises while the tasks stay the same."
    ),
    ("token_per_task_max", AlertLevel.WARNING): (
        "Shorten {agent}'s prompt or context, or lower max_tokens; look for runs that repeat "
        "the same step."
    ),
    ("feedback_disagreement", AlertLevel.WARNING): (
        "Look at runs of {agent} about which the sources disagree and find out which is right; "
        "until then judge {agent} by the one that checks against the world."
    ),
    ("label_delay_bias", AlertLevel.WARNING): (
        "Read {agent}'s accuracy over a longer window, in which the late outcomes have come, or "
        "have outcomes reported sooner."
    ),
    **dict.fromkeys(
        (
            ("accuracy_drift", AlertLevel.WARNING),
            ("success_rate_drift", AlertLevel.WARNING),
            ("error_rate_drift", AlertLevel.WARNING),
        ),
        "Look at what changed at {agent} at the change point: version, prompt, data, the tasks it "
        "is given. If the new level is fine, accept it as normal; nothing is retrained within the "
        "threshold.",
    ),
    **dict.fromkeys(
        (
            ("latency_drift", AlertLevel.WARNING),
            ("cost_drift", AlertLevel.WARNING),
            ("memory_drift", AlertLevel.WARNING),
            ("token_usage_drift", AlertLevel.WARNING),
        ),
        "Compare {agent}'s runs before and after the change point: model, provider, prompt length, "
        "turns, kinds of tasks. If the new level is fine, accept it as normal.",
    ),
    ("retraining", AlertLevel.INFO): "Nothing to do; the gate's figures are in the details.",
    ("retraining", AlertLevel.WARNING): (
        "Nothing to do if the process was restarted on purpose; the trigger asks again if the "
        "evidence still stands."
    ),
    ("retraining", AlertLevel.CRITICAL): (
        "Read the error in the details, repair its cause and retrain by hand (`selfright "
        "retrain`). The version before serves meanwhile."
    ),
    ("rollback", AlertLevel.CRITICAL): (
        "Compare the two versions' figures in the details before another full retraining; "
        "check the outcomes the version was made from."
    ),
}


def recommendation(rule: str, level: AlertLevel, agent_name: str | None) -> str:
    """Return the next step for an alert of ``rule``; "" if the rule has none.

    A level without a text of its own has the next lower one's.
    """
    # `str.format` reads the template only, so braces in an agent's name do no harm.
    for rank in range(level.rank, -1, -1):
        text = _STEPS.get((rule, tuple(AlertLevel)[rank]))
        if text is not None:
            return text.format(agent="the fleet" if agent_name is None else agent_name)
    return ""
