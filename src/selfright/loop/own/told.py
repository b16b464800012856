"""What became of models of the user's own, written to the log: verdicts, and what serves.

The fold keeps these records and tells of them like those of the five models, though it
decided none of them. So they are listed, reported and alerted alike, also after a restart.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from selfright.errors import SelfrightError
from selfright.events.record import ModelAdopted, RetrainFinished

if TYPE_CHECKING:
    from collections.abc import Callable

    from selfright.events.record import AnyAct, GateRecord, Proof
    from selfright.retrain.manifest import Entry


class Told:
    """Writes acts to the log in their order; what it refuses now is offered again later.

    Parameters
    ----------
    act
        Commits an act; may raise ``SelfrightError``.
    failed
        Is told where something failed, and why.
    """

    def __init__(
        self, act: Callable[[AnyAct], object], failed: Callable[[str, BaseException], None]
    ) -> None:
        self._act = act
        self._failed = failed
        self._waiting: deque[AnyAct] = deque()

    def tell(self, act: AnyAct) -> None:
        """Write an act down, behind those that wait."""
        self._waiting.append(act)
        self.flush()

    def flush(self) -> None:
        """Write down what waits, as far as the log takes it."""
        while self._waiting:
            try:
                self._act(self._waiting[0])
            except SelfrightError as error:
                # The next batch tries again; after the process's end a new registration does.
                self._failed("log", error)
                return
            self._waiting.popleft()


def begun(retrain_id: str, now_us: int, **about: Any) -> RetrainFinished:
    """Return the first record of a retraining; those of own models are always full ones."""
    return RetrainFinished(
        act_id=f"{retrain_id}:pending",
        ts_us=now_us,
        retrain_id=retrain_id,
        retrain_type="full",
        state="pending",
        agents=[],
        **about,
    )


def decided(
    pending: RetrainFinished, gate: GateRecord, now_us: int, *, promoted: bool, error: str | None
) -> RetrainFinished:
    """Return the record of a retraining with the gate's verdict."""
    return msgspec.structs.replace(
        pending,
        act_id=f"{pending.retrain_id}:done",
        ts_us=now_us,
        state="done",
        promoted=promoted,
        gate=gate,
        error=error,
    )


def proved(
    made: RetrainFinished, proof: Proof, now_us: int, gate: GateRecord | None = None
) -> RetrainFinished:
    """Return the last record of a retraining: what its promotion was worth."""
    return msgspec.structs.replace(
        made,
        act_id=f"{made.retrain_id}:proved",
        ts_us=now_us,
        promoted=made.promoted and not proof.rolled_back,
        gate=made.gate if gate is None else gate,
        proof=proof,
    )


def adopted(name: str, entry: Entry, parent: int | None, ts_us: int, **about: Any) -> ModelAdopted:
    """Return that a version serves, as an entry of its promotion log says.

    Its id is made of the entry, so that a restart finds the one by the other.
    """
    return ModelAdopted(
        act_id=adopted_id(name, entry),
        ts_us=ts_us,
        model_type=name,
        version=entry.version,
        parent_version=parent,
        verdict=entry.reason,
        **about,
    )


def adopted_id(name: str, entry: Entry) -> str:
    """Return the id of the act that goes with an entry of a promotion log."""
    return f"adopted:{name}:{entry.seq}:{entry.ts_us}"


def ended(watched: ModelAdopted, proof: Proof, now_us: int) -> ModelAdopted:
    """Return that the watch of a promotion is over which no retraining was behind."""
    return msgspec.structs.replace(
        watched, act_id=f"{watched.act_id}:proved", ts_us=now_us, verdict="proved", proof=proof
    )
