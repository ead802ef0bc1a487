# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a rollback is recorded: in the history, the ledger and the result."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import AppliedMigration
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import compare_catalogs, fingerprint
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    NewEvent,
    append_event,
    record_removed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.documents import RollbackResult
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.options import RollbackOptions
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.progress import Progress, RevertedMigration
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.documents import Author

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


def author_of(how: RollbackOptions) -> Author:
    """Who takes back what was scheduled."""
    return Author(run_id=how.run_id, operator=how.operator, timer_host=socket.gethostname())


def reverted_migration(item: RevertedMigration, seconds: float) -> AppliedMigration:
    return AppliedMigration(
        version=item.version,
        name=item.name,
        file=str(item.path),
        sha256=item.sha256,
        statements=len(item.script.statements),
        duration_seconds=round(seconds, 3),
    )


def record_reverted(connection: PgConnection, how: RollbackOptions, item: RevertedMigration, seconds: float) -> None:
    """Take it out of the history, and say so in the ledger."""
    record_removed(connection, item.version)
    details = {"reason": how.reason}
    event = NewEvent.about(
        item, "rolled_back", run_id=how.run_id, operator=how.operator, seconds=seconds, details=details
    )
    append_event(connection, event)


def result_document(how: RollbackOptions, progress: Progress, started: float, started_at: str) -> RollbackResult:
    before, after = progress.catalog_before, progress.catalog_after
    return RollbackResult(
        run_id=how.run_id,
        reason=how.reason,
        dry_run=how.dry_run,
        committed=progress.committed,
        started_at=started_at,
        duration_seconds=round(time.monotonic() - started, 3),
        migrations=progress.done,
        exported=[str(path) for path in progress.exported],
        catalog_before=None if before is None else fingerprint(before),
        catalog_after=None if after is None else fingerprint(after),
        catalog_expected=progress.expected,
        equal_but=progress.equal_but,
        by_record=progress.by_record,
        rows_kept=progress.rows_kept,
        jobs=progress.jobs,
        catalog_changes=compare_catalogs(before, after) if before is not None and after is not None else [],
        counts=progress.verification.counts if progress.verification else None,
        notices=progress.notices,
    )


def failed_result(how: RollbackOptions, progress: Progress, started: float, started_at: str) -> dict[str, Any]:
    """The result of a rollback that ended with an error, perhaps after COMMIT."""
    return {**result_document(how, progress, started, started_at).as_dict(), "failed": True}
