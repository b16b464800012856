"""What the metrics take of a batch, so that rows may wait without their payloads.

Contexts, configurations and predictions of a megabyte each do not stay alive for the sake
of a few integers, and rows that came in many small batches are added up as one.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from selfright.events.batch import RUN_FIELD
from selfright.events.status import DECIDED, RunStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.events.batch import OutcomeBatch, RunBatch, Texts

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# Fields of a run that are added up as they are.
QUANTITIES: Final = (
    "tokens",
    "tokens_in",
    "tokens_out",
    "api_calls",
    "cost_nano_usd",
    "memory_kib",
    "cpu_us",
    "quality_q32",
    "confidence_q32",
)
_RUN_STATUS: Final = RUN_FIELD["status"]
_RUN_TS: Final = RUN_FIELD["ts_us"]
_DECIDED: Final = tuple(status in DECIDED for status in RunStatus)


class RunRows(NamedTuple):
    """Columns of runs; ``quantities`` in the order of ``QUANTITIES``, -1 where unknown."""

    agents: Ints
    ts_us: Ints
    status: npt.NDArray[np.int8]
    duration_us: Ints
    retry_count: Ints
    quantities: tuple[Ints, ...]
    error_type: Texts
    task_type: Texts

    @classmethod
    def of(cls, agents: Ints, runs: RunBatch) -> Self:
        """Return what counts of a batch."""
        return cls(
            agents,
            runs.ts_us,
            runs.status,
            runs.duration_us,
            runs.retry_count,
            (
                runs.tokens,
                runs.tokens_in,
                runs.tokens_out,
                runs.api_calls,
                runs.cost_nano_usd,
                runs.memory_kib,
                runs.cpu_us,
                runs.quality_q32,
                runs.confidence_q32,
            ),
            runs.error_type,
            runs.task_type,
        )

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Return all rows, part after part."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.agents for part in parts]),
            np.concatenate([part.ts_us for part in parts]),
            np.concatenate([part.status for part in parts]),
            np.concatenate([part.duration_us for part in parts]),
            np.concatenate([part.retry_count for part in parts]),
            tuple(
                np.concatenate(column)
                for column in zip(*(part.quantities for part in parts), strict=True)
            ),
            list(chain.from_iterable(part.error_type for part in parts)),
            list(chain.from_iterable(part.task_type for part in parts)),
        )


class OutcomeRows(NamedTuple):
    """Columns of outcomes; of the joined run its time, -1 without one.

    ``labels`` says which rows are the label of a decided run.
    """

    agents: Ints
    ts_us: Ints
    score_q32: Ints
    run_ts_us: Ints
    labels: Bools
    sources: list[str]

    @classmethod
    def of(cls, agents: Ints, outcomes: OutcomeBatch) -> Self:
        """Return what counts of a batch."""
        run_ts_us = [-1 if run is None else run[_RUN_TS] for run in outcomes.run]
        labels = [
            primary and run is not None and _DECIDED[run[_RUN_STATUS]]
            for run, primary in zip(outcomes.run, outcomes.primary.tolist(), strict=True)
        ]
        return cls(
            agents,
            outcomes.ts_us,
            outcomes.score_q32,
            np.array(run_ts_us, dtype=np.int64),
            np.array(labels, dtype=np.bool_),
            outcomes.feedback_source,
        )

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Return all rows, part after part."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.agents for part in parts]),
            np.concatenate([part.ts_us for part in parts]),
            np.concatenate([part.score_q32 for part in parts]),
            np.concatenate([part.run_ts_us for part in parts]),
            np.concatenate([part.labels for part in parts]),
            list(chain.from_iterable(part.sources for part in parts)),
        )
