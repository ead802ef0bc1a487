# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that leave nothing: each below a savepoint, all below one that is always rolled back to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ConnectionFailed, State, StatementFailed
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all
from ansible_collections.pgops.supabase.plugins.module_utils.validation.reader import Savepoint

if TYPE_CHECKING:
    import psycopg2
    from psycopg2.extensions import connection as PgConnection
    from psycopg2.extensions import cursor as PgCursor

# How the server reads the next statement; it reports both without being asked (libpq, PQparameterStatus). While they stay as
# they are, the server sees each statement as the one statement that the parser saw.
_READING_SETTINGS = ("standard_conforming_strings", "client_encoding")


@dataclass(frozen=True)
class Outcome:
    """What a statement returned: rows in text form with their type numbers, and what the server said meanwhile."""

    columns: tuple[str, ...]
    types: tuple[int, ...]
    rows: list[tuple[Any, ...]]
    notices: list[str]
    error: psycopg2.Error | None
    broken_setting: str | None


class _Notices:
    """Everything the server says; psycopg2 hands each message to append().

    Not a list: psycopg2 cuts any list down to the last fifty, and the FAIL before them would be lost.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []

    def append(self, text: str) -> None:
        """Keep one message."""
        self.texts.append(text)


@contextmanager
def undone(connection: PgConnection) -> Iterator[None]:
    """A block of which nothing stays in the transaction; the caller's notices are put aside and given back."""
    callers_notices = connection.notices
    prepared = _prepared_statements(connection)
    execute(connection, "savepoint pgops_validation")
    try:
        # A role or database may keep NOTICE from clients, and with it every verdict that is raised.
        execute(connection, "set local client_min_messages = notice")
        # The parser that split the scripts reads backslashes in plain strings as the standard does.
        execute(connection, "set local standard_conforming_strings = on")
        yield
    finally:
        try:
            if not connection.closed:
                _end_savepoint(connection, "rollback to savepoint pgops_validation; release savepoint pgops_validation")
                _drop_prepared_statements(connection, prepared)
        finally:
            connection.notices = callers_notices


def _end_savepoint(connection: PgConnection, command: str) -> None:
    """Leave a savepoint, which proves that the transaction is still the one in which it was set."""
    import psycopg2

    try:
        execute(connection, command)
    except psycopg2.Error as error:
        if connection.closed:
            raise _session_lost(connection, error) from error
        raise StatementFailed(
            f"The transaction around the validation is gone: {str(error).strip()}",
            where="the statement that ran last",
            state=State("what the validation did up to there may have been committed", "unknown"),
            next_step="Compare the row counts with the baseline, and remove from the script whatever ends transactions.",
            details={"sqlstate": error.pgcode},
        ) from error


def _session_lost(connection: PgConnection, error: psycopg2.Error) -> ConnectionFailed:
    return ConnectionFailed(
        f"The session was lost during a validation: {str(error).strip()}",
        where=f"{connection.info.dbname} on {connection.info.host}:{connection.info.port}",
        state="nothing was changed: the server rolls back the transaction of a lost session",
        next_step="Look at the server's log, then validate again.",
    )


def _prepared_statements(connection: PgConnection) -> frozenset[str]:
    return frozenset(name for (name,) in fetch_all(connection, "select name from pg_catalog.pg_prepared_statements"))


def _drop_prepared_statements(connection: PgConnection, kept: frozenset[str]) -> None:
    """A rollback does not forget what a script prepared."""
    from psycopg2 import sql

    for name in sorted(_prepared_statements(connection) - kept):
        execute(connection, sql.SQL("deallocate {}").format(sql.Identifier(name)))


def run_statement(connection: PgConnection, sql: str) -> Outcome:
    """Run one statement below a savepoint; an error is an outcome.

    The parser has seen that it is one statement and not transaction control. If it ended the transaction all the same, its
    savepoint would be gone.

    :raises StatementFailed: when the transaction is no longer the one that was begun.
    :raises ConnectionFailed: when the session is lost.
    """
    import psycopg2

    notices = _Notices()
    # psycopg2 documents any object with append(); its type stubs know only the list.
    connection.notices = cast("list[str]", notices)
    execute(connection, "savepoint pgops_statement")
    reading = _reading_settings(connection)
    columns: tuple[str, ...] = ()
    types: tuple[int, ...] = ()
    rows: list[tuple[Any, ...]] = []
    failure: psycopg2.Error | None = None
    try:
        with connection.cursor() as cursor:
            _read_as_text(cursor)
            cursor.execute(sql)
            if cursor.description:
                columns = tuple(column.name for column in cursor.description)
                types = tuple(column.type_code for column in cursor.description)
                rows = cursor.fetchall()
    except psycopg2.Error as error:
        if connection.closed or error.pgcode is None:
            raise _session_lost(connection, error) from error
        failure = error
    broken = next((name for name, value in _reading_settings(connection).items() if value != reading[name]), None)
    if failure or broken:
        _end_savepoint(connection, "rollback to savepoint pgops_statement")
    _end_savepoint(connection, "release savepoint pgops_statement")
    return Outcome(columns, types, rows, notices.texts, failure, broken)


def _reading_settings(connection: PgConnection) -> dict[str, str | None]:
    return {name: connection.info.parameter_status(name) for name in _READING_SETTINGS}


def _read_as_text(cursor: PgCursor) -> None:
    """Read values as psql shows them: a date that Python cannot hold or a long number must not stop or change a check.

    Arrays of text stay arrays, since each element may be a verdict.
    """
    from psycopg2 import extensions

    kept = {*extensions.UNICODEARRAY.values, *extensions.STRINGARRAY.values}
    oids = tuple(oid for oid in extensions.string_types if oid not in kept)
    extensions.register_type(extensions.new_type(oids, "TEXT_FORM", lambda value, _cursor: value), cursor)


def move(connection: PgConnection, savepoint: Savepoint) -> None:
    """Do what a script's transaction control means in terms of savepoints."""
    from psycopg2 import sql

    name = sql.Identifier(f"pgops_level_{savepoint.level}")
    commands = {
        "set": sql.SQL("savepoint {0}"),
        "roll_back_to": sql.SQL("rollback to savepoint {0}"),
        "release": sql.SQL("release savepoint {0}"),
        "undo": sql.SQL("rollback to savepoint {0}; release savepoint {0}"),
    }
    execute(connection, commands[savepoint.action].format(name))
