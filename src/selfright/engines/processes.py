"""Several tasks at once, each in a process of this machine that reads the log by itself.

The processes are started anew for each retraining, as plain Python programs (``worker``): they
inherit no thread, no lock and no connection, do not run the caller's main module again, and
end with the pipe they are given work through, so also when this process is killed.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

import selfright.engines
from selfright.engines import frame
from selfright.engines.in_process import InProcess
from selfright.errors import SelfrightError
from selfright.learn.parts.extract import Extract

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from selfright.engines.task import Pulse, Task
    from selfright.log.protocol import EventLog

_PULSE_S: Final = 0.1
# Finds this very package, wherever the process that started it found it.
_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from selfright.engines.worker import main; main(sys.argv[2])"
)
_ROOT: Final = str(Path(selfright.engines.__file__).parents[2])


class EngineError(SelfrightError):
    """A process that condensed a segment failed or ended. The retraining fails with it."""


class LocalProcesses:
    """Works with up to ``count`` processes of this machine.

    A log in memory, and a single task, are worked on in this process: there is nothing to
    gain. A process takes .3 s to start and some 100 MB.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def map(
        self, log: EventLog, tasks: Sequence[Task], pulse: Pulse
    ) -> Iterator[tuple[int, Extract]]:
        """See ``Engine``. Raises ``EngineError``."""
        count, path = min(self.count, len(tasks)), log.path
        if count < 2 or path is None:
            yield from InProcess().map(log, tasks, pulse)
            return
        team = _Team(path, tasks, count)
        try:
            for done in range(len(tasks)):
                while (found := team.result()) is None:
                    pulse(done / len(tasks))
                if isinstance(found, Exception):
                    raise found
                pulse((done + 1) / len(tasks))
                yield found
        finally:
            team.dismiss()


class _Team:
    """The processes of one retraining, and a thread for each that hands it its work."""

    def __init__(self, path: Path, tasks: Sequence[Task], count: int) -> None:
        self._waiting: queue.SimpleQueue[tuple[int, Task]] = queue.SimpleQueue()
        self._found: queue.SimpleQueue[tuple[int, Extract] | Exception] = queue.SimpleQueue()
        for item in enumerate(tasks):
            self._waiting.put(item)
        self._members: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        try:
            for _ in range(count):
                self._members.append(
                    subprocess.Popen(  # noqa: S603 - our own program
                        [sys.executable, "-c", _PROGRAM, _ROOT, str(path)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                    )
                )
        except OSError:
            self.dismiss()
            raise
        for member in self._members:
            thread = threading.Thread(
                target=self._employ, args=(member,), name="selfright-engine", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def result(self) -> tuple[int, Extract] | Exception | None:
        """Return what was done next, or what went wrong; None if nothing came for a while."""
        try:
            return self._found.get(timeout=_PULSE_S)
        except queue.Empty:
            return None

    def dismiss(self) -> None:
        """End the processes, whatever they are at."""
        for member in self._members:
            member.kill()
        for member in self._members:
            member.wait()
        for thread in self._threads:
            thread.join()
        for member in self._members:
            for pipe in (member.stdin, member.stdout):
                if pipe is not None:
                    frame.close(pipe)

    def _employ(self, member: subprocess.Popen[bytes]) -> None:
        while True:
            try:
                place, task = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self._found.put((place, _ask(member, task)))
            except (OSError, ValueError, EngineError) as error:
                self._found.put(error)
                return


def _ask(member: subprocess.Popen[bytes], task: Task) -> Extract:
    assert member.stdin is not None
    assert member.stdout is not None
    frame.send(member.stdin, msgspec.msgpack.encode(task))
    answer = frame.receive(member.stdout)
    if answer is None:
        raise EngineError(f"a process ended with {member.wait()}")
    if answer[:1] != frame.DONE:
        raise EngineError(answer[1:].decode(errors="replace"))
    return Extract.decode(answer[1:])
