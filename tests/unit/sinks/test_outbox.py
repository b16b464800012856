"""An outbox delivers in order, off the caller's path, and never gives trouble back."""

from __future__ import annotations

import logging
import os
import threading

import pytest

from selfright.sinks.outbox import Outbox, Undelivered

WAIT_S = 10.0


def ended(worker: str) -> None:
    """Wait for a worker that was given up: what it still logs must not reach another test."""
    for thread in threading.enumerate():
        if thread.name == f"selfright-{worker}":
            thread.join(WAIT_S)
            assert not thread.is_alive()


def test_items_arrive_in_order_in_another_thread() -> None:
    """The caller's thread delivers nothing."""
    got: list[tuple[int, str]] = []
    outbox = Outbox[int]("t", lambda item, _: got.append((item, threading.current_thread().name)))
    for i in range(100):
        outbox.put(i)
    outbox.close(WAIT_S)
    assert got == [(i, "selfright-t") for i in range(100)]
    assert outbox.stats() == {
        "queued": 0, "delivered": 100, "failed": 0, "dropped": 0, "last_failure": None,
    }  # fmt: skip


def test_nothing_runs_before_the_first_item() -> None:
    """An outbox that nobody uses has no thread."""
    before = threading.active_count()
    outbox = Outbox[int]("t", lambda *_: None)
    assert threading.active_count() == before
    outbox.close()


def test_a_full_queue_drops_the_oldest_and_counts() -> None:
    """The newest news survives a target that hangs."""
    go, begun, got = threading.Event(), threading.Event(), []

    def deliver(item: int, _: threading.Event) -> None:
        begun.set()
        assert go.wait(WAIT_S)
        got.append(item)

    outbox = Outbox[int]("t", deliver, limit=3)
    outbox.put(0)
    assert begun.wait(WAIT_S)
    for i in range(1, 11):
        outbox.put(i)
    assert outbox.stats()["dropped"] == 7
    go.set()
    outbox.close(WAIT_S)
    assert got == [0, 8, 9, 10]


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_a_delivery_raises_the_next_goes_on(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure is counted, logged as a warning, and harms only its own item."""
    got = []

    def deliver(item: int, _: threading.Event) -> None:
        if item == 0:
            raise error
        got.append(item)

    outbox = Outbox[int]("t", deliver)
    with caplog.at_level(logging.WARNING, "selfright"):
        outbox.put(0)
        outbox.put(1)
        outbox.close(WAIT_S)
    assert got == [1]
    assert outbox.stats()["failed"] == 1
    assert type(error).__name__ in outbox.stats()["last_failure"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_closing_gives_up_on_a_target_that_hangs_and_counts() -> None:
    """What could not be told in time is dropped; the caller is not held up."""
    go, begun = threading.Event(), threading.Event()

    def hang(item: int, abandon: threading.Event) -> None:
        begun.set()
        assert go.wait(WAIT_S)

    outbox = Outbox[int]("hanging", hang)
    for i in range(5):
        outbox.put(i)
    assert begun.wait(WAIT_S)
    outbox.close(0.0)
    assert outbox.stats()["dropped"] == 4
    go.set()
    ended("hanging")


def test_a_waiting_delivery_is_told_that_there_is_no_time_left() -> None:
    """The event given to a delivery is set when closing runs out of time."""
    begun, told = threading.Event(), threading.Event()

    def wait(item: int, abandon: threading.Event) -> None:
        begun.set()
        if abandon.wait(WAIT_S):
            told.set()
        raise Undelivered("gave up")

    outbox = Outbox[int]("waiting", wait)
    outbox.put(1)
    assert begun.wait(WAIT_S)
    outbox.close(0.0)
    assert told.wait(WAIT_S)
    ended("waiting")


def test_an_item_after_closing_is_delivered_by_a_new_worker() -> None:
    """Stopping and starting again loses no later item."""
    got = []
    outbox = Outbox[int]("t", lambda item, _: got.append(item))
    outbox.put(1)
    outbox.close(WAIT_S)
    outbox.close(WAIT_S)
    outbox.put(2)
    outbox.close(WAIT_S)
    assert got == [1, 2]


def test_a_forked_child_starts_empty_and_delivers_its_own() -> None:
    """What waited in the parent is not told twice."""
    go, begun = threading.Event(), threading.Event()
    reading, writing = os.pipe()

    def deliver(item: bytes, _: threading.Event) -> None:
        if item == b"first":
            begun.set()
            assert go.wait(WAIT_S)
        os.write(writing, item)

    outbox = Outbox[bytes]("t", deliver)
    outbox.put(b"first")
    outbox.put(b"parent")
    assert begun.wait(WAIT_S)
    child = os.fork()
    if child == 0:
        outbox.put(b"child")
        outbox.close(WAIT_S)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reading, 100) == b"child"
    go.set()
    outbox.close(WAIT_S)
    assert os.read(reading, 100) == b"firstparent"
    os.close(reading)
    os.close(writing)
