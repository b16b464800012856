"""Keys from the terminal: made, listed and revoked on the data directory."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from selfright.cli.app import app
from selfright.server.access.key import FORM
from selfright.server.access.key_file import KeyFile

pytestmark = pytest.mark.acceptance


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of this machine count."""
    for name in [name for name in os.environ if name.startswith("SELFRIGHT")]:
        monkeypatch.delenv(name)


def keys(*words: str, cwd: Path, code: int = 0) -> Result:
    """Run `selfright keys`; in this process, for a new one takes a second."""
    with contextlib.chdir(cwd):
        done = CliRunner().invoke(app, ["keys", *words])
    assert done.exit_code == code, done.stderr
    return done


def test_a_key_is_printed_alone_and_once(tmp_path: Path) -> None:
    """So that `$(selfright keys create ...)` is the key; what is said about it stands apart."""
    done = keys("create", "scraper", "--scope", "read", cwd=tmp_path)
    text = done.stdout.strip()
    assert FORM.fullmatch(text)
    assert text not in done.stderr
    assert "it allows: read" in done.stderr
    assert "the first key" in done.stderr
    kept = (tmp_path / "selfright-data" / "keys.json").read_text()
    assert text.rpartition("_")[2] not in kept
    for words in (["list"], ["list", "--all"], ["list", "--json"]):
        shown = keys(*words, cwd=tmp_path).stdout
        assert "scraper" in shown
        assert text[:18] in shown
        assert text.rpartition("_")[2] not in shown
    again = keys("create", "other", "--scope", "read", cwd=tmp_path)
    assert "the first key" not in again.stderr


def test_scopes_are_repeated_or_joined_and_days_end_a_key(tmp_path: Path) -> None:
    """As programs read it."""
    words = ["create", "agent", "--scope", "read,ingest", "--scope", "OPERATE", "--days", "1.5"]
    made = json.loads(keys(*words, "--json", cwd=tmp_path).stdout)
    assert made["scopes"] == ["ingest", "read", "operate"]
    assert made["state"] == "active"
    assert made["expires_at"] > made["created_at"]
    (kept,) = KeyFile(tmp_path / "selfright-data").read()
    assert kept.prefix == made["prefix"]
    assert kept.expires_us == kept.created_us + round(1.5 * 86_400e6)


def test_a_revoked_key_is_listed_only_when_asked(tmp_path: Path) -> None:
    """And says when it was; a whole key will do to revoke it."""
    text = keys("create", "leaked", "--scope", "admin", cwd=tmp_path).stdout.strip()
    assert "is revoked" in keys("revoke", text, cwd=tmp_path).stdout
    listed = keys("list", cwd=tmp_path)
    assert "leaked" not in listed.stdout
    assert "1 more" in listed.stderr
    (row,) = json.loads(keys("list", "--all", "--json", cwd=tmp_path).stdout)
    assert row["state"] == "revoked"
    assert row["revoked_at"] >= row["created_at"]
    again = json.loads(keys("revoke", row["prefix"], "--json", cwd=tmp_path).stdout)
    assert again == row


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["create", "x"], 2, "must be one or more of ingest, read, operate, admin"),
        (["create", "x", "--scope", "rread,"], 2, "did you mean read?"),
        (["create", "x", "--scope", "read", "--days", "0"], 2, "must be above 0"),
        (["create", "a\x1b[2J", "--scope", "read"], 2, "printable"),
        (["revoke", "selfright_00000000"], 1, "no key"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_remedy(
    tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    """And makes no key."""
    done = keys(*words, cwd=tmp_path, code=code)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert json.loads(keys("list", "--all", "--json", cwd=tmp_path).stdout) == []


def test_a_damaged_file_is_not_overwritten(tmp_path: Path) -> None:
    """It is named, with what to do."""
    path = tmp_path / "selfright-data" / "keys.json"
    path.parent.mkdir()
    path.write_text("{")
    for words in (["list"], ["create", "x", "--scope", "read"], ["revoke", "x"]):
        done = keys(*words, cwd=tmp_path, code=1)
        assert "keys.json" in done.stderr
        assert "restore it from a backup" in done.stderr
    assert path.read_text() == "{"


def _access(cwd: Path, *words: str) -> dict[str, str]:
    with contextlib.chdir(cwd):
        done = CliRunner().invoke(app, ["doctor", "--json", *words])
    lines: list[dict[str, str]] = json.loads(done.stdout)["checks"]
    return next(line for line in lines if line["check"] == "access")


def test_the_doctor_says_how_access_stands(tmp_path: Path) -> None:
    """From this machine alone to rights that are too wide, with what helps."""
    config = tmp_path / "open.toml"
    config.write_text('[server]\nhost = "0.0.0.0"\n')
    named = tmp_path / "named.toml"
    named.write_text('[server]\nallowed_hosts = ["fleet.example"]\n')
    assert _access(tmp_path)["found"] == "no keys; only this machine is served"
    refused = _access(tmp_path, "--config", str(config))
    assert refused["verdict"] == "fail"
    assert "keys create" in refused["remedy"]
    assert _access(tmp_path, "--config", str(named))["verdict"] == "warn"
    text = keys("create", "x", "--scope", "read", cwd=tmp_path).stdout.strip()
    for more in ((), ("--config", str(config)), ("--config", str(named))):
        assert _access(tmp_path, *more)["verdict"] == "ok"
    path = tmp_path / "selfright-data" / "keys.json"
    path.chmod(0o644)
    wide = _access(tmp_path)
    assert (wide["verdict"], wide["remedy"]) == (
        "warn",
        "chmod 600 selfright-data/keys.json",
    )
    keys("revoke", text, cwd=tmp_path)
    assert "nobody is let in" in _access(tmp_path)["found"]
    path.write_text("{")
    assert _access(tmp_path)["verdict"] == "fail"
