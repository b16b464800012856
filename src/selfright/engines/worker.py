"""The program that a process of ``LocalProcesses`` runs: tasks in, extracts out."""

from __future__ import annotations

import os
import signal
import sys

import msgspec

from selfright.engines import frame
from selfright.engines.task import Task, condense
from selfright.log.reader import ReadOnlyLog


def main(path: str) -> None:
    """Condense segments of the log at ``path`` until the pipe on standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    # What is printed must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    decode = msgspec.msgpack.Decoder(Task).decode
    with ReadOnlyLog(path) as log:
        while (message := frame.receive(sys.stdin.buffer)) is not None:
            try:
                answer = frame.DONE + condense(log.read, decode(message), _on).encode()
            except Exception as error:  # noqa: BLE001 - told to whoever started it, who raises it
                answer = frame.FAILED + f"{type(error).__name__}: {error}".encode()
            try:
                frame.send(answers, answer)
            except OSError:
                return  # killed meanwhile


def _on(_share: float) -> None:
    """Go on."""
