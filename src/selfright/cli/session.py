"""What a command was told before it began: settings, and where the fleet is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from selfright.config import FILE_NAME, load
from selfright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfright.config import Loaded, Settings

KEY_VARIABLE: Final = "SELFRIGHT_KEY"
# `ModelType` knows them too, but importing it would cost `--help` numpy.
MODEL_TYPES: Final = (
    "agent_selection",
    "parameter_optimization",
    "routing",
    "quality_prediction",
    "latency_prediction",
)


@dataclass(frozen=True, slots=True)
class Options:
    """The options that stand before and behind every command. None: not given."""

    data_dir: Path | None = None
    config: Path | None = None
    url: str | None = None
    debug: bool = False
    as_json: bool = False
    key_file: Path | None = None

    def over(self, others: Options) -> Options:
        """Return these, and the others' where these were not given."""
        return Options(
            self.data_dir or others.data_dir,
            self.config or others.config,
            self.url or others.url,
            self.debug or others.debug,
            self.as_json or others.as_json,
            self.key_file or others.key_file,
        )


class Session:
    """Settings as this command sees them. Reads files and environment when first asked."""

    def __init__(self, options: Options, environment: Mapping[str, str] | None = None) -> None:
        self.options = options
        self._environment = os.environ if environment is None else environment
        self._flags: dict[str, object] = {}

    @property
    def as_json(self) -> bool:
        """Whether the answer is read by a program."""
        return self.options.as_json

    def loaded(self, **flags: object) -> Loaded:
        """Return the settings and their origins.

        ``flags`` are the command's own, keyed like ``server__port``; None: not given.
        Raises ``ConfigError``.
        """
        given: dict[str, object] = {
            "server.data_dir": _text(self.options.data_dir),
            **{key.replace("__", "."): value for key, value in flags.items()},
        }
        return load(file=self.config_file(), environment=self._environment, flags=given)

    def settings(self, **flags: object) -> Settings:
        """Return the settings; see ``loaded``."""
        return self.loaded(**flags).settings

    def key(self) -> str | None:
        """Return the key to a service: that of ``--key-file``, else of ``SELFRIGHT_KEY``.

        Not an option of its own: what stands on a command line, everybody on the machine can
        list. Raises ``ConfigError``, without the key, for what can be none.
        """
        file = self.options.key_file
        if file is None:
            origin, text = KEY_VARIABLE, self._environment.get(KEY_VARIABLE, "").strip()
        else:
            origin = "--key-file"
            try:
                text = file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "is no text"
                raise ConfigError(origin, str(file), f"cannot be read: {reason}") from error
        if not text and file is None:
            return None
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            remedy = "holds no key; `selfright keys create` makes one, like selfright_1a2b3c4d_..."
            raise ConfigError(origin, "********", remedy)
        return text

    def config_file(self) -> Path | None:
        """Return the file named by ``--config``, else ``selfright.toml`` here, if any."""
        if self.options.config is not None:
            return self.options.config
        here = Path(FILE_NAME)
        return here if here.is_file() else None


def model_name(word: str) -> str:
    """Return ``word`` as the name of a model, perhaps of the user's own; dashes will do.

    Whether there is such a model only the fleet knows.
    """
    return word.strip().lower().replace("-", "_")


def pairs(option: str, text: str | None) -> dict[str, str]:
    """Return ``a=b,c=d`` as a mapping. Raises ``ConfigError`` naming the option."""
    found: dict[str, str] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, equals, value = (item.strip() for item in part.partition("="))
        if not (name and equals and value):
            raise ConfigError(option, text, f"write name=value,name=value; {part.strip()!r} is not")
        if name in found:
            raise ConfigError(option, text, f"{name} stands there twice")
        found[name] = value
    return found


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
