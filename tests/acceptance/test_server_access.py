"""A service that others can reach: opened by keys, used by commands, and nothing leaks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from selfright.cli.app import app
from selfright.clock import monotonic_s

pytestmark = pytest.mark.acceptance

SRC = Path(__file__).resolve().parents[2] / "src"
RUN = "import sys; sys.argv[0] = 'selfright'; from selfright.cli import main; main()"
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("SELFRIGHT")}
WAIT_S = 60.0
SEEN_WITHIN_S = 5.0


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of this machine count."""
    for name in [name for name in os.environ if name.startswith("SELFRIGHT")]:
        monkeypatch.delenv(name)


def run(*words: str | Path, cwd: Path, code: int = 0, **environment: str) -> Result:
    """Run a command; in this process, for a new one takes a second."""
    with contextlib.chdir(cwd):
        done = CliRunner().invoke(app, list(map(str, words)), env=environment)
    assert done.exit_code == code, done.stderr
    return done


def make(scope: str, cwd: Path) -> str:
    """Make a key as an operator would; return it."""
    return run("keys", "create", f"to {scope}", "--scope", scope, cwd=cwd).stdout.strip()


class Running:
    """`selfright serve` and what it says."""

    def __init__(self, *words: str, cwd: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, "serve", *words],
            cwd=cwd,
            env=CLEAN | {"PYTHONPATH": str(SRC), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stderr is not None
        self.first = self.process.stderr.readline()
        self.url = next((w for w in self.first.split() if w.startswith("http://")), "")

    def end(self) -> str:
        """Stop it; return all it said."""
        assert self.process.stderr is not None
        self.process.send_signal(signal.SIGINT)
        # Not `communicate`: it would miss what was read ahead of the first line.
        said = self.process.stderr.read()
        self.process.stderr.close()
        assert self.process.wait(WAIT_S) == 0, said
        return self.first + said


@pytest.fixture
def open_service(tmp_path: Path) -> Iterator[Running]:
    """Serve on every address of this machine, with one key to admin."""
    (tmp_path / "admin.key").write_text(make("admin", tmp_path) + "\n")
    running = Running("--host", "0.0.0.0", "--port", "0", cwd=tmp_path)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate(timeout=WAIT_S)


def _until(url: str, headers: dict[str, str], status: int) -> None:
    deadline_s = monotonic_s() + SEEN_WITHIN_S
    while httpx.get(f"{url}/api/access", headers=headers).status_code != status:
        assert monotonic_s() < deadline_s, "the service did not notice"
        threading.Event().wait(0.1)


def test_without_a_key_that_counts_other_machines_are_refused_with_the_remedy(
    tmp_path: Path,
) -> None:
    """No key, and only a revoked one; a loopback address starts all the same."""
    refused = Running("--host", "0.0.0.0", "--port", "0", cwd=tmp_path)
    assert "selfright keys create" in refused.first
    assert "127.0.0.1" in refused.first
    assert refused.process.wait(WAIT_S) == 2
    run("keys", "revoke", make("read", tmp_path), cwd=tmp_path)
    refused.process.communicate(timeout=WAIT_S)
    refused = Running("--host", "0.0.0.0", "--port", "0", cwd=tmp_path)
    assert "no key that counts" in refused.first
    refused.process.communicate(timeout=WAIT_S)
    local = Running("--port", "0", cwd=tmp_path)
    assert httpx.get(f"{local.url}/api/performance/health").status_code == 401
    local.end()


def test_a_service_for_others(tmp_path: Path, open_service: Running) -> None:
    """Keys made and revoked beside it, programs and commands that use them, an end without leak."""
    url = open_service.url
    health = f"{url}/api/performance/health"
    assert url.startswith("http://127.0.0.1:")
    assert httpx.get(health).status_code == 401
    texts = {scope: make(scope, tmp_path) for scope in ("ingest", "read")}
    as_reader = {"Authorization": f"Bearer {texts['read']}"}
    _until(url, as_reader, 200)
    assert httpx.get(health, headers=as_reader).status_code == 200

    # Commands on the directory need no key: who may read it could make one.
    assert json.loads(run("report", "--json", cwd=tmp_path).stdout)["system_metrics"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    told = run("agents", "--url", url, cwd=elsewhere, code=1)
    assert "SELFRIGHT_KEY" in told.stderr
    assert "read" in told.stderr
    wrong = texts["read"][:-4] + "0000"
    told = run("agents", "--url", url, cwd=elsewhere, code=1, SELFRIGHT_KEY=wrong)
    assert "no key that counts" in told.stderr
    assert wrong not in told.stderr
    told = run("retrain", "--url", url, cwd=elsewhere, code=1, SELFRIGHT_KEY=texts["read"])
    assert "operate" in told.stderr
    rows = elsewhere / "rows.csv"
    rows.write_text("run_id,agent_name,status\nr1,planner,success\n")
    run("import", rows, "--url", url, cwd=elsewhere, SELFRIGHT_KEY=texts["ingest"])
    found = run("agents", "--json", "--url", url, cwd=elsewhere, SELFRIGHT_KEY=texts["read"])
    assert [agent["agent_name"] for agent in json.loads(found.stdout)] == ["planner"]

    # Keys over REST, with a key to admin in a file.
    admin = ("--url", url, "--key-file", tmp_path / "admin.key")
    made = run("keys", "create", "by rest", "--scope", "read", *admin, cwd=elsewhere)
    assert httpx.get(health, headers={"Authorization": f"Bearer {made.stdout.strip()}"}).is_success
    listed = run("keys", "list", "--json", *admin, cwd=elsewhere)
    assert [key["name"] for key in json.loads(listed.stdout)][-1] == "by rest"
    run("keys", "revoke", made.stdout.strip(), *admin, cwd=elsewhere)
    gone = httpx.get(health, headers={"Authorization": f"Bearer {made.stdout.strip()}"})
    assert gone.status_code == 401
    run("keys", "revoke", texts["read"], cwd=tmp_path)
    _until(url, as_reader, 401)

    checks = json.loads(run("doctor", "--json", cwd=tmp_path).stdout)["checks"]
    access = next(line for line in checks if line["check"] == "access")
    assert access["verdict"] == "ok"
    assert access["found"].startswith("2 keys")
    said = open_service.end()
    assert "unencrypted" in said
    secrets = [*texts.values(), made.stdout.strip(), (tmp_path / "admin.key").read_text().strip()]
    for secret in secrets:
        assert secret.rpartition("_")[2] not in said


def test_a_host_that_nobody_listed_is_refused_and_the_reached_address_is_not(
    open_service: Running,
) -> None:
    """A name that is rebound to any address of this machine betrays itself."""
    port = int(open_service.url.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Nothing is sent: the system only says from which address it would be.
        probe.connect(("192.0.2.1", 9)) if _has_route() else probe.bind(("127.0.0.2", 0))
        own = probe.getsockname()[0]
    address = f"http://{own}:{port}/api/performance/health"
    assert httpx.get(address).status_code == 401
    for host in ("evil.example", f"evil.example:{port}", "10.255.255.1"):
        refused = httpx.get(address, headers={"Host": host})
        assert refused.status_code == 403
        assert refused.json()["field"] == "Host"


def _has_route() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return probe.connect_ex(("192.0.2.1", 9)) == 0


def test_what_the_service_tells_commands_is_its_owner_s_alone(
    tmp_path: Path, open_service: Running
) -> None:
    """The file with the key of this process, which counts no longer than that."""
    path = tmp_path / "selfright-data" / "service.json"
    assert path.stat().st_mode & 0o777 == 0o600
    told = json.loads(path.read_text())
    as_owner = {"Authorization": f"Bearer {told['key']}"}
    assert httpx.get(f"{open_service.url}/api/access/keys", headers=as_owner).is_success
    kept = (tmp_path / "selfright-data" / "keys.json").read_text()
    assert told["key"][:18] not in kept
    open_service.end()
    assert not path.exists()


# ---- the client's side -------------------------------------------------------------------


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run a server that sends everybody on to itself, and remembers what it was told."""
    seen: list[dict[str, Any]] = []

    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append({"path": self.path, "key": self.headers.get("Authorization")})
            host, port = self.server.server_address[:2]
            self.send_response(302 if len(seen) == 1 else 404)
            self.send_header("Location", f"http://{host}:{port}/elsewhere")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Redirecting)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_key_does_not_follow_a_redirection(
    tmp_path: Path, stranger: tuple[str, list[dict[str, Any]]]
) -> None:
    """Whoever answers at the address that was given must not send it anywhere."""
    url, seen = stranger
    run("agents", "--url", url, cwd=tmp_path, code=1, SELFRIGHT_KEY="selfright_secret")
    assert seen[0]["key"] == "Bearer selfright_secret"
    assert [item["key"] for item in seen[1:]] == [None]


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "holds no key"), ("two words", "holds no key"), ("a\nb", "holds no key"),
     ("kéy", "holds no key")],
)  # fmt: skip
def test_what_cannot_be_a_key_is_refused_and_not_repeated(
    tmp_path: Path, text: str, said: str
) -> None:
    """Neither from the file nor from the environment."""
    file = tmp_path / "key"
    file.write_text(text)
    url = "http://127.0.0.1:9"
    done = run("agents", "--url", url, "--key-file", file, cwd=tmp_path, code=2)
    assert said in done.stderr
    assert not text or text not in done.stderr
    if text:
        done = run("agents", "--url", url, cwd=tmp_path, code=2, SELFRIGHT_KEY=text)
        assert said in done.stderr
        assert text not in done.stderr
    missing = run("agents", "--url", url, "--key-file", "no", cwd=tmp_path, code=2)
    assert "cannot be read" in missing.stderr


def test_a_key_that_would_go_out_unencrypted_is_remarked_on(tmp_path: Path) -> None:
    """Not to this machine, not by https, not without a key."""
    at = "nowhere.invalid"
    told = run("agents", "--url", f"http://{at}", cwd=tmp_path, code=1, SELFRIGHT_KEY="k")
    assert "unencrypted" in told.stderr
    for url, key in ((f"https://{at}", "k"), (f"http://{at}", ""), ("http://127.0.0.1:9", "k")):
        told = run("agents", "--url", url, cwd=tmp_path, code=1, SELFRIGHT_KEY=key)
        assert "unencrypted" not in told.stderr


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    """An address is not the place."""
    done = run("agents", "--url", "http://me:hush@127.0.0.1:9", cwd=tmp_path, code=2)
    assert "SELFRIGHT_KEY" in done.stderr
    assert "hush" not in done.stderr
