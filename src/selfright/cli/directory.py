"""The data directory: where the log and the models lie, and who is serving them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from selfright.errors import ConfigError

if TYPE_CHECKING:
    from selfright.config import Settings
    from selfright.online_learning import RealTimeModelUpdater
    from selfright.performance_monitor import PerformanceMonitor


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """One fleet's directory.

    ``service.json`` in it says at which address the process that owns it serves; it is
    written once the port is bound and removed at the end.
    """

    path: Path

    @classmethod
    def of(cls, settings: Settings) -> DataDirectory:
        """Return the directory that the settings name."""
        return cls(Path(settings.server.data_dir))

    @property
    def log(self) -> Path:
        """The file of the log."""
        return self.path / "selfright.db"

    @property
    def models(self) -> Path:
        """The folder of the models' versions."""
        return self.path / "models"

    @property
    def database_url(self) -> str:
        """The log, as ``PerformanceMonitor`` wants it."""
        return f"sqlite:///{quote(str(self.log.absolute()))}"

    @property
    def exists(self) -> bool:
        """Whether anything was ever kept here."""
        return self.log.exists()

    def open(self, settings: Settings) -> tuple[PerformanceMonitor, RealTimeModelUpdater]:
        """Return the two faces over this directory, recovered and not started.

        Creates the directory. Raises ``DataDirectoryLockedError`` if another process
        owns it and ``ConfigError`` if it cannot be made.
        """
        from selfright.online_learning import RealTimeModelUpdater, UpdateStrategy
        from selfright.performance_monitor import PerformanceMonitor

        self.make()
        updater = RealTimeModelUpdater(
            model_storage_path=str(self.models),
            update_strategy=UpdateStrategy(settings.learn.strategy),
            settings=settings,
        )
        monitor = PerformanceMonitor(
            window_size_minutes=settings.windows.window_minutes,
            model_updater=updater,
            database_url=self.database_url,
            settings=settings,
        )
        return monitor, updater

    def make(self) -> None:
        """Create the directory, readable by its owner alone. Raises ``ConfigError``."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                "data directory", str(self.path), f"cannot be made: {error.strerror}"
            ) from error

    def announce(self, url: str) -> None:
        """Write down at which address this process serves the directory."""
        written = self._service.with_suffix(".new")
        written.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")
        written.replace(self._service)

    def withdraw(self) -> None:
        """Take back what ``announce`` wrote."""
        self._service.unlink(missing_ok=True)

    def service_url(self) -> str | None:
        """Return the address announced last; its process may have died since."""
        try:
            return str(json.loads(self._service.read_text(encoding="utf-8"))["url"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def _service(self) -> Path:
        return self.path / "service.json"
