"""A database for one test, on whichever PostgreSQL server there is."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg.sql import SQL, Identifier


def answers(url: str) -> bool:
    """Return whether the server lets us in: it runs, has recovered, and knows the password."""
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def fresh_database(server_url: str, template: str = "template0") -> Iterator[str]:
    """Make a copy of ``template`` for the length of the block; yield its URL.

    Costs some 30 ms, whatever a template of a few tables holds, so tests of one schema copy one
    that has it instead of making the tables each. Nobody may be connected to the template.
    What is still connected at the end is cut off. A server that is down by then keeps it.
    """
    name = f"selfright_test_{secrets.token_hex(6)}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(
            SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template))
        )
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server_url, autocommit=True, connect_timeout=5) as server:
            server.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
