"""A server under test: how it starts, how it fails to, and that nothing of it stays behind."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.services import server_process
from tests.services.server_process import ServerProcess, ServiceError, free_port, listens

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 20.0
SERVER = """
import socket, subprocess, sys
child = subprocess.Popen(["sleep", "60"])
print("child", child.pid, flush=True)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    child.wait()
"""
# Starts the server, says its id, and is then killed itself.
PARENT = """
import sys
from pathlib import Path
from tests.services import server_process
from tests.services.server_process import ServerProcess
folder = Path(sys.argv[1])
command = ["sh", "-c", "echo up; exec sleep 60"]
server = ServerProcess(command, folder, lambda: "up" in server.log_tail())
server.start()
print(server._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def port():
    """Return a free port."""
    return free_port()


@pytest.fixture
def server(tmp_path, port):
    """Return a small server with a child, not yet started."""
    command = [sys.executable, "-c", SERVER, str(port)]
    made = ServerProcess(command, tmp_path, lambda: listens(port))
    yield made
    made.kill()


def test_a_kill_takes_the_children_along(server, port):
    """Otherwise they would hold on to what a restart needs."""
    server.start(WITHIN_S)
    assert listens(port)
    child = psutil.Process(int(server.log_tail().split()[1]))
    server.kill()
    assert not server.running
    assert not listens(port)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_it_starts_again_after_a_kill(server, port):
    """On the same port; the log goes on."""
    server.start(WITHIN_S)
    server.kill()
    server.start(WITHIN_S)
    assert listens(port)
    assert server.memory_mib() > 1


def test_children_that_have_just_ended_use_no_memory():
    """Servers end children at any time, also between being listed and being measured."""
    with subprocess.Popen(["sleep", "60"]) as child:
        process = psutil.Process(child.pid)
        child.kill()
    assert server_process._bytes_in_use(process) == 0


def test_who_does_not_obey_is_killed(tmp_path):
    """A stop ends in any case."""
    deaf = "trap '' TERM; echo deaf; while :; do sleep 1; done"
    server = ServerProcess(["sh", "-c", deaf], tmp_path, lambda: "deaf" in server.log_tail())
    server.start(WITHIN_S)
    server.stop(signal.SIGTERM, within_s=0.2)
    assert not server.running


def test_a_server_that_ends_at_once_is_quoted(tmp_path):
    """The error says what the log says."""
    server = ServerProcess(["sh", "-c", "echo no such setting; exit 1"], tmp_path, lambda: False)
    with pytest.raises(ServiceError, match=r"sh ended at once.*\nno such setting"):
        server.start(WITHIN_S)


def test_a_silent_server_is_quoted_and_ended(tmp_path):
    """Nothing waits for ever, and nothing is left running."""
    server = ServerProcess(["sh", "-c", "echo thinking; sleep 60"], tmp_path, lambda: False)
    with pytest.raises(ServiceError, match=r"sh is silent.*\nthinking"):
        server.start(within_s=0.5)
    assert not server.running


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv of util-linux")
def test_a_server_dies_with_a_killed_test_run(tmp_path):
    """Nobody has to look for servers that nobody stopped."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    psutil.wait_procs([server], timeout=WITHIN_S)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
