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
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.apply.crash_recovery import (
    context_of,
    recover,
    require_valid_index,
)
from ansible_collections.pgops.supabase.plugins.module_utils.apply.options import Apply
from ansible_collections.pgops.supabase.plugins.module_utils.apply.progress import FileResult
from ansible_collections.pgops.supabase.plugins.module_utils.apply.recording import (
    applied_migration,
    record_file,
)
from ansible_collections.pgops.supabase.plugins.module_utils.apply.requirements import (
    remember_before,
    require_promoted_change,
    require_still_pending,
)
from ansible_collections.pgops.supabase.plugins.module_utils.apply.script_runner import (
    require_plain_strings,
    reset_session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    NOTHING_CHANGED,
    ConnectionFailed,
    HistoryError,
    PgopsError,
    Position,
    State,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import sha256_of_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    Catalog,
    compare_catalogs,
    fingerprint,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import OwnWork, own_changes, own_work
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    ADVISORY_LOCK,
    make_history,
    make_ledger,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.records import (
    Records,
    read_records,
    require_recorded,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.statement_log import (
    BEFORE_ALL,
    LoggedStatement,
    forget_statements,
    log_statement,
    make_statement_log,
    read_statement_log,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.batches import (
    Batch,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    SessionSettings,
    collect_notices,
    execute,
    fetch_value,
    renew_settings,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import (
    hold_apply_lock,
    keep_apply_lock,
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


def apply_outside_transaction(this: Apply, batch: Batch) -> None:
    """One file that PostgreSQL does not run in a transaction, from the first statement that no earlier run finished."""
    import psycopg2

    how, progress, item = this.how, this.progress, batch.items[0]
    version = item.file.version
    state = NOTHING_CHANGED
    with session(this.options, how.settings, autocommit=True) as connection:
        notices = collect_notices(connection)
        try:
            with hold_apply_lock(connection, ADVISORY_LOCK, how.lock_wait_seconds):
                require_still_pending(this, connection, batch)
                records, before, began, is_first = _begin(this, connection, version)
                state = State("the file may be applied without a record of it; running again finds out", "unknown")
                seconds = _run_statements(
                    connection,
                    item.script,
                    version=version,
                    run_id=how.run_id,
                    what=f"Migration {item.file.label}",
                    keep_lock=lambda: keep_apply_lock(connection, ADVISORY_LOCK),
                    watch_rows=lambda: _watch_rows(this, connection, version),
                )
                reset_session(connection)
                after = this.catalog(connection)
                change = compare_catalogs(before, after) if is_first else None
                result = FileResult(item, seconds, change)
                facts = {"batch": [version], "catalog_before": began, "catalog_after": fingerprint(after)}
                with short_transaction(connection):
                    record_file(this, connection, result, {**facts, "verified": False, "outside_transaction": True})
                    forget_statements(connection, version)
                    require_recorded(connection, records, applied=[version], state=state)
                progress.catalog_after = after
                progress.applied.append(applied_migration(result))
                progress.committed.append(version)
                # Only now: it could not be rolled back, so what was done has to be on record, for a rollback to find it.
                require_promoted_change(
                    this,
                    result,
                    state=State("the file is applied and recorded: it could not be rolled back", "partial"),
                )
        except psycopg2.Error as error:
            raise server_error(error, f"Recording {batch.labels} failed", "pgops", state=state) from error
        finally:
            progress.notices += [notice.strip() for notice in notices]


@contextmanager
def _watch_rows(this: Apply, connection: PgConnection, version: str) -> Iterator[None]:
    """Add what the statement inside does to the number of rows to what the file has done so far."""
    since = own_changes(connection)
    yield
    with session(this.options, SessionSettings(read_only=True)) as outside:
        work = own_work(connection, outside, since=since)
    this.progress.row_changes[version] = this.progress.row_changes.get(version, OwnWork()).then(work)


def _begin(this: Apply, connection: PgConnection, version: str) -> tuple[Records, Catalog, str, bool]:
    """Have our tables, and the catalog from before the first run of this file on record.

    :returns: history and ledger, the catalog now, the fingerprint from before the first run, and whether this is that run.
    """
    with short_transaction(connection):
        make_history(connection)
        make_ledger(connection)
        make_statement_log(connection)
    records = read_records(connection)
    before = this.catalog(connection)
    remember_before(this, before, state=NOTHING_CHANGED)
    first = read_statement_log(connection, version).get(BEFORE_ALL)
    began = first.context["catalog_before"] if first else fingerprint(before)
    log_statement(
        connection, version, BEFORE_ALL, "", "finished", run_id=this.how.run_id, context={"catalog_before": began}
    )
    return records, before, began, first is None


def _run_statements(
    connection: PgConnection,
    script: RunnableScript,
    *,
    version: str,
    run_id: str | None,
    what: str,
    keep_lock: Callable[[], None],
    watch_rows: Callable[[], AbstractContextManager[None]],
) -> float:
    """Run a file statement by statement on a session in autocommit mode, from the first that an earlier run did not finish.

    :param what: the file in words, for errors.
    :param keep_lock: is called after each statement: it may have let go of what protects the run from another.
    :param watch_rows: is around each statement that runs in a transaction, in that transaction.
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
            step.run_in_transaction(watch_rows)
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

    def run_in_transaction(self, watch_rows: Callable[[], AbstractContextManager[None]]) -> None:
        """The statement and its log entry in one transaction."""
        with short_transaction(self._connection):
            with watch_rows():
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
