# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions that tell the truth: one at a time per project, tried again where waiting helps, and settled when COMMIT is lost."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    NOTHING_CHANGED,
    BusyError,
    ConnectionFailed,
    PgopsError,
    Position,
    State,
    StatementFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    execute,
    fetch_all,
    fetch_value,
    is_lost_connection,
)

if TYPE_CHECKING:
    from psycopg2 import Error as PgError
    from psycopg2.extensions import connection as PgConnection

_T = TypeVar("_T")

ROLLED_BACK = "the transaction was rolled back: catalog and data are as they were before"
LOST_BEFORE_COMMIT = "the connection was lost before COMMIT; the server rolls the transaction back by itself"

# PostgreSQL, appendix A "Error Codes": what to type next depends on what went wrong.
_NEXT_STEPS = {
    "55P03": "Find who holds the lock (select pid, query, xact_start from pg_stat_activity order by xact_start), then run again.",
    "40P01": "Another session locked the same tables in another order; run again when it has finished.",
    "57014": "The statement took longer than statement_timeout_seconds; raise it, or make the statement smaller.",
    "55P04": "A new enum value can be used only after a commit: use it in a later file than the one that adds it, with transaction_scope: file.",
    "53200": "One transaction needs more locks than the server has: raise max_locks_per_transaction and restart the server, "
    "or, for migrations, run with transaction_scope: file.",
    "53100": "Free disk space on the server, then run again.",
    "42501": "The role may not do this; compare its owner and grants, or ask for a session_role that may.",
}
# Supabase's storage says it with a code that is otherwise about rights.
_GUARDED_DELETION = "Direct deletion from storage tables is not allowed"
_DELETION_THAT_IS_MEANT = (
    "Delete through the Storage API, which removes the files too; or, where only the rows are to go, say so before the DELETE: "
    "select set_config('storage.allow_delete_query', 'true', true);"
)
# A server sees at once that a connection was reset, and otherwise when it looks, every two seconds; and COMMIT takes its time.
SETTLE_SECONDS = 10.0
# Data exceptions and broken constraints: their DETAIL is "Failing row contains (...)", "Key (email)=(...) already exists".
_CLASSES_THAT_QUOTE_ROWS = ("22", "23")
# What a data exception quotes, but for names: those stand behind what they are names of.
_QUOTED_AT_THE_END = re.compile(r': ".*"$', re.DOTALL)
_QUOTED_VALUE = re.compile(
    r'(?<!column )(?<!parameter )(?<!relation )(?<!role )(?<!table )(?<!type )(?<!function )(?<!sequence )"(?:[^"]|"")*"'
)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_RETRYABLE = frozenset({"55P03", "40P01"})


# In SQL, for a query that asks for more in one go.
CURRENT_TRANSACTION = "pg_catalog.pg_current_xact_id()::text"


def transaction_id(connection: PgConnection) -> str:
    """The id of the current transaction (assigned if it has none yet), which a hidden COMMIT would change."""
    return str(fetch_value(connection, f"select {CURRENT_TRANSACTION}"))


@contextmanager
def hold_apply_lock(connection: PgConnection, key: tuple[int, int], wait_seconds: float) -> Iterator[None]:
    """Hold the project's apply lock with a session in autocommit mode, for work that is more than one transaction.

    :raises BusyError: when another session holds it for longer than ``wait_seconds``.
    """
    _poll(connection, "select pg_catalog.pg_try_advisory_lock(%s, %s)", key, wait_seconds)
    try:
        yield
    finally:
        if not connection.closed:
            execute(connection, "select pg_catalog.pg_advisory_unlock(%s, %s)", list(key))


def keep_apply_lock(connection: PgConnection, key: tuple[int, int], *, where: Position, state: State) -> None:
    """Take the apply lock again when a statement let go of it: DISCARD ALL does, and pg_advisory_unlock_all.

    :param where: that statement, for the error.
    :param state: what is done by now, for the error.
    :raises BusyError: when another session was quicker.
    """
    held = fetch_value(
        connection,
        "select exists (select from pg_catalog.pg_locks where locktype = 'advisory' and pid = pg_catalog.pg_backend_pid() "
        "and granted and classid = %s and objid = %s)",
        list(key),
    )
    if not held:
        _poll(connection, "select pg_catalog.pg_try_advisory_lock(%s, %s)", key, 0.0, where=where, state=state)


@contextmanager
def short_transaction(connection: PgConnection, begin: str = "begin") -> Iterator[None]:
    """One transaction of a session in autocommit mode; an exception rolls it back, and is not hidden by what it leaves behind.

    :param begin: the command that opens it.
    """
    execute(connection, begin)
    try:
        yield
        execute(connection, "commit")
    except BaseException:
        if not connection.closed:
            execute(connection, "rollback")
        raise


@contextmanager
def taken_back(connection: PgConnection, savepoint: str) -> Iterator[None]:
    """A savepoint that is always rolled back: what happens in it leaves the open transaction as it was.

    :param savepoint: its name, by which the server's log tells whose it is.
    """
    execute(connection, f"savepoint {savepoint}")
    try:
        yield
    finally:
        if not connection.closed:
            execute(connection, f"rollback to savepoint {savepoint}; release savepoint {savepoint}")


def take_apply_lock(connection: PgConnection, key: tuple[int, int], wait_seconds: float) -> None:
    """Take the project's apply lock until the end of the transaction.

    Polled, because a session that waits inside pg_advisory_lock deadlocks with CREATE INDEX CONCURRENTLY.

    :raises BusyError: when another session holds it for longer than ``wait_seconds``.
    """
    _poll(connection, "select pg_catalog.pg_try_advisory_xact_lock(%s, %s)", key, wait_seconds)


def _poll(
    connection: PgConnection,
    attempt: str,
    key: tuple[int, int],
    wait_seconds: float,
    *,
    where: Position | None = None,
    state: State = NOTHING_CHANGED,
) -> None:
    deadline = time.monotonic() + wait_seconds
    while not fetch_value(connection, attempt, list(key)):
        if time.monotonic() >= deadline:
            holders = fetch_all(
                connection,
                "select a.pid, a.usename, a.application_name, a.xact_start::text from pg_catalog.pg_locks l join "
                "pg_catalog.pg_stat_activity a using (pid) where l.locktype = 'advisory' and l.granted "
                "and l.classid = %s and l.objid = %s",
                list(key),
            )
            who = "; ".join(f"pid {pid} ({user}, {name}, since {since})" for pid, user, name, since in holders)
            raise BusyError(
                f"Another apply or rollback is under way on this project: {who or 'it has just ended'}",
                where=where,
                state=state,
                next_step="Wait for it to end, then run again.",
            )
        time.sleep(random.uniform(0.1, 0.3))


def with_retries(attempt: Callable[[], _T], *, retries: int, base_delay_seconds: float = 1.0) -> _T:
    """Repeat a whole transaction that could not get its locks or was the victim of a deadlock: bounded, with jitter.

    :raises PgopsError: the last attempt's error, or at once any error that waiting does not cure.
    """
    for number in range(retries + 1):
        try:
            return attempt()
        except StatementFailed as error:
            if error.details.get("sqlstate") not in _RETRYABLE or number == retries:
                error.details["attempts"] = number + 1
                raise
            time.sleep(base_delay_seconds * 2**number * random.uniform(0.5, 1.5))
    raise AssertionError("unreachable: the last attempt returns or raises")


def commit(connection: PgConnection, reconnect: Callable[[], PgConnection], *, what: str) -> None:
    """Commit, and when the connection is lost during it, ask the server what became of the transaction.

    :raises StatementFailed: when the server refused (a deferred constraint); everything is rolled back.
    :raises ConnectionFailed: when the commit did not happen, or when that cannot be known now.
    """
    import psycopg2

    transaction = transaction_id(connection)
    try:
        connection.commit()
    except psycopg2.Error as error:
        if not connection.closed:
            connection.rollback()
            raise server_error(error, f"COMMIT of {what} failed", None) from error
        _settle_lost_commit(transaction, reconnect, what, error)


def _settle_lost_commit(transaction: str, reconnect: Callable[[], PgConnection], what: str, cause: Exception) -> None:
    import psycopg2

    try:
        with closing(reconnect()) as witness:
            status = _final_status(witness, transaction)
    except (PgopsError, psycopg2.Error) as error:
        raise ConnectionFailed(
            f"The connection was lost during COMMIT of {what}, and the server cannot be asked what became of it",
            state=State(
                f"not known: transaction {transaction} is either committed as a whole or not at all", "unknown"
            ),
            next_step=f"When the server is back: select pg_xact_status('{transaction}'); then run again, which resumes.",
        ) from error
    if status != "committed":
        raise ConnectionFailed(
            f"The connection was lost during COMMIT of {what}; the server says the transaction is {status}",
            state=(
                ROLLED_BACK
                if status == "aborted"
                else State(
                    f"not known: transaction {transaction} is {status}, and ends either committed as a whole or not at all",
                    "unknown",
                )
            ),
            next_step="Run again when the connection is stable: it goes on with what is left.",
        ) from cause


def _final_status(witness: PgConnection, transaction: str) -> str:
    """What became of a transaction; C(in progress) only when the server does not end it within C(SETTLE_SECONDS)."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        # A transaction of its own each time: a session that stays in one does not look anew.
        witness.rollback()
        status = str(fetch_value(witness, "select pg_catalog.pg_xact_status(%s::text::xid8)", [transaction]))
        if status != "in progress" or time.monotonic() >= deadline:
            return status
        time.sleep(0.1)


def server_error(
    error: PgError,
    what: str,
    where: Any,
    *,
    state: str = ROLLED_BACK,
    otherwise: str = "Correct the file and run again.",
) -> PgopsError:
    """PostgreSQL's refusal as an error of ours, or that the connection was lost meanwhile.

    It says all that the server does, but for a DETAIL that quotes rows: errors go to the ledger, to chat and by mail.

    :param otherwise: what to do where the kind of the error does not tell.
    """
    diagnosis = error.diag
    if is_lost_connection(error):
        return ConnectionFailed(
            f"The connection was lost ({' '.join(str(error).split())}): {what}",
            where=where,
            state=LOST_BEFORE_COMMIT if state == ROLLED_BACK else state,
            next_step="Run again when the server can be reached; its log says why. It goes on with what is left.",
            details={"sqlstate": error.pgcode or ""},
        )
    sqlstate = error.pgcode or ""
    detail = detail_without_rows(error)
    said = [message_without_values(error)]
    next_step = _DELETION_THAT_IS_MEANT if _GUARDED_DELETION in said[0] else _NEXT_STEPS.get(sqlstate, otherwise)
    said += [f"{label}: {text}" for label, text in (("Detail", detail), ("Hint", diagnosis.message_hint)) if text]
    names = {"schema": diagnosis.schema_name, "table": diagnosis.table_name}
    names |= {"column": diagnosis.column_name, "constraint": diagnosis.constraint_name}
    return StatementFailed(
        f"{what}: {' '.join(said)} [{sqlstate}]",
        where=where,
        state=state,
        next_step=next_step,
        details={
            "sqlstate": sqlstate,
            "context": _without_literals(diagnosis.context),
            **{k: v for k, v in names.items() if v},
        },
    )


def message_without_values(error: PgError) -> str:
    """What an error says; a data exception (class 22) says it without the value, which it quotes: V(invalid ... integer: "x")."""
    message = str(error.diag.message_primary or str(error).strip())
    if not (error.pgcode or "").startswith("22"):
        return message
    return _QUOTED_AT_THE_END.sub(': "..."', _QUOTED_VALUE.sub('"..."', message))


def _without_literals(context: str | None) -> str | None:
    """Where in functions an error arose: PostgreSQL quotes the statement there, and of a COPY the row."""
    return None if context is None else _QUOTED_AT_THE_END.sub(': "..."', _LITERAL.sub("'...'", context))


def detail_without_rows(error: PgError) -> str | None:
    """The DETAIL of an error, unless it is of the kind that quotes rows."""
    detail: str | None = error.diag.message_detail
    return None if (error.pgcode or "")[:2] in _CLASSES_THAT_QUOTE_ROWS else detail


def lock_table_capacity(connection: PgConnection) -> int:
    """About how many locks the server can hold (PostgreSQL, "Lock Management": max_locks_per_transaction)."""
    return int(
        fetch_value(
            connection,
            "select current_setting('max_locks_per_transaction')::int * "
            "(current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)",
        )
    )
