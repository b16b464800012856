"""A PostgreSQL server of the tests' own: a new cluster in a temporary folder."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.services.postgres_databases import answers
from tests.services.server_process import (
    ServerProcess,
    ServiceError,
    ServiceMissingError,
    as_account,
    free_port,
)

_DEBIAN = Path("/usr/lib/postgresql")  # one folder a version, and none of them on the PATH
_ACCOUNT = "postgres"
_OLDEST = 14
# A killed process loses nothing that the system took from it, so the disk need not be waited for.
# A commit still reaches the system before it is acknowledged: `synchronous_commit` stays on.
_FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}


def find_programs(installed: Path = _DEBIAN) -> Path:
    """Return the folder of the newest PostgreSQL server programs, on the path or in ``installed``.

    Raises
    ------
    ServiceMissingError
        If there are none, or if we are root and the user that they need is not there.
    """
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += [path.parent for path in installed.glob("*/bin/initdb")]
    usable = {_version(folder): folder for folder in reversed(folders)}
    if not usable or max(usable) < _OLDEST:
        raise ServiceMissingError(
            f"no PostgreSQL server programs from version {_OLDEST} on: install the package "
            "`postgresql`, or set SELFRIGHT_TEST_POSTGRES to the URL of a server on which "
            "databases may be created"
        )
    if os.geteuid() == 0 and _ACCOUNT not in {entry.pw_name for entry in pwd.getpwall()}:
        raise ServiceMissingError(
            f"PostgreSQL refuses to run as root, and there is no user `{_ACCOUNT}`: make one"
        )
    return usable[max(usable)]


def _version(folder: Path) -> int:
    said = subprocess.run(
        [folder / "initdb", "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"\) (\d+)", said.stdout)
    return int(found[1]) if found else 0


class PostgresCluster:
    """A private server on a free port of 127.0.0.1, gone with its data when it is closed.

    Parameters
    ----------
    settings
        Settings of the server that replace or join those made for short tests, such as
        ``{"fsync": "on"}`` for a benchmark.

    Attributes
    ----------
    url
        Of its database ``postgres``, with the password of its superuser.
    """

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        programs = find_programs()
        account = _ACCOUNT if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="selfright-postgres-"))
        # Other users of the machine can reach the port, hence no cluster without a password.
        password = secrets.token_hex(16)
        port = free_port()
        self.url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
        try:
            if account:
                shutil.chown(self._folder, account)
            _initialise(programs, self._folder, password, account)
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        chosen = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            **_FAST,
            **(settings or {}),
        }
        options = [word for name in chosen for word in ("-c", f"{name}={chosen[name]}")]
        self._server = ServerProcess(
            [programs / "postgres", "-D", self._folder / "data", *options],
            self._folder,
            lambda: answers(self.url),
            account,
        )

    @property
    def running(self) -> bool:
        """Return whether the server lives, frozen or not."""
        return self._server.running

    def start(self) -> float:
        """Start it, again on the same data and port; return the seconds until it answered."""
        return self._server.start()

    def stop(self) -> None:
        """Shut it down in order, cutting connections; from then on they are refused."""
        self._server.stop(signal.SIGINT)

    def kill(self) -> None:
        """Kill postmaster and backends with SIGKILL; a restart recovers from the log."""
        self._server.kill()

    def frozen(self) -> AbstractContextManager[None]:
        """Let it answer nobody for the length of the block."""
        return self._server.frozen()

    def memory_mib(self) -> float:
        """Return the memory in use by all its processes."""
        return self._server.memory_mib()

    def close(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self._folder)


@contextmanager
def running_cluster(settings: Mapping[str, str] | None = None) -> Iterator[PostgresCluster]:
    """Run a new cluster for the length of the block."""
    cluster = PostgresCluster(settings)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def _initialise(programs: Path, folder: Path, password: str, account: str | None) -> None:
    secret = folder / "password"
    secret.write_text(password)
    if account:
        shutil.chown(secret, account)
    done = subprocess.run(
        [
            programs / "initdb",
            f"--pgdata={folder / 'data'}",
            "--username=postgres",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **as_account(account),
    )
    secret.unlink()
    if done.returncode:
        raise ServiceError(f"initdb failed:\n{done.stdout}{done.stderr}")
