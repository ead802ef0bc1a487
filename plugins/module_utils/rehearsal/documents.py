# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of a rehearsal and its estimate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import (
    HeldLock,
    RewrittenTable,
    TouchedRows,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowChange


@dataclass(kw_only=True)
class RehearsedFile:
    """One migration of a rehearsal and how long it took, in seconds; None where it was not reached."""

    version: str
    name: str
    sha256: str
    rollback_sha256: str | None
    up_seconds: float | None
    down_seconds: float | None
    again_seconds: float | None


@dataclass(kw_only=True)
class EstimatedStatement:
    """One statement as it was timed in the rehearsal, and what that makes with the project's rows.

    ``tables``: what it names of the tables that were counted; their rows in the rehearsal and in the project now make the
    ``factor``. It is 1 where it names none of them.
    """

    where: str
    command: str
    seconds: float
    tables: list[str]
    rehearsed_rows: int
    project_rows: int
    factor: float
    estimated_seconds: float


@dataclass(kw_only=True)
class Rehearsal(Document):
    """rehearsal.json: the pending migrations up, down and up again on a restored backup, and what that says of the project.

    ``key``: the hash of the files and their rollbacks; a rehearsal counts for exactly these. ``reasons``: why it did not pass.
    """

    kind: ClassVar[str] = "rehearsal"
    rehearsal_id: str
    project: str
    key: str | None
    started_at: str
    finished_at: str | None
    duration_seconds: float | None
    backup_id: str
    backup_path: str
    backup_taken_at: str
    backup_bytes: int
    server_version: str | None
    project_server_version: str
    files: list[RehearsedFile]
    statements: list[EstimatedStatement]
    rehearsed_seconds: float
    estimated_seconds: float
    locks: list[HeldLock]
    rewritten_tables: list[RewrittenTable]
    rows: list[TouchedRows]
    differences: list[CatalogChange]
    verdict: Literal["running", "passed", "failed"]
    reasons: list[str]
    # As in the receipt of the dry run; None where it was not reached.
    database_bytes_before: int | None = None
    database_bytes_after: int | None = None
    # The project that the backup was restored into, None for a scratch server; where that is; and what the copy lacks.
    target: str | None = None
    copied_to: str | None = None
    lacks: list[str] = field(default_factory=list)
    # What the rollback accepts and says, as in rollback.json.
    equal_but: list[str] = field(default_factory=list)
    by_record: list[str] = field(default_factory=list)
    rows_kept: list[RowChange] = field(default_factory=list)


@dataclass(kw_only=True)
class RehearsalEntry:
    """One rehearsal as status shows it."""

    path: str
    rehearsal: Rehearsal
