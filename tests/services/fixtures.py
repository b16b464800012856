"""The services as fixtures, for every test in the tree.

``postgres`` and ``kafka`` are shared and may not be harmed: those whose addresses the environment
has (``SELFRIGHT_TEST_POSTGRES``, ``SELFRIGHT_TEST_KAFKA``), else the tests' own. ``own_postgres``
and ``own_kafka`` are always the tests' own and may be stopped, killed and frozen; a test that
leaves one down does the next no harm. ``mock_kafka`` needs no Java. All of them start when first
asked for and live for the session; where one is not to be had, the test skips and says why.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import pytest
from tests.services.server_process import ServiceError, ServiceMissingError

# Every test session loads this module, so the clients, which are extras, are imported when asked
# for.
if TYPE_CHECKING:
    from tests.services.kafka_broker import KafkaBroker
    from tests.services.kafka_topics import Topics
    from tests.services.mock_kafka import MockKafka
    from tests.services.postgres_cluster import PostgresCluster

POSTGRES = "SELFRIGHT_TEST_POSTGRES"
KAFKA = "SELFRIGHT_TEST_KAFKA"
_Service = TypeVar("_Service")
_Own = TypeVar("_Own", "PostgresCluster", "KafkaBroker")


def _need(client: str, extra: str) -> None:
    pytest.importorskip(client, reason=f"needs {client}: pip install 'selfright[{extra}]'")


def _or_skip(enter: Callable[[], _Service]) -> _Service:
    try:
        return enter()
    except ServiceMissingError as error:
        pytest.skip(str(error))


def _up(service: _Own) -> _Own:
    if not service.running:
        service.start()
    return service


@pytest.fixture(scope="session")
def _postgres_cluster() -> Iterator[PostgresCluster]:
    _need("psycopg", "postgres")
    from tests.services.postgres_cluster import running_cluster

    with ExitStack() as stack:
        yield _or_skip(lambda: stack.enter_context(running_cluster()))


@pytest.fixture
def own_postgres(_postgres_cluster: PostgresCluster) -> PostgresCluster:
    """Return a running cluster that may be stopped, killed and frozen."""
    return _up(_postgres_cluster)


@pytest.fixture
def postgres(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL of an empty database, gone after the test."""
    _need("psycopg", "postgres")
    from tests.services.postgres_databases import answers, fresh_database

    address = os.environ.get(POSTGRES)
    if address and not answers(address):  # not shown, for it may have a password
        raise ServiceError(f"{POSTGRES} does not answer: start it, or unset the variable")
    with fresh_database(address or request.getfixturevalue("own_postgres").url) as url:
        yield url


@pytest.fixture(scope="session")
def _kafka_broker() -> Iterator[KafkaBroker]:
    _need("confluent_kafka", "kafka")
    from tests.services.kafka_broker import running_broker

    with ExitStack() as stack:
        yield _or_skip(lambda: stack.enter_context(running_broker()))


@pytest.fixture
def own_kafka(_kafka_broker: KafkaBroker) -> KafkaBroker:
    """Return a running broker that may be stopped, killed and frozen."""
    return _up(_kafka_broker)


@pytest.fixture
def kafka(request: pytest.FixtureRequest) -> Iterator[Topics]:
    """Return a real broker's address and a maker of topics, which go after the test."""
    _need("confluent_kafka", "kafka")
    from tests.services.kafka_topics import Topics

    address = os.environ.get(KAFKA)
    topics = Topics(address or request.getfixturevalue("own_kafka").topics.servers)
    if address and not topics.answers():
        raise ServiceError(f"{KAFKA}={address} does not answer: start it, or unset the variable")
    yield topics
    topics.remove()


@pytest.fixture(scope="session")
def mock_kafka() -> Iterator[MockKafka]:
    """Return the client's mock broker: see ``mock_kafka.py`` for what it cannot do."""
    _need("confluent_kafka", "kafka")
    from tests.services.mock_kafka import running_mock

    with running_mock() as mock:
        yield mock


@pytest.fixture
def any_kafka(request: pytest.FixtureRequest) -> Topics | MockKafka:
    """Return a real broker, or the mock one where there is none."""
    try:
        chosen: Topics = request.getfixturevalue("kafka")
    except pytest.skip.Exception:
        return request.getfixturevalue("mock_kafka")
    return chosen
