"""What a browser holds instead of a key: a cookie that proves, for some hours, who logged in.

A page cannot send a header with every link and every event stream, so it sends a cookie;
and what lies in a browser should not be the key itself. The cookie names the key's prefix
and its own end, signed with a secret of this process. Nothing is stored: a restart ends
all sessions, and revoking the key ends those that it began.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from selfright.server.access.key import Key

_US_PER_S: Final = 1_000_000
_NONCE_BYTES: Final = 8
# Sessions that were ended before their time and are remembered for it. Each took a key to
# begin, so that only somebody with a key could fill this; the oldest then come back to life.
_MOST_ENDED: Final = 10_000


class Sessions:
    """Begins, recognises and ends sessions. Used by the event loop's thread alone.

    Parameters
    ----------
    life_s
        Seconds after which a session has ended.
    """

    def __init__(self, life_s: float) -> None:
        self.life_s = life_s
        # Not made of what is kept of the keys: who can read that must not be able to sign.
        self._secret = secrets.token_bytes(32)
        self._ended: dict[str, int] = {}

    def begin(self, key: Key, now_us: int) -> str:
        """Return the cookie of a new session."""
        end_s = (now_us // _US_PER_S) + int(self.life_s)
        nonce = secrets.token_hex(_NONCE_BYTES)
        return f"{key.prefix}.{end_s}.{nonce}.{self._signature(key, end_s, nonce)}"

    def holder(
        self, cookie: str, named: Callable[[str, int], Key | None], now_us: int
    ) -> Key | None:
        """Return the key that a session was begun with; None if the cookie proves nothing now.

        ``named(prefix, now_us)`` returns a key that counts now.
        """
        parts = _parts(cookie)
        if parts is None:
            return None
        prefix, end_s, nonce, signature = parts
        key = named(prefix, now_us)
        if key is None or nonce in self._ended or now_us >= end_s * _US_PER_S:
            return None
        expected = self._signature(key, end_s, nonce)
        return key if hmac.compare_digest(expected.encode(), signature.encode()) else None

    def end(self, cookie: str, now_us: int) -> None:
        """Let a session that ``holder`` recognised count no more."""
        parts = _parts(cookie)
        if parts is None:
            return
        _, end_s, nonce, _ = parts
        now_s = now_us // _US_PER_S
        kept = [(known, until) for known, until in self._ended.items() if until > now_s]
        self._ended = dict(kept[-_MOST_ENDED + 1 :])
        self._ended[nonce] = end_s

    def _signature(self, key: Key, end_s: int, nonce: str) -> str:
        # The digest is part of it, so that another key of the same prefix would not do.
        said = f"{key.prefix}.{end_s}.{nonce}.{key.digest}"
        return hmac.new(self._secret, said.encode(), hashlib.sha256).hexdigest()


def _parts(cookie: str) -> tuple[str, int, str, str] | None:
    parts = cookie.split(".")
    if len(parts) != 4 or not (parts[1].isascii() and parts[1].isdigit() and len(parts[1]) < 16):
        return None
    return parts[0], int(parts[1]), parts[2], parts[3]
