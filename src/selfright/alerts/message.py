"""Detections and retrainings as sentences: what, how much, by how many outcomes, how sure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from selfright.detect.detection import Kind, WatchedMetric

if TYPE_CHECKING:
    from selfright.detect.detection import Detection
    from selfright.events.record import ModelAdopted, Proof, RetrainFinished

FLEET: Final = "the fleet"


class _Words(NamedTuple):
    name: str
    beyond: str
    form: str  # of one value


_WORDS: Final[Mapping[WatchedMetric, _Words]] = {
    WatchedMetric.SUCCESS_RATE: _Words("success rate", "below", "{:.2f}"),
    WatchedMetric.ERROR_RATE: _Words("error rate", "above", "{:.2f}"),
    WatchedMetric.ACCURACY: _Words("accuracy", "below", "{:.2f}"),
    WatchedMetric.LATENCY: _Words("p95 latency", "above", "{:,.0f} ms"),
    WatchedMetric.COST: _Words("cost per run", "above", "${:,.4g}"),
    WatchedMetric.MEMORY: _Words("memory per run", "above", "{:,.4g} MB"),
    WatchedMetric.TOKEN_USAGE: _Words("tokens per run", "above", "{:,.0f}"),
}

# How a certain change of a quantity is told: its name, and the form of its usual median.
_QUANTITIES: Final[Mapping[WatchedMetric, tuple[str, str]]] = {
    WatchedMetric.LATENCY: ("latency", "{:,.0f} ms"),
    WatchedMetric.COST: ("cost", "${:,.4g}"),
    WatchedMetric.MEMORY: ("memory", "{:,.4g} MB"),
    WatchedMetric.TOKEN_USAGE: ("token usage", "{:,.0f} tokens"),
}


def detection_says(
    detection: Detection, agent_name: str | None, measured: float | None = None
) -> str:
    """Return what ``detection`` says, e.g. that a mean is below its threshold.

    ``measured`` is the quantity itself where the detector only followed a share (p95 in
    milliseconds).

    Examples
    --------
    "planner: accuracy 0.61 [0.51, 0.71] is below 0.70 over the last 60 min (n = 87); not
    yet certain"
    """
    who = FLEET if agent_name is None else agent_name
    if "says" in detection.inputs:
        return f"{who}: {detection.inputs['says']}"
    if "run_length" in detection.inputs:
        return f"{who}: {_certainly(detection)}"
    words = _WORDS[detection.metric]
    what, limit = _value(detection, words, measured), _limit(detection, words)
    span = f"over the last {detection.inputs['window_minutes']} min (n = {detection.n})"
    latest = f"over the latest {detection.n} outcomes"
    match detection.kind:
        case Kind.BEYOND:
            doubt = "; not yet certain" if detection.metric.is_rate else ""
            return f"{who}: {what} is {words.beyond} {limit} {span}{doubt}"
        case Kind.LIKELY:
            assert detection.probability is not None  # the kind says so
            sure = _percent(detection.probability)
            return f"{who}: {what} is {words.beyond} {limit} with {sure} probability {latest}"
        case Kind.CLEARED:
            return f"{who}: {what} is back on the good side of {limit} {span}"
        case _:
            return f"{who}: {what} is no longer likely to be {words.beyond} {limit} {latest}"


def _certainly(detection: Detection) -> str:
    """Return what was found with certainty, that is with a stated run length."""
    began = detection.inputs.get("changed_offset")
    ever = isinstance(began, int) and began < 0
    since = f"since {'its first outcome' if ever else 'the change'} (n = {detection.n})"
    if not detection.metric.is_rate:
        return _of_quantity(detection, since)
    words, inputs = _WORDS[detection.metric], detection.inputs
    what, before = _value(detection, words, None), inputs["before"]
    fell = "" if before is None else f", {words.form.format(before)} before it"
    if "version" in inputs:
        fell += f" (version {inputs['version']} since then, {inputs['version_before']} before)"
    limit = words.form.format(detection.threshold)
    match detection.kind:
        case Kind.DRIFT | Kind.ESCALATED:
            kept = "that is wanted" if inputs["reference"] == "threshold" else "it kept"
            return f"{what} {since}{fell}: certainly worse than the {limit} {kept}"
        case Kind.CERTAIN if ever:
            return f"{what} {since}: certainly {words.beyond} {limit}"
        case Kind.CERTAIN:
            return f"{what} {since}{fell}: it has certainly worsened, and is {words.beyond} {limit}"
        case Kind.CONFIRMED:
            return f"{what} {since}{fell}: still {words.beyond} {limit}, fresh outcomes confirm it"
        case Kind.CONTAINED:
            return (
                f"{what} {since}{fell}: contained, for hardly any tasks go there; its recovery is "
                f"judged by the {inputs['probes']} outcomes since the alarm"
            )
        case _:
            return f"{words.name} has certainly recovered"


def _of_quantity(detection: Detection, since: str) -> str:
    name, unit = _QUANTITIES[detection.metric]
    if detection.kind is Kind.RECOVERED:
        return f"{name} is certainly back to what it was"
    usual, low = detection.inputs["usual_median"], detection.inputs["side"] == "low"
    share = 1.0 - detection.value if low else detection.value
    moved, than = ("fallen", "less") if low else ("risen", "more")
    median = "" if usual is None else f"; half of them took {unit.format(usual)} at most"
    return (
        f"{name} has certainly {moved}: a run {since} takes {than} than {_percent(share)} of the "
        f"usual ones{median}"
    )


def retraining_says(finished: RetrainFinished) -> str:
    """Return what became of a retraining, e.g. that its version was promoted and why."""
    mode = f"{finished.retrain_type} retraining of {finished.model_type}"
    about = f" for {names(finished.agents)}" if finished.agents else ""
    learnt = f"{finished.events_processed} outcomes, {finished.duration_ms:.0f} ms"
    if finished.state in {"failed", "aborted"}:
        return f"{mode}{about} {finished.state}: {finished.error or 'no reason given'}"
    verdict = finished.gate.verdict if finished.gate is not None else "none"
    if finished.promoted:
        return f"{mode}{about}: version {finished.version} is promoted ({learnt})"
    stays = f"version {finished.parent_version} stays" if finished.parent_version else "not adopted"
    return f"{mode}{about}: version {finished.version} {verdict}, {stays} ({learnt})"


def rollback_says(adopted: ModelAdopted) -> str:
    """Return which version serves again instead of which, by whom, and why where known."""
    before = "another version"
    if adopted.parent_version is not None:
        before = f"version {adopted.parent_version}"
    now = f"version {adopted.version}" if adopted.version else "what learns in place"
    said = f"{adopted.model_type}: rolled back from {before} to {now} by {adopted.adopted_by}"
    return said if adopted.proof is None else f"{said}: {proof_says(adopted.proof)}"


def proof_says(proof: Proof) -> str:
    """Return what a promotion was worth, e.g. "improved: mean reward 0.71 before, 0.83 since"."""
    verdict = proof.verdict.replace("_", " ")
    if proof.rolled_back:
        verdict = "certainly worse"
    if proof.before is None or proof.after is None:
        return f"{verdict}: no runs since the promotion"
    means, since = f"{proof.before:.2f}", f"{proof.after:.2f}"
    if proof.measure == "reward":
        says = (
            f"mean reward {means} before (n = {proof.n_before:,}), {since} since (n = {proof.n:,})"
        )
    else:
        loss = proof.measure.replace("_", " ")
        says = f"{loss} of the parent {means}, of the version {since} on the same {proof.n:,} runs"
    if proof.gain is None or proof.gain_low is None or proof.gain_high is None:
        return f"{verdict}: {says}"
    gain = f"{proof.gain:+.2f} [{proof.gain_low:+.2f}, {proof.gain_high:+.2f}]"
    return f"{verdict}: {says}, gain {gain}"


def names(agents: list[str], most: int = 3) -> str:
    """Return the first few names, and how many more there are."""
    if len(agents) <= most:
        return ", ".join(agents)
    return f"{', '.join(agents[:most])} and {len(agents) - most} more"


def cause(detection: Detection, agent_name: str | None) -> dict[str, Any]:
    """Return a detection as plain values: for ``details``, causes and "why"."""
    return {
        "says": detection_says(detection, agent_name),
        "agent_name": agent_name,
        "metric": detection.metric.word,
        "rule": detection.inputs["setting"],
        "detector": detection.detector,
        "kind": detection.kind.value,
        "value": detection.value,
        "interval": None if detection.interval is None else list(detection.interval),
        "n": detection.n,
        "threshold": detection.threshold,
        "probability": detection.probability,
        "ts_us": detection.ts_us,
        "offset": detection.offset,
        "inputs": dict(detection.inputs),
    }


def _value(detection: Detection, words: _Words, measured: float | None) -> str:
    if detection.metric is WatchedMetric.LATENCY and measured is None:
        return f"{words.name} ({_percent(detection.value)} of runs above the limit)"
    shown = words.form.format(detection.value if measured is None else measured)
    if detection.interval is None or measured is not None:
        return f"{words.name} {shown}"
    low, high = detection.interval
    return f"{words.name} {shown} [{low:.2f}, {high:.2f}]"


def _limit(detection: Detection, words: _Words) -> str:
    limit = detection.inputs.get("limit_ms", detection.threshold)
    return words.form.format(limit)


def _percent(ratio: float) -> str:
    # 99.97 % must not read as 100 %: nothing that was inferred is that sure.
    if 0.995 <= ratio < 1.0:
        return ">99 %"
    return f"{100 * ratio:.1f} %" if ratio < 0.095 else f"{100 * ratio:.0f} %"
