"""All models of the user's own, and the thread that feeds them from the log.

They read the log by their own offsets, beside the fold: what they do or fail to do changes
nothing that the fold computes, and a restart gives them what they missed.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from selfright.errors import ConfigError, UnknownNameError
from selfright.loop.own import refit
from selfright.loop.own.beginning import opened
from selfright.loop.own.events import batches, newest
from selfright.loop.own.protocol import checked_model, checked_name
from selfright.loop.own.proving import OwnProving
from selfright.loop.own.slot import OwnSlot, Surroundings
from selfright.loop.own.told import Told

if TYPE_CHECKING:
    from typing import Any

    from selfright.loop.control import Circle
    from selfright.loop.own.protocol import OwnModel
    from selfright.loop.retraining import RetrainResult
    from selfright.retrain.registry import ModelRegistry

_log = logging.getLogger("selfright")
_AT_ONCE: Final = 500  # events given to ``update`` together
# While one is on trial or on watch: it predicts so many before it learns from them.
_JUDGED: Final = 32
_GATHER_S: Final = 0.1  # what comes within is learnt together
_LOOK_S: Final = 1.0


class OwnModels:
    """Feeds models of the user's own. Safe to use from any thread.

    Parameters
    ----------
    circle
        Its log is read, and written what became of them; of its fold only the policies of
        gate and watch are read, and who was deleted.
    newest
        Events that a retraining learns from.
    """

    def __init__(self, circle: Circle, registry: ModelRegistry, newest: int) -> None:
        self._circle = circle
        self._newest = newest
        self._told = Told(circle.act, circle.failed)
        self._around = Surroundings(
            log=circle.log,
            registry=registry,
            gate=circle.fold.rooms.gate,
            watch=circle.fold.rooms.probation,
            clock=circle.clock,
            told=self._told,
            failed=circle.failed,
        )
        self._slots: dict[str, OwnSlot] = {}
        # Held while models learn: whoever asks for one gets it between two batches.
        self._lock = threading.RLock()
        self._enough = threading.Event()
        self._thread: threading.Thread | None = None

    # ---- models ----------------------------------------------------------------------

    def names(self) -> list[str]:
        """Return the names of the registered models, in the order of registration."""
        return list(self._slots)

    def register(self, name: str, model: OwnModel) -> None:
        """Let a model learn from here on, or from where its version that serves ended.

        Raises ``ConfigError`` for a name that cannot be or is taken, a model that lacks a
        method, or a stored version it cannot load.
        """
        checked_name(name)
        checked_model(model)
        with self._lock:
            before = self._slots.get(name)
            if before is not None and before.disabled is None:
                raise ConfigError("name", name, "is registered already; choose another name")
            self._slots[name] = opened(name, model, self._around)

    def slot(self, name: str) -> OwnSlot:
        """Return what is known of a model. Raises ``UnknownNameError``."""
        try:
            return self._slots[name]
        except KeyError:
            raise unregistered(name) from None

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per model for the list of models."""
        with self._lock:
            return [slot.row() for slot in self._slots.values()]

    # ---- learning --------------------------------------------------------------------

    def catch_up(self) -> None:
        """Return when every model has learnt what is in the log by now."""
        with self._lock:
            self._told.flush()
            for slot in self._slots.values():
                self._feed(slot)

    def _feed(self, slot: OwnSlot) -> None:
        log, deleted = self._circle.log, dict(self._circle.fold.rooms.absent.deleted)
        end, proving = log.next_offset, OwnProving(slot)
        while slot.covered < end and not self._is_over(slot):
            judged = slot.is_judged
            limit = _JUDGED if judged else _AT_ONCE
            for batch in batches(log, slot.covered, slot.until(end), limit, deleted):
                is_news = slot.is_news
                slot.learn(batch)
                proving.rule()
                if batch.asked is not None and is_news and slot.disabled is None:
                    self._retrain(slot, batch.asked.reason, automatic=True)
                if slot.is_judged != judged or self._is_over(slot):
                    break  # read on in batches of another size, or not at all

    def _is_over(self, slot: OwnSlot) -> bool:
        return slot.disabled is not None or self._enough.is_set()

    def retrain(self, name: str, reason: str) -> RetrainResult:
        """Retrain a model now; ``pending`` while the gate watches. Blocks while it refits."""
        with self._lock:
            slot = self.slot(name)
            self._feed(slot)
            return self._retrain(slot, reason)

    def _retrain(self, slot: OwnSlot, reason: str, *, automatic: bool = False) -> RetrainResult:
        deleted = dict(self._circle.fold.rooms.absent.deleted)
        events = newest(self._circle.log, slot.serving.offset, self._newest, deleted)
        result = refit.retrain(slot, events, reason, automatic=automatic)
        OwnProving(slot).check()
        return result

    # ---- versions --------------------------------------------------------------------

    def serve(self, name: str, version: int, reason: str) -> None:
        """Let an earlier version serve; see ``OwnProving.serve``."""
        with self._lock:
            slot = self.slot(name)
            OwnProving(slot).serve(version, reason)
            self._feed(slot)

    def save(self) -> dict[str, int]:
        """Save what the models have learnt; return the version of each that has one.

        One that cannot be saved is counted and named in the list of models.
        """
        saved = {}
        with self._lock:
            for name, slot in self._slots.items():
                self._feed(slot)
                version = self._try_to_save(slot)
                if version is not None:
                    saved[name] = version
        return saved

    def _try_to_save(self, slot: OwnSlot) -> int | None:
        if slot.disabled is None:
            try:
                return slot.save()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code, or the disk
                slot.serving.stumble("save", error)
                OwnProving(slot).check()
        return slot.versions.current

    def copy_of(self, name: str) -> OwnModel:
        """Return a copy of the model that serves, which learns no more."""
        import copy

        with self._lock:
            slot = self.slot(name)
            self._feed(slot)
            return copy.deepcopy(slot.model)

    # ---- life ------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether the thread is there."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Learn by itself from now on. Idempotent."""
        if not self.alive:
            self._enough.clear()
            self._thread = threading.Thread(target=self._run, name="selfright-own", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Learn by itself no more; a batch under way is left behind after ``timeout_s``."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._enough.set()
        self._circle.log.wake()
        thread.join(timeout_s)
        if thread.is_alive():
            _log.warning("a model of the user's own did not end within %.1f s", timeout_s)
            return  # ``_enough`` stays set, so that it ends after its batch
        self._enough.clear()

    def _run(self) -> None:
        while not self._enough.is_set():
            behind = min((slot.covered for slot in self._active()), default=None)
            if behind is None or not self._circle.log.wait(behind, _LOOK_S):
                self._enough.wait(_GATHER_S)
                continue
            self._enough.wait(_GATHER_S)
            try:
                self.catch_up()
            except Exception as error:  # noqa: BLE001 - the isolation point of the thread
                self._circle.failed("models of the user's own", error)
                self._enough.wait(_LOOK_S)

    def _active(self) -> list[OwnSlot]:
        return [slot for slot in list(self._slots.values()) if slot.disabled is None]


def unregistered(name: str) -> UnknownNameError:
    """Return that of a model there are versions alone, and what to do."""
    return UnknownNameError(
        "registered model",
        name,
        "its versions are kept here, but this process has not registered the model itself: "
        f"call register_model({name!r}, model) in it",
    )
