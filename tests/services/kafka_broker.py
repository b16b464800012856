"""A real Kafka broker of the tests' own: one Java process, its data in a temporary folder."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.services.kafka_jars import fetch, find_java
from tests.services.kafka_topics import Topics
from tests.services.server_process import ServerProcess, ServiceError, free_port, listens

# Compiled quickly rather than well: a start costs 3.4 s of a processor instead of 5.2 s. A
# benchmark names its own options, and gets the usual compiler.
SHORT_LIVED = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
_CLUSTER_ID = "Rfogog3ERSOwku6euLy2Kw"  # any 16 bytes; a new folder takes whatever it is given
# A start costs 4 s of a processor, which takes twenty times as long on a crowded machine. A test is
# given 120 s, its fixtures included.
WITHIN_S = 100.0
_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "inter.broker.listener.name": "PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "log.dirs": "data",
    # A topic is what a test has made, or a mistyped name would pass for an empty one.
    "auto.create.topics.enable": "false",
    # One broker has to do.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # After a kill the controller turns its own broker away until the session of the killed one has
    # run out: 9 s by default. Much shorter, and a busy machine would fence a healthy broker.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "250",
    # Short tests: few internal partitions, no waiting for more members, and a member that was
    # killed is missed after half a second if its `session.timeout.ms` says so.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
}


class KafkaBroker:
    """A private broker on a free port of 127.0.0.1, gone with its data when it is closed.

    Parameters
    ----------
    properties
        Settings of the broker that replace or join those made for short tests.
    java_options
        Options of the Java machine: memory and compiler.
    within_s
        How long the jars may take to arrive where they are not yet kept, and how long a start.

    Attributes
    ----------
    topics
        The broker as its clients see it.
    """

    def __init__(
        self,
        properties: Mapping[str, str] | None = None,
        java_options: tuple[str, ...] = SHORT_LIVED,
        within_s: float = WITHIN_S,
    ) -> None:
        java = find_java()
        jars = fetch(within_s)
        self._folder = Path(tempfile.mkdtemp(prefix="selfright-kafka-"))
        self._within_s = within_s
        self._port = free_port()
        self.topics = Topics(f"127.0.0.1:{self._port}")
        program = [java, *java_options, _QUIET, "-cp", f"{jars}/*"]
        try:
            lines = self._addresses() | _PROPERTIES | dict(properties or {})
            text = "".join(f"{name}={value}\n" for name, value in lines.items())
            (self._folder / "server.properties").write_text(text)
            _format(program, self._folder)
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        self._server = ServerProcess(
            [*program, "kafka.Kafka", "server.properties"], self._folder, self._answers
        )

    @property
    def running(self) -> bool:
        """Return whether the broker lives, frozen or not."""
        return self._server.running

    def start(self) -> float:
        """Start it, again on the same data and port; return the seconds until it answered."""
        return self._server.start(self._within_s)

    def stop(self) -> None:
        """Shut it down in order; from then on connections are refused."""
        self._server.stop(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it with SIGKILL; a restart finds what was acknowledged."""
        self._server.kill()

    def frozen(self) -> AbstractContextManager[None]:
        """Let it answer nobody for the length of the block."""
        return self._server.frozen()

    def memory_mib(self) -> float:
        """Return the memory in use."""
        return self._server.memory_mib()

    def close(self) -> None:
        """Kill it, which is quicker than an orderly end, and remove its data."""
        self.kill()
        shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        # A client that was refused once waits before it tries again, so none is made before.
        return listens(self._port) and self.topics.answers()

    def _addresses(self) -> dict[str, str]:
        broker, controller = self._port, free_port()
        while controller == broker:
            controller = free_port()
        return {
            "listeners": f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        }


@contextmanager
def running_broker(
    properties: Mapping[str, str] | None = None,
    java_options: tuple[str, ...] = SHORT_LIVED,
    within_s: float = WITHIN_S,
) -> Iterator[KafkaBroker]:
    """Run a new broker for the length of the block."""
    broker = KafkaBroker(properties, java_options, within_s)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


def _format(program: list[str | Path], folder: Path) -> None:
    """Prepare the data folder; a second Java machine, and a third of the time of a start."""
    done = subprocess.run(
        [
            *program,
            "kafka.tools.StorageTool",
            "format",
            "-t",
            _CLUSTER_ID,
            "-c",
            "server.properties",
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServiceError(f"Kafka could not format its folder:\n{done.stdout}{done.stderr}")
