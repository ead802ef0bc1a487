# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate that asks for a rehearsal: the pending files, each with its rollback, passed one just as they are. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.gates.rules import Judgement
from ansible_collections.pgops.supabase.plugins.module_utils.rehearsal.documents import Rehearsal
from ansible_collections.pgops.supabase.plugins.module_utils.rehearsal.records import FileHashes, rehearsal_key


def judge_rehearsal(
    pending: Sequence[FileHashes],
    rehearsals: Sequence[tuple[Path, Rehearsal]],
    max_age_seconds: float | None,
    now: datetime,
) -> Judgement:
    """Whether the newest rehearsal of exactly these files passed, and is young enough.

    :param rehearsals: with their directories, newest first.
    """
    next_step = "Rehearse them: ansible-playbook pgops.supabase.rehearse"
    if not pending:
        return Judgement("PASS", "nothing is pending")
    key = rehearsal_key(pending)
    of_these = [(path, it) for path, it in rehearsals if it.key == key and it.verdict != "running"]
    if not of_these:
        others = f"; {len(rehearsals)} of other files, or unfinished" if rehearsals else ""
        return Judgement("FAIL", f"no rehearsal of exactly these files and rollbacks{others}", next_step)
    path, newest = of_these[0]
    age = (now - datetime.fromisoformat(newest.started_at)).total_seconds()
    named = f"rehearsal {newest.rehearsal_id}, {age:.0f} s ago, on backup {newest.backup_id}: {path}"
    if newest.verdict != "passed":
        return Judgement(
            "FAIL",
            f"failed: {'; '.join(newest.reasons)} ({named})",
            "Correct the migration or its rollback, then rehearse again: ansible-playbook pgops.supabase.rehearse",
        )
    if max_age_seconds is not None and age > max_age_seconds:
        return Judgement("FAIL", f"older than the {max_age_seconds:g} s allowed: {named}", next_step)
    return Judgement("PASS", f"up, down and up again passed in {newest.duration_seconds or 0:.0f} s: {named}")
