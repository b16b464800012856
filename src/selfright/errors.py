"""Every error Selfright raises on purpose, as one tree, so that you see what to catch.

::

    SelfrightError
    ├── InvalidEventError(ValueError)      the sender's fault: a field of an event is wrong
    ├── ConfigError(ValueError)            the operator's fault: a setting is wrong or missing
    │   ├── MissingExtraError              an optional dependency is not installed
    │   └── DataDirectoryLockedError       another process owns the data directory
    ├── UnknownNameError(LookupError)      no agent, alert, retraining or version of that name
    ├── ConflictError                      the request collides with one that is under way
    ├── BackpressureError                  nobody's fault: wait ``retry_after_s`` and repeat
    ├── TransportError(ConnectionError)    the other side failed; ``retryable`` says what to do
    ├── StorageError(OSError)              the disk refused a write; nothing was acknowledged
    └── CorruptLogError                    the disk returned something else than was written

A refused promotion, a rejected challenger or an unknown agent's empty metrics are
results, never errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class SelfrightError(Exception):
    """Base of every error raised on purpose. Catch it to catch them all."""

    def __reduce__(self) -> tuple[Any, ...]:
        # A pool of processes sends errors back, and would call the class with the message alone.
        return _rebuilt, (type(self), self.args, vars(self))


class InvalidEventError(SelfrightError, ValueError):
    """A field of an event is wrong. Correct the field and send the event again.

    Attributes
    ----------
    field
        Name of the offending field as the caller wrote it.
    value
        The value that was refused, shortened for display.
    reason
        What the field accepts.
    """

    def __init__(self, field: str, value: object, reason: str) -> None:
        self.field = field
        self.value = shown(value)
        self.reason = reason
        super().__init__(f"{field}={self.value}: {reason}")


class ConfigError(SelfrightError, ValueError):
    """A setting is wrong or missing. The message names the remedy.

    Attributes
    ----------
    setting
        Dotted name of the setting or the parameter.
    value
        The value that was refused, shortened for display.
    remedy
        What to write instead.
    """

    def __init__(self, setting: str, value: object, remedy: str) -> None:
        self.setting = setting
        self.value = shown(value)
        self.remedy = remedy
        super().__init__(f"{setting}={self.value}: {remedy}")


class MissingExtraError(ConfigError):
    """An optional dependency is not installed. Install the named extra."""

    def __init__(self, feature: str, extra: str) -> None:
        self.extra = extra
        super().__init__(feature, extra, f"install it with: pip install 'selfright[{extra}]'")


class DataDirectoryLockedError(ConfigError):
    """Another process owns the data directory. Stop it or choose another directory."""

    def __init__(self, path: str, pid: int | None) -> None:
        self.pid = pid
        owner = f"process {pid}" if pid else "another process"
        super().__init__(
            "data directory",
            path,
            f"is in use by {owner}; stop that process or choose another directory",
        )


class UnknownNameError(SelfrightError, LookupError):
    """Nothing of that name exists. ``known`` suggests what does."""

    def __init__(self, kind: str, name: object, known: str = "") -> None:
        self.kind = kind
        self.name = shown(name)
        hint = f"; {known}" if known else ""
        super().__init__(f"no {kind} {self.name}{hint}")


class ConflictError(SelfrightError):
    """The request collides with one under way. Wait for ``running_id`` to finish."""

    def __init__(self, what: str, running_id: str) -> None:
        self.running_id = running_id
        super().__init__(f"{what}: {running_id} is under way")


class BackpressureError(SelfrightError):
    """The queue is full. Nobody's fault: repeat after ``retry_after_s`` seconds."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"the queue is full; repeat after {retry_after_s:g} s")


class TransportError(SelfrightError, ConnectionError):
    """The other side failed. Repeat only if ``retryable``."""

    def __init__(self, target: str, reason: str, *, retryable: bool) -> None:
        self.target = target
        self.retryable = retryable
        super().__init__(f"{target}: {reason}")


class StorageError(SelfrightError, OSError):
    """The disk refused a write. Nothing was acknowledged; free space, then repeat."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class CorruptLogError(SelfrightError):
    """Stored bytes are not what was written. ``offset`` says where reading stopped."""

    def __init__(self, path: str, offset: int | None, reason: str) -> None:
        self.path = path
        self.offset = offset
        self.reason = reason
        where = "" if offset is None else f" at offset {offset}"
        super().__init__(f"{path}{where}: {reason}")


def shown(value: object, limit: int = 120) -> str:
    """Return ``repr(value)`` on one line of ``limit`` characters: errors carry no payloads."""
    try:
        text = repr(value[:limit] if isinstance(value, (str, bytes)) else value)
    except Exception:  # noqa: BLE001 - whatever a stranger's repr raises, the refusal must arrive
        text = f"<{type(value).__name__} that cannot be shown>"
    text = text.replace("\n", " ")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` for the known word nearest to ``word``, else nothing."""
    import difflib  # only needed when something went wrong

    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _rebuilt(
    kind: type[SelfrightError], args: tuple[Any, ...], data: dict[str, Any]
) -> SelfrightError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(data)
    return error
