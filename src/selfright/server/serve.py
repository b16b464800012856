"""Runs the service until it is told to stop, and leaves nothing unfinished behind.

Nothing heavy is imported before it is needed: a wrong address is refused at once.
"""

from __future__ import annotations

import signal
import socket
import threading
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from selfright.clock import SystemClock
from selfright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    import uvicorn
    from fastapi import FastAPI

    from selfright.config import Settings
    from selfright.online_learning import RealTimeModelUpdater
    from selfright.performance_monitor import PerformanceMonitor
    from selfright.server.access.key import Key
    from selfright.server.access.ring import KeyRing

LOG_FILE: Final = "events.db"
MODELS_FOLDER: Final = "models"
# What a stop may take at most: requests under way, then the queue and the checkpoint.
# Together with the end of the threads it stays below the 10 s that supervisors grant.
_REQUESTS_S: Final = 3
_DRAIN_S: Final = 3.0
_BACKLOG: Final = 2048
_REMEDY: Final = (
    "is reachable from other machines, and there is no key that counts; make one for the same "
    "data directory with `selfright keys create`, or bind to 127.0.0.1 and let others in "
    "through an SSH tunnel"
)


def serve(
    settings: Settings,
    *,
    on_ready: Callable[[str], None] | None = None,
    owner: Key | None = None,
) -> None:
    """Serve the fleet of ``settings.server.data_dir`` until SIGTERM or SIGINT.

    Then requests under way are finished, what came in is made durable, a checkpoint is
    saved and this returns, all within 10 seconds.

    Parameters
    ----------
    settings
        Address, data directory and everything else.
    on_ready
        Is told the service's address once it answers.
    owner
        A key that counts for as long as this serves, besides those of the data directory.

    Raises
    ------
    ConfigError
        If the address is not a loopback one and there is no key, if it is taken, or the
        data directory cannot be used; ``DataDirectoryLockedError`` if another process owns
        that. ``CorruptLogError`` or ``StorageError`` if the keys cannot be read.
    """
    from selfright.server.access.key_file import KeyFile
    from selfright.server.access.ring import KeyRing

    keys = KeyRing(KeyFile(Path(settings.server.data_dir)), owner=owner)
    keys.load()
    keyed = keys.usable(SystemClock().now_us()) > 0
    listener = bind(settings.server.host, settings.server.port, keyed=keyed)
    try:
        monitor, updater = open_faces(settings)
    except BaseException:
        listener.close()
        raise
    try:
        serve_faces(monitor, updater, listener=listener, on_ready=on_ready, keys=keys)
    finally:
        monitor.close()


def open_faces(settings: Settings) -> tuple[PerformanceMonitor, RealTimeModelUpdater]:
    """Return the faces over the data directory, recovered and not started."""
    from selfright.online_learning import RealTimeModelUpdater, UpdateStrategy
    from selfright.performance_monitor import PerformanceMonitor

    folder = Path(settings.server.data_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            "server.data_dir", str(folder), f"cannot be made: {error.strerror}"
        ) from error
    updater = RealTimeModelUpdater(
        model_storage_path=str(folder / MODELS_FOLDER),
        update_strategy=UpdateStrategy(settings.learn.strategy),
        settings=settings,
    )
    monitor = PerformanceMonitor(
        window_size_minutes=settings.windows.window_minutes,
        model_updater=updater,
        database_url=f"sqlite:///{quote(str((folder / LOG_FILE).absolute()))}",
        settings=settings,
    )
    return monitor, updater


def serve_faces(
    monitor: PerformanceMonitor,
    updater: RealTimeModelUpdater | None,
    *,
    listener: socket.socket | None = None,
    on_ready: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
    keys: KeyRing | None = None,
) -> None:
    """Serve faces that exist already; start the monitor, and stop it at the end.

    Parameters
    ----------
    listener
        What ``bind`` returned; by default it is bound to the monitor's settings.
    stop
        Ends the service when set, as SIGTERM does. Outside the main thread it is the
        only way.
    keys
        Who may reach it; without any, this machine alone.
    """
    import uvicorn

    from selfright.server.app import create_app

    server_settings = monitor.settings.server
    if listener is None:
        listener = bind(server_settings.host, server_settings.port)
    address = url_of(listener)

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if on_ready is not None:
                on_ready(address)

        async def on_tick(self, counter: int) -> bool:
            return await super().on_tick(counter) or (stop is not None and stop.is_set())

    with listener, _SignalsTaken():
        config = _config(create_app(monitor, updater, keys=keys))
        monitor.start()
        try:
            Announcing(config).run(sockets=[listener])
        finally:
            monitor.circle.stop(min(_DRAIN_S, monitor.settings.log.stop_s))


def _config(app: FastAPI) -> uvicorn.Config:
    import uvicorn

    return uvicorn.Config(
        app,
        loop="uvloop" if _has("uvloop") else "asyncio",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Whoever the peer is, its word about where others are is not trusted.
        proxy_headers=False,
        timeout_graceful_shutdown=_REQUESTS_S,
        backlog=_BACKLOG,
    )


def bind(host: str, port: int, *, keyed: bool = False) -> socket.socket:
    """Return a listening socket; port 0 chooses a free one. Only on loopback unless ``keyed``.

    Raises ``ConfigError`` for an address that others could reach although there is no key,
    and one that is taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        remedy = "is no address of this machine; write 127.0.0.1, ::1 or localhost"
        raise ConfigError("server.host", host, remedy) from error
    # Every address of a name, not only the one that would be used today.
    if not keyed and not all(ip_address(str(entry[4][0])).is_loopback for entry in found):
        raise ConfigError("server.host", host, _REMEDY)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            "server.port", port, f"cannot be used ({error.strerror}); choose another, 0 for any"
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the address of a listening socket as users of this machine write it.

    One that listens on every address is reached on loopback.
    """
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _SignalsTaken:
    """Keeps SIGTERM and SIGINT from ending the process before it has tidied up.

    uvicorn handles them while it serves, and raises them again when it is done.
    """

    def __enter__(self) -> None:
        self._before: dict[signal.Signals, object] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, lambda *_: None)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() returned


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None
