"""Which metrics there are, and in which direction each of them is good."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class MetricType(StrEnum):
    """What is measured of an agent. The value is the word that users write."""

    SUCCESS_RATE = "success_rate"
    LATENCY = "latency"
    TOKEN_USAGE = "token_usage"  # noqa: S105 - tokens of a language model
    API_CALLS = "api_calls"
    COST = "cost"
    MEMORY = "memory"
    CPU = "cpu"
    ACCURACY = "accuracy"
    QUALITY = "quality"
    ERROR_RATE = "error_rate"

    @property
    def rises_when_better(self) -> bool:
        """Whether a higher value is the better one; of what is consumed, less is better."""
        return self in HIGHER_IS_BETTER


HIGHER_IS_BETTER: Final = frozenset(
    {MetricType.SUCCESS_RATE, MetricType.ACCURACY, MetricType.QUALITY}
)
