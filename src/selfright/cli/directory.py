"""The data directory: where the log and the models lie, and who is serving them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from selfright.retrain.fs import DiskFs
from selfright.server.serve import LOG_FILE

if TYPE_CHECKING:
    from selfright.config import Settings


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """One fleet's directory.

    ``service.json`` in it says at which address the process that owns it serves, and holds
    a key to it, by which commands on the directory reach it; it is written once the port is
    bound and removed at the end. Only the directory's owner may read it, who could write
    keys there as well.
    """

    path: Path

    @classmethod
    def of(cls, settings: Settings) -> DataDirectory:
        """Return the directory that the settings name."""
        return cls(Path(settings.server.data_dir))

    @property
    def exists(self) -> bool:
        """Whether anything was ever kept here."""
        return (self.path / LOG_FILE).exists()

    def announce(self, url: str, key: str) -> None:
        """Write down at which address this process serves, and a key that lasts as long."""
        written = self._service.with_suffix(".new")
        told = json.dumps({"url": url, "pid": os.getpid(), "key": key})
        written.unlink(missing_ok=True)  # a file that is there keeps its rights
        DiskFs().write(written, told.encode())
        written.replace(self._service)

    def withdraw(self) -> None:
        """Take back what ``announce`` wrote."""
        self._service.unlink(missing_ok=True)

    def service_url(self) -> str | None:
        """Return the address announced last; its process may have died since."""
        return self._announced("url")

    def service_key(self) -> str | None:
        """Return the key announced with the address."""
        return self._announced("key")

    def _announced(self, name: str) -> str | None:
        try:
            return str(json.loads(self._service.read_text(encoding="utf-8"))[name])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def _service(self) -> Path:
        return self.path / "service.json"
