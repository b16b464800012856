"""What each kind of learner does not promise, and why: what ``learner_checks`` leaves out."""

from __future__ import annotations

from typing import Any, Final

from selfright.learn.strategy import UpdateStrategy

_ORDERED: Final = "which samples are forgotten depends on their order"
_OF_ITS_PROTOCOL: Final = "the protocol of a model of one's own does not ask for it"
_PREDICTS: Final = "it predicts a number and chooses nothing"

_OF_STRATEGY: Final[dict[UpdateStrategy, dict[str, str]]] = {
    UpdateStrategy.BAYESIAN: {},
    UpdateStrategy.MOVING_AVERAGE: {"order_changes_nothing": _ORDERED},
    UpdateStrategy.EXPONENTIAL: {
        "order_changes_nothing": _ORDERED,
        "taken_back_leaves_no_trace": "how far a sample has faded, its sums do not tell",
    },
    UpdateStrategy.GRADIENT: {
        "order_changes_nothing": _ORDERED,
        "a_merge_is_the_whole": "averaged parameters are not those of training on both",
        "taken_back_leaves_no_trace": "a sample taken back is a step in the other direction",
        "a_restart_with_the_same_is_the_same": "level and groups have moved with the first time",
    },
}
# Whether a model notices changes itself: what happened on the way is part of what it believes.
_WATCHING: Final = {
    "order_changes_nothing": "when an arm has changed depends on the order of its samples",
    "a_merge_is_the_whole": "what a part has noticed is not what the whole would have",
    "a_fit_is_its_updates": "a fit is told which samples count and looks for no changes itself",
    "taken_back_leaves_no_trace": "what is taken back was held against expectations once",
}
_OWN: Final = {
    "batches_change_nothing": _OF_ITS_PROTOCOL,
    "order_changes_nothing": _OF_ITS_PROTOCOL,
    "a_merge_is_associative": _OF_ITS_PROTOCOL,
    "a_merge_is_the_whole": _OF_ITS_PROTOCOL,
    "a_fit_is_its_updates": "a refit may learn from the newest events alone",
    "taken_back_leaves_no_trace": _OF_ITS_PROTOCOL,
    "chances_are_probabilities": _OF_ITS_PROTOCOL,
    "a_restart_leaves_the_others": _OF_ITS_PROTOCOL,
    "a_restart_with_the_same_is_the_same": _OF_ITS_PROTOCOL,
}
# Sums that fade, and averages of parameters, are rounded at each step.
_ROUNDED: Final = {UpdateStrategy.EXPONENTIAL: 1e-9, UpdateStrategy.GRADIENT: 1e-9}


def excluded_of(model: Any) -> dict[str, str]:  # noqa: ANN401 - one of the five, or anybody's
    """Return the checks that do not hold for a model, with the reasons."""
    if not hasattr(model, "model_type"):
        return dict(_OWN)
    excluded = dict(_OF_STRATEGY[model.strategy])
    if getattr(model, "regimes", None) is not None:
        excluded |= _WATCHING
    if not hasattr(model, "propensities"):
        excluded["chances_are_probabilities"] = _PREDICTS
    return excluded


def tolerance_of(model: Any) -> float:  # noqa: ANN401 - one of the five, or anybody's
    """Return by how much its answers may differ where they are promised to be the same."""
    return _ROUNDED.get(model.strategy, 0.0) if hasattr(model, "model_type") else 0.0
