"""How a model forgets: four rules, each a different answer to an agent that changed.

==================== ============================ ==========================================
strategy             what it keeps per cell       forgets
==================== ============================ ==========================================
``bayesian``         exact sums of everything     only when a retraining sets evidence aside
``moving_average``   the last ``window`` samples  the 101st newest sample, wholly
``exponential``      sums that shrink             ``1 - discount`` of a cell at each sample
``gradient``         parameters, no evidence      by stepping towards each new sample
==================== ============================ ==========================================

A cell is an arm within a group, such as an agent on a task type. Only ``bayesian`` gives
the same state whatever the order, batching and merging of the samples; the others are
functions of the order in which samples arrive.
"""

from __future__ import annotations

from enum import StrEnum


class UpdateStrategy(StrEnum):
    """The rule by which a model weighs new against old evidence.

    ``BAYESIAN``, the default, holds the full posterior and forgets nothing by itself:
    where nothing changes, forgetting costs points, and where something changes, the
    detectors notice and a retraining sets the stale evidence aside. ``MOVING_AVERAGE``
    and ``EXPONENTIAL`` adapt without a detector and never become more certain than
    their window allows. ``GRADIENT`` is stochastic gradient descent, trained serially:
    the smallest memory, the roughest uncertainty.
    """

    MOVING_AVERAGE = "moving_average"
    EXPONENTIAL = "exponential"
    BAYESIAN = "bayesian"
    GRADIENT = "gradient"
