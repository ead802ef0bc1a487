# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a file that cannot be one transaction: statement by statement, so that a run that is cut short can go on.

What can run in a transaction runs in one of its own together with its log entry, so the two cannot disagree. What cannot
(CREATE INDEX CONCURRENTLY ...) is logged before it begins and after it ended; see C(crash_recovery) for what is in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.apply.crash_recovery import (
    context_of,
    recover,
    require_valid_index,
)
from ansible_collections.pgops.supabase.plugins.module_utils.apply.options import Apply
from ansible_collections.pgops.supabase.plugins.module_utils.apply.progress import FileResult
from ansible_collections.pgops.supabase.plugins.module_utils.apply.recording import (
    applied_event,
    applied_migration,
    reset_and_record,
)
from ansible_collections.pgops.supabase.plugins.module_utils.apply.requirements import (
    remember_before,
    require_promoted_change,
    require_still_pending,
)
from ansible_collections.pgops.supabase.plugins.module_utils.apply.script_runner import (
    one_transaction,
    place_of,
    require_plain_strings,
    reset_session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    NOTHING_CHANGED,
    HistoryError,
    PgopsError,
    Position,
    State,
    reason_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import sha256_of_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    Catalog,
    compare_catalogs,
    fingerprint,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import OwnWork, own_changes, own_work
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    ADVISORY_LOCK,
    append_event,
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
    settings_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import (
    hold_apply_lock,
    keep_apply_lock,
    server_error,
    short_transaction,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import Part, RunnableScript
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


_TIMEOUTS = ("lock_timeout", "statement_timeout")


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
                    watch_rows=lambda: _watch_rows(this, connection, version),
                )
                reset_session(connection)
                after = this.catalog(connection)
                change = compare_catalogs(before, after) if is_first else None
                result = FileResult(item, seconds, change)
                facts = {"batch": [version], "catalog_before": began, "catalog_after": fingerprint(after)}
                with short_transaction(connection):
                    reset_and_record(connection, item)
                    outside = {**facts, "verified": False, "outside_transaction": True}
                    append_event(connection, applied_event(this, result, outside))
                    forget_statements(connection, version)
                    require_recorded(connection, records, applied=[version], state=state)
                progress.catalog_after = after
                progress.applied.append(applied_migration(result))
                progress.committed.append(version)
                # Only now: it could not be rolled back, so what was done has to be on record, for a rollback to find it.
                require_promoted_change(
                    this,
                    result,
                    after,
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
    watch_rows: Callable[[], AbstractContextManager[None]],
) -> float:
    """Run a file statement by statement on a session in autocommit mode, from the first that an earlier run did not finish.

    :param what: the file in words, for errors.
    :param watch_rows: is around the statements of each transaction, in it.
    :returns: how long it took, in seconds.
    :raises StatementFailed: when PostgreSQL refuses a statement; what stands before it stays.
    :raises HistoryError: when the file was changed where an earlier run has been already.
    :raises BusyError: when the server is still at what an earlier run began, or when a statement let go of the apply lock and
        another run took it.
    """
    started = time.monotonic()
    role = str(fetch_value(connection, "select pg_catalog.current_setting('role')"))
    log = read_statement_log(connection, version)
    gone = sorted(log.keys() - set(range(len(script.statements))) - {BEFORE_ALL})
    if any(log[position].state == "finished" for position in gone):
        raise _changed(Position(script.script.file, script.script.text.count("\n") + 1), what)
    for part in script.transactions:
        steps = []
        for position in range(part.first, part.end):
            place = _Place(version, position, part.first, run_id, role)
            step = _Step(connection, script.script, script.statements[position], place, what)
            if not step.is_done(log.get(position)):
                steps.append(step)
        if steps:
            _run_part(connection, script, part, steps, what, watch_rows)
            done = f"the first {number(part.end, 'statement')} of the file are done and stay; nothing after was run"
            where = script.statements[part.end - 1].position
            keep_apply_lock(connection, ADVISORY_LOCK, where=where, state=State(done, "partial"))
    for position in gone:
        begun = parse_script(script.script.file, str(log[position].context["sql"])).statements[0]
        if recover(connection, begun, log[position].context) == "finished":
            raise _changed(Position(script.script.file, script.script.text.count("\n") + 1), what)
    return time.monotonic() - started


def _run_part(
    connection: PgConnection,
    script: RunnableScript,
    part: Part,
    steps: Sequence[_Step],
    what: str,
    watch_rows: Callable[[], AbstractContextManager[None]],
) -> None:
    """The statements of a part with their log entries in one transaction; what cannot be in one is alone in its part."""
    if len(steps) == 1 and reason_not_transactional(steps[0].statement):
        steps[0].run_alone()
        return
    with short_transaction(connection, part.begin), one_transaction(connection, script, what):
        with watch_rows():
            for step in steps:
                step.execute()
        # What COMMIT would refuse has its place in the file only here.
        steps[-1].execute("set constraints all immediate")
        for step in steps:
            step.log("finished")


@dataclass(frozen=True)
class _Place:
    """Where a statement stands: its own place in the file and that of the first in its transaction, and whose run it is."""

    version: str
    position: int
    first_of_part: int
    run_id: str | None
    role: str


class _Step:
    """One statement of the file with its place in the log."""

    def __init__(
        self, connection: PgConnection, script: Script, statement: Statement, place: _Place, what: str
    ) -> None:
        self.statement = statement
        self._connection = connection
        self._script = script
        self._place = place
        self._sha256 = sha256_of_bytes(statement.sql.encode())
        self._what = what

    def is_done(self, earlier: LoggedStatement | None) -> bool:
        """Whether nothing is left to do of the statement, after what an earlier run logged of it.

        :raises HistoryError: when the earlier run finished another statement here.
        """
        if earlier is None:
            return False
        if earlier.state == "started":
            # Even where another statement stands there now: what the one before it left behind has to go.
            return self._was_finished(earlier)
        if earlier.sha256 != self._sha256:
            raise _changed(self.statement.position, self._what)
        # A finished statement stays; settings belong to the session, and this one is new.
        return not sets_only_the_session(self.statement)

    def _was_finished(self, earlier: LoggedStatement) -> bool:
        """Put right what an interrupted try left behind; whether the catalog shows that it had been done after all."""
        begun = parse_script(self._script.file, str(earlier.context["sql"])).statements[0]
        if recover(self._connection, begun, earlier.context) == "again":
            return False
        if earlier.sha256 != self._sha256:
            raise _changed(self.statement.position, self._what)
        self.log("finished")
        return True

    def run_alone(self) -> None:
        """A statement that PostgreSQL refuses in a transaction: logged before and after, and looked at when it is done."""
        context = {**context_of(self._connection, self.statement), "sql": self.statement.sql}
        self.log("started", context)
        try:
            with _without_timeouts(self._connection):
                self.execute()
            require_valid_index(self._connection, self.statement, context)
        except PgopsError as error:
            if self.statement.tag == "IndexStmt" and not self._connection.closed:
                error.state += f"; {self._drop_invalid_index(context)}"
            raise
        self.log("finished")

    def _drop_invalid_index(self, context: dict[str, object]) -> str:
        """What became of the index of a statement that failed, in words; why the statement failed is not to be hidden by it."""
        import psycopg2

        index = "an INVALID index, if it left one,"
        try:
            recover(self._connection, self.statement, context)
        except (PgopsError, psycopg2.Error) as error:
            return f"{index} is still there, and the next run drops it ({reason_of(error)})"
        return f"{index} was dropped"

    def execute(self, command: str | None = None) -> None:
        """Run the statement, or a command that belongs to it.

        :raises StatementFailed: when PostgreSQL refuses it; what stands before its transaction stays.
        :raises ConnectionFailed: when the connection is lost.
        """
        import psycopg2

        whole = self._place.position == self._place.first_of_part
        before = _done_before(self._place.first_of_part, "it" if whole else "its transaction")
        kept = State(
            f"{before}; {'nothing after it was run' if whole else 'that transaction was rolled back'}", "partial"
        )
        require_plain_strings(self._connection, self.statement, state=kept)
        try:
            execute(self._connection, command or self.statement.sql)
            if resets_settings(self.statement):
                renew_settings(self._connection)
        except psycopg2.Error as error:
            place = place_of(error, self._script, self.statement)
            failure = server_error(error, f"{self._what} failed", place, state=kept)
            failure.next_step = f"{failure.next_step} It goes on at this statement."
            raise failure from error

    def log(self, state: str, context: dict[str, object] | None = None) -> None:
        """Keep how far the statement is, in the open transaction where there is one."""
        log_statement(
            self._connection,
            self._place.version,
            self._place.position,
            self._sha256,
            "started" if state == "started" else "finished",
            run_id=self._place.run_id,
            context=context,
            role=self._place.role,
        )


@contextmanager
def _without_timeouts(connection: PgConnection) -> Iterator[None]:
    """CONCURRENTLY waits for other transactions in the middle of its work, and takes as long as its table is large.

    A timeout there would leave an INVALID index. What the file has set itself holds.
    """
    start = settings_of(connection)
    names = [name for name in _TIMEOUTS if _shown(connection, name) == start.get(name)]
    for name in names:
        execute(connection, "select pg_catalog.set_config(%s, '0', false)", [name])
    try:
        yield
    finally:
        if not connection.closed:
            for name in names:
                execute(connection, "select pg_catalog.set_config(%s, %s, false)", [name, start[name]])


def _shown(connection: PgConnection, name: str) -> str:
    return str(fetch_value(connection, "select setting from pg_catalog.pg_settings where name = %s", [name]))


def _changed(where: Position, what: str) -> HistoryError:
    return HistoryError(
        f"{what} was changed where an earlier run, which was cut short, has been already",
        where=where,
        state=State("the statements that the earlier run finished are done and stay", "partial"),
        next_step="Restore the file up to here as it was then, and change only what comes after.",
    )


def _done_before(count: int, what: str) -> str:
    return f"the {number(count, 'statement')} before {what} in the file {'is done and stays' if count == 1 else 'are done and stay'}"
