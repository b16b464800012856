"""The Kafka client's own mock broker, in a process of its own: no Java, and no great claims.

It speaks the protocol over a real socket: groups, commits, seeks and transactions work. It keeps
some 5 MiB or 100,000 messages a partition and lets older ones vanish, gives every topic four
partitions, makes a topic when it is first asked for, and takes three seconds to start a group.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.services.kafka_topics import client_settings
from tests.services.server_process import ServiceError

PARTITIONS = 4
# It lives as long as the client that made it, which waits here for its parent to let go.
_PROGRAM = """
import sys
from confluent_kafka import Producer
producer = Producer({"test.mock.num.brokers": 1, "log_level": 0})
(broker,) = producer.list_topics(timeout=20).brokers.values()
print(f"{broker.host}:{broker.port}", flush=True)
sys.stdin.read()
"""


class MockKafka:
    """What a test needs to know of the mock broker.

    Attributes
    ----------
    servers
        Its ``host:port``, for ``bootstrap.servers``.
    client
        Settings for any client of it: the address, and quick reconnection.
    """

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.client = client_settings(servers)

    def new_topic(self, partitions: int = PARTITIONS) -> str:
        """Return the name of a topic that nobody else uses."""
        assert partitions == PARTITIONS, f"the mock broker knows {PARTITIONS} partitions only"
        return f"selfright-test-{secrets.token_hex(6)}"


@contextmanager
def running_mock() -> Iterator[MockKafka]:
    """Run a new mock broker for the length of the block; what it held goes with it."""
    command = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        servers = it.stdout.readline().strip()
        if not servers:
            raise ServiceError("the mock broker ended at once; see the captured standard error")
        yield MockKafka(servers)
        # Leaving the block closes its standard input, which ends it.
