# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a draft: what it says of itself to the person who reviews it, and how a file is known to be one still. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.drafts.documents import RollbackDraft
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import DRAFT_MARK

SUFFIX = ".draft"


def draft_path(supabase_dir: Path, version: str, name: str) -> Path:
    """Where a draft is: beside the rollbacks, under a name that none of them has."""
    return supabase_dir / "rollbacks" / f"{version}_{name}.sql{SUFFIX}"


def draft_text(draft: RollbackDraft, statements: Sequence[str]) -> str:
    """The whole file: what was found, how to go on, the statements."""
    label = f"{draft.version}_{draft.name}"
    lines = [
        DRAFT_MARK,
        f"-- Rollback of {label}, made from what the migration changes in the catalog.",
        f"-- Migration's SHA-256: {draft.sha256}",
        "--",
        *_tried(draft),
        *_list(
            "Not covered; write it, or say why it may stay:",
            [f"{u.object_name}: {u.reason}" for u in draft.not_covered],
        ),
        *_list(
            "Rows that the migration writes; what it does to rows is not taken back:",
            [
                f"{r.schema}.{r.table}: {r.inserted} inserted, {r.updated} updated, {r.deleted} deleted"
                for r in draft.rows_written
            ],
        ),
        *_list(
            "Statements that could not be tried in a transaction, so nothing here takes them back:",
            [f"{u.where}: {u.command} ({u.reason})" for u in draft.not_executed],
        ),
        "-- To use it: read it, complete it, take the first line away, rename it to",
        f"-- {label}.sql and rehearse it (playbook pgops.supabase.rehearse).",
        "",
    ]
    return "\n".join([*lines, *statements, ""])


def _tried(draft: RollbackDraft) -> list[str]:
    if draft.exact:
        return [
            "-- Tried in a transaction: the migration and then this draft leave the catalog exactly as it was.",
            "--",
        ]
    if draft.failure:
        return ["-- Tried in a transaction, and refused:", *_comment(draft.failure), "--"]
    return _list(
        "Tried in a transaction: the migration and then this draft do NOT leave the catalog as it was:",
        [f"{d.object_type} {d.object_name} {d.change} {d.detail}".rstrip() for d in draft.differences],
    )


def _list(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    return [f"-- {title}", *(line for item in items for line in _comment(item)), "--"]


def _comment(text: str) -> list[str]:
    """Each line as a comment: a name or a message may hold a line break, and what follows must not become SQL."""
    first, *rest = text.splitlines() or [""]
    return [f"--   {first}", *(f"--     {line}" for line in rest)]
