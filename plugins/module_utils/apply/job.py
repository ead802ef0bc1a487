# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies the pending migrations: in one transaction that verifies before it commits, and is read back afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import MigrationResult
from ansible_collections.pgops.supabase.plugins.module_utils.apply.dry_run import Trial
from ansible_collections.pgops.supabase.plugins.module_utils.apply.options import Apply, ApplyOptions
from ansible_collections.pgops.supabase.plugins.module_utils.apply.outside_transaction import apply_outside_transaction
from ansible_collections.pgops.supabase.plugins.module_utils.apply.progress import FileResult, Progress
from ansible_collections.pgops.supabase.plugins.module_utils.apply.read_back import require_committed
from ansible_collections.pgops.supabase.plugins.module_utils.apply.receipt import Recorder, sequence_values
from ansible_collections.pgops.supabase.plugins.module_utils.apply.recording import (
    applied_event,
    applied_migration,
    keep_result,
    reset_and_record,
    result_document,
    tried_migration,
    verified_event,
)
from ansible_collections.pgops.supabase.plugins.module_utils.apply.requirements import (
    files_with_a_look_after,
    remember_before,
    remember_for_promotion,
    require_as_planned,
    require_files_of_what_is_begun,
    require_known,
    require_promoted_change,
    require_still_pending,
)
from ansible_collections.pgops.supabase.plugins.module_utils.apply.script_runner import run_script
from ansible_collections.pgops.supabase.plugins.module_utils.apply.telling import telling
from ansible_collections.pgops.supabase.plugins.module_utils.apply.verification import (
    require_verified,
    verify,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    NOTHING_CHANGED,
    PgopsError,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    Catalog,
    change_fingerprint,
    compare_catalogs,
    describe_changes,
    fingerprint,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import OwnWork, own_changes, own_work
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    ADVISORY_LOCK,
    NewEvent,
    append_event,
    append_events,
    make_history,
    make_ledger,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.records import read_records, require_recorded
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.statement_log import (
    read_statement_log,
    versions_begun,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.batches import (
    Batch,
    PendingMigration,
    cut_batches,
    load_pending,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.documents import MigrationEntry
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import discover
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.state import (
    read_state,
    require_agreement,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    collect_notices,
    connect,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import (
    ROLLED_BACK,
    commit,
    lock_table_capacity,
    server_error,
    take_apply_lock,
    transaction_id,
    with_retries,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


def apply(options: ConnectionOptions, how: ApplyOptions) -> MigrationResult:
    """Apply all pending migrations, or, as a dry run, execute them and roll back.

    In the scope V(batch) all files, their history, their ledger rows and the checks are one transaction: a failure anywhere
    leaves the database exactly as it was. In the scope V(file) each file is a transaction, and the checks belong to the last
    one. A dry run is always one transaction.

    :raises MigrationFileError: when a file is not usable; nothing was changed.
    :raises HistoryError: when files and database disagree; nothing was changed.
    :raises StatementFailed: when PostgreSQL refuses a statement; the error says what stays committed, if anything.
    :raises VerificationFailed: when a check fails, or when the read-back afterwards does not find what was committed.
    """
    started, started_at = time.monotonic(), utc_now()
    progress = Progress()
    files = discover(how.supabase_dir)
    require_known(how.to_version, files)
    with session(options, SessionSettings(read_only=True)) as connection:
        entries, _ledger = read_state(connection, files)
        capacity = lock_table_capacity(connection)
        begun = versions_begun(connection)
    require_files_of_what_is_begun(begun, files)
    wanted = require_agreement(entries, allow_out_of_order=how.allow_out_of_order)
    pending = load_pending(files, [entry for entry in wanted if _is_wanted(entry, how.to_version)], begun)
    progress.declarations = [declaration for item in pending for declaration in item.declarations]
    try:
        batches = cut_batches(pending, how.transaction_scope, lock_capacity=capacity)
        require_as_planned(how, batches)
        _apply_batches(Apply(options, how, files, progress), batches)
        document = result_document(how, progress, started, started_at)
        keep_result(how, progress, document)
    except PgopsError as error:
        document = result_document(how, progress, started, started_at)
        error.details["result"] = {"changed": bool(progress.committed), "migration": document.as_dict()}
        try:
            keep_result(how, progress, document)
        except PgopsError as unwritten:
            error.details["document"] = unwritten.what
        raise
    return document


def _apply_batches(this: Apply, batches: Sequence[Batch]) -> None:
    """Each transaction of its own, then the read-back of what they committed; a dry run is one, and leaves out what cannot be in it."""
    if this.how.dry_run and batches:
        with_retries(lambda: _dry_run(this, batches), retries=this.how.retries)
        return
    for batch in batches:
        last = batch is batches[-1]
        try:
            if batch.outside_transaction:
                apply_outside_transaction(this, batch)
            else:
                with_retries(lambda: _transaction(this, batch, last), retries=this.how.retries)
        except PgopsError as error:
            _fail(this, batch, error)
            raise
    if this.progress.committed:
        require_committed(this)


def _is_wanted(entry: MigrationEntry, to_version: str | None) -> bool:
    return to_version is None or entry.version <= to_version


def _transaction(this: Apply, batch: Batch, last: bool) -> None:
    """One transaction from lock to COMMIT; an exception on the way rolls all of it back."""
    import psycopg2

    how, progress = this.how, this.progress
    done_before = len(progress.applied)
    with session(this.options, how.settings) as connection:
        notices = collect_notices(connection)
        try:
            take_apply_lock(connection, ADVISORY_LOCK, how.lock_wait_seconds)
            require_still_pending(this, connection, batch)
            before = this.catalog(connection)
            remember_before(this, before, state=ROLLED_BACK)
            make_history(connection)
            make_ledger(connection)
            records = read_records(connection)
            here = transaction_id(connection)
            with telling(this, batch) as ran:
                results = _run_files(
                    this,
                    connection,
                    batch,
                    before,
                    lambda item: run_script(
                        connection, item.script, what=f"Migration {item.file.label}", ran=ran, transaction=here
                    ),
                )
            progress.applied += [applied_migration(result) for result in results]
            progress.row_changes[batch.versions[0]] = _own_work(this, connection)
            # What was read after the last file is what there is: nothing has been written since.
            progress.catalog_after = after = results[-1].catalog_after or this.catalog(connection)
            verified = last and how.verify_before_commit
            if verified:
                progress.verification = verify(
                    connection, how.checks, stage="after", own=progress.own, declarations=progress.declarations
                )
                require_verified(progress.verification, state=ROLLED_BACK)
            _record(this, connection, batch, results, (before, after), verified=verified)
            require_recorded(connection, records, applied=batch.versions, state=ROLLED_BACK)
            commit(connection, lambda: connect(this.options, SessionSettings(read_only=True)), what=batch.labels)
            progress.committed += batch.versions
        except psycopg2.Error as error:
            _forget(progress, batch, done_before)
            raise server_error(
                error,
                f"Recording {batch.labels} failed",
                "supabase_migrations, pgops",
                otherwise="Look at what refuses it there (event triggers: \\dy; triggers; privileges), then run again.",
            ) from error
        except BaseException:
            _forget(progress, batch, done_before)
            raise
        finally:
            progress.notices += [notice.strip() for notice in notices]


def _forget(progress: Progress, batch: Batch, done_before: int) -> None:
    """The transaction was rolled back, and what it did with it."""
    del progress.applied[done_before:]
    progress.row_changes.pop(batch.versions[0], None)


def _own_work(this: Apply, connection: PgConnection) -> OwnWork:
    """What the transaction did to the number of rows, before a check writes anything."""
    with session(this.options, SessionSettings(read_only=True)) as outside:
        return own_work(connection, outside)


def _record(
    this: Apply,
    connection: PgConnection,
    batch: Batch,
    results: Sequence[FileResult],
    catalogs: tuple[Catalog, Catalog],
    *,
    verified: bool,
) -> None:
    """Record each file of a transaction, with the catalogs from before and after all of it."""
    before, after = map(fingerprint, catalogs)
    facts = {"batch": batch.versions, "catalog_before": before, "catalog_after": after, "verified": verified}
    # A thousand events with a thousand versions each would be most of what is written: only the last names all.
    others = {**facts, "batch": [batch.versions[0], batch.versions[-1]]} if results[-1].change is None else facts
    if results[-1].change is None:
        # Nobody knows what each of them did; what they did together is proven by the last.
        change = compare_catalogs(*catalogs)
        facts |= {"batch_change": change_fingerprint(change), "batch_changes": describe_changes(change)}
    events = [applied_event(this, result, facts if result is results[-1] else others) for result in results]
    if verified:
        # What this transaction verifies is the state that the run's earlier ones have led to.
        events += [
            verified_event(this, earlier)
            for earlier in this.progress.applied
            if earlier.version in this.progress.committed
        ]
    append_events(connection, events)


def _run_files(
    this: Apply,
    connection: PgConnection,
    batch: Batch,
    before: Catalog,
    run: Callable[[PendingMigration], float | None],
) -> list[FileResult]:
    """Run the files one after the other, each as if it had a session of its own, and see what each changed.

    :param run: runs one file and tells how long it took; None when it could not be run as a whole, so that what it changed is
        not what it would change.
    """
    results = []
    looks = files_with_a_look_after(this.how, batch)
    each = len(looks) == len(batch.items)
    for item in batch.items:
        remember_for_promotion(this, item.file.version, before)
        rows_before, started = own_changes(connection) if each else None, time.monotonic()
        seconds = run(item)
        result = FileResult(item, time.monotonic() - started if seconds is None else seconds)
        if each:
            result.row_changes = own_changes(connection, since=rows_before)
        # Before the next file, which may ask the history for the one before it.
        reset_and_record(connection, item)
        if item.file.version in looks:
            after = this.catalog(connection)
            if item is batch.items[-1]:
                result.catalog_after = after
            if each:
                result.change, result.catalog_before = compare_catalogs(before, after), fingerprint(before)
            before = after
            if seconds is not None:
                require_promoted_change(this, result, after, state=ROLLED_BACK)
        results.append(result)
    return results


def _dry_run(this: Apply, batches: Sequence[Batch]) -> None:
    """One transaction that is always rolled back, with its receipt, also when it fails."""
    import psycopg2

    batch = Batch(tuple(item for part in batches for item in part.items))
    transactions = {version: number for number, part in enumerate(batches) for version in part.versions}
    how, progress = this.how, this.progress
    with session(this.options, how.settings) as connection:
        notices = collect_notices(connection)
        results: list[FileResult] = []
        recorder = None
        try:
            sequences = sequence_values(connection)
            take_apply_lock(connection, ADVISORY_LOCK, how.lock_wait_seconds)
            require_still_pending(this, connection, batch)
            before = this.catalog(connection)
            remember_before(this, before, state=ROLLED_BACK)
            make_history(connection)
            make_ledger(connection)
            recorder = Recorder(connection)
            trial = Trial(connection, recorder)
            results += _run_files(
                this,
                connection,
                batch,
                before,
                lambda item: _try_file(connection, trial, item, transactions[item.file.version]),
            )
            progress.applied = [applied_migration(result) for result in results]
            progress.row_changes[batch.versions[0]] = _own_work(this, connection)
            recorder.collect()
            progress.catalog_after = results[-1].catalog_after or this.catalog(connection)
            trial.require_no_violations()
            if not how.verify_before_commit:
                recorder.checks = "none"
            else:
                progress.verification = verify(
                    connection, how.checks, stage="dry_run", own=progress.own, declarations=progress.declarations
                )
                recorder.checks = "run"
                if recorder.is_complete:
                    require_verified(progress.verification, state=ROLLED_BACK)
        except psycopg2.Error as error:
            raise server_error(error, f"The dry run of {batch.labels} failed", batch.items[0].file.path) from error
        finally:
            progress.notices += [notice.strip() for notice in notices]
            if recorder is not None and not connection.closed:
                connection.rollback()
                tried = [tried_migration(result, recorder.executed_of(result.item.file.path)) for result in results]
                progress.receipt = recorder.receipt(tried, sequences, lambda: sequence_values(connection))


def _try_file(connection: PgConnection, trial: Trial, item: PendingMigration, transaction: int) -> float | None:
    """Try one file; None when what it changed is not what it would change, because something was left out."""
    what, finished = f"Migration {item.file.label}", _finished(connection, item)
    seconds = trial.run(item.script, what=what, transaction=transaction, finished=finished)
    return seconds if trial.is_complete else None


def _finished(connection: PgConnection, item: PendingMigration) -> list[int]:
    """The statements of a file that an earlier run finished outside of a transaction."""
    if not item.script.outside_transaction:
        return []
    log = read_statement_log(connection, item.file.version)
    return [position for position, logged in log.items() if logged.state == "finished"]


def _fail(this: Apply, batch: Batch, error: PgopsError) -> None:
    """Say what an earlier file left committed, and put the failure into the ledger in a transaction of its own."""
    # Another run was quicker, or is under way; after the first statement of a file its state is "partial".
    untried = error.code in ("history", "busy") and error.outcome == "unchanged"
    if this.progress.committed:
        kept = ", ".join(this.progress.committed)
        state = error.state.replace(NOTHING_CHANGED, "nothing more was changed")
        error.state = f"{state}; committed before and still there: {kept}"
        if error.outcome == "unchanged":
            error.outcome = "partial"
    if untried:
        return
    import psycopg2

    file = next((item.file for item in batch.items if str(item.file.path) in (error.where or "")), batch.items[-1].file)
    try:
        with session(this.options, SessionSettings(lock_timeout_ms=this.how.settings.lock_timeout_ms)) as connection:
            make_ledger(connection)
            details = {"code": error.code, "what": error.what, "where": error.where, "batch": batch.versions}
            by = this.how
            append_event(
                connection, NewEvent.about(file, "failed", run_id=by.run_id, operator=by.operator, details=details)
            )
            connection.commit()
    except (PgopsError, psycopg2.Error) as unrecorded:
        error.details["ledger"] = f"the failure could not be recorded: {unrecorded}"
