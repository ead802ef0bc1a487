# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of a rollback and its proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import AppliedMigration
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import CountComparison, RowChange
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.documents import JobChange


@dataclass(kw_only=True)
class RollbackResult(Document):
    """rollback.json: what was reverted, and the proof."""

    kind: ClassVar[str] = "rollback"
    run_id: str | None
    reason: str
    dry_run: bool
    committed: bool
    started_at: str
    duration_seconds: float
    migrations: list[AppliedMigration]
    exported: list[str]
    catalog_before: str | None
    catalog_after: str | None
    catalog_expected: str | None
    catalog_changes: list[CatalogChange]
    counts: CountComparison | None
    notices: list[str]
    # All in which the catalog differs from the expected one, accepted.
    equal_but: list[str] = field(default_factory=list)
    # Versions that changed no catalog and have no rollback statement: only their record went, and what they did to rows stays.
    by_record: list[str] = field(default_factory=list)
    rows_kept: list[RowChange] = field(default_factory=list)
    # Scheduled jobs of the runs that were taken back: each taken away, brought back to what it was, or left with the reason.
    jobs: list[JobChange] = field(default_factory=list)
    # It ended with an error, perhaps after COMMIT.
    failed: bool = False
