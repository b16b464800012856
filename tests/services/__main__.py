"""Run a command beside a PostgreSQL server and a Kafka broker, whose addresses it is told.

``python -m tests.services make test`` starts each of the two that has no address in the
environment yet, sets ``SELFRIGHT_TEST_POSTGRES`` and ``SELFRIGHT_TEST_KAFKA`` for the command,
ends what it started, and returns what the command returned.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

from tests.services.fixtures import KAFKA, POSTGRES
from tests.services.kafka_broker import running_broker
from tests.services.postgres_cluster import running_cluster
from tests.services.server_process import ServiceError, ServiceMissingError

_WITHIN_S = 600.0  # no test is waiting


def _start(stack: ExitStack) -> dict[str, str]:
    """Start what has no address yet; return the addresses of what was started."""
    started: dict[str, str] = {}
    if not os.environ.get(POSTGRES):
        begun_s = time.monotonic()
        cluster = stack.enter_context(running_cluster())
        started[POSTGRES] = cluster.url
        _say("PostgreSQL", begun_s, cluster.memory_mib())
    if not os.environ.get(KAFKA):
        begun_s = time.monotonic()
        broker = stack.enter_context(running_broker(within_s=_WITHIN_S))
        started[KAFKA] = broker.topics.servers
        _say("Kafka", begun_s, broker.memory_mib())
    return started


def _say(name: str, begun_s: float, memory_mib: float) -> None:
    seconds = time.monotonic() - begun_s
    print(f"services: {name} runs after {seconds:.1f} s, {memory_mib:.0f} MiB", flush=True)


def _end_as_asked(number: int, frame: object) -> None:
    sys.exit(128 + number)  # through every `finally`, unlike the signal itself


def main(command: list[str]) -> int:
    """Run the command beside the services; return its exit code, or 1 without them."""
    if not command:
        print("usage: python -m tests.services COMMAND [ARGUMENT...]", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _end_as_asked)
    with ExitStack() as stack:
        try:
            addresses = _start(stack)
        except (ServiceMissingError, ServiceError) as error:
            print(f"services: {error}", file=sys.stderr)
            return 1
        with subprocess.Popen(command, env=os.environ | addresses) as process:
            try:
                return process.wait()
            except BaseException:
                process.terminate()
                raise


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
