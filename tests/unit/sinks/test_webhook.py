"""A webhook reaches only what it may, tries again, gives up, and never troubles its caller."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from selfright.clock import monotonic_s
from selfright.errors import ConfigError
from selfright.sinks.webhook import Target, Webhook

WAIT_S = 10.0
PUBLIC = "93.184.216.34"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Receiver:
    """A server on loopback that answers each connection with the next of its answers."""

    answers: list[bytes | Callable[[socket.socket], None]]
    received: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        for answer in self.answers:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                if callable(answer):
                    answer(connection)
                    continue
                self.received.append(_read(connection))
                connection.sendall(answer)

    def close(self) -> None:
        """End the thread, also one that still waits for a connection."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(WAIT_S)
        self.listener.close()


def _read(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@dataclass
class Diverted:
    """A network in which the public address leads to a receiver; it keeps who was called."""

    port: int = 0
    addresses: list[list[str]] = field(default_factory=lambda: [[PUBLIC]])
    called: list[str] = field(default_factory=list)

    def resolve(self, host: str, port: int) -> list[str]:
        return self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]

    def connect(self, address: str, port: int, timeout_s: float) -> socket.socket:
        self.called.append(address)
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s)


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    """Return a function that starts a receiver with answers."""
    started: list[Receiver] = []

    def start(*answers: bytes | Callable[[socket.socket], None]) -> Receiver:
        started.append(Receiver(list(answers)))
        return started[-1]

    yield start
    for one in started:
        one.close()


def _hook(
    net: Diverted, url: str = "http://hooks.example/T0/secret?x=1", **more: object
) -> Webhook:
    return Webhook(url, net=net, rng=np.random.default_rng(1), **more)  # type: ignore[arg-type]


def test_a_message_arrives_as_json_with_the_name_as_host(
    receiver: Callable[..., Receiver],
) -> None:
    """The connection goes to the checked address, the Host header says the name."""
    target = receiver(OK)
    net = Diverted(target.port)
    hook = _hook(net)
    hook.send({"state": "firing", "name": "ä\r\n"})
    hook.close(WAIT_S)
    head, _, body = target.received[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /T0/secret?x=1 HTTP/1.1"
    assert b"Host: hooks.example" in lines
    assert b"Content-Type: application/json" in lines
    assert json.loads(body) == {"state": "firing", "name": "ä\r\n"}
    assert net.called == [PUBLIC]
    assert hook.stats()["delivered"] == 1


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"]]
)
def test_a_name_with_any_private_address_is_never_called(addresses: list[str]) -> None:
    """One private address among public ones is enough to refuse, without a connection."""
    net = Diverted(addresses=[addresses])
    hook = _hook(net)
    hook.send({})
    hook.close(WAIT_S)
    assert net.called == []
    assert hook.stats()["failed"] == 1
    assert "not public" in hook.stats()["last_failure"]


def test_a_name_that_changes_between_tries_is_checked_again(
    receiver: Callable[..., Receiver],
) -> None:
    """Rebinding from a public to a private address between two tries gains nothing."""
    target = receiver(b"HTTP/1.1 503 Busy\r\n\r\n")
    net = Diverted(target.port, addresses=[[PUBLIC], ["127.0.0.1"]])
    hook = _hook(net)
    hook.send({})
    hook.close(WAIT_S)
    assert net.called == [PUBLIC]
    assert "not public" in hook.stats()["last_failure"]


def test_private_addresses_are_reached_when_the_operator_says_so(
    receiver: Callable[..., Receiver],
) -> None:
    """The system's own network, allowed to reach loopback, delivers."""
    target = receiver(OK)
    hook = Webhook(f"http://127.0.0.1:{target.port}/hook", allow_private=True)
    hook.send({"a": 1})
    hook.close(WAIT_S)
    assert hook.stats()["delivered"] == 1
    assert f"Host: 127.0.0.1:{target.port}".encode() in target.received[0]


def test_without_that_word_loopback_is_refused(receiver: Callable[..., Receiver]) -> None:
    """However it is written."""
    for host in ("127.0.0.1", "localhost", "2130706433", "[::1]"):
        hook = Webhook(f"http://{host}:9/")
        hook.send({})
        hook.close(WAIT_S)
        assert "not public" in hook.stats()["last_failure"], host


def test_a_redirect_is_not_followed(receiver: Callable[..., Receiver]) -> None:
    """An answer of 3xx is a failure that is not repeated."""
    target = receiver(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", OK)
    hook = _hook(Diverted(target.port))
    hook.send({})
    hook.close(WAIT_S)
    assert len(target.received) == 1
    assert hook.stats()["failed"] == 1
    assert "302" in hook.stats()["last_failure"]


def test_a_busy_target_is_tried_again_until_it_takes_the_message(
    receiver: Callable[..., Receiver],
) -> None:
    """503 and a closed connection are repeated; the message arrives once."""
    target = receiver(b"HTTP/1.1 503 Busy\r\n\r\n", lambda connection: None, OK)
    hook = _hook(Diverted(target.port))
    hook.send({"n": 1})
    hook.close(WAIT_S)
    assert hook.stats()["delivered"] == 1
    assert hook.stats()["failed"] == 0
    assert len(target.received) == 2


def test_a_refusal_for_good_is_not_repeated(receiver: Callable[..., Receiver]) -> None:
    """404 and the like would stay so."""
    target = receiver(b"HTTP/1.1 404 Gone\r\n\r\n", OK)
    hook = _hook(Diverted(target.port))
    hook.send({})
    hook.send({})
    hook.close(WAIT_S)
    assert (hook.stats()["failed"], hook.stats()["delivered"]) == (1, 1)


@pytest.mark.parametrize("drip", [b"", b"H"])
def test_a_target_that_stalls_or_drips_costs_no_more_than_the_timeout(
    receiver: Callable[..., Receiver], drip: bytes
) -> None:
    """The timeout is for the whole attempt, not for each read."""
    over = threading.Event()

    def stall(connection: socket.socket) -> None:
        while not over.wait(0.02):
            try:
                connection.sendall(drip)
            except OSError:
                return

    target = receiver(stall)
    hook = _hook(Diverted(target.port), timeout_s=0.2)
    begun_s = monotonic_s()
    with pytest.raises(TimeoutError):
        hook._post(b"{}")
    assert monotonic_s() - begun_s < 2.0
    over.set()


def test_sending_never_waits_for_a_target_that_never_answers(
    receiver: Callable[..., Receiver],
) -> None:
    """A thousand messages are queued in no time, the oldest dropped beyond the limit."""
    over = threading.Event()
    target = receiver(lambda connection: over.wait(WAIT_S))
    hook = _hook(Diverted(target.port), limit=10)
    begun_s = monotonic_s()
    for i in range(1_000):
        hook.send({"n": i})
    assert monotonic_s() - begun_s < 0.5
    stats = hook.stats()
    assert stats["queued"] <= 10
    assert stats["dropped"] >= 989
    hook.close(0.0)
    over.set()


def test_tls_asks_for_the_name_and_refuses_what_is_no_tls(
    receiver: Callable[..., Receiver],
) -> None:
    """The greeting names the host; a plain text answer is a failure, not a delivery."""
    hello: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        hello.append(connection.recv(65536))
        connection.sendall(OK)

    target = receiver(answer)
    hook = _hook(Diverted(target.port), "https://hooks.example/x")
    with pytest.raises(OSError, match=r"(?i)ssl"):
        hook._post(b"{}")
    assert b"hooks.example" in hello[0]


def test_neither_log_nor_stats_tell_the_path(
    receiver: Callable[..., Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    """The path of a webhook is its password."""
    target = receiver(b"HTTP/1.1 403 No\r\n\r\n")
    hook = _hook(Diverted(target.port))
    with caplog.at_level(logging.DEBUG, "selfright"):
        hook.send({})
        hook.close(WAIT_S)
    assert "hooks.example" in caplog.text
    assert "secret" not in caplog.text + str(hook.stats())


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/secret",
        "secret",
        "http://",
        "http://user:secret@a.example/",
        "http://a.example:99999/secret",
        "http://a.example/secret\r\nX: y z",
        "http://a.example/ä",
        "http://[::1/secret",
        "http://" + "a" * 70 + ".example/secret",
    ],
)
def test_an_impossible_url_is_refused_at_once_and_not_repeated(url: str) -> None:
    """The error says what a URL must be and keeps the secret."""
    with pytest.raises(ConfigError) as caught:
        Webhook(url)
    assert "secret" not in str(caught.value)
    assert "notify.webhook_url" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("http://a.example", "a.example", "/"),
        ("https://a.example:443/x?y=1", "a.example", "/x?y=1"),
        ("https://a.example:8443/x", "a.example:8443", "/x"),
        ("http://[2606:4700::1]:81/", "[2606:4700::1]:81", "/"),
        ("http://bücher.example/", "xn--bcher-kva.example", "/"),
    ],
)
def test_a_url_is_taken_apart(url: str, authority: str, path: str) -> None:
    """Host header and path are what a server expects."""
    target = Target.of(url)
    assert (target.authority, target.path) == (authority, path)
