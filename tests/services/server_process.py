"""A server program as a child process: started, stopped, killed with its children, frozen.

Only processes started here are ever signalled, each by its id.
"""

from __future__ import annotations

import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_POLL_S = 0.02
_LOG_TAIL_LINES = 30
_FREE_PORT_TRIES = 1_000
# Below 32768: Linux takes ports for outgoing connections from there up, and one of those could
# sit on the server's port while it is down between a kill and a restart.
_PORTS = range(20_000, 32_000)


class ServiceMissingError(Exception):
    """A service is not to be had on this machine; says what to install or to set."""


class ServiceError(Exception):
    """A service is there and does not work; says how its log ends."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on; another program may still be faster."""
    for _ in range(_FREE_PORT_TRIES):
        port = secrets.choice(_PORTS)  # not `random`: every test starts from the same seed
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise ServiceError(f"no free port on 127.0.0.1 from {_PORTS.start} to {_PORTS.stop - 1}")


def listens(port: int) -> bool:
    """Return whether a connection to the port of 127.0.0.1 is accepted."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False


class ServerProcess:
    """A server program that tests may treat as badly as the world does.

    Parameters
    ----------
    command
        The program and its arguments. It has to stay in the foreground.
    folder
        Where it runs, and where ``server.log`` takes what it prints, over all its lives.
    answers
        Asked again and again after a start.
    account
        The user to run as; None stays who we are.

    Notes
    -----
    Where `setpriv` is there (Linux), the server dies with the thread that started it, so a test
    run that is itself killed leaves none behind. Start it in a thread that lives on.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        folder: Path,
        answers: Callable[[], bool],
        account: str | None = None,
    ) -> None:
        setpriv = shutil.which("setpriv")
        self._name = Path(command[0]).name
        self._command = [*([setpriv, "--pdeathsig", "KILL"] if setpriv else []), *command]
        self._folder = folder
        self._answers = answers
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Return whether the process lives, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def start(self, within_s: float = 60.0) -> float:
        """Start it; return the seconds until it answered."""
        assert not self.running
        started_s = time.monotonic()
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the server
                **as_account(self._account),
            )
        try:
            self._wait(started_s + within_s)
        except BaseException:
            self.kill()
            raise
        return time.monotonic() - started_s

    def stop(self, how: signal.Signals, within_s: float = 20.0) -> None:
        """Ask it to end and wait until it has; kill it if it does not obey in time."""
        if not self.running:
            return
        assert self._process is not None
        self._process.send_signal(how)
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL), and its children too before any of them can clean up."""
        if not self.running:
            return
        assert self._process is not None
        family = self._freeze()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        # A restart finds the memory still taken while a child of the old life lingers.
        while any(map(_lives, family[1:])):
            threading.Event().wait(_POLL_S)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it answer nobody for the length of the block, as if the network were cut.

        Connections are still accepted by the system, and nothing comes back.
        """
        family = self._freeze()
        try:
            yield
        finally:
            for process in reversed(family):
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def memory_mib(self) -> float:
        """Return the memory in use, children included, pages that several use counted once.

        Where the system does not tell those apart (it does on Linux), they count several times.
        """
        return sum(map(_bytes_in_use, _with_children(self._server()))) / 2**20

    def log_tail(self) -> str:
        """Return the last lines that it printed."""
        lines = (self._folder / "server.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def _server(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def _freeze(self) -> list[psutil.Process]:
        """Halt the server, which then makes no more children, and those that it has."""
        server = self._server()
        server.suspend()
        family = _with_children(server)
        for process in family[1:]:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        return family

    def _wait(self, deadline_s: float) -> None:
        while not self._answers():
            if not self.running:
                raise ServiceError(f"{self._name} ended at once; its log ends\n{self.log_tail()}")
            if time.monotonic() > deadline_s:
                raise ServiceError(f"{self._name} is silent; its log ends\n{self.log_tail()}")
            threading.Event().wait(_POLL_S)


def as_account(name: str | None) -> dict[str, object]:
    """Return the arguments of ``subprocess`` that run a program as that user alone."""
    if name is None:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _with_children(server: psutil.Process) -> list[psutil.Process]:
    return [server, *server.children(recursive=True)]


def _bytes_in_use(process: psutil.Process) -> int:
    try:
        used = process.memory_full_info()
    except psutil.NoSuchProcess:  # children come and go
        return 0
    return int(getattr(used, "pss", used.rss))


def _lives(process: psutil.Process) -> bool:
    # What is dead and only not yet buried holds nothing, and a lazy pid 1 buries once a second.
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
