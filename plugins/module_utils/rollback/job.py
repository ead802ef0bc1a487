# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes applied migrations back by their rollback files: one transaction, proven against the state before them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.apply.script_runner import reset_session, run_script
from ansible_collections.pgops.supabase.plugins.module_utils.apply.verification import (
    require_verified,
    verify,
)
from ansible_collections.pgops.supabase.plugins.module_utils.archive.encryption import require_recipients
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    PgopsError,
    RollbackError,
    State,
    StatementFailed,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    Catalog,
    compare_catalogs,
    describe_changes,
    fingerprint,
    read_catalog,
    user_schemas,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowChange
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import (
    OwnChanges,
    OwnWork,
    own_changes,
    own_work,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    ADVISORY_LOCK,
    LedgerEvent,
    NewEvent,
    append_event,
    make_ledger,
    newest_applied_events,
    read_history,
    read_ledger,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.records import read_records, require_recorded
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.statement_log import versions_begun
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import (
    DRAFT_MARK,
    is_unreviewed,
    read_script,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    collect_notices,
    connect,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.read_back import read_back
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import (
    ROLLED_BACK,
    commit,
    server_error,
    take_apply_lock,
    with_retries,
)
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.choice import (
    changed_no_catalog,
    choose_versions,
    expected_fingerprint,
    rows_written,
    runs_taken_back,
)
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.documents import RollbackResult
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.dropped_data import (
    STILL_APPLIED,
    find_lost_data,
)
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.equality import (
    column_numbers,
    tables_of_moved_columns,
    with_places_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.export import discard_export, export_lost_data
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.options import COLUMN_POSITIONS, RollbackOptions
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.progress import Progress, RevertedMigration
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.recording import (
    author_of,
    failed_result,
    record_reverted,
    result_document,
    reverted_migration,
)
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.job import take_back
from ansible_collections.pgops.supabase.plugins.module_utils.sql.concurrently import runs_without_concurrently
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import runnable, runnable_rollback
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


def roll_back(options: ConnectionOptions, how: RollbackOptions) -> RollbackResult:
    """Revert migrations by their rollback files, newest first, in one transaction with history and ledger.

    It commits only when the catalog's fingerprint equals the one from before the migrations, but for what is accepted, and no
    table of the baseline has fewer rows. A dry run does all of it and rolls back.

    :raises RollbackError: when a rollback file is missing, or when later migrations are applied on top.
    :raises StatementFailed: when PostgreSQL refuses a statement; the migrations are still applied.
    :raises VerificationFailed: when the result is not the state from before; the migrations are still applied.
    """
    started, started_at = time.monotonic(), utc_now()
    progress = Progress()
    with session(options, SessionSettings(read_only=True)) as connection:
        versions, progress.expected = _choose(connection, how)
        ledger = read_ledger(connection)
    reverted = [_load(how.supabase_dir, version, name, ledger, progress.expected) for version, name in versions]
    progress.by_record = [item.version for item in reverted if item.by_record]
    progress.notices += [told for item in reverted for told in _without_concurrently(item)]
    progress.rows_kept = [row for item in reverted if item.by_record for row in item.rows or []]
    if reverted:
        try:
            with_retries(lambda: _transaction(options, how, reverted, progress), retries=how.retries)
        except PgopsError as error:
            _fail(options, how, reverted, error)
            error.details["result"] = {"rollback": failed_result(how, progress, started, started_at)}
            raise
        if progress.committed:
            try:
                _read_back(options, reverted)
            except PgopsError as error:
                error.details["result"] = {
                    "changed": True,
                    "rollback": failed_result(how, progress, started, started_at),
                }
                raise
    return result_document(how, progress, started, started_at)


def _choose(connection: PgConnection, how: RollbackOptions) -> tuple[list[tuple[str, str]], str | None]:
    half_done = sorted(versions_begun(connection))
    if half_done:
        raise RollbackError(
            f"{', '.join(half_done)} is half done: a run that could not be one transaction was cut short in it",
            where="pgops.statement_log",
            state="nothing was changed; the migrations are still applied",
            next_step=(
                "Finish it (run the migration again), and roll back then; or undo by hand what it did and say so: "
                f"delete from pgops.statement_log where version = '{half_done[0]}';"
            ),
        )
    rows, ledger = read_history(connection), read_ledger(connection)
    names = {row.version: row.name or "" for row in rows}
    # Of a row that another tool wrote without a name, or of a file renamed since, the ledger knows the file's own.
    names |= {version: event.name for version, event in newest_applied_events(ledger).items() if version in names}
    versions = choose_versions(list(names), ledger, of_run=how.of_run, to_version=how.to_version)
    return [(version, names[version]) for version in versions], expected_fingerprint(versions, ledger)


def _load(
    supabase_dir: Path, version: str, name: str, ledger: Sequence[LedgerEvent], expected: str | None
) -> RevertedMigration:
    path = supabase_dir / "rollbacks" / f"{version}_{name}.sql"
    nothing_to_return = changed_no_catalog(version, ledger)
    if not path.is_file():
        if nothing_to_return:
            nothing = runnable(parse_script(str(path), ""))
            return RevertedMigration(version, name, path, nothing, True, rows_written(version, ledger))
        raise RollbackError(
            f"Migration {version}_{name} has no rollback file",
            where=str(path),
            state="nothing was changed; the migrations are still applied",
            next_step=f"Write it (the inverse of migrations/{path.name}), or restore the backup of the run.",
        )
    script = read_script(path)
    if is_unreviewed(script.text):
        raise RollbackError(
            f"The rollback of {version}_{name} is a draft that nobody has reviewed",
            where=str(path),
            state="nothing was changed; the migrations are still applied",
            next_step=f"Read and complete it, then take its first line away ({DRAFT_MARK}).",
        )
    # With a catalog to return to, what an empty file leaves undone is found.
    if not script.statements and not nothing_to_return and expected is None:
        raise RollbackError(
            f"The rollback of {version}_{name} holds no statement, and nothing is known of what the migration changed",
            where=str(path),
            state="nothing was changed; the migrations are still applied",
            next_step="Write what takes the migration back, select 1; where nothing does.",
        )
    by_record = nothing_to_return and not script.statements
    blocking = tuple(statement.position for statement in script.statements if runs_without_concurrently(statement))
    return RevertedMigration(
        version, name, path, runnable_rollback(script), by_record, rows_written(version, ledger), blocking
    )


def _without_concurrently(item: RevertedMigration) -> list[str]:
    return [
        f"{place}: runs without CONCURRENTLY, in the rollback's transaction: "
        "whoever needs the table waits until it is over"
        for place in item.blocking
    ]


def _transaction(
    options: ConnectionOptions, how: RollbackOptions, reverted: Sequence[RevertedMigration], progress: Progress
) -> None:
    import psycopg2

    progress.done.clear()
    progress.exported.clear()
    with session(options, how.settings) as connection:
        notices = collect_notices(connection)
        try:
            take_apply_lock(connection, ADVISORY_LOCK, how.lock_wait_seconds)
            _require_unchanged(connection, how, reverted)
            make_ledger(connection)
            records = read_records(connection)
            progress.catalog_before, numbers = _catalog(connection, how), column_numbers(connection)
            _export(connection, how, reverted, progress)
            own_before = own_changes(connection)
            for item in reverted:
                seconds = run_script(connection, item.script, what=f"Rollback of {item.version}_{item.name}")
                reset_session(connection)
                progress.done.append(reverted_migration(item, seconds))
                record_reverted(connection, how, item, seconds)
            require_recorded(connection, records, rolled_back=[item.version for item in reverted], state=STILL_APPLIED)
            progress.jobs = take_back(
                connection, runs_taken_back(records.ledger, {item.version for item in reverted}), author_of(how)
            )
            progress.catalog_after = _catalog(connection, how)
            _require_expected_catalog(connection, how, progress, numbers)
            if how.checks is not None:
                stage: Literal["dry_run", "after"] = "dry_run" if how.dry_run else "after"
                own = _own(options, how, connection, own_before, progress.rows_kept)
                progress.verification = verify(connection, how.checks, stage=stage, own=own)
                require_verified(progress.verification, state=STILL_APPLIED)
            if how.dry_run:
                connection.rollback()
                return
            progress.may_be_committed = True
            commit(connection, lambda: connect(options, SessionSettings(read_only=True)), what="the rollback")
            progress.committed = True
        except StatementFailed:
            # The server's own refusal, also of COMMIT: nothing is committed.
            progress.may_be_committed = False
            raise
        except psycopg2.Error as error:
            raise server_error(
                error, "The rollback failed", "supabase_migrations, pgops", state=STILL_APPLIED
            ) from error
        finally:
            progress.notices += [notice.strip() for notice in notices]
            if not progress.may_be_committed:
                discard_export(progress.exported)
                progress.exported.clear()


def _own(
    options: ConnectionOptions,
    how: RollbackOptions,
    connection: PgConnection,
    before: OwnChanges,
    kept: Sequence[RowChange],
) -> OwnWork | None:
    """What the migrations and the rollback together did to the number of rows; None where the former is not known.

    :param kept: what of it stays, because it is not the rollback's to undo.
    """
    if how.own_earlier is None:
        return None
    with session(options, SessionSettings(read_only=True)) as outside:
        both = how.own_earlier.then(own_work(connection, outside, since=before))
    changes = dict(both.changes)
    for row in kept:
        if (row.schema, row.table) not in both.emptied:
            changes[row.schema, row.table] = changes.get((row.schema, row.table), 0) - row.change
    return OwnWork({table: rows for table, rows in changes.items() if rows}, both.emptied, both.renamed)


def _require_unchanged(connection: PgConnection, how: RollbackOptions, reverted: Sequence[RevertedMigration]) -> None:
    """Under the lock, what was read before it may no longer hold."""
    versions, _expected = _choose(connection, how)
    if [version for version, _name in versions] != [item.version for item in reverted]:
        raise RollbackError(
            "Another run has just changed what is applied",
            where="supabase_migrations.schema_migrations",
            next_step="Look at the status (playbook pgops.supabase.status), then run again.",
        )


def _export(
    connection: PgConnection, how: RollbackOptions, reverted: Sequence[RevertedMigration], progress: Progress
) -> None:
    def execute_all() -> None:
        for item in reverted:
            run_script(connection, item.script, what=f"Rollback of {item.version}_{item.name}")
            reset_session(connection)

    schemas = how.schemas or user_schemas(connection)
    lost = find_lost_data(connection, schemas, execute_all)
    if how.dry_run:
        progress.notices += [f"would be exported before it is lost: {label}" for label in lost.labels]
    elif lost.labels:
        if how.export_dir is None:
            raise RollbackError(
                f"The rollback drops data that lives nowhere else: {'; '.join(lost.labels)}",
                where=str(how.supabase_dir / "rollbacks"),
                state=STILL_APPLIED,
                next_step="Give export_dir (or run_dir): the data is written there as CSV before it is dropped.",
            )
        encryption = require_recipients(how.recipients) if how.recipients else None
        progress.exported = export_lost_data(connection, lost, execute_all, how.export_dir, encryption)
    reset_session(connection)


def _require_expected_catalog(
    connection: PgConnection, how: RollbackOptions, progress: Progress, numbers_before: Mapping[int, int]
) -> None:
    progress.equal_but.clear()
    if progress.expected is None or progress.catalog_after is None:
        return
    if fingerprint(progress.catalog_after) == progress.expected:
        return
    differences = []
    if how.expected_catalog is not None and fingerprint(how.expected_catalog) == progress.expected:
        differences = compare_catalogs(how.expected_catalog, progress.catalog_after)
        if COLUMN_POSITIONS in how.accept:
            tables = tables_of_moved_columns(connection, how.expected_catalog, progress.catalog_after, numbers_before)
            progress.equal_but += [f"column positions of {table}" for table in tables or []]
            # What would be accepted hides the reason; alone it is one, of columns that only changed their names crosswise.
            at_places = with_places_of(how.expected_catalog, progress.catalog_after)
            differences = compare_catalogs(how.expected_catalog, at_places) or differences
    if progress.equal_but or not how.require_exact_catalog:
        return
    listed = "; ".join(describe_changes(differences))
    raise VerificationFailed(
        f"The rollback does not return the catalog to what it was before the migrations: {listed or 'fingerprints differ'}",
        where=str(how.supabase_dir / "rollbacks"),
        state=STILL_APPLIED,
        next_step=(
            "Correct the rollback file; or, if somebody else changed the schema since, run again with "
            "require_exact_catalog: false (playbook: -e rollback_require_exact_catalog=false)."
        ),
        details={"expected": progress.expected, "found": fingerprint(progress.catalog_after)},
    )


def _fail(
    options: ConnectionOptions, how: RollbackOptions, reverted: Sequence[RevertedMigration], error: PgopsError
) -> None:
    import psycopg2

    if error.state == ROLLED_BACK:
        error.state = STILL_APPLIED
    if how.dry_run:
        return
    item = next((item for item in reverted if str(item.path) in (error.where or "")), reverted[0])
    try:
        with session(options, SessionSettings(lock_timeout_ms=how.settings.lock_timeout_ms)) as connection:
            make_ledger(connection)
            details = {"operation": "rollback", "code": error.code, "what": error.what, "reason": how.reason}
            append_event(
                connection, NewEvent.about(item, "failed", run_id=how.run_id, operator=how.operator, details=details)
            )
            connection.commit()
    except (PgopsError, psycopg2.Error) as unrecorded:
        error.details["ledger"] = f"the failure could not be recorded: {unrecorded}"


def _read_back(options: ConnectionOptions, reverted: Sequence[RevertedMigration]) -> None:
    present = read_back(
        options,
        lambda connection: {row.version for row in read_history(connection)},
        committed=f"the rollback is committed, but not read back: {', '.join(item.version for item in reverted)}",
        next_step="When the server is back, look at the status (playbook pgops.supabase.status).",
    )
    left = [item.version for item in reverted if item.version in present]
    if left:
        raise VerificationFailed(
            f"After COMMIT the history still holds {', '.join(left)}",
            where="supabase_migrations.schema_migrations",
            state=State("the rollback is committed, but another session has applied these versions again", "committed"),
            next_step="Find who else migrates this project (playbook pgops.supabase.status).",
        )


def _catalog(connection: PgConnection, how: RollbackOptions) -> Catalog:
    return read_catalog(connection, how.schemas or user_schemas(connection))
