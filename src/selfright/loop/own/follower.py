"""A model of the user's own and how far it has learnt the log; what it raises ends here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from selfright.loop.own.protocol import scores

if TYPE_CHECKING:
    from collections.abc import Callable

    from selfright.loop.own.events import Batch
    from selfright.loop.own.protocol import OwnModel

    Note = Callable[[str, BaseException], None]

# What fails at as many batches in a row will fail at the next.
MOST_FAILURES: Final = 5
_Answer = TypeVar("_Answer")


class Follower:
    """Reads the log along with others: each batch is scored first, then learnt.

    Parameters
    ----------
    offset
        It has learnt what the log holds before it.
    called
        Stands before what it failed at, in what is noted.
    note
        Is told what failed, and of what the model raised.

    Attributes
    ----------
    error
        What it raised at the last batch, if anything.
    failed
        Calls at which it raised, in all.
    in_a_row
        Batches, and other calls, at which it raised without one between at which it did not.
    """

    def __init__(self, model: OwnModel, offset: int, note: Note, called: str = "") -> None:
        self.model = model
        self.offset = offset
        self.called = called
        self.error: BaseException | None = None
        self.failed = 0
        self.in_a_row = 0
        self._note = note

    @property
    def fails(self) -> bool:
        """Whether it has raised so often in a row that it will again."""
        return self.in_a_row >= MOST_FAILURES

    def take(self, batch: Batch, *, judged: bool) -> list[float | None] | None:
        """Learn a batch; return its scores of what is new in it, made before, if ``judged``.

        None where it could not score. What it raised costs this batch and no more.
        """
        found, failed = None, self.failed
        self.error = None
        if batch.events:
            if judged:
                found = self._attempt("score", scores, self.model, batch.new)
            self._attempt("update", self.model.update, batch.events)
            self.in_a_row = self.in_a_row + 1 if self.failed > failed else 0
        self.offset = batch.next_offset
        return found

    def stumble(self, what: str, error: BaseException) -> None:
        """Count something else that it raised: a refit, a save."""
        self.failed += 1
        self.in_a_row += 1
        self._note(what, error)

    def _attempt(self, what: str, call: Callable[..., _Answer], *given: Any) -> _Answer | None:
        try:
            return call(*given)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
            self.error = error
            self.failed += 1
            self._note(f"{self.called}{what}", error)
            return None
