"""DuckDB, tamed: one thread, so that order is certain, and nothing fetched from anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfright.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb


def connect(feature: str) -> duckdb.DuckDBPyConnection:
    """Return a database in memory. Raises ``MissingExtraError`` naming ``feature``."""
    try:
        import duckdb
    except ImportError:
        raise MissingExtraError(feature, "analytics") from None
    connection = duckdb.connect(
        config={
            "threads": 1,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )
    # Times of day in a condition shall mean the same on every machine.
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def quoted(name: str) -> str:
    """Return a column name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(path: Path) -> str:
    """Return a path as a text literal that is no pattern for several files."""
    plain = "".join(f"[{char}]" if char in "*?[" else char for char in str(path))
    return "'" + plain.replace("'", "''") + "'"


def condition(connection: duckdb.DuckDBPyConnection, where: str | None) -> str:
    """Return a WHERE clause. Raises ``ConfigError`` where it is more than one condition."""
    if where is None:
        return ""
    import duckdb

    # The line break ends a comment that would swallow the bracket.
    clause = f"WHERE ({where}\n)"
    try:
        statements = connection.extract_statements(f"SELECT 1 {clause}")
    except duckdb.Error as error:
        raise refusal(where, error, ()) from error
    if len(statements) != 1:
        raise ConfigError("where", where, "must be a single condition")
    return clause


def refusal(where: str, error: Exception, columns: Sequence[str]) -> ConfigError:
    """Return what DuckDB said about a condition as a ``ConfigError``."""
    reason = str(error).split("\n\n", 1)[0].replace("\n", " ")
    known = f"; columns are {', '.join(columns)}" if columns else ""
    return ConfigError("where", where, f"{reason}{known}")
