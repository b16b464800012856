"""``doctor``: whether this machine is fit to serve a fleet, and if not, what helps."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final, Literal

import typer

from selfright.cli import show
from selfright.cli.command import OK, UNHEALTHY, command
from selfright.cli.directory import DataDirectory
from selfright.cli.session import MODEL_TYPES, Session
from selfright.clock import SystemClock
from selfright.errors import ConfigError, DataDirectoryLockedError, SelfrightError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selfright.config import Settings
    from selfright.log.protocol import EventLog
    from selfright.online_learning import RealTimeModelUpdater

app = typer.Typer()

_OLDEST_PYTHON: Final = (3, 11)
_NEEDED: Final = ("numpy", "msgspec", "fastapi", "uvicorn", "typer", "rich")
# Package, the extra that brings it, and what is missing without it.
_OPTIONAL: Final = (("duckdb", "analytics", "Parquet files and --where"),)
_MB: Final = 1024 * 1024
_LITTLE_DISK: Final = 1024 * _MB
_NO_DISK: Final = 100 * _MB

_COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "red"}


@dataclass(frozen=True, slots=True)
class Line:
    """One finding: what was looked at, how it is, and what helps if it is not well."""

    check: str
    verdict: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""


@command(app)
def doctor(session: Session) -> int:
    """Check Python, packages, settings, data directory, disk, port, log and models.

    Exits with 3 if anything failed; warnings do not fail.
    """
    lines = list(_examine(session))
    failed = any(line.verdict == "fail" for line in lines)
    if session.as_json:
        show.as_json({"ok": not failed, "checks": [asdict(line) for line in lines]})
        return UNHEALTHY if failed else OK
    from rich.text import Text

    console = show.console()
    for line in lines:
        console.print(
            Text.assemble(
                (f"{line.verdict:<5}", _COLOURS[line.verdict]),
                f"{line.check:<24}{line.found}",
                (f"\n     {'':<24}-> {line.remedy}" if line.remedy else "", "bold"),
            )
        )
    return UNHEALTHY if failed else OK


def _examine(session: Session) -> Iterator[Line]:
    yield _python()
    yield from _packages()
    try:
        settings = session.settings()
    except ConfigError as error:
        yield Line("settings", "fail", str(error), "correct it; `selfright config show` lists all")
        return
    file = session.config_file()
    yield Line("settings", "ok", str(file) if file else "defaults; no selfright.toml here")
    directory = DataDirectory.of(settings)
    yield _writable(directory)
    yield _disk(directory)
    yield _port(settings, directory)
    yield _access(settings, directory)
    yield from _contents(settings, directory)


def _python() -> Line:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info >= _OLDEST_PYTHON:
        return Line("python", "ok", found)
    return Line("python", "fail", found, "install Python 3.11 or newer")


def _packages() -> Iterator[Line]:
    missing = [name for name in _NEEDED if _version(name) is None]
    if missing:
        remedy = "reinstall with: pip install --force-reinstall selfright"
        yield Line("packages", "fail", f"missing: {', '.join(missing)}", remedy)
    else:
        found = ", ".join(f"{name} {_version(name)}" for name in _NEEDED)
        yield Line("packages", "ok", found)
    for name, extra, use in _OPTIONAL:
        if _version(name) is None:
            remedy = f"for {use}: pip install 'selfright[{extra}]'"
            yield Line(name, "warn", "not installed", remedy)
        else:
            yield Line(name, "ok", f"{_version(name)}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _writable(directory: DataDirectory) -> Line:
    path = directory.path
    if not path.exists():
        parent = next(folder for folder in path.absolute().parents if folder.exists())
        if os.access(parent, os.W_OK):
            return Line("data directory", "ok", f"{path} will be made when first needed")
        return Line("data directory", "fail", f"{path} cannot be made in {parent}", _MOVE)
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Line("data directory", "fail", f"{path}: {error.strerror}", _MOVE)
    return Line("data directory", "ok", f"{path} can be written")


_MOVE: Final = "choose another with --data-dir, or change its owner or mode"


def _disk(directory: DataDirectory) -> Line:
    path = directory.path.absolute()
    there = path if path.exists() else next(folder for folder in path.parents if folder.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / _MB:,.0f} MB free"
    if free < _NO_DISK:
        return Line("disk", "fail", found, "free some space: nothing can be acknowledged soon")
    if free < _LITTLE_DISK:
        return Line("disk", "warn", found, "free some space, or lower log.retention_events")
    return Line("disk", "ok", found)


def _port(settings: Settings, directory: DataDirectory) -> Line:
    host, port = settings.server.host, settings.server.port
    address = f"{host}:{port}"
    if is_free(host, port):
        return Line("port", "ok", f"{address} is free")
    url = directory.service_url()
    if url is not None and url.endswith(f":{port}"):
        return Line("port", "ok", f"{address} is this fleet's own service")
    remedy = "stop whoever has it, or choose another with --port or server.port"
    return Line("port", "warn", f"{address} is taken", remedy)


def _access(settings: Settings, directory: DataDirectory) -> Line:
    from selfright.server.access.key_file import KeyFile
    from selfright.server.guard import is_loopback

    host, book = settings.server.host, KeyFile(directory.path)
    try:
        keys = book.read()
    except SelfrightError as error:
        return Line("access", "fail", str(error), "without readable keys nothing is served")
    now_us = SystemClock().now_us()
    usable = sum(key.state(now_us) == "active" for key in keys)
    if keys and book.path.stat().st_mode & 0o077:
        found = f"{book.path} can be read by others"
        return Line("access", "warn", found, f"chmod 600 {book.path}")
    if usable:
        return Line("access", "ok", f"{usable} keys; every request is asked for one")
    if not is_loopback(host):
        remedy = "make a key with `selfright keys create`, or set server.host to 127.0.0.1"
        return Line("access", "fail", f"no keys, and {host} is open to other machines", remedy)
    if keys:
        remedy = "make one with `selfright keys create`"
        return Line("access", "warn", "no key that counts: nobody is let in", remedy)
    if settings.server.allowed_hosts:
        found = "no keys, and names in server.allowed_hosts: whoever comes that way is let in"
        return Line("access", "warn", found, "make a key with `selfright keys create`")
    return Line("access", "ok", "no keys; only this machine is served")


def is_free(host: str, port: int) -> bool:
    """Return whether somebody could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: an address that merely lingers after a close is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _contents(settings: Settings, directory: DataDirectory) -> Iterator[Line]:
    if not directory.exists:
        yield Line("log", "ok", "nothing kept yet")
        return
    from selfright.server.serve import open_faces

    try:
        monitor, updater = open_faces(settings)
    except DataDirectoryLockedError as error:
        url = directory.service_url()
        served = f"is served at {url}" if url else "is in use"
        yield Line("owner", "ok", f"{served}, by process {error.pid}; log and models not looked at")
        return
    except (SelfrightError, OSError) as error:
        yield Line("log", "fail", str(error), "restore a backup, or begin in another directory")
        return
    try:
        yield Line("owner", "ok", "nobody; free to be served")
        yield _checked("log", partial(_read_through, monitor.circle.log))
        for name in MODEL_TYPES:
            yield _checked(name, partial(_load_all, updater, name))
    finally:
        monitor.close()


def _checked(check: str, look: Callable[[], str]) -> Line:
    try:
        return Line(check, "ok", look())
    except (SelfrightError, OSError) as error:
        return Line(check, "fail", str(error), "restore a backup, or begin in another directory")


def _read_through(log: EventLog) -> str:
    """Read every commit; the log checks each as it reads it."""
    at, rows = log.first_offset, 0
    total = max(1, log.next_offset - at)
    with show.progress("reading the log") as tell:
        while commits := log.read(at):
            rows += sum(commit.next_offset - commit.first_offset for commit in commits)
            at = commits[-1].next_offset
            tell(rows / total)
    return f"{rows:,} events, every one readable"


def _load_all(updater: RealTimeModelUpdater, name: str) -> str:
    """Load every version that is not known to be damaged; the registry checks each."""
    registry = updater.registry
    versions = registry.versions(name)
    sound = [item.version for item in versions if item.state != "quarantined"]
    for number in sound:
        registry.load(name, number)
    served = registry.current(name)
    found = f"{len(sound)} versions, {'none serves' if served is None else f'{served} serves'}"
    damaged = len(versions) - len(sound)
    return f"{found}, {damaged} in quarantine" if damaged else found
