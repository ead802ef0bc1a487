# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of what a restore replaced, lost and brought back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import CountComparison


@dataclass(kw_only=True)
class TableLoss:
    """What replacing one table by a backup's loses.

    :param in_backup: its rows in the backup, None when it came later; ``now``: its rows now, None when it is gone.
    :param written_since: rows there now that were inserted or updated since the backup, None when that cannot be told.
    :param gone_since: rows of the backup that were updated or deleted since: what the restore brings back as it was.
    """

    schema: str
    table: str
    in_backup: int | None
    now: int | None
    written_since: int | None
    gone_since: int | None


@dataclass(kw_only=True)
class RestoreResult(Document):
    """restore.json: what was restored into where, what that replaced and where that lies, and the proof.

    ``not_held`` is what the backup says that it does not hold, so that nobody takes it for restored.
    """

    kind: ClassVar[str] = "restore"
    run_id: str | None
    project: str
    backup_id: str
    backup_path: str
    backup_taken_at: str
    target: str
    elsewhere: bool
    reason: str | None
    dry_run: bool
    committed: bool
    started_at: str
    duration_seconds: float
    consent: str | None
    aside: str | None
    aside_id: str | None
    losses: list[TableLoss]
    schemas_dropped: list[str]
    migrations_removed: list[str]
    migrations_returned: list[str]
    rows: int
    counts: CountComparison | None
    catalog_expected: str
    catalog_found: str | None
    tolerated: list[CatalogChange]
    timings: dict[str, float]
    notes: list[str]
    not_held: list[str] = dataclasses.field(default_factory=list)


@dataclass(kw_only=True)
class RestoredTable:
    """One table whose rows were brought back, and where they are."""

    schema: str
    table: str
    into: str
    rows: int


@dataclass(kw_only=True)
class RestoredRows(Document):
    """Rows of single tables, brought back beside the tables themselves."""

    kind: ClassVar[str] = "restored_rows"
    project: str
    backup_id: str
    backup_taken_at: str
    target: str
    dry_run: bool
    committed: bool
    started_at: str
    duration_seconds: float
    tables: list[RestoredTable]
