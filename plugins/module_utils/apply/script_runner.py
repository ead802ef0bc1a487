# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs SQL files inside a transaction that the caller owns: one after the other, each as if it had a session of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    Position,
    State,
    StatementFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    execute,
    fetch_all,
    renew_settings,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import (
    CURRENT_TRANSACTION,
    ROLLED_BACK,
    server_error,
    transaction_id,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import RunnableScript
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    Script,
    Statement,
    resets_settings,
)

if TYPE_CHECKING:
    from psycopg2 import Error as PgError
    from psycopg2.extensions import connection as PgConnection


# One message to the server: there may be a thousand files.
_RESET_SESSION = "reset session authorization; reset role; reset all; close all; unlisten *; deallocate all; discard sequences; discard temp"


_DEFERRABLE = (
    "select distinct n.nspname::text as schema, c.conname::text as name, c.condeferred as initially_deferred "
    "from pg_catalog.pg_constraint c join pg_catalog.pg_namespace n on n.oid = c.connamespace "
    "where c.condeferrable and n.nspname !~ '^pg_temp' and pg_catalog.has_schema_privilege(n.oid, 'usage') order by 1, 2"
)


@dataclass(frozen=True)
class DeferrableConstraint:
    """A constraint that may be checked as late as at COMMIT."""

    schema: str
    name: str
    initially_deferred: bool


def require_plain_strings(connection: PgConnection, statement: Statement, *, state: str) -> None:
    """The server has to read strings as the parser did that split the file; otherwise one may hide a COMMIT.

    :param state: the state of the database when it does not.
    :raises StatementFailed: when backslashes in plain strings are escapes to the server.
    """
    if "\\" in statement.sql and connection.info.parameter_status("standard_conforming_strings") == "off":
        raise StatementFailed(
            "standard_conforming_strings is off, so the server would read the backslashes of this statement otherwise than "
            "the parser that checked it",
            where=statement.position,
            state=state,
            next_step="Leave the setting on and write E'...' where backslashes are escapes.",
        )


def run_script(
    connection: PgConnection,
    script: RunnableScript,
    *,
    what: str,
    ran: Callable[[], None] = lambda: None,
    transaction: str | None = None,
) -> float:
    """Run all statements of a script in the open transaction, then check that it is still the same transaction.

    :param what: the script in words, for errors: V(migration 20251014220000_add_audit).
    :param ran: is called after each statement.
    :param transaction: the id of the open transaction where the caller has asked for it; see :func:`transaction_id`.
    :returns: how long it took, in seconds.
    :raises StatementFailed: when PostgreSQL refuses a statement; the caller rolls back.
    :raises ConnectionFailed: when the connection is lost.
    """
    started = time.monotonic()
    before = transaction or transaction_id(connection)
    for statement in script.statements:
        run_statement(connection, script.script, statement, what)
        ran()
    # One question: over a network it is the questions that take the time, and there may be a thousand files.
    ((after, *found),) = fetch_all(
        connection, f"select {CURRENT_TRANSACTION}, array(select row_to_json(c) from ({_DEFERRABLE}) as c)"
    )
    _require_same_transaction(before, after, script, what)
    constraints = [DeferrableConstraint(**constraint) for constraint in found[0]]
    if constraints:
        check_now(connection, script.script, constraints, what)
        defer_again(connection, constraints)
        _require_same_transaction(before, transaction_id(connection), script, what)
    return time.monotonic() - started


@contextmanager
def one_transaction(connection: PgConnection, script: RunnableScript, what: str) -> Iterator[None]:
    """A block that runs a script; at its end it has to be the same transaction as at its beginning.

    :raises StatementFailed: when it is not.
    """
    transaction = transaction_id(connection)
    yield
    _require_same_transaction(transaction, transaction_id(connection), script, what)


def _require_same_transaction(before: str, after: str, script: RunnableScript, what: str) -> None:
    if after != before:
        raise StatementFailed(
            f"{what} ended the transaction it ran in",
            where=script.script.file,
            state=State("parts of the file may be committed; compare the database with the last backup", "unknown"),
            next_step="Remove whatever commits from the file. See the ledger and the run's documents for what was recorded.",
        )


def reset_session(connection: PgConnection, *, then: tuple[str, Sequence[Any]] | None = None) -> None:
    """Make the session as new for the next file, within the transaction: settings, role, temporary objects, cursors.

    DISCARD ALL would do, but PostgreSQL refuses it in a transaction block; these are its parts (reference page of DISCARD)
    less pg_advisory_unlock_all. What the session was opened with is set again: behind a pooler RESET ALL drops it.

    :param then: a statement and its parameters that follow in the same message to the server.
    """
    renew_settings(connection, after=_RESET_SESSION, then=then)


def run_statement(connection: PgConnection, script: Script, statement: Statement, what: str) -> int:
    """Run one statement of a script in the open transaction; the number of rows it says it touched, or -1.

    :raises StatementFailed: when PostgreSQL refuses it.
    :raises ConnectionFailed: when the connection is lost.
    """
    import psycopg2

    require_plain_strings(connection, statement, state=ROLLED_BACK)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement.sql)
            touched = int(cursor.rowcount)
        if resets_settings(statement):
            renew_settings(connection)
        return touched
    except psycopg2.Error as error:
        raise server_error(error, f"{what} failed", place_of(error, script, statement)) from error


def place_of(error: PgError, script: Script, statement: Statement) -> Position:
    """Where in the script an error lies: what the server points at, or else the statement's beginning."""
    place = error.diag.statement_position
    return script.position_of(statement.offset + (int(place) - 1 if place else 0))


def deferrable_constraints(connection: PgConnection) -> list[DeferrableConstraint]:
    """Every constraint whose check may be put off, as far as the role can name it.

    What it cannot name (another's schema, or after SET ROLE) is checked by COMMIT all the same.
    """
    return [DeferrableConstraint(*row) for row in fetch_all(connection, _DEFERRABLE)]


def check_now(connection: PgConnection, script: Script, constraints: Sequence[DeferrableConstraint], what: str) -> None:
    """Check at the end of a file what its own COMMIT would have checked.

    :raises StatementFailed: when rows break one of them.
    """
    import psycopg2
    from psycopg2 import sql

    if not constraints:
        return
    try:
        execute(connection, sql.SQL("set constraints {} immediate").format(_identifiers(constraints)))
    except psycopg2.Error as error:
        raise server_error(error, f"{what} leaves rows that a deferred constraint refuses", script.file) from error


def defer_again(connection: PgConnection, constraints: Sequence[DeferrableConstraint]) -> None:
    """Put off again what is put off by nature, for the next file."""
    from psycopg2 import sql

    by_nature = [constraint for constraint in constraints if constraint.initially_deferred]
    if by_nature:
        execute(connection, sql.SQL("set constraints {} deferred").format(_identifiers(by_nature)))


def _identifiers(constraints: Sequence[DeferrableConstraint]) -> Any:
    from psycopg2 import sql

    return sql.SQL(", ").join(sql.Identifier(constraint.schema, constraint.name) for constraint in constraints)
