# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run ended, in one line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.report.backup import backup_headline
from ansible_collections.pgops.supabase.plugins.module_utils.report.publish import attention
from ansible_collections.pgops.supabase.plugins.module_utils.report.restore import restore_headline, state_left
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Documents
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord, RunVerdict

_HEADLINES: Mapping[RunVerdict, str] = {
    "running": "the run is still under way, or was killed",
    "migrated": "MIGRATED",
    "not_applied": "NOT APPLIED: it failed before COMMIT, so there is nothing to roll back; catalog and data are as before",
    "rolled_back": "ROLLED BACK",
    "adopted": "ADOPTED",
    "restored": "RESTORED",
    "backed_up": "BACKED UP",
    "needs_attention": "NEEDS ATTENTION",
    "dry_run": "DRY RUN",
    "nothing_to_do": "NOTHING TO DO",
}


def headline(run: RunRecord, documents: Documents) -> str:
    """How the run ended, in one line."""
    return f"{run.project}: {ending(run, documents)}{attention(run)}"


def ending(run: RunRecord, documents: Documents) -> str:
    """The same without the project's name."""
    text = _HEADLINES[run.verdict]
    if run.operation == "adopt":
        return _adoption_headline(run, documents.get("adoption", {}))
    if run.operation == "backup":
        return backup_headline(run, documents.get("manifest", {}))
    if run.operation == "restore" and (said := restore_headline(run, documents.get("restore", {}))):
        return said
    if run.verdict == "dry_run" and run.failure:
        return f"DRY RUN FAILED: everything was rolled back; {_what_stays(documents)}"
    if run.verdict == "needs_attention" and run.operation == "rollback":
        if left := state_left(run):
            return f"{text}: {left}; see below"
        return f"{text}: the rollback failed, see below; unless it says otherwise the migrations are still applied"
    if run.verdict == "nothing_to_do" and run.operation == "rollback":
        return (
            f"{text}: no run has applied anything, or what it would take back was taken back already. An earlier run: "
            "-e rollback_of_run=<run id>, the name of its directory; or all after a version: -e rollback_to_version=<version>"
        )
    if run.verdict == "nothing_to_do" and run.operation == "migrate" and "migration" not in documents:
        return "NOTHING APPLIED: only other phases were asked for"
    if run.verdict == "not_applied" and (left := state_left(run)):
        return f"NOT APPLIED AS A WHOLE: {left}"
    by_verdict = {
        "migrated": _migrated,
        "rolled_back": _rolled_back,
        "needs_attention": _needs_attention,
        "dry_run": _tried,
    }
    return text + by_verdict[run.verdict](run, documents) if run.verdict in by_verdict else text


def _migrated(_run: RunRecord, documents: Documents) -> str:
    when = "before COMMIT and after it" if _verified_before_commit(documents) else "after COMMIT"
    return f": {number(_count(documents, 'migration'), 'migration')}, verified {when}"


def _rolled_back(_run: RunRecord, documents: Documents) -> str:
    if equal_but := documents.get("rollback", {}).get("equal_but"):
        proof = f"the catalog is again what it was but for {', '.join(equal_but)}"
    elif _catalog_is_proven(documents):
        proof = "the catalog is again exactly what it was"
    else:
        proof = "the catalog is not proven"
    return f": {number(_count(documents, 'rollback'), 'migration')}; {proof}"


def _needs_attention(run: RunRecord, documents: Documents) -> str:
    if documents.get("rollback", {}).get("committed"):
        return ": the rollback is committed, and was not found so afterwards; see below"
    count = _count(documents, "migration")
    planned = sum(len(step["migrations"]) for step in documents.get("plan", {}).get("steps", [])) or count
    if "rollback" in documents:
        rest = ", and the rollback failed; see below"
    elif run.error and run.error.get("code") == "verification":
        rest = ", and a check failed; see below"
    else:
        rest = " and stay: no check found them wrong, and not all was seen or done; see below"
    return f": {count} of {number(planned, 'migration')} applied{rest}"


def _tried(_run: RunRecord, documents: Documents) -> str:
    receipt = documents.get("migration", {}).get("receipt") or {}
    whole = "everything was executed" if not receipt.get("not_executed") else "what can be tried was executed"
    count = _count(documents, "migration") or _count(documents, "rollback")
    return f": {whole} and rolled back; {_what_stays(documents)} ({number(count, 'migration')})"


def _count(documents: Documents, document: str) -> int:
    return len(documents.get(document, {}).get("migrations", []))


def _what_stays(documents: Documents) -> str:
    """Sequences do not roll back."""
    moved = len((documents.get("migration", {}).get("receipt") or {}).get("sequences", []))
    return f"nothing stays but {number(moved, 'sequence')} that moved" if moved else "nothing stays"


def _adoption_headline(run: RunRecord, adoption: Mapping[str, Any]) -> str:
    if run.verdict == "not_applied" or (run.verdict == "dry_run" and run.failure):
        return "NOT ADOPTED: nothing was changed"
    if run.verdict == "needs_attention":
        left = state_left(run) or "the adoption is committed, and was not found so afterwards"
        return f"{_HEADLINES[run.verdict]}: {left}; see below"
    new = [entry for entry in adoption.get("migrations", []) if entry["verdict"] == "adopted"]
    verified = len(adoption.get("verified", []))
    if run.verdict == "dry_run":
        return f"DRY RUN: {number(len(new), 'migration')} would be adopted, {verified} verified; nothing was written"
    text = _HEADLINES[run.verdict]
    return text if run.verdict != "adopted" else f"{text}: {number(len(new), 'migration')}, {verified} verified"


def _verified_before_commit(documents: Documents) -> bool:
    return documents.get("migration", {}).get("verified") == "before_commit"


def _catalog_is_proven(documents: Documents) -> bool:
    rollback = documents.get("rollback", {})
    return rollback.get("catalog_expected") is not None and rollback["catalog_expected"] == rollback.get(
        "catalog_after"
    )
