"""Where the real data lies that is not part of the project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_BESIDE: Final = Path(__file__).resolve().parents[3] / "shared" / "data"


def folder() -> Path:
    """Return where the data should be."""
    return Path(os.environ.get("SELFRIGHT_SHARED_DATA") or _BESIDE)


def file(name: str) -> Path:
    """Return where one of its files should be."""
    return folder() / name


def absent(*names: str) -> str | None:
    """Return what to say if some of these files are not there; None if they are."""
    missing = [name for name in names if not file(name).exists()]
    if not missing:
        return None
    return (
        f"no {' and '.join(missing)} in {folder()}; "
        "set SELFRIGHT_SHARED_DATA to the folder that has the data"
    )
