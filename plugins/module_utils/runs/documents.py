# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of a run's record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document

RunVerdict = Literal[
    "running",
    "migrated",
    "not_applied",
    "rolled_back",
    "adopted",
    "restored",
    "backed_up",
    "needs_attention",
    "dry_run",
    "nothing_to_do",
]


Operation = Literal["migrate", "rollback", "adopt", "restore", "backup"]


@dataclass(kw_only=True)
class RunRecord(Document):
    """run.json: the identity of one run, how it ended and, where it failed, in which phase and why."""

    kind: ClassVar[str] = "run"
    run_id: str
    project: str
    operation: Operation
    operator: str
    started_at: str
    finished_at: str | None = None
    duration_seconds: float | None = None
    verdict: RunVerdict = "running"
    reason: str | None = None
    failed_phase: str | None = None
    failure: str | None = None
    # The failure for programs, as the module returned it; runs of earlier releases have none.
    error: dict[str, Any] | None = None
    # How it ended, in one line.
    headline: str | None = None
    # What came after the migration and failed, types or publish, with the failure as it was shown.
    follow_ups: dict[str, str] | None = None


@dataclass(kw_only=True)
class RunEntry:
    """One run as status shows it."""

    path: str
    run: RunRecord
