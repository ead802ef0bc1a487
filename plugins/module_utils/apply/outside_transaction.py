# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a file that cannot be one transaction: statement by statement, so that a run that is cut short can go on.

What can run in a transaction runs in one of its own together with its log entry, so the two cannot disagree. What cannot
(CREATE INDEX CONCURRENTLY ...) is logged before it begins and after it ended; see C(crash_recovery) for what is in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.apply.crash_recovery import (
    context_of,
    recover,
    require_valid_index,
)
from ansible_collections.pgops.supabase.plugins.module_utils.apply.script_runner import require_plain_strings
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    ConnectionFailed,
    HistoryError,
    PgopsError,
    Position,
    State,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import sha256_of_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.statement_log import (
    BEFORE_ALL,
    LoggedStatement,
    log_statement,
    read_statement_log,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    execute,
    fetch_value,
    renew_settings,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import (
    server_error,
    short_transaction,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import RunnableScript
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    Script,
    Statement,
    parse_script,
    reason_not_transactional,
    resets_settings,
    sets_only_the_session,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


def run_outside_transaction(
    connection: PgConnection,
    script: RunnableScript,
    *,
    version: str,
    run_id: str | None,
    what: str,
    keep_lock: Callable[[], None],
) -> float:
    """Run a file statement by statement on a session in autocommit mode, from the first that an earlier run did not finish.

    :param what: the file in words, for errors.
    :param keep_lock: is called after each statement: it may have let go of what protects the run from another.
    :returns: how long it took, in seconds.
    :raises StatementFailed: when PostgreSQL refuses a statement; what stands before it stays.
    :raises HistoryError: when the file was changed where an earlier run has been already.
    :raises BusyError: when the server is still at what an earlier run began.
    """
    started = time.monotonic()
    role = str(fetch_value(connection, "select pg_catalog.current_setting('role')"))
    log = read_statement_log(connection, version)
    gone = sorted(log.keys() - set(range(len(script.statements))) - {BEFORE_ALL})
    if any(log[position].state == "finished" for position in gone):
        raise _changed(Position(script.script.file, script.script.text.count("\n") + 1), what)
    for position, statement in enumerate(script.statements):
        sha256 = sha256_of_bytes(statement.sql.encode())
        earlier = log.get(position)
        if earlier is not None and earlier.state == "finished":
            if earlier.sha256 != sha256:
                raise _changed(statement.position, what)
            if not sets_only_the_session(statement):
                # A finished statement stays; settings belong to the session, and this one is new.
                continue
        step = _Step(connection, script.script, statement, position, sha256, version, run_id, role, what)
        # Even where another statement stands there now: what the one before it left behind has to go.
        if earlier is not None and earlier.state == "started" and step.was_finished(earlier):
            continue
        if reason_not_transactional(statement) is None:
            step.run_in_transaction()
        else:
            step.run_alone()
        keep_lock()
    for position in gone:
        begun = parse_script(script.script.file, str(log[position].context["sql"])).statements[0]
        if recover(connection, begun, log[position].context) == "finished":
            raise _changed(Position(script.script.file, script.script.text.count("\n") + 1), what)
    return time.monotonic() - started


class _Step:
    """One statement of the file with its place in the log."""

    def __init__(
        self,
        connection: PgConnection,
        script: Script,
        statement: Statement,
        position: int,
        sha256: str,
        version: str,
        run_id: str | None,
        role: str,
        what: str,
    ) -> None:
        self._connection = connection
        self._script = script
        self._statement = statement
        self._position = position
        self._sha256 = sha256
        self._version = version
        self._run_id = run_id
        self._role = role
        self._what = what

    def run_in_transaction(self) -> None:
        """The statement and its log entry in one transaction."""
        with short_transaction(self._connection):
            self._execute()
            self._log("finished")

    def was_finished(self, earlier: LoggedStatement) -> bool:
        """Put right what an interrupted try left behind; whether the catalog shows that it had been done after all."""
        begun = parse_script(self._script.file, str(earlier.context["sql"])).statements[0]
        if recover(self._connection, begun, earlier.context) == "again":
            return False
        if earlier.sha256 != self._sha256:
            raise _changed(self._statement.position, self._what)
        self._log("finished")
        return True

    def run_alone(self) -> None:
        """A statement that PostgreSQL refuses in a transaction: logged before and after, and looked at when it is done."""
        context = {**context_of(self._connection, self._statement), "sql": self._statement.sql}
        self._log("started", context)
        try:
            with _without_lock_timeout(self._connection):
                self._execute()
            require_valid_index(self._connection, self._statement, context)
        except PgopsError as error:
            if self._statement.tag == "IndexStmt" and not self._connection.closed:
                recover(self._connection, self._statement, context)
                error.state += "; an INVALID index, if it left one, was dropped"
            raise
        self._log("finished")

    def _execute(self) -> None:
        import psycopg2

        kept = State(
            f"the {self._position} statements before it in the file are done and stay; nothing after it was run",
            "partial",
        )
        require_plain_strings(self._connection, self._statement, state=kept)
        try:
            execute(self._connection, self._statement.sql)
            if resets_settings(self._statement):
                renew_settings(self._connection)
        except psycopg2.Error as error:
            if self._connection.closed:
                raise ConnectionFailed(
                    f"The connection was lost while {self._what} ran: {str(error).strip()}",
                    where=self._statement.position,
                    state=kept,
                    next_step="Run again when the server is back: it goes on at this statement.",
                ) from error
            place = error.diag.statement_position
            offset = self._statement.offset + (int(place) - 1 if place else 0)
            failure = server_error(error, f"{self._what} failed", self._script.position_of(offset), state=kept)
            failure.next_step = f"{failure.next_step} It goes on at this statement."
            raise failure from error

    def _log(self, state: str, context: dict[str, object] | None = None) -> None:
        log_statement(
            self._connection,
            self._version,
            self._position,
            self._sha256,
            "started" if state == "started" else "finished",
            run_id=self._run_id,
            context=context,
            role=self._role,
        )


@contextmanager
def _without_lock_timeout(connection: PgConnection) -> Iterator[None]:
    """CONCURRENTLY waits for other transactions in the middle of its work: a timeout there would leave an INVALID index."""
    before = fetch_value(connection, "select pg_catalog.current_setting('lock_timeout')")
    execute(connection, "select pg_catalog.set_config('lock_timeout', '0', false)")
    try:
        yield
    finally:
        if not connection.closed:
            execute(connection, "select pg_catalog.set_config('lock_timeout', %s, false)", [before])


def _changed(where: Position, what: str) -> HistoryError:
    return HistoryError(
        f"{what} was changed where an earlier run, which was cut short, has been already",
        where=where,
        state=State("the statements that the earlier run finished are done and stay", "partial"),
        next_step="Restore the file up to here as it was then, and change only what comes after.",
    )
