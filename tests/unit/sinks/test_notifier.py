"""Every transition reaches every target in order; a bad target harms nobody else."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from selfright.alerts.alert import AlertLevel, PerformanceAlert
from selfright.alerts.life import AlertState
from selfright.clock import monotonic_s
from selfright.config import Notify
from selfright.errors import ConfigError
from selfright.metrics.metric_type import MetricType
from selfright.sinks.notifier import Notifier, message
from selfright.sinks.webhook import Webhook

WAIT_S = 10.0
ALERT = PerformanceAlert(
    alert_id="a1",
    level=AlertLevel.CRITICAL,
    metric_type=MetricType.ACCURACY,
    message="accuracy of planner is 0.61",
    current_value=0.61,
    threshold=0.7,
    agent_name="planner",
    timestamp=datetime(2026, 1, 2, tzinfo=UTC),
    recommendation="retrain",
    rule="accuracy_min",
    last_seen=datetime(2026, 1, 3, tzinfo=UTC),
)


class Hook(Webhook):
    """A webhook that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__("http://hooks.example/")
        self.sent: list[Mapping[str, Any]] = []

    def send(self, message: Mapping[str, Any]) -> None:
        self.sent.append(message)


def test_every_target_hears_every_transition_in_order() -> None:
    """Callbacks in threads of their own, the webhook as JSON."""
    hook, first, second = Hook(), [], []
    notifier = Notifier(webhook=hook)
    notifier.subscribe(first.append)
    notifier.subscribe(lambda alert: second.append(threading.current_thread()))
    transitions = [replace(ALERT, state=state) for state in AlertState]
    for alert in transitions:
        notifier.notify(alert)
    notifier.close(WAIT_S)
    assert first == transitions
    assert threading.current_thread() not in second
    assert [sent["selfright"]["state"] for sent in hook.sent] == [
        a.state.value for a in transitions
    ]


def test_a_failing_and_a_hanging_callback_harm_nobody_else() -> None:
    """The others are told, the caller is not held up, and the failures are visible."""
    go, got = threading.Event(), []
    notifier = Notifier()

    def fails(alert: PerformanceAlert) -> None:
        raise RuntimeError(alert.alert_id)

    def hangs(alert: PerformanceAlert) -> None:
        go.wait(WAIT_S)

    for callback in (fails, hangs, got.append):
        notifier.subscribe(callback)
    begun_s = monotonic_s()
    for _ in range(100):
        notifier.notify(ALERT)
    assert monotonic_s() - begun_s < 1.0
    notifier.close(0.5)
    go.set()
    assert len(got) == 100
    by_name = {entry["name"].split(".")[-1]: entry for entry in notifier.stats()["callbacks"]}
    assert by_name["fails"]["failed"] == 100
    assert by_name["fails"]["last_failure"] == "RuntimeError: a1"
    assert by_name["hangs"]["dropped"] == 99


def test_a_subscription_can_be_ended() -> None:
    """Afterwards the callback hears nothing."""
    got: list[PerformanceAlert] = []
    notifier = Notifier()
    end = notifier.subscribe(got.append)
    notifier.notify(ALERT)
    notifier.close(WAIT_S)
    end()
    notifier.notify(ALERT)
    notifier.close(WAIT_S)
    assert got == [ALERT]
    assert notifier.stats()["callbacks"] == []


def test_the_settings_say_whether_there_is_a_webhook() -> None:
    """No URL, no webhook; a bad one is refused when the notifier is made."""
    assert Notifier(Notify()).stats()["webhook"] is None
    assert Notifier(Notify(webhook_url="http://a.example/")).stats()["webhook"]["queued"] == 0
    with pytest.raises(ConfigError):
        Notifier(Notify(webhook_url="nonsense"))


def test_a_receiver_made_for_alertmanager_understands_the_message() -> None:
    """Status, labels, annotations and times stand where it looks for them; nothing is lost."""
    sent = message(ALERT)
    alert = sent["alerts"][0]
    assert (sent["version"], sent["status"], alert["status"]) == ("4", "firing", "firing")
    assert alert["labels"] == {
        "alertname": "accuracy_min", "severity": "critical", "agent": "planner",
    }  # fmt: skip
    assert alert["annotations"]["summary"] == "accuracy of planner is 0.61"
    assert alert["startsAt"] == "2026-01-02T00:00:00.000000Z"
    assert alert["endsAt"] is None
    assert sent["selfright"] == ALERT.to_dict()
    resolved = message(replace(ALERT, state=AlertState.RESOLVED, agent_name=None))
    assert resolved["status"] == "resolved"
    assert resolved["alerts"][0]["endsAt"] == "2026-01-03T00:00:00.000000Z"
    assert resolved["alerts"][0]["labels"]["agent"] == ""
