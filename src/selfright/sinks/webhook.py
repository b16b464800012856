"""Posts every alert transition to one URL, off the hot path.

The host name is resolved here, every address it stands for is checked, and the connection
goes to a checked address: a name that changes its mind between check and use cannot lead
anywhere else. Redirects are not followed, for the same reason.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec
import numpy as np

from selfright.clock import monotonic_s
from selfright.errors import ConfigError
from selfright.sinks.address import is_public
from selfright.sinks.outbox import LIMIT, Outbox, Undelivered

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

ATTEMPTS: Final = 5
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
# Only the status line and perhaps Retry-After are wanted; whoever sends more is cut off.
_ANSWER_BYTES: Final = 16 * 1024
_REPEATABLE: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_PORTS: Final = {"http": 80, "https": 443}


class Net(Protocol):
    """The network as a webhook needs it: a seam at which tests make it fail."""

    def resolve(self, host: str, port: int) -> list[str]:
        """Return the numeric addresses of ``host``. Raises ``OSError``."""
        ...

    def connect(self, address: str, port: int, timeout_s: float) -> socket.socket:
        """Return a connection to a numeric address. Raises ``OSError``."""
        ...


class SystemNet:
    """The machine's network."""

    def resolve(self, host: str, port: int) -> list[str]:
        """Return the numeric addresses of ``host``, in the system's order of preference."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def connect(self, address: str, port: int, timeout_s: float) -> socket.socket:
        """Return a connection to a numeric address."""
        return socket.create_connection((address, port), timeout=timeout_s)


@dataclass(frozen=True, slots=True)
class Target:
    """A webhook's URL in parts."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Target:
        """Return the parts of ``url``. Raises ``ConfigError`` that does not repeat the URL.

        URLs of webhooks are secrets: whoever knows one can post to it.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _refused("is no URL") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise _refused("must be http://HOST... or https://HOST...")
        if parts.username is not None or parts.password is not None:
            raise _refused("must not hold a user name or password")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not (path.isascii() and path.isprintable()) or " " in path:
            raise _refused("path and query must be percent-encoded")
        try:
            host = (
                parts.hostname.encode("idna").decode()
                if ":" not in parts.hostname
                else (parts.hostname)
            )
        except UnicodeError:
            raise _refused("holds no valid host name") from None
        return cls(parts.scheme, host, port or _PORTS[parts.scheme], path)

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def _refused(reason: str) -> ConfigError:
    return ConfigError("notify.webhook_url", "...", reason)


class Webhook:
    """Posts mappings as JSON to one URL; ``send`` queues and returns at once.

    A failed post is repeated up to four times with growing, jittered pauses; then it is
    given up, counted and logged. While the target is away the newest messages wait.

    Parameters
    ----------
    url
        ``http`` or ``https``; it is never written to a log.
    timeout_s
        Longest time one attempt may take, from connecting to the answer's status.
    allow_private
        Let it reach private, loopback and other special addresses.
    limit
        Messages that may wait; the oldest is dropped for a newer one.
    net
        The network.
    context
        TLS settings; by default the system's trust store decides.
    rng
        Spreads the pauses.

    Raises
    ------
    ConfigError
        If ``url`` cannot be posted to.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 5.0,
        allow_private: bool = False,
        limit: int = LIMIT,
        net: Net | None = None,
        context: ssl.SSLContext | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        self._target = Target.of(url)
        self._timeout_s = timeout_s
        self._allow_private = allow_private
        self._net = net or SystemNet()
        self._context = context
        self._rng = rng or np.random.default_rng()
        self._outbox: Outbox[Mapping[str, Any]] = Outbox("webhook", self._deliver, limit)

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue a message. Never blocks and never raises for trouble of the target."""
        self._outbox.put(message)

    def close(self, drain_s: float = 2.0) -> None:
        """Post what waits, for at most ``drain_s`` seconds, and drop the rest."""
        self._outbox.close(drain_s)

    def stats(self) -> dict[str, Any]:
        """Return counts of what was queued, delivered, failed and dropped."""
        return self._outbox.stats()

    def _deliver(self, message: Mapping[str, Any], abandon: threading.Event) -> None:
        body = msgspec.json.encode(message)
        pause_s = _FIRST_PAUSE_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                status, retry_after_s = self._post(body)
            except OSError as error:  # also timeouts and TLS errors
                reason, repeatable, retry_after_s = _network_reason(error), True, 0.0
            else:
                if 200 <= status < 300:
                    return
                reason, repeatable = f"answered {status}", status in _REPEATABLE
            if not repeatable or attempt == ATTEMPTS:
                raise Undelivered(f"{self._target.host} {reason} ({attempt} of {ATTEMPTS} tries)")
            # Jitter, so that a fleet of monitors does not knock at the same moment.
            wait_s = max(retry_after_s, pause_s * self._rng.uniform(0.5, 1.0))
            if abandon.wait(min(wait_s, _LONGEST_PAUSE_S)):
                raise Undelivered(f"{self._target.host} {reason}; stopped while waiting to repeat")
            pause_s *= 2

    def _post(self, body: bytes) -> tuple[int, float]:
        """Post once; return the status and the wait that the target asks for."""
        deadline_s = monotonic_s() + self._timeout_s
        target = self._target
        connection = self._connect(deadline_s)
        with connection:
            head = (
                f"POST {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                "User-Agent: selfright\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            )
            connection.settimeout(_left(deadline_s))
            connection.sendall(head.encode("ascii") + body)
            return _answer(connection, deadline_s)

    def _connect(self, deadline_s: float) -> socket.socket:
        target = self._target
        addresses = self._net.resolve(target.host, target.port)
        # One bad address refuses the name: which one would be used is the attacker's choice.
        if not self._allow_private and not all(map(is_public, addresses)):
            raise Undelivered(
                f"{target.host} leads to an address that is not public; "
                "notify.webhook_allow_private allows it"
            )
        failure: OSError = OSError(f"{target.host} has no address")
        for address in addresses:
            try:
                connection = self._net.connect(address, target.port, _left(deadline_s))
            except OSError as error:
                failure = error
                continue
            if target.scheme == "http":
                return connection
            connection.settimeout(_left(deadline_s))
            context = self._context or ssl.create_default_context()
            try:
                return context.wrap_socket(connection, server_hostname=target.host)
            except BaseException:
                connection.close()
                raise
        raise failure


def _left(deadline_s: float) -> float:
    left_s = deadline_s - monotonic_s()
    if left_s <= 0:
        raise TimeoutError("timed out")
    return left_s


def _answer(connection: socket.socket, deadline_s: float) -> tuple[int, float]:
    """Read the head of the answer: its status and Retry-After in seconds."""
    received = b""
    while b"\r\n\r\n" not in received and len(received) < _ANSWER_BYTES:
        # Per read what is left of the whole: a target that drips bytes gains no time.
        connection.settimeout(_left(deadline_s))
        chunk = connection.recv(4096)
        if not chunk:
            break
        received += chunk
    head = received.partition(b"\r\n\r\n")[0].split(b"\r\n")
    words = head[0].split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise ConnectionError("did not answer in HTTP/1.1")
    waits = (
        line.partition(b":")[2].strip() for line in head if line.lower().startswith(b"retry-after:")
    )
    wait = next(waits, b"")
    return int(words[1]), float(wait) if wait.isdigit() else 0.0


def _network_reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    if isinstance(error, socket.gaierror):
        return "could not be resolved"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that does not hold: {error.verify_message}"
    return f"could not be reached: {error.strerror or error}"
