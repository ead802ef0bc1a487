# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore a backup: one transaction that commits only when the result is what the manifest says, or nothing happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.archive.cron_jobs import schedule_cron_jobs
from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupManifest
from ansible_collections.pgops.supabase.plugins.module_utils.archive.encryption import opened_backup
from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import (
    ARCHIVE_NAMES,
    MANIFEST_NAME,
    DumpTools,
    find_dump_tools,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    PgopsError,
    RestoreError,
    State,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import sha256_of_file
from ansible_collections.pgops.supabase.plugins.module_utils.base.progress import Progress
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    OWN_SCHEMA,
    compare_catalogs,
    describe_changes,
    fingerprint,
    read_catalog,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.tables import user_tables
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import ADVISORY_LOCK, read_ledger
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    connect,
    execute,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.read_back import read_back
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import (
    ROLLED_BACK,
    commit,
    server_error,
    take_apply_lock,
)
from ansible_collections.pgops.supabase.plugins.module_utils.restore.checks import (
    Target,
    load_backup,
    read_target,
    require_disposable,
    require_possible,
    require_reader,
    require_right_target,
)
from ansible_collections.pgops.supabase.plugins.module_utils.restore.consent import (
    count_losses,
    has_loss,
    require_consent,
    required_consent,
)
from ansible_collections.pgops.supabase.plugins.module_utils.restore.documents import RestoreResult, TableLoss
from ansible_collections.pgops.supabase.plugins.module_utils.restore.load import (
    HISTORY_SCHEMA,
    BackupContent,
    RestoredArchive,
    RestorePlan,
    plan_restore,
    read_content,
    restore_archive,
)
from ansible_collections.pgops.supabase.plugins.module_utils.restore.proof import (
    RestoreProof,
    outside_of,
    prove_restored,
)
from ansible_collections.pgops.supabase.plugins.module_utils.restore.records import (
    HistoryChange,
    RestoreRecord,
    record_restore,
    restored_since,
)
from ansible_collections.pgops.supabase.plugins.module_utils.restore.target import lock_tables, stored_tables

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

UNCHANGED = "the restore was rolled back: the database is as it was before"
MakeAside = Callable[[Path, str, tuple[str, ...]], BackupManifest]
"""Back up into a directory, before the restore of the backup of this id, the schemas named; the manifest of what was read back whole."""

_READ_ONLY = SessionSettings(read_only=True, row_security=False)


@dataclass(frozen=True, kw_only=True)
class RestoreRequest:
    """Which backup to restore, and what is agreed to.

    :param consent: the words that name this project and this backup, see :func:`required_consent`.
    :param elsewhere: whether the connection's database is meant to be another one than was backed up.
    :param disposable: whether that one may be overwritten without consent, and nothing of it is kept; its marker has to say so.
    :param make_aside: backs up what is there now into ``aside``; it is called while the tables are locked against writing,
        so that it holds exactly what is replaced.
    :param accept: patterns of catalog objects that may differ from the backup afterwards; they are recorded.
    :param identity_file: the private key that an encrypted backup is decrypted with.
    :param settings: of the restoring session; its lock_timeout bounds each wait for a lock.
    :param analyze: whether the planner's statistics are made anew afterwards.
    :param events_dir: the run's directory, whose events.jsonl tells how far it is; None for no such file.
    """

    backup: Path
    project: str
    operator: str
    settings: SessionSettings
    make_aside: MakeAside
    aside: Path
    consent: str | None = None
    elsewhere: bool = False
    disposable: bool = False
    schemas: tuple[str, ...] | None = None
    platform_data: bool = True
    accept: tuple[str, ...] = ()
    reason: str | None = None
    run_id: str | None = None
    pg_bin: str | None = None
    identity_file: Path | None = None
    retries: int = 3
    lock_wait_seconds: float = 10.0
    analyze: bool = True
    events_dir: Path | None = None
    dry_run: bool = False


@dataclass(kw_only=True)
class _Attempt:
    """One restore: what was found and done, as far as it came."""

    manifest: BackupManifest
    progress: Progress
    target: Target | None = None
    consent: str | None = None
    losses: list[TableLoss] = field(default_factory=list)
    plan: RestorePlan | None = None
    aside: Path | None = None
    aside_id: str | None = None
    restored: RestoredArchive | None = None
    proof: RestoreProof | None = None
    history: HistoryChange | None = None
    committed: bool = False
    notes: list[str] = field(default_factory=list)


def restore(options: ConnectionOptions, request: RestoreRequest) -> RestoreResult:
    """Restore a backup, or say why not and leave everything as it is.

    A dry run checks all that can be checked beforehand, says what would be lost and which consent it takes, and changes nothing.

    :raises RestoreError: when the backup is not sound, of another project, or the target cannot take it.
    :raises ConsentNeeded: when data would be lost and nobody agreed to exactly that.
    :raises VerificationFailed: when the result is not what the manifest says; it was rolled back.
    """
    started, started_at = time.monotonic(), utc_now()
    manifest = load_backup(request.backup, request.project)
    tools = find_dump_tools(request.pg_bin)
    require_reader(tools, manifest)
    attempt = _Attempt(manifest=manifest, progress=Progress("restore", request.project, request.events_dir))
    try:
        with opened_backup(request.backup, manifest, request.identity_file) as opened:
            content = read_content(tools, opened, opened / ARCHIVE_NAMES[manifest.format], manifest)
            _examine(options, request, content, attempt)
            if not request.dry_run:
                _require_consent(request, attempt)
                _transaction(options, request, tools, content, attempt, opened)
        if not request.dry_run:
            _read_back(options, attempt)
            _analyze(options, request, attempt)
    except PgopsError as error:
        if error.state == ROLLED_BACK:
            error.state = UNCHANGED
        partial = {"restore": _document(request, attempt, started, started_at).as_dict()}
        error.details["result"] = {"changed": attempt.committed, **partial}
        raise
    return _document(request, attempt, started, started_at)


def _examine(options: ConnectionOptions, request: RestoreRequest, content: BackupContent, attempt: _Attempt) -> None:
    """Look at the target without touching it, and refuse what could not come out well."""
    with attempt.progress.phase("examine"), session(options, _READ_ONLY) as connection:
        target = attempt.target = read_target(connection, options.login_host, options.login_port)
        require_right_target(target, content.manifest, elsewhere=request.elsewhere)
        if request.disposable:
            require_disposable(target, content.manifest)
        plan = attempt.plan = _plan(connection, request, content)
        require_possible(connection, content, plan)
        if request.disposable:
            return
        tables = [t for t in user_tables(connection, sorted(plan.emptied)) if t not in plan.left] + list(plan.reloaded)
        taken_at = content.manifest.counts.taken_at
        same_rows = not request.elsewhere and not restored_since(read_ledger(connection), taken_at)
        attempt.losses = count_losses(connection, content.manifest, tables, same_rows=same_rows)
    if request.elsewhere and not any(loss.now for loss in attempt.losses) and not plan.newer:
        return
    attempt.consent = required_consent(
        request.project, content.manifest.backup_id, target.name if request.elsewhere else None
    )


def _plan(connection: PgConnection, request: RestoreRequest, content: BackupContent) -> RestorePlan:
    return plan_restore(connection, content, schemas=request.schemas, platform_data=request.platform_data)


def _require_consent(request: RestoreRequest, attempt: _Attempt) -> None:
    if attempt.consent is None or attempt.target is None or attempt.plan is None:
        return
    require_consent(
        request.consent,
        attempt.consent,
        attempt.manifest,
        losses=attempt.losses,
        schemas_dropped=sorted(attempt.plan.newer),
        where=attempt.target.name,
    )


def _transaction(
    options: ConnectionOptions,
    request: RestoreRequest,
    tools: DumpTools,
    content: BackupContent,
    attempt: _Attempt,
    opened: Path,
) -> None:
    import psycopg2

    began = time.monotonic()
    with session(options, request.settings) as connection:
        try:
            # Maintenance may have made transactions read-only by default; this has to be said before anything else.
            execute(connection, "set transaction read write")
            # The session waits, in its transaction, while what is there is dumped aside.
            execute(connection, "set local idle_in_transaction_session_timeout = 0")
            take_apply_lock(connection, ADVISORY_LOCK, request.lock_wait_seconds)
            plan = attempt.plan = _plan(connection, request, content)
            tables = [*stored_tables(connection, plan.emptied), *plan.reloaded]
            lock_tables(connection, tables, "share", attempts=request.retries + 1)
            _dump_aside(request, attempt)
            lock_tables(connection, tables, "access exclusive", attempts=request.retries + 1)
            outside = outside_of(connection, content, plan)
            with attempt.progress.phase("restore"):
                attempt.restored = restore_archive(
                    connection, tools, content, plan, report=lambda **figures: attempt.progress.at("restore", **figures)
                )
            with attempt.progress.phase("verify"):
                attempt.proof = prove_restored(connection, content, plan, accept=request.accept)
                _require_equal(content, attempt)
                _require_untouched(compare_catalogs(outside, outside_of(connection, content, plan)), options.place)
            # A copy elsewhere must not do the project's work a second time.
            if not request.elsewhere and (note := schedule_cron_jobs(connection, opened)):
                attempt.notes.append(note)
            record = _record(request, content, attempt)
            attempt.history = record_restore(connection, record, time.monotonic() - began)
            with attempt.progress.phase("commit"):
                commit(connection, lambda: connect(options, SessionSettings(read_only=True)), what="the restore")
            attempt.committed = True
        except psycopg2.Error as error:
            raise server_error(error, "The restore failed", options.place) from error


def _dump_aside(request: RestoreRequest, attempt: _Attempt) -> None:
    """Keep what is about to be replaced; an empty target has nothing to keep."""
    if attempt.consent is None:
        return
    with attempt.progress.phase("aside"):
        schemas = attempt.plan.emptied - {HISTORY_SCHEMA, OWN_SCHEMA} if attempt.plan else frozenset()
        manifest = request.make_aside(request.aside, attempt.manifest.backup_id, tuple(sorted(schemas)))
    attempt.aside = request.aside
    attempt.aside_id = manifest.backup_id


def _require_equal(content: BackupContent, attempt: _Attempt) -> None:
    proof = attempt.proof
    if proof is None or proof.equal:
        return
    wrong = [f"{c.schema}.{c.table}: {c.message}" for c in proof.counts.tables if c.verdict == "FAIL"]
    wrong += describe_changes(proof.differences)
    raise VerificationFailed(
        f"The restored database is not what was backed up ({number(len(wrong), 'difference')}): {'; '.join(wrong[:20])}",
        where=str(content.archive),
        state=UNCHANGED,
        next_step=(
            "Mend what differs (a right that the role lacks, an object of the platform's), or, where the difference may stay, "
            "accept it by name: accept: ['<type> <name>'] (playbook: restore_accept)."
        ),
        details={"expected": content.manifest.catalog_fingerprint, "found": proof.fingerprint, "differences": wrong},
    )


def _require_untouched(changes: Sequence[CatalogChange], where: str) -> None:
    if changes:
        raise RestoreError(
            f"Something that is not the backup's to bring back hung on what was replaced: {'; '.join(describe_changes(changes)[:20])}",
            where=where,
            state=UNCHANGED,
            next_step="Drop it first if it may go, and make it again afterwards; or take a backup that holds its schema.",
            details={"changes": describe_changes(changes)},
        )


def _record(request: RestoreRequest, content: BackupContent, attempt: _Attempt) -> RestoreRecord:
    return RestoreRecord(
        backup_id=content.manifest.backup_id,
        taken_at=content.manifest.counts.taken_at,
        manifest_sha256=sha256_of_file(request.backup / MANIFEST_NAME),
        run_id=request.run_id,
        operator=request.operator,
        reason=request.reason,
        aside=str(attempt.aside) if attempt.aside else None,
    )


def _read_back(options: ConnectionOptions, attempt: _Attempt) -> None:
    manifest = attempt.manifest
    with attempt.progress.phase("read_back"):
        found = read_back(
            options,
            lambda connection: fingerprint(read_catalog(connection, manifest.own_schemas)),
            committed="the restore is committed, but not read back",
            next_step="When the server is back, compare it with the backup's catalog.json (module schema_diff).",
        )
    if attempt.proof is None or found != attempt.proof.fingerprint:
        raise VerificationFailed(
            "After COMMIT the catalog is another one than before it",
            where=options.place,
            state=State("the restore is committed, but somebody has changed the schema since", "committed"),
            next_step="Find who else works on this project (playbook pgops.supabase.status).",
            details={"expected": manifest.catalog_fingerprint, "found": found},
        )


def _analyze(options: ConnectionOptions, request: RestoreRequest, attempt: _Attempt) -> None:
    """Tables made anew have no statistics, and plans without them are bad; autovacuum would come by in its own time."""
    import psycopg2
    from psycopg2 import sql

    if not request.analyze or attempt.restored is None:
        return
    tables = [table for table, rows in attempt.restored.rows.items() if rows]
    try:
        with attempt.progress.phase("analyze"), session(options, request.settings, autocommit=True) as connection:
            execute(connection, "set client_min_messages = error")
            for start in range(0, len(tables), 100):
                names = sql.SQL(", ").join(sql.Identifier(*table) for table in tables[start : start + 100])
                execute(connection, sql.SQL("analyze {}").format(names))
    except (PgopsError, psycopg2.Error) as error:
        attempt.notes.append(f"the planner's statistics are not made yet, run ANALYZE: {str(error).strip()}")


def _document(request: RestoreRequest, attempt: _Attempt, started: float, started_at: str) -> RestoreResult:
    manifest, proof, restored = attempt.manifest, attempt.proof, attempt.restored
    history = attempt.history or HistoryChange((), ())
    return RestoreResult(
        run_id=request.run_id,
        project=request.project,
        backup_id=manifest.backup_id,
        backup_path=str(request.backup),
        backup_taken_at=manifest.counts.taken_at,
        target=attempt.target.name if attempt.target else "",
        elsewhere=request.elsewhere,
        reason=request.reason,
        dry_run=request.dry_run,
        committed=attempt.committed,
        started_at=started_at,
        duration_seconds=round(time.monotonic() - started, 3),
        consent=attempt.consent,
        aside=str(attempt.aside) if attempt.aside else None,
        aside_id=attempt.aside_id,
        losses=[loss for loss in attempt.losses if has_loss(loss)],
        schemas_dropped=sorted(attempt.plan.newer) if attempt.plan else [],
        migrations_removed=[event.version for event in history.removed],
        migrations_returned=[event.version for event in history.returned],
        rows=sum(restored.rows.values()) if restored else 0,
        counts=proof.counts if proof else None,
        catalog_expected=manifest.catalog_fingerprint,
        catalog_found=proof.fingerprint if proof else None,
        tolerated=list(proof.tolerated) if proof else [],
        timings=attempt.progress.timings,
        notes=attempt.notes + (restored.notes if restored else []),
        not_held=[item.text for item in manifest.not_held],
    )
