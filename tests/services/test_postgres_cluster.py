"""PostgreSQL as the tests have it: fast to fill, killed without loss, and a database each."""

from __future__ import annotations

import os
import time

import psycopg
import pytest
from tests.services.postgres_cluster import find_programs
from tests.services.postgres_databases import fresh_database
from tests.services.server_process import ServiceMissingError

ROWS = 20_000


def _count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM runs").fetchone()
    assert row is not None
    return row[0]


def _fill(url: str, rows: int = 1) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE runs (id bigint PRIMARY KEY, agent text, cost bigint)")
        with connection.cursor().copy("COPY runs FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "text", "int8"])
            for i in range(rows):
                copy.write_row((i, f"agent-{i % 10}", i * 1000))


def test_rows_are_copied_in_binary(postgres):
    """What goes in by COPY BINARY comes out by SELECT."""
    started_s = time.monotonic()
    _fill(postgres, ROWS)
    print(f"COPY BINARY: {ROWS / (time.monotonic() - started_s):,.0f} rows a second")
    with psycopg.connect(postgres) as connection:
        rows = connection.execute("SELECT agent, sum(cost)::bigint FROM runs GROUP BY 1").fetchall()
    assert dict(rows) == {f"agent-{k}": sum(range(k, ROWS, 10)) * 1000 for k in range(10)}


@pytest.mark.parametrize("test", ["one", "another"])
def test_every_test_has_an_empty_database(postgres, test):
    """Both make the same table, and neither meets the other's."""
    _fill(postgres)
    assert _count(postgres) == 1


def test_a_database_is_gone_after_its_test(own_postgres):
    """Even with a connection still open to it."""
    with fresh_database(own_postgres.url) as url:
        left_open = psycopg.connect(url)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)
    left_open.close()


def test_a_template_brings_its_tables(own_postgres):
    """Tests of one schema copy it instead of making it."""
    with fresh_database(own_postgres.url) as template:
        _fill(template, 3)
        name = template.rpartition("/")[2]
        with fresh_database(own_postgres.url, template=name) as url:
            assert _count(url) == 3


def test_what_was_committed_survives_kill(own_postgres):
    """Kill -9 of postmaster and backends: the commit is there, what was under way is not."""
    with fresh_database(own_postgres.url) as url:
        _fill(url, 1000)
        with psycopg.connect(url) as cut:
            cut.execute("INSERT INTO runs VALUES (-1, 'under way', 0)")
            own_postgres.kill()
            assert not own_postgres.running
            with pytest.raises(psycopg.OperationalError):
                cut.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(url)
        print(f"PostgreSQL is back after {own_postgres.start():.2f} s")
        assert _count(url) == 1000


def test_a_stopped_server_refuses_and_comes_back(own_postgres):
    """An orderly stop does not wait for clients that stay."""
    with fresh_database(own_postgres.url) as url, psycopg.connect(url) as stays:
        own_postgres.stop()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(url)
        with pytest.raises(psycopg.OperationalError):
            stays.execute("SELECT 1")
        own_postgres.start()
        psycopg.connect(url).close()


def test_a_frozen_server_is_silent_and_comes_back(own_postgres):
    """Nothing is refused and nothing answered, as if the network were cut; then all goes on."""
    with psycopg.connect(own_postgres.url) as connection:
        with own_postgres.frozen():
            with pytest.raises(psycopg.OperationalError, match="timeout"):
                psycopg.connect(own_postgres.url, connect_timeout=2)
            assert own_postgres.running
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("asked", ["first", "second"])
def test_a_test_that_leaves_it_down_harms_none(own_postgres, asked):
    """Whichever of the two comes later finds it up again."""
    psycopg.connect(own_postgres.url).close()
    own_postgres.kill()


def test_without_programs_the_reason_says_what_to_install(monkeypatch, tmp_path):
    """The skip names the package and the variable."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceMissingError, match=r"`postgresql`.*SELFRIGHT_TEST_POSTGRES"):
        find_programs(installed=tmp_path)


def test_an_old_version_is_as_good_as_none(monkeypatch, tmp_path):
    """Programs that cannot do what is asked of them are not tried."""
    program = tmp_path / "initdb"
    program.write_text("#!/bin/sh\necho 'initdb (PostgreSQL) 9.6.24'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    with pytest.raises(ServiceMissingError, match="from version 14 on"):
        find_programs(installed=tmp_path)
