# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore in a run's report. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord


def state_left(run: RunRecord) -> str:
    """The state in which a failure left the database, in its error's words; empty when it is as before."""
    error = run.error or {}
    return str(error.get("state", "")) if error.get("outcome", "unchanged") != "unchanged" else ""


def restore_headline(run: RunRecord, restored: Mapping[str, Any]) -> str:
    """How a restore ended, in one line; empty where the verdict alone says it."""
    if run.verdict == "restored":
        not_held = f" (not held: {', '.join(restored['not_held'])})" if restored.get("not_held") else ""
        return (
            f"RESTORED: backup {restored['backup_id']} into {restored['target']}; "
            f"every row and the catalog are what it holds{not_held}"
        )
    if run.verdict == "not_applied":
        return "NOT RESTORED: nothing was changed; catalog and data are as before"
    if run.verdict == "dry_run":
        return "DRY RUN: everything was checked that can be checked beforehand; nothing was executed"
    if run.verdict == "needs_attention":
        left = state_left(run) or "the restore is committed and proven, and a step after it failed"
        return f"NEEDS ATTENTION: {left}; see below"
    return ""


def restore_identity(restored: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Which backup went where, what became of what was there, and the proof."""
    yield "backup", f"{restored['backup_id']}, taken {restored['backup_taken_at']}"
    yield "path", restored["backup_path"]
    yield "into", restored["target"]
    if restored.get("aside"):
        yield "kept aside", f"{restored['aside_id']} in {restored['aside']}"
    if restored.get("consent") and not restored.get("committed"):
        yield "consent", restored["consent"]
    for name, label in (
        ("schemas_dropped", "schemas dropped"),
        ("migrations_removed", "no longer applied"),
        ("migrations_returned", "applied again"),
    ):
        if restored.get(name):
            yield label, ", ".join(restored[name])
    yield "catalog expected", restored["catalog_expected"][:16]
    if restored.get("catalog_found"):
        yield "catalog found", restored["catalog_found"][:16]
    if restored.get("not_held"):
        yield "not held", ", ".join(restored["not_held"])
    for change in restored.get("tolerated", []):
        yield "the platform's", f"{change['object_type']} {change['object_name']} {change['change']}: {change['detail']}"
    for note in restored.get("notes", []):
        yield "note", note


def restore_losses(restored: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Each table whose rows were not those of the backup: what was written since, and what came back."""
    for loss in restored.get("losses", []):
        cells = [loss[name] for name in ("in_backup", "now", "written_since", "gone_since")]
        yield [f"{loss['schema']}.{loss['table']}", *("-" if cell is None else cell for cell in cells)]
