# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of what a backup reused and what it removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document


@dataclass(kw_only=True)
class UsedBackup(Document):
    """backup-used.json: the young backup of another run that a run made do with instead of making its own."""

    kind: ClassVar[str] = "used_backup"
    backup_id: str
    path: str
    started_at: str


@dataclass(kw_only=True)
class RemovedBackup:
    """A backup that retention removed, and the newer one that it made room for."""

    backup_id: str
    path: str
    started_at: str
    total_bytes: int
    removed_at: str
    reason: str
    newer_backup: str
