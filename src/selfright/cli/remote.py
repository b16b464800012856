"""A running service, over REST. Plain HTTP by the standard library: nothing to install."""

from __future__ import annotations

import http.client
import ipaddress
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from selfright.cli.session import MODEL_TYPES
from selfright.errors import (
    ConfigError,
    ConflictError,
    InvalidEventError,
    SelfrightError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from selfright.events.batch import Intake

_PERFORMANCE: Final = "/api/performance"
_LEARNING: Final = "/api/learning"
_ACCESS: Final = "/api/access"
# Longer than a retraining request waits for its result, and than any page takes.
_TIMEOUT_S: Final = 60.0
# How long a refit takes of a model that somebody else wrote, nobody can tell.
_REFIT_S: Final = 3600.0
# A page of the lists we read whole. The service may give fewer and a cursor.
_PAGE: Final = 500
# Between two looks at how far a retraining is.
_POLL_S: Final = 0.1
# Half of what a body may have: it stays below also where the service was told to take less.
_BODY_BYTES: Final = 4 * 1024 * 1024


class RemoteFleet:
    """What a command asks of a fleet, answered by the service at ``url``.

    ``key`` is sent with every request, and never on to where a redirection leads. Raises
    ``ConfigError`` for something that is no http address. No method retries; each raises
    ``TransportError`` if the service does not answer, and the error it answered with
    otherwise.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ConfigError("--url", url, "must be like http://127.0.0.1:8000")
        if parts.username is not None:
            remedy = "holds a name or a password; put the key into SELFRIGHT_KEY or --key-file"
            raise ConfigError("--url", f"{parts.scheme}://********", remedy)
        self.url = url.rstrip("/")
        self._key = key

    @property
    def tells_everybody(self) -> bool:
        """Whether the key goes to another machine as it is, for all between to read."""
        parts = urllib.parse.urlsplit(self.url)
        return self._key is not None and parts.scheme == "http" and not _is_here(parts.hostname)

    def health(self) -> dict[str, Any]:
        """See ``Fleet``."""
        return dict(self._get(f"{_PERFORMANCE}/health"))

    def system(self, window_minutes: float | None = None) -> dict[str, Any]:
        """See ``Fleet``."""
        query = {"time_window_minutes": window_minutes}
        return dict(self._get(f"{_PERFORMANCE}/system-metrics", query))

    def agent(self, name: str, window_minutes: float | None = None) -> dict[str, Any]:
        """See ``Fleet``."""
        path = f"{_PERFORMANCE}/agent-metrics/{urllib.parse.quote(name)}"
        return dict(self._get(path, {"time_window_minutes": window_minutes}))

    def agents(
        self, window_minutes: float | None = None, *, retired: bool = False
    ) -> list[dict[str, Any]]:
        """See ``Fleet``."""
        query = {
            "time_window_minutes": window_minutes,
            "include_retired": "true" if retired else None,
        }
        return self._all(f"{_PERFORMANCE}/agents/metrics", query)

    def alerts(
        self,
        *,
        level: str | None = None,
        agent_name: str | None = None,
        state: str | None = None,
        limit: int = 50,
    ) -> list[dict[str, Any]]:
        """See ``Fleet``."""
        query = {"level": level, "agent_name": agent_name, "state": state, "limit": limit}
        return list(self._get(f"{_PERFORMANCE}/alerts", query)["items"])

    def explain(self, alert_id: str) -> dict[str, Any]:
        """See ``Fleet``."""
        return dict(self._get(f"{_PERFORMANCE}/alerts/{urllib.parse.quote(alert_id)}/explain"))

    def acknowledge(self, alert_id: str) -> dict[str, Any]:
        """See ``Fleet``."""
        path = f"{_PERFORMANCE}/alerts/{urllib.parse.quote(alert_id)}/acknowledge"
        return dict(self._post(path, {}))

    def report(self, window_minutes: float | None = None) -> dict[str, Any]:
        """See ``Fleet``."""
        query = {"format": "json", "time_window_minutes": window_minutes}
        return dict(self._get(f"{_PERFORMANCE}/report", query))

    def report_page(self, window_minutes: float | None = None) -> str:
        """See ``Fleet``."""
        query = {"format": "html", "time_window_minutes": window_minutes}
        return self._answer(self._request(f"{_PERFORMANCE}/report", query)).decode()

    def retrain(
        self, model_type: str, *, full: bool, reason: str, tell: Callable[[float], None]
    ) -> dict[str, Any]:
        """See ``Fleet``. Asks again and again how far it is, until it has a result.

        Of a model of the user's own nobody knows how far it is: the answer comes when it is
        done, up to an hour later.
        """
        if model_type not in MODEL_TYPES:
            path = f"{_LEARNING}/models/{urllib.parse.quote(model_type, safe='')}/retrain"
            return dict(self._post(path, {"reason": reason}, timeout_s=_REFIT_S))
        body = {"model_type": model_type, "force_full_retrain": full, "reason": reason}
        found = dict(self._post(f"{_PERFORMANCE}/trigger-retraining", body, prefer="respond-async"))
        tick = threading.Event()
        while found["state"] == "running":
            tell(found.get("progress") or 0.0)
            tick.wait(_POLL_S)
            found = dict(self._get(f"{_PERFORMANCE}/retrainings/{found['retrain_id']}"))
        return found

    def cancel_retraining(self, retrain_id: str, reason: str) -> dict[str, Any]:
        """See ``Fleet``."""
        path = f"{_PERFORMANCE}/retrainings/{urllib.parse.quote(retrain_id, safe='')}/cancel"
        return dict(self._post(path, {"reason": reason}))

    def models(self) -> list[dict[str, Any]]:
        """See ``Fleet``."""
        return list(self._get(f"{_LEARNING}/models")["items"])

    def versions(self, model_type: str) -> list[dict[str, Any]]:
        """See ``Fleet``."""
        return self._all(f"{_LEARNING}/models/{model_type}/versions", {})

    def promotions(self, model_type: str) -> list[dict[str, Any]]:
        """See ``Fleet``."""
        return self._all(f"{_LEARNING}/models/{model_type}/promotions", {})

    def serving_at(self, at: str, model_type: str | None) -> list[dict[str, Any]]:
        """See ``Fleet``."""
        found = list(self._get(f"{_LEARNING}/models", {"at": at})["items"])
        return [row for row in found if model_type is None or row["model_type"] == model_type]

    def compare(self, model_type: str, before: int, after: int) -> dict[str, Any]:
        """See ``Fleet``."""
        query = {"before": before, "after": after}
        return dict(self._get(f"{_LEARNING}/models/{model_type}/diff", query))

    def rollback(self, model_type: str, version: int | None) -> dict[str, Any]:
        """See ``Fleet``."""
        body = {} if version is None else {"version": version}
        return dict(self._post(f"{_LEARNING}/models/{model_type}/rollback", body))

    def retire(self, name: str) -> None:
        """See ``Fleet``."""
        self._post(f"{_PERFORMANCE}/agents/{urllib.parse.quote(name)}/retire", {})

    def delete(self, name: str) -> None:
        """See ``Fleet``."""
        request = self._request(f"{_PERFORMANCE}/agents/{urllib.parse.quote(name)}", {})
        request.method = "DELETE"
        self._send(request)

    def keys(self) -> list[dict[str, Any]]:
        """Return every key there ever was, oldest first."""
        return list(self._get(f"{_ACCESS}/keys")["items"])

    def create_key(self, name: str, scopes: list[str], days: float | None) -> dict[str, Any]:
        """Make a key; return it, under ``key``, with what is kept of it."""
        body = {"name": name, "scopes": scopes, "expires_days": days}
        made = self._post(f"{_ACCESS}/keys", body)
        return {"key": made["key"], **made["about"]}

    def revoke_key(self, prefix: str) -> dict[str, Any]:
        """Let a key count no more; return what is kept of it."""
        from selfright.server.access.key import prefix_of

        name = prefix_of(prefix) or prefix  # an address holds no key
        request = self._request(f"{_ACCESS}/keys/{urllib.parse.quote(name, safe='')}", {})
        request.method = "DELETE"
        return dict(self._send(request))

    def submit(self, intake: Intake) -> tuple[int, int]:
        """See ``Fleet``."""
        from selfright.cli.wire import wire_rows

        accepted = duplicates = 0
        # Runs first, so that outcomes find theirs.
        for path, rows in (("runs", intake.runs), ("accuracy", intake.outcomes)):
            for body in _bodies(wire_rows(rows)):
                answer = self._post(f"{_PERFORMANCE}/{path}", body)
                accepted += answer["accepted"]
                duplicates += answer["duplicates"]
        return accepted, duplicates

    def close(self) -> None:
        """Do nothing: no connection is kept between two requests."""

    # ---- inside ----------------------------------------------------------------------

    def _all(
        self, path: str, query: Mapping[str, object], *, backwards: bool = False
    ) -> list[dict[str, Any]]:
        """Return all pages together; ``backwards``: each further page is of older items."""
        found: list[dict[str, Any]] = []
        cursor: object = None
        while True:
            page = self._get(path, {**query, "limit": _PAGE, "cursor": cursor})
            items = list(page["items"])
            found = items + found if backwards else found + items
            cursor = page["next_cursor"]
            if not cursor:
                return found

    def _get(self, path: str, query: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - JSON
        return self._send(self._request(path, query or {}))

    def _request(self, path: str, query: Mapping[str, object]) -> urllib.request.Request:
        asked = {name: value for name, value in query.items() if value is not None}
        tail = f"?{urllib.parse.urlencode(asked)}" if asked else ""
        return urllib.request.Request(f"{self.url}{path}{tail}")  # noqa: S310 - checked

    def _post(
        self,
        path: str,
        body: object,
        *,
        prefer: str | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> Any:  # noqa: ANN401 - JSON
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            f"{self.url}{path}",
            data=body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        if prefer is not None:
            request.add_header("Prefer", prefer)
        return self._send(request, timeout_s)

    def _send(self, request: urllib.request.Request, timeout_s: float = _TIMEOUT_S) -> Any:  # noqa: ANN401 - JSON
        request.add_header("Accept", "application/json")
        answer = self._answer(request, timeout_s)
        try:
            return json.loads(answer)
        except ValueError as error:
            raise TransportError(self.url, f"no answer: {error}", retryable=True) from None

    def _answer(self, request: urllib.request.Request, timeout_s: float = _TIMEOUT_S) -> bytes:
        if self._key is not None:
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(self.url, error.code, error.read(), _asked(request)) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise TransportError(self.url, f"no answer: {reason}", retryable=True) from None


def _bodies(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Yield the rows as JSON arrays, none larger than the service takes."""
    waiting: list[bytes] = []
    size = 0
    for row in rows:
        encoded = json.dumps(row).encode()
        if waiting and size + len(encoded) > _BODY_BYTES:
            yield b"[" + b",".join(waiting) + b"]"
            waiting, size = [], 0
        waiting.append(encoded)
        size += len(encoded) + 1
    if waiting:
        yield b"[" + b",".join(waiting) + b"]"


def _is_here(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _asked(request: urllib.request.Request) -> dict[str, object]:
    """Return what a request asked for, by field, to name it beside the refusal."""
    parts = urllib.parse.urlsplit(request.full_url)
    body = json.loads(request.data) if isinstance(request.data, bytes) else {}
    about = parts.path.partition(f"{_LEARNING}/models/")[2].partition("/")[0]
    return {
        **({"model_type": urllib.parse.unquote(about)} if about else {}),
        **dict(urllib.parse.parse_qsl(parts.query)),
        **(body if isinstance(body, dict) else {}),
    }


def _refusal(url: str, code: int, body: bytes, asked: Mapping[str, object]) -> SelfrightError:
    """Return the error that a problem document stands for."""
    try:
        problem = json.loads(body)
        said, field = str(problem["detail"]), problem.get("field")
    except (ValueError, TypeError, KeyError):
        reason = f"answered {code} without saying why; is that a Selfright service?"
        return TransportError(url, reason, retryable=code >= 500)
    if code == 401:
        return SelfrightError(f"{said}. A command takes a key from SELFRIGHT_KEY or --key-file")
    if code in {403, 429}:
        return SelfrightError(said)
    if code == 409 and "retrain_id" in problem:
        return ConflictError("one retraining of a model at a time", problem["retrain_id"])
    if field is not None and str(problem.get("type")).endswith(":invalid-parameter"):
        return ConfigError(str(field), asked.get(field), said)
    if field is not None:
        return InvalidEventError(str(field), asked.get(field), said)
    if code < 500:
        return SelfrightError(said)
    return TransportError(url, said, retryable=code in {502, 503, 504})
