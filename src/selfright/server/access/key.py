"""One key: a random text that is shown once, and what is kept to know it again.

``selfright_1a2b3c4d_<48 hex digits>``. The first part, the *prefix*, names the key in
lists, logs and commands and is no secret; the rest is, with 192 random bits. Of the text
only a SHA-256 hash is kept. A slow hash such as scrypt makes guessing expensive where
people choose what is guessed; nobody can guess 192 random bits at any speed, and a hash
that takes 100 ms would be paid by every request, and by us for every stranger's attempt.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from selfright.errors import ConfigError, did_you_mean
from selfright.events.record import MAX_NAME
from selfright.events.timestamp import iso
from selfright.server.scope import GRANTABLE, Scope, allows

if TYPE_CHECKING:
    from collections.abc import Iterable

State = Literal["active", "expired", "revoked"]

_PREFIX_BYTES: Final = 4
_SECRET_BYTES: Final = 24
_DIGEST_DIGITS: Final = 64
# A form of its own, so that scanners of repositories and logs recognise a key.
FORM: Final = re.compile(
    rf"selfright_[0-9a-f]{{{2 * _PREFIX_BYTES}}}_[0-9a-f]{{{2 * _SECRET_BYTES}}}"
)
_PREFIX: Final = re.compile(rf"selfright_[0-9a-f]{{{2 * _PREFIX_BYTES}}}")
_US_PER_DAY: Final = 86_400_000_000
_MOST_DAYS: Final = 36_500
# Compared with where no key has the prefix, so that the answer takes as long as if one had.
_NOBODYS_DIGEST: Final = "0" * _DIGEST_DIGITS


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a key: everything but the key itself. Times in microseconds UTC.

    ``digest`` is the SHA-256 of the whole text, in hex.
    """

    prefix: str
    name: str
    scopes: tuple[Scope, ...]
    digest: str
    created_us: int
    expires_us: int | None = None
    revoked_us: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no key can be, wherever it was read from."""
        if not _PREFIX.fullmatch(self.prefix):
            raise ValueError(f"{self.prefix!r} is no prefix of a key")
        if not re.fullmatch(rf"[0-9a-f]{{{_DIGEST_DIGITS}}}", self.digest):
            raise ValueError(f"the digest of {self.prefix} is none")
        if not self.scopes or not set(self.scopes) <= set(GRANTABLE):
            raise ValueError(f"the scopes of {self.prefix} are none that a key can have")

    def state(self, now_us: int) -> State:
        """Return whether the key can be used, and if not, why."""
        if self.revoked_us is not None:
            return "revoked"
        if self.expires_us is not None and now_us >= self.expires_us:
            return "expired"
        return "active"

    def allows(self, wanted: Scope) -> bool:
        """Return whether the key may use a route that asks for ``wanted``."""
        return allows(self.scopes, wanted)

    def shown(self, now_us: int) -> dict[str, Any]:
        """Return what may be told about the key: all but the digest."""
        return {
            "prefix": self.prefix,
            "name": self.name,
            "scopes": [scope.value for scope in self.scopes],
            "state": self.state(now_us),
            "created_at": iso(self.created_us),
            "expires_at": None if self.expires_us is None else iso(self.expires_us),
            "revoked_at": None if self.revoked_us is None else iso(self.revoked_us),
        }


def mint(
    name: str, scopes: Iterable[str], now_us: int, expires_days: float | None = None
) -> tuple[Key, str]:
    """Make a new key; return what is kept of it and its text, which is not kept.

    Raises ``ConfigError`` for a name that cannot be shown on a line, no or unknown scopes,
    and a life that is no positive number of days.
    """
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ConfigError("name", name, f"must be text of 1..{MAX_NAME} printable characters")
    held = _scopes(scopes)
    if expires_days is not None and not 0 < expires_days <= _MOST_DAYS:
        raise ConfigError("expires_days", expires_days, f"must be above 0, at most {_MOST_DAYS}")
    prefix = f"selfright_{secrets.token_hex(_PREFIX_BYTES)}"
    text = f"{prefix}_{secrets.token_hex(_SECRET_BYTES)}"
    life_us = None if expires_days is None else round(expires_days * _US_PER_DAY)
    key = Key(
        prefix=prefix,
        name=name,
        scopes=held,
        digest=_digest_of(text),
        created_us=now_us,
        expires_us=None if life_us is None else now_us + life_us,
    )
    return key, text


def prefix_of(text: str) -> str | None:
    """Return the prefix of what may be a key; None if it has not the form of one."""
    return text.rpartition("_")[0] if FORM.fullmatch(text) else None


def opens(text: str, key: Key | None) -> bool:
    """Return whether ``text`` is the key. ``None``, nobody's key, takes as long to refuse."""
    expected = _NOBODYS_DIGEST if key is None else key.digest
    # In constant time: `==` would tell by its duration how far two digests agree.
    return hmac.compare_digest(_digest_of(text), expected) and key is not None


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _scopes(words: Iterable[str]) -> tuple[Scope, ...]:
    known = [scope.value for scope in GRANTABLE]
    wanted = [word.strip().lower() for word in words]
    for word in wanted:
        if word not in known:
            remedy = f"must be one or more of {', '.join(known)}{did_you_mean(word, known)}"
            raise ConfigError("scopes", word, remedy)
    if not wanted:
        raise ConfigError("scopes", "", f"must be one or more of {', '.join(known)}")
    return tuple(scope for scope in GRANTABLE if scope.value in wanted)
