# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an apply is recorded: in the history, the ledger and the result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import (
    AppliedMigration,
    MigrationResult,
    TriedMigration,
)
from ansible_collections.pgops.supabase.plugins.module_utils.apply.options import Apply, ApplyOptions
from ansible_collections.pgops.supabase.plugins.module_utils.apply.progress import FileResult, Progress
from ansible_collections.pgops.supabase.plugins.module_utils.apply.script_runner import reset_session
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import NOTHING_CHANGED, PgopsError, State
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    change_fingerprint,
    compare_catalogs,
    describe_changes,
    fingerprint,
)
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    RECORD_APPLIED,
    NewEvent,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.batches import PendingMigration

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


def applied_migration(result: FileResult) -> AppliedMigration:
    file = result.item.file
    return AppliedMigration(
        version=file.version,
        name=file.name,
        file=str(file.path),
        sha256=file.sha256,
        statements=len(result.item.script.statements),
        duration_seconds=round(result.seconds, 3),
        changed_catalog=None if result.change is None else bool(result.change),
    )


def tried_migration(result: FileResult, executed: int) -> TriedMigration:
    """One file of a dry run, for its receipt."""
    file = result.item.file
    return TriedMigration(
        version=file.version,
        name=file.name,
        statements=len(result.item.script.statements),
        executed=executed,
        duration_seconds=round(result.seconds, 3),
        objects=result.change,
    )


def reset_and_record(connection: PgConnection, item: PendingMigration) -> None:
    """Make the session as new after a file, and add it to Supabase's history, as its CLI would have."""
    file = item.file
    reset_session(connection, then=(RECORD_APPLIED, [file.version, file.name, list(item.script.script.recorded)]))


def applied_event(this: Apply, result: FileResult, facts: Mapping[str, object]) -> NewEvent:
    """For our ledger, with what a rollback and a promotion rely on."""
    file = result.item.file
    details = {**facts, **_consents(this.how)}
    if result.change is not None:
        details["catalog_change"] = change_fingerprint(result.change)
        details["catalog_changes"] = describe_changes(result.change)
    if result.catalog_before is not None:
        details["catalog_before_file"] = result.catalog_before
    if result.row_changes is not None:
        details["row_changes"] = [[*table, rows] for table, rows in result.row_changes.items()]
    by, seconds = this.how, round(result.seconds, 3)
    return NewEvent.about(file, "applied", run_id=by.run_id, operator=by.operator, seconds=seconds, details=details)


def verified_event(this: Apply, migration: AppliedMigration) -> NewEvent:
    """For our ledger, that a file which is committed already was verified."""
    return NewEvent.about(migration, "verified", run_id=this.how.run_id, operator=this.how.operator)


def _consents(how: ApplyOptions) -> dict[str, object]:
    """Who allowed what: the plan with its signatures, and what was passed although it was not in order."""
    consents = {
        "plan": how.plan.plan_hash if how.plan else None,
        "approved_by": list(how.approved_by),
        "waivers": dict(how.waivers),
        "lint_waivers": [dict(waiver) for waiver in how.lint_waivers],
    }
    return {name: value for name, value in consents.items() if value}


def keep_result(how: ApplyOptions, progress: Progress, document: MigrationResult) -> None:
    """Write the result to its file when there is something to tell.

    :raises PgopsError: when it cannot be written; the error says what is committed all the same.
    """
    if how.document_file is None or progress.catalog_before is None:
        return
    try:
        write_json(how.document_file, document.as_dict())
    except OSError as error:
        committed = ", ".join(progress.committed)
        raise PgopsError(
            f"The result of the run could not be written: {error.strerror}",
            where=str(how.document_file),
            state=State(f"committed and there: {committed}", "committed") if committed else NOTHING_CHANGED,
            next_step="Make room, or have the directory writable; the ledger tells what was done (playbook pgops.supabase.status).",
        ) from error


def result_document(how: ApplyOptions, progress: Progress, started: float, started_at: str) -> MigrationResult:
    before, after = progress.catalog_before, progress.catalog_after
    changes: list[CatalogChange] = compare_catalogs(before, after) if before is not None and after is not None else []
    verification = progress.verification
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
        row_changes=progress.own.as_rows(),
        row_declarations=progress.declarations,
        receipt=progress.receipt,
        counts=verification.counts if verification else None,
        validation=verification.validation if verification else None,
        notices=progress.notices,
    )
