"""Kafka as the tests have it: a real broker that can be killed, and the mock one beside it."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from tests.services import kafka_jars
from tests.services.kafka_jars import fetch, find_java
from tests.services.kafka_topics import Topics
from tests.services.server_process import ServiceMissingError

MESSAGES = 1000
WITHIN_S = 30.0


def _produce(kafka, topic, first, count):
    """Produce messages and return those that the broker has acknowledged."""
    acknowledged = []
    producer = Producer({**kafka.client, "acks": "all", "linger.ms": 5})

    def note(error, message):
        if error is None:
            acknowledged.append(message.value())

    for i in range(first, first + count):
        producer.produce(topic, key=str(i % 10), value=str(i), on_delivery=note)
    producer.flush(WITHIN_S)
    return acknowledged


def _consume(kafka, topic, count, group, *, commit=True):
    """Return the values and partitions of the next ``count`` messages for the group."""
    consumer = Consumer(
        {
            **kafka.client,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
        }
    )
    consumer.subscribe([topic])
    got = []
    deadline_s = time.monotonic() + WITHIN_S
    while len(got) < count:
        assert time.monotonic() < deadline_s, f"{len(got)} of {count} messages"
        for message in consumer.consume(count - len(got), 0.1):
            assert message.error() is None, message.error()
            got.append((message.value(), message.partition()))
    if commit:
        consumer.commit(asynchronous=False)
    consumer.close()
    return got


def _values(first, count):
    return sorted(str(i).encode() for i in range(first, first + count))


def _round_trip(kafka):
    topic = kafka.new_topic()
    assert sorted(_produce(kafka, topic, 0, MESSAGES)) == _values(0, MESSAGES)
    got = _consume(kafka, topic, MESSAGES, f"{topic}-group")
    assert sorted(value for value, _ in got) == _values(0, MESSAGES)
    return got


def test_what_is_produced_is_consumed(kafka):
    """Every message once, those of one key in one partition."""
    got = _round_trip(kafka)
    partitions = {}
    for value, partition in got:
        partitions.setdefault(int(value) % 10, set()).add(partition)
    assert all(len(found) == 1 for found in partitions.values())
    assert len({partition for _, partition in got}) > 1


def test_a_topic_has_the_partitions_asked_for(kafka):
    """Unlike with the mock broker."""
    consumer = Consumer({**kafka.client, "group.id": "looks"})
    topic = kafka.new_topic(partitions=7)
    assert len(consumer.list_topics(topic, timeout=WITHIN_S).topics[topic].partitions) == 7
    consumer.close()


def test_a_mistyped_topic_is_not_made(own_kafka):
    """What is sent to a name that no test has made is lost, and the sender is told."""
    impatient = {"topic.metadata.propagation.max.ms": 2000, "message.timeout.ms": 10000}
    producer = Producer({**own_kafka.topics.client, **impatient})
    errors = []
    producer.produce("agent-outcome", value="?", on_delivery=lambda error, _: errors.append(error))
    producer.flush(WITHIN_S)
    assert [error.name() for error in errors] == ["UNKNOWN_TOPIC_OR_PART"]


def test_topics_are_gone_after_their_test(kafka):
    """A broker that outlives the session is left as it was found."""
    topics = Topics(kafka.servers)
    topic = topics.new_topic(partitions=1)
    topics.remove()
    consumer = Consumer({**kafka.client, "group.id": "looks"})
    found = consumer.list_topics(topic, timeout=WITHIN_S).topics[topic]
    consumer.close()
    assert found.error is not None


def test_what_was_acknowledged_survives_kill(own_kafka):
    """Kill -9 and a restart: no message is lost, and the group goes on where it had committed."""
    kafka = own_kafka.topics
    topic = kafka.new_topic()
    before = _produce(kafka, topic, 0, MESSAGES)
    first = _consume(kafka, topic, MESSAGES // 2, "group")
    own_kafka.kill()
    assert not own_kafka.running
    print(f"Kafka is back after {own_kafka.start():.1f} s")
    after = _produce(kafka, topic, MESSAGES, MESSAGES)
    rest = _consume(kafka, topic, 2 * MESSAGES - len(first), "group")
    assert sorted(before + after) == _values(0, 2 * MESSAGES)
    assert sorted(value for value, _ in first + rest) == _values(0, 2 * MESSAGES)


def test_clients_outlive_a_restart(own_kafka):
    """A producer that met a broker which was killed delivers to it when it is back."""
    kafka = own_kafka.topics
    topic = kafka.new_topic()
    producer = Producer({**kafka.client, "acks": "all", "log_level": 0})
    producer.produce(topic, value="before")
    assert producer.flush(WITHIN_S) == 0
    own_kafka.kill()
    producer.produce(topic, value="after")
    assert producer.flush(0.2) == 1
    own_kafka.start()
    assert producer.flush(WITHIN_S) == 0
    assert sorted(v for v, _ in _consume(kafka, topic, 2, "group")) == [b"after", b"before"]


def test_a_frozen_broker_is_silent_and_comes_back(own_kafka):
    """Nothing is lost that was sent to a broker which did not answer."""
    kafka = own_kafka.topics
    topic = kafka.new_topic()
    producer = Producer({**kafka.client, "acks": "all", "log_level": 0})
    with own_kafka.frozen():
        producer.produce(topic, value="sent")
        assert producer.flush(0.5) == 1
        with pytest.raises(KafkaException, match=r"_TRANSPORT|_TIMED_OUT"):
            producer.list_topics(timeout=0.2)
    assert producer.flush(WITHIN_S) == 0
    assert [value for value, _ in _consume(kafka, topic, 1, "group")] == [b"sent"]


def test_a_transaction_takes_effect_whole_or_not_at_all(kafka):
    """What was aborted is not read by who reads committed messages only."""
    topic = kafka.new_topic()
    producer = Producer({**kafka.client, "transactional.id": topic})
    producer.init_transactions(WITHIN_S)
    for end, value in (
        (producer.abort_transaction, "aborted"),
        (producer.commit_transaction, "kept"),
    ):
        producer.begin_transaction()
        producer.produce(topic, value=value, partition=0)
        producer.flush(WITHIN_S)
        end(WITHIN_S)
    reader = Consumer({**kafka.client, "group.id": "reads", "auto.offset.reset": "earliest"})
    reader.assign([TopicPartition(topic, 0, 0)])
    message = reader.poll(WITHIN_S)
    reader.close()
    assert message is not None
    assert message.value() == b"kept"


def test_the_mock_broker_serves_groups(mock_kafka):
    """Where there is no Java, the client's own mock still does for commits and offsets."""
    _round_trip(mock_kafka)


def test_the_mock_broker_refuses_what_it_cannot(mock_kafka):
    """A test that asks it for more must ask for a real broker."""
    with pytest.raises(AssertionError, match="4 partitions only"):
        mock_kafka.new_topic(partitions=7)


def test_any_broker_will_do(any_kafka):
    """The same test runs on whichever there is."""
    _round_trip(any_kafka)


def test_without_java_the_reason_says_what_to_install(monkeypatch, tmp_path):
    """The skip names the package and the variable."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceMissingError, match=r"`openjdk-17-.*SELFRIGHT_TEST_KAFKA"):
        find_java()


def test_an_old_java_is_as_good_as_none(monkeypatch, tmp_path):
    """The broker would not start with it."""
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'openjdk version \"11.0.22\" 2024-01-16' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ServiceMissingError, match="no Java 17 or newer"):
        find_java()


@pytest.fixture
def maven(monkeypatch, tmp_path):
    """Return a function that puts a Maven of one shell line on the path, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(line):
        (tmp_path / "mvn").write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / "mvn").chmod(0o755)

    return put


def test_without_maven_the_reason_says_what_to_install(maven):
    """The skip names the package and the variable."""
    with pytest.raises(ServiceMissingError, match=r"`maven`.*SELFRIGHT_TEST_KAFKA"):
        fetch(within_s=10.0)


def test_a_maven_that_fails_is_quoted(maven):
    """Why it failed, such as a network that is away, only Maven knows."""
    maven("echo '[ERROR] the network is away'; exit 1")
    with pytest.raises(ServiceMissingError, match="the network is away"):
        fetch(within_s=10.0)
    assert not (kafka_jars.cache() / f"kafka-{kafka_jars.VERSION}").exists()


def test_a_slow_maven_is_not_waited_for(maven):
    """The reason says how to wait longer."""
    maven("exec /bin/sleep 60")
    with pytest.raises(ServiceMissingError, match=r"python -m tests.services"):
        fetch(within_s=0.2)


def test_jars_are_fetched_once(maven):
    """The second time there is no Maven to run."""
    maven("/bin/mkdir lib; : > lib/kafka.jar")
    folder = fetch(within_s=10.0)
    assert [path.name for path in folder.iterdir()] == ["kafka.jar"]
    maven("exit 1")
    assert fetch(within_s=10.0) == folder
    assert [path.name for path in kafka_jars.cache().iterdir()] == [folder.name]
