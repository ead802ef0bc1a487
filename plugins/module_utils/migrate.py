# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies the pending migrations: in one transaction that verifies before it commits, and is read back afterwards."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.catalog import (
    Catalog,
    compare_catalogs,
    fingerprint,
    read_catalog,
    user_schemas,
)
from ansible_collections.pgops.supabase.plugins.module_utils.connection import (
    ConnectionOptions,
    SessionSettings,
    collect_notices,
    connect,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.count_comparison import OwnChanges, own_changes
from ansible_collections.pgops.supabase.plugins.module_utils.documents import (
    AppliedMigration,
    CatalogChange,
    MigrationEntry,
    MigrationResult,
    RowChange,
    utc_now,
)
from ansible_collections.pgops.supabase.plugins.module_utils.errors import (
    HistoryError,
    InputError,
    MigrationFileError,
    PgopsError,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.history import (
    ADVISORY_LOCK,
    NewEvent,
    append_event,
    make_history,
    make_ledger,
    read_history,
    record_applied,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migration_files import MigrationFile, discover, read_script
from ansible_collections.pgops.supabase.plugins.module_utils.migration_state import (
    read_state,
    require_agreement,
)
from ansible_collections.pgops.supabase.plugins.module_utils.script_runner import (
    ROLLED_BACK,
    RunnableScript,
    commit,
    reset_session,
    run_script,
    runnable,
    server_error,
    take_apply_lock,
    with_retries,
)
from ansible_collections.pgops.supabase.plugins.module_utils.verification import (
    Checks,
    Verification,
    require_passed,
    verify,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

TransactionScope = Literal["batch", "file"]


@dataclass(frozen=True)
class ApplyOptions:
    """How to apply. Times are seconds, except in ``settings``.

    :param to_version: the newest version to apply; None for all that are pending.
    :param catalog_file: where the catalog from before is kept, so that a rollback can say what it did not restore.
    :param document_file: where the result is kept, also when it is a failure.
    """

    supabase_dir: Path
    operator: str
    settings: SessionSettings
    checks: Checks | None = None
    run_id: str | None = None
    transaction_scope: TransactionScope = "batch"
    schemas: Sequence[str] | None = None
    to_version: str | None = None
    allow_out_of_order: bool = False
    retries: int = 3
    lock_wait_seconds: float = 10.0
    catalog_file: Path | None = None
    document_file: Path | None = None
    dry_run: bool = False


@dataclass
class _Progress:
    """What was done so far; a failure reports it as it stands."""

    applied: list[AppliedMigration] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)
    catalog_before: Catalog | None = None
    catalog_after: Catalog | None = None
    verification: Verification | None = None
    # By the first version of each transaction, so that a retry replaces what its predecessor did.
    row_changes: dict[str, OwnChanges] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Pending:
    file: MigrationFile
    script: RunnableScript


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
    progress = _Progress()
    files = discover(how.supabase_dir)
    _require_known(how.to_version, files)
    with session(options, SessionSettings(read_only=True)) as connection:
        entries, _ledger = read_state(connection, files)
    wanted = require_agreement(entries, allow_out_of_order=how.allow_out_of_order)
    pending = _load_pending(files, [entry for entry in wanted if _is_wanted(entry, how.to_version)])
    try:
        _apply_batches(options, how, files, pending, progress)
    except PgopsError as error:
        document = _keep(how, progress, started, started_at).as_dict()
        error.details["result"] = {"changed": bool(progress.committed), "migration": document}
        raise
    return _keep(how, progress, started, started_at)


def _apply_batches(
    options: ConnectionOptions,
    how: ApplyOptions,
    files: Sequence[MigrationFile],
    pending: Sequence[_Pending],
    progress: _Progress,
) -> None:
    """Each transaction of its own, then the read-back of what they committed."""
    one_by_one = how.transaction_scope == "file" and not how.dry_run
    batches = [[item] for item in pending] if one_by_one else [pending] if pending else []
    for batch in batches:
        last = batch is batches[-1]
        try:
            with_retries(lambda: _transaction(options, how, files, batch, last, progress), retries=how.retries)
        except PgopsError as error:
            _fail(options, how, batch, error, progress)
            raise
    if progress.committed:
        _read_back(options, how, progress)


def _keep(how: ApplyOptions, progress: _Progress, started: float, started_at: str) -> MigrationResult:
    """The result, written to its file when there is something to tell."""
    document = _document(how, progress, started, started_at)
    if how.document_file is not None and progress.catalog_before is not None:
        write_json(how.document_file, document.as_dict())
    return document


def _require_known(to_version: str | None, files: Sequence[MigrationFile]) -> None:
    """A mistyped version must not pass for "nothing to do"."""
    if to_version is not None and to_version not in {file.version for file in files}:
        raise InputError(
            f"There is no migration file of version {to_version}",
            where="to_version",
            next_step=f"Give one of the files' versions; the newest is {files[-1].version}.",
        )


def _is_wanted(entry: MigrationEntry, to_version: str | None) -> bool:
    return to_version is None or int(entry.version) <= int(to_version)


def _load_pending(files: Sequence[MigrationFile], entries: Sequence[MigrationEntry]) -> list[_Pending]:
    by_version = {file.version: file for file in files}
    pending = [_Pending(file, runnable(read_script(file.path))) for file in (by_version[e.version] for e in entries)]
    for item in pending:
        if item.script.script.sha256 != item.file.sha256:
            raise MigrationFileError(
                f"{item.file.path.name} was changed while it was read",
                where=str(item.file.path),
                next_step="Run again when nobody is editing the migrations.",
            )
    return pending


def _transaction(
    options: ConnectionOptions,
    how: ApplyOptions,
    files: Sequence[MigrationFile],
    batch: Sequence[_Pending],
    last: bool,
    progress: _Progress,
) -> None:
    """One transaction from lock to COMMIT; an exception on the way rolls all of it back."""
    import psycopg2

    done_before = len(progress.applied)
    with session(options, how.settings) as connection:
        notices = collect_notices(connection)
        try:
            take_apply_lock(connection, ADVISORY_LOCK, how.lock_wait_seconds)
            _require_still_pending(connection, files, batch, how)
            catalog_before = _catalog(connection, how)
            if progress.catalog_before is None:
                progress.catalog_before = catalog_before
                if how.catalog_file is not None and not how.dry_run:
                    write_json(how.catalog_file, catalog_before)
            make_history(connection)
            make_ledger(connection)
            for item in batch:
                seconds = run_script(connection, item.script, what=f"Migration {item.file.label}")
                reset_session(connection)
                progress.applied.append(_applied(item, seconds))
            progress.row_changes[batch[0].file.version] = own_changes(connection)
            catalog_after = _catalog(connection, how)
            progress.catalog_after = catalog_after
            _record(connection, how, batch, progress, fingerprint(catalog_before), fingerprint(catalog_after))
            if last and how.checks is not None:
                progress.verification = verify(connection, how.checks, stage="dry_run" if how.dry_run else "after")
                require_passed(progress.verification, state=ROLLED_BACK)
            if how.dry_run:
                connection.rollback()
                return
            commit(connection, lambda: connect(options, SessionSettings(read_only=True)), what=_labels(batch))
            progress.committed += [item.file.version for item in batch]
        except psycopg2.Error as error:
            del progress.applied[done_before:]
            raise server_error(error, f"Recording {_labels(batch)} failed", "supabase_migrations, pgops") from error
        except BaseException:
            del progress.applied[done_before:]
            raise
        finally:
            progress.notices += [notice.strip() for notice in notices]


def _require_still_pending(
    connection: PgConnection, files: Sequence[MigrationFile], batch: Sequence[_Pending], how: ApplyOptions
) -> None:
    """Under the lock, what was read before it may no longer hold: another run may have been quicker."""
    entries, _ledger = read_state(connection, files)
    states = {entry.version: entry.state for entry in entries}
    overtaken = [item.file.label for item in batch if states[item.file.version] not in ("pending", "out_of_order")]
    if overtaken:
        raise HistoryError(
            f"Another run has just applied {', '.join(overtaken)}",
            where="supabase_migrations.schema_migrations",
            next_step="Run again: it continues with what is left.",
        )
    require_agreement(entries, allow_out_of_order=how.allow_out_of_order)


def _catalog(connection: PgConnection, how: ApplyOptions) -> Catalog:
    return read_catalog(connection, how.schemas or user_schemas(connection))


def _applied(item: _Pending, seconds: float) -> AppliedMigration:
    return AppliedMigration(
        version=item.file.version,
        name=item.file.name,
        file=str(item.file.path),
        sha256=item.file.sha256,
        statements=len(item.script.statements),
        duration_seconds=round(seconds, 3),
    )


def _record(
    connection: PgConnection,
    how: ApplyOptions,
    batch: Sequence[_Pending],
    progress: _Progress,
    before: str,
    after: str,
) -> None:
    """The history as Supabase's CLI would have written it, and our ledger with the catalog a rollback has to return to."""
    seconds = {done.version: done.duration_seconds for done in progress.applied}
    versions = [item.file.version for item in batch]
    for item in batch:
        record_applied(connection, item.file.version, item.file.name, item.script.script.recorded)
        details: Mapping[str, object] = {"batch": versions, "catalog_before": before, "catalog_after": after}
        append_event(connection, _event(how, item.file, "applied", seconds[item.file.version], details))


def _event(
    how: ApplyOptions,
    file: MigrationFile,
    event: Literal["applied", "failed"],
    seconds: float | None,
    details: Mapping[str, object],
) -> NewEvent:
    return NewEvent(
        event=event,
        version=file.version,
        name=file.name,
        sha256=file.sha256,
        run_id=how.run_id,
        operator=how.operator,
        duration_seconds=seconds,
        details=details,
    )


def _fail(
    options: ConnectionOptions, how: ApplyOptions, batch: Sequence[_Pending], error: PgopsError, progress: _Progress
) -> None:
    """Say what an earlier file left committed, and put the failure into the ledger in a transaction of its own."""
    if progress.committed:
        kept = ", ".join(progress.committed)
        error.state = f"{error.state}; committed before and still there: {kept}"
    if how.dry_run or error.code in ("history", "busy"):
        # Nothing of this run was tried: another run was quicker, or is under way.
        return
    import psycopg2

    file = next((item.file for item in batch if str(item.file.path) in (error.where or "")), batch[-1].file)
    try:
        with session(options, SessionSettings(lock_timeout_ms=how.settings.lock_timeout_ms)) as connection:
            make_ledger(connection)
            details = {"code": error.code, "what": error.what, "where": error.where, "batch": _versions(batch)}
            append_event(connection, _event(how, file, "failed", None, details))
            connection.commit()
    except (PgopsError, psycopg2.Error) as unrecorded:
        error.details["ledger"] = f"the failure could not be recorded: {unrecorded}"


def _read_back(options: ConnectionOptions, how: ApplyOptions, progress: _Progress) -> None:
    """Success is what a new session finds, not what the committing one believes."""
    with session(options, SessionSettings(read_only=True)) as connection:
        present = {row.version for row in read_history(connection)}
        found = fingerprint(_catalog(connection, how))
    missing = [version for version in progress.committed if version not in present]
    if missing:
        raise VerificationFailed(
            f"After COMMIT the history does not hold {', '.join(missing)}",
            where="supabase_migrations.schema_migrations",
            state="committed, but not as expected",
            next_step="Roll back this run (playbook pgops.supabase.rollback) and look for triggers or tools that write there.",
        )
    if progress.catalog_after is not None and found != fingerprint(progress.catalog_after):
        raise VerificationFailed(
            "After COMMIT the catalog is not the one that was verified before it; another session changed it meanwhile",
            where="pg_catalog",
            state="the migrations are committed",
            next_step="Compare with the run's migration.json, then decide on a rollback (playbook pgops.supabase.rollback).",
        )


def _versions(batch: Sequence[_Pending]) -> list[str]:
    return [item.file.version for item in batch]


def _labels(batch: Sequence[_Pending]) -> str:
    return ", ".join(item.file.label for item in batch)


def _document(how: ApplyOptions, progress: _Progress, started: float, started_at: str) -> MigrationResult:
    before, after = progress.catalog_before, progress.catalog_after
    changes: list[CatalogChange] = compare_catalogs(before, after) if before is not None and after is not None else []
    verification = progress.verification
    row_changes: Counter[tuple[str, str]] = Counter()
    for of_transaction in progress.row_changes.values():
        row_changes.update(of_transaction)
    return MigrationResult(
        run_id=how.run_id,
        dry_run=how.dry_run,
        committed=bool(progress.committed),
        transaction_scope=how.transaction_scope,
        verified="before_commit" if verification is not None else "not_here",
        started_at=started_at,
        duration_seconds=round(time.monotonic() - started, 3),
        migrations=progress.applied,
        catalog_before=None if before is None else fingerprint(before),
        catalog_after=None if after is None else fingerprint(after),
        catalog_changes=changes,
        row_changes=[
            RowChange(schema=schema, table=table, change=change)
            for (schema, table), change in sorted(row_changes.items())
            if change
        ],
        counts=verification.counts if verification else None,
        validation=verification.validation if verification else None,
        notices=progress.notices,
    )
