# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe asks of the database beside the API: what it needs there, what has to be true after it, and its traces taken away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    NOTHING_CHANGED,
    PgopsError,
    StatementFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    execute,
    fetch_all,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import server_error

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

THEN_SECONDS = 10.0
_PAUSE_SECONDS = 0.2
_SYNTAX_ERROR = "42601"
# Data exceptions and broken constraints, whose messages quote values (PostgreSQL, appendix A "Error Codes").
_QUOTE_VALUES = ("22", "23")
_SETTINGS = SessionSettings(lock_timeout_ms=5000, statement_timeout_ms=10_000)
_STARTED_AT = "pgops.probe_started_at"


@contextmanager
def witness(options: ConnectionOptions) -> Iterator[PgConnection]:
    """A session for the time of one probe.

    :raises ConnectionFailed: when there is none.
    """
    with session(options, _SETTINGS) as connection:
        yield connection


def prepare(connection: PgConnection, given: str | None) -> None:
    """Commit what the probe needs, then note the server's clock in the setting C(pgops.probe_started_at), which O(then) may read.

    :raises StatementFailed: when the server refuses it.
    """
    if given:
        commit(connection, given, "given")
    with _told(connection, "the clock"):
        execute(connection, f"select pg_catalog.set_config('{_STARTED_AT}', pg_catalog.clock_timestamp()::text, false)")
        connection.commit()


def commit(connection: PgConnection, statements: str, option: str) -> None:
    """Run SQL in one transaction of its own.

    :raises StatementFailed: when the server refuses it.
    """
    with _told(connection, option):
        execute(connection, statements)
        connection.commit()


def unseen(connection: PgConnection, query: str) -> str:
    """Ask until the database has seen what the probe did; what is wrong, or nothing.

    :param query: returns one true value; it can change nothing.
    :raises StatementFailed: when the server refuses it.
    """
    until = time.monotonic() + THEN_SECONDS
    while True:
        with _told(connection, "then"):
            execute(connection, "set transaction read only")
            rows = fetch_all(connection, query)
        connection.rollback()
        if rows and rows[0][0] is True:
            return ""
        if rows and not isinstance(rows[0][0], (bool, type(None))):
            return "then does not return true or false"
        if time.monotonic() >= until:
            return f"then was not true within {THEN_SECONDS:g} s: the database has not seen what the probe did"
        time.sleep(_PAUSE_SECONDS)


def misspelt(connection: PgConnection, query: str) -> str:
    """What is wrong with the query's syntax, or nothing: what it names may not be there yet, but how it is written does not change.

    Found before the migration it stops nothing but the probe; found after it, it would take the migration back.
    """
    import psycopg2

    try:
        execute(connection, "set transaction read only")
        execute(connection, query)
    except psycopg2.Error as error:
        if error.pgcode == _SYNTAX_ERROR:
            return f"PostgreSQL refused then: {error.diag.message_primary} [{error.pgcode}]"
    finally:
        if not connection.closed:
            connection.rollback()
    return ""


@contextmanager
def _told(connection: PgConnection, option: str) -> Iterator[None]:
    import psycopg2

    try:
        yield
    except psycopg2.Error as error:
        what, next_step = f"PostgreSQL refused {option}", "Correct the probe's SQL."
        if (error.pgcode or "").startswith(_QUOTE_VALUES):
            told: PgopsError = StatementFailed(f"{what} [{error.pgcode}]", where=option, next_step=next_step)
        else:
            told = server_error(error, what, option, state=NOTHING_CHANGED, otherwise=next_step)
        if not connection.closed:
            connection.rollback()
        raise told from error
