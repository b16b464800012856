"""A run measured from inside: time, CPU, memory, and how it ended."""

from __future__ import annotations

import asyncio
import os
import uuid
from typing import TYPE_CHECKING, Any, Final, Self

from selfright.clock import cpu_s, monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Record = Callable[..., None]

_PAGE_MB: Final = os.sysconf("SC_PAGE_SIZE") / (1024 * 1024) if hasattr(os, "sysconf") else 0.0
_TIMEOUTS: Final = (TimeoutError, asyncio.TimeoutError)


class MeasuredRun:
    """Context manager that times a run, catches how it ended, and records it.

    Works with ``with`` and ``async with``. An exception is recorded as a failure, a
    ``TimeoutError`` as a timeout, a cancelled task as cancelled, a keyboard interrupt as
    interrupted; all of them go on to the caller. CPU is that of the calling thread, so
    it counts only what ran in it; memory is the process's resident memory at the end.

    Parameters
    ----------
    record
        Is called once with the fields of the run as keywords.
    fields
        What is known of the run before it starts.
    """

    def __init__(self, record: Record, **fields: Any) -> None:
        self._record = record
        self._fields = fields
        self._fields.setdefault("run_id", uuid.uuid4().hex)
        self._started_s = self._cpu_s = 0.0
        self._status: str | None = None

    @property
    def run_id(self) -> str:
        """The id under which the run is recorded."""
        return str(self._fields["run_id"])

    def tokens(
        self,
        total: int | None = None,
        *,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
    ) -> Self:
        """Say how many tokens the run used."""
        return self._note(tokens_used=total, tokens_in=tokens_in, tokens_out=tokens_out)

    def cost(self, usd: float) -> Self:
        """Say what the run cost, in dollars."""
        return self._note(cost=usd)

    def quality(self, score: float, *, confidence: float | None = None) -> Self:
        """Say how good the result is, 0..1."""
        return self._note(quality_score=score, confidence=confidence)

    def note(self, **fields: Any) -> Self:
        """Say anything else that ``record_agent_run`` takes, e.g. ``api_calls``."""
        return self._note(**fields)

    def status(self, word: str) -> Self:
        """Say how the run ended where no exception tells it, e.g. ``partial``."""
        self._status = word
        return self

    def _note(self, **fields: Any) -> Self:
        self._fields.update((name, value) for name, value in fields.items() if value is not None)
        return self

    def __enter__(self) -> Self:
        self._started_s, self._cpu_s = monotonic_s(), cpu_s()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        fields = {
            "cpu_ms": max(0.0, cpu_s() - self._cpu_s) * 1e3,
            "memory_mb": resident_mb(),
            "error_type": None if kind is None else kind.__name__,
            **self._fields,
            "duration_ms": (monotonic_s() - self._started_s) * 1e3,
            "status": ending(error) if error is not None else self._status or "success",
        }
        self._record(**fields)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)


def ending(error: BaseException) -> str:
    """Return the status that an exception means."""
    if isinstance(error, _TIMEOUTS):
        return "timeout"
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return "cancelled"
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return "interrupted"
    return "failure"


def resident_mb() -> float | None:
    """Return this process's resident memory in MB; None where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - hot: 4 us
            return int(file.read().split()[1]) * _PAGE_MB
    except (OSError, ValueError, IndexError):
        return None
