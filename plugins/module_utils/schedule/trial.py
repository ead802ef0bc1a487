# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job's SQL tried before it is scheduled: executed in a transaction that is rolled back, so that an error is found by day."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    NOTHING_CHANGED,
    InputError,
    SqlScriptError,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    execute,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import server_error
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_TRIAL_SECONDS = 30
# PostgreSQL, appendix A: active_sql_transaction (VACUUM and its like), invalid_transaction_termination (a procedure that commits).
_NOT_IN_A_TRANSACTION = frozenset({"25001", "2D000"})
# lock_not_available, query_canceled: not the SQL's fault.
_NOT_ITS_FAULT = {
    "55P03": "another session holds a lock that it needs",
    "57014": f"it takes longer than {_TRIAL_SECONDS} seconds",
}


def try_out(options: ConnectionOptions, name: str, command: str, settings: SessionSettings) -> str:
    """Execute a job's SQL and roll it back; why it could not be tried to its end, empty when it was.

    :raises InputError: when there is no SQL.
    :raises SqlScriptError: when it does not parse.
    :raises StatementFailed: when the server refuses it; nothing is scheduled then.
    """
    import psycopg2

    try:
        script = parse_script(f"job {name}", command)
    except SqlScriptError as error:
        error.what = error.what.replace("The file", f"The SQL of job {name}")
        raise
    if not script.statements:
        raise InputError(
            f"Job {name} has no SQL", where=f"job {name}, command", next_step="Give it a command, or state: absent."
        )
    # A COMMIT of its own would end the transaction that is to be rolled back.
    if any(statement.is_transaction_control for statement in script.statements):
        return "its SQL was not tried: it steers transactions itself"
    bounded = replace(settings, statement_timeout_ms=_TRIAL_SECONDS * 1000)
    with session(options, bounded) as connection:
        try:
            _execute_and_roll_back(connection, command)
        except psycopg2.Error as error:
            sqlstate = error.pgcode or ""
            if sqlstate in _NOT_IN_A_TRANSACTION:
                return "its SQL was not tried: it cannot run in a transaction"
            if sqlstate in _NOT_ITS_FAULT:
                return f"its SQL was not tried to its end: {_NOT_ITS_FAULT[sqlstate]}"
            raise server_error(
                error,
                f"The SQL of job {name} fails",
                f"job {name}, command",
                state=NOTHING_CHANGED,
                otherwise="Correct the command in project_scheduled_jobs, then run again.",
            ) from error
    return ""


def _execute_and_roll_back(connection: PgConnection, command: str) -> None:
    try:
        execute(connection, command)
        # What is deferred to COMMIT would fail there.
        execute(connection, "set constraints all immediate")
    finally:
        if not connection.closed:
            connection.rollback()
