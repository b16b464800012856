"""Tells whoever wants to know that an alert changed its state: callbacks and one webhook.

``notify`` is called by the circle and only queues; every target has a worker of its own, so
a callback that fails or hangs harms neither the circle nor the other targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from selfright.alerts.life import AlertState
from selfright.clock import monotonic_s
from selfright.sinks.outbox import Outbox
from selfright.sinks.webhook import Webhook

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from selfright.alerts.alert import PerformanceAlert
    from selfright.config import Notify

    Callback = Callable[[PerformanceAlert], object]

# Version of the Alertmanager webhook whose fields the message has.
_ALERTMANAGER: Final = "4"


class Notifier:
    """Dispatches alert transitions to callbacks and, if there is one, the webhook.

    Threads start with the first alert; an idle notifier costs nothing.

    Parameters
    ----------
    settings
        Where the webhook is, if there is one.
    webhook
        A webhook made already, in place of the settings'.

    Raises
    ------
    ConfigError
        If the URL of the settings cannot be posted to.
    """

    def __init__(self, settings: Notify | None = None, webhook: Webhook | None = None) -> None:
        if webhook is None and settings is not None and settings.webhook_url is not None:
            webhook = Webhook(
                settings.webhook_url,
                timeout_s=settings.webhook_timeout_s,
                allow_private=settings.webhook_allow_private,
            )
        self._webhook = webhook
        self._callbacks: tuple[tuple[Callback, Outbox[PerformanceAlert]], ...] = ()

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call ``callback(alert)`` at every transition from now on, in a thread of its own.

        Transitions come in their order. What it raises is counted and logged. Returns a
        function that ends the subscription.
        """
        name = getattr(callback, "__qualname__", type(callback).__qualname__)

        def call(alert: PerformanceAlert, _abandon: threading.Event) -> None:
            callback(alert)

        entry = (callback, Outbox(f"callback {name}", call))
        self._callbacks = (*self._callbacks, entry)

        def unsubscribe() -> None:
            self._callbacks = tuple(item for item in self._callbacks if item is not entry)
            entry[1].close(0.0)

        return unsubscribe

    def notify(self, alert: PerformanceAlert) -> None:
        """Queue a transition for every target. Returns at once and does not raise."""
        for _, outbox in self._callbacks:
            outbox.put(alert)
        if self._webhook is not None:
            self._webhook.send(message(alert))

    def close(self, drain_s: float = 2.0) -> None:
        """Tell what waits, for at most ``drain_s`` seconds in all, and drop the rest.

        Idempotent; a later ``notify`` starts the threads again.
        """
        deadline_s = monotonic_s() + drain_s
        for _, outbox in self._callbacks:
            outbox.close(max(0.0, deadline_s - monotonic_s()))
        if self._webhook is not None:
            self._webhook.close(max(0.0, deadline_s - monotonic_s()))

    def stats(self) -> dict[str, Any]:
        """Return, per target, what was delivered, failed and dropped."""
        return {
            "callbacks": [
                {"name": outbox.name.removeprefix("callback "), **outbox.stats()}
                for _, outbox in self._callbacks
            ],
            "webhook": None if self._webhook is None else self._webhook.stats(),
        }


def message(alert: PerformanceAlert) -> dict[str, Any]:
    """Return an alert with the fields of an Alertmanager webhook, and whole besides.

    A receiver made for Alertmanager understands it; ``selfright`` holds everything else.
    """
    whole = alert.to_dict()
    status = "resolved" if alert.state is AlertState.RESOLVED else "firing"
    labels = {
        "alertname": alert.rule or alert.metric_type.value,
        "severity": alert.level.value,
        "agent": alert.agent_name or "",
    }
    one = {
        "status": status,
        "labels": labels,
        "annotations": {"summary": alert.message, "description": alert.recommendation},
        "startsAt": whole["timestamp"],
        # The alert itself does not say when it ended; the last finding is the nearest time.
        "endsAt": (whole["last_seen"] or whole["timestamp"]) if status == "resolved" else None,
        "fingerprint": alert.alert_id,
    }
    return {
        "version": _ALERTMANAGER,
        "status": status,
        "receiver": "selfright",
        "groupKey": alert.alert_id,
        "groupLabels": labels,
        "commonLabels": labels,
        "commonAnnotations": one["annotations"],
        "truncatedAlerts": 0,
        "alerts": [one],
        "selfright": whole,
    }
