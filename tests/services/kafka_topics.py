"""Topics for tests on whichever Kafka broker there is."""

from __future__ import annotations

import secrets
import threading
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

_WITHIN_S = 20.0
_ANSWER_WITHIN_S = 5.0
_POLL_S = 0.02
# By default a client waits up to ten seconds between tries, far longer than a restart takes.
_QUICK = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200}


def client_settings(servers: str) -> dict[str, str | int]:
    """Return what every client of a broker here is given."""
    return {"bootstrap.servers": servers, **_QUICK}


class Topics:
    """What a test needs to know of a broker, and topics of its own on it.

    Parameters
    ----------
    servers
        The broker's ``host:port``.

    Attributes
    ----------
    servers
        Ditto, for ``bootstrap.servers``.
    client
        Settings for any client of the broker: its address, and quick reconnection.
    """

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.client = client_settings(servers)
        self._made: list[str] = []

    def new_topic(self, partitions: int = 4) -> str:
        """Make an empty topic that can be used at once; return its name."""
        name = f"selfright-test-{secrets.token_hex(6)}"
        admin = self._admin()
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(_WITHIN_S)
        self._made.append(name)
        # The broker that has promised a topic may know it a moment later than the controller.
        deadline_s = time.monotonic() + _WITHIN_S
        while len(self._led(admin, name)) < partitions:
            assert time.monotonic() < deadline_s, f"{name} got no leaders within {_WITHIN_S} s"
            threading.Event().wait(_POLL_S)
        return name

    def remove(self) -> None:
        """Remove the topics made here."""
        if self._made:
            admin = self._admin()  # held, for with it go the answers that it still waits for
            for removed in admin.delete_topics(self._made).values():
                removed.result(_WITHIN_S)
            self._made.clear()

    def answers(self) -> bool:
        """Return whether the broker lists its topics."""
        try:
            return bool(self._admin().list_topics(timeout=_ANSWER_WITHIN_S).brokers)
        except KafkaException:
            return False

    def _admin(self) -> AdminClient:
        # Errors of the connection show in the calls; on the standard error they would be noise.
        return AdminClient({**self.client, "log_level": 0})

    @staticmethod
    def _led(admin: AdminClient, topic: str) -> list[int]:
        known = admin.list_topics(topic, timeout=_WITHIN_S).topics[topic].partitions
        return [number for number, partition in known.items() if partition.leader >= 0]
