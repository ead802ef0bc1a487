# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's directory and its run.json: opened, closed with a verdict, and listed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import given_document, new_id, utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, Outcome
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import (
    make_private_directory,
    read_json,
    write_atomically,
    write_json,
)
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import (
    Operation,
    RunEntry,
    RunRecord,
    RunVerdict,
)

_Record = TypeVar("_Record")

RUN_FILE = "run.json"
REPORT_FILE = "report.md"
PAGE_FILE = "report.html"
DOCUMENT_FILES = {
    "preflight": "preflight.json",
    "plan": "plan.json",
    "lint": "lint.json",
    "manifest": "backup/manifest.json",
    "counts_before": "counts-before.json",
    "counts_after": "counts-after.json",
    "validation_before": "validation-before.json",
    "validation_after": "validation-after.json",
    "migration": "migration.json",
    "rollback": "rollback.json",
    "adoption": "adoption.json",
    "restore": "restore.json",
    "probes_before": "probes-before.json",
    "probes_after": "probes-after.json",
    "types": "types.json",
    "publication": "publish.json",
    "maintenance": "maintenance.json",
    "scheduled_jobs": "scheduled-jobs.json",
}


def new_run(project: str, operation: Operation, operator: str, reason: str | None = None) -> RunRecord:
    """A run that begins now."""
    return RunRecord(
        run_id=new_id(),
        project=project,
        operation=operation,
        operator=operator,
        started_at=utc_now(),
        reason=reason,
    )


def save_run(directory: Path, run: RunRecord, report: str | None = None) -> None:
    """Write run.json, and report.md when there is a report, into the run's directory, which is made when it is missing.

    :raises InputError: when the directory cannot be written.
    """
    try:
        make_private_directory(directory)
        write_json(directory / RUN_FILE, run.as_dict())
        if report is not None:
            write_atomically(directory / REPORT_FILE, report.encode())
    except OSError as error:
        raise _not_writable(directory, error) from error


def save_page(directory: Path, page: str) -> None:
    """Write report.html into the run's directory.

    :raises InputError: when the directory cannot be written.
    """
    try:
        write_atomically(directory / PAGE_FILE, page.encode())
    except OSError as error:
        raise _not_writable(directory, error) from error


def _not_writable(directory: Path, error: OSError) -> InputError:
    return InputError(
        f"The run's directory cannot be written: {error.strerror}",
        where=str(directory),
        next_step="Check project_state_dir in the inventory and the disk.",
    )


def save_documents(directory: Path, documents: Mapping[str, Any]) -> dict[str, str]:
    """Write documents that were made before there was a directory for them, and return the path of each.

    :param documents: by the names of C(DOCUMENT_FILES).
    :raises InputError: when there is no such document, or the directory cannot be written.
    """
    unknown = sorted(documents.keys() - DOCUMENT_FILES.keys())
    if unknown:
        raise InputError(
            f"A run has no document {', '.join(unknown)}",
            where="documents",
            next_step=f"The documents are: {', '.join(DOCUMENT_FILES)}.",
        )
    try:
        for name, document in documents.items():
            write_json(directory / DOCUMENT_FILES[name], document)
        return {name: str(directory / DOCUMENT_FILES[name]) for name in documents}
    except OSError as error:
        raise InputError(
            f"A document of the run cannot be written: {error.strerror}",
            where=str(directory),
            next_step="Check project_state_dir in the inventory and the disk.",
        ) from error


def load_run(directory: Path) -> RunRecord:
    """Read run.json of a directory.

    :raises InputError: when there is none, or it is not one.
    """
    return load_record(
        RunRecord, directory / RUN_FILE, "run", "Give the run_dir that run_record returned when the run was started."
    )


def load_record(shape: type[_Record], file: Path, of: str, next_step: str) -> _Record:
    """Read the document that makes a directory one of its kind.

    :param of: what such a directory is of, for the error.
    :raises InputError: when there is none, or it is not one.
    """
    refusal = f"This is not the directory of a {of}"
    return given_document(shape, file, option="run_dir", refusal=refusal, next_step=next_step)


def close_run(
    run: RunRecord,
    verdict: RunVerdict,
    *,
    failed_phase: str | None,
    failure: str | None,
    error: dict[str, Any] | None = None,
) -> RunRecord:
    """The run with its end; how long it took is from its own start."""
    run.finished_at = utc_now()
    began, ended = datetime.fromisoformat(run.started_at), datetime.fromisoformat(run.finished_at)
    run.duration_seconds = round((ended - began).total_seconds(), 3)
    run.verdict, run.failed_phase, run.failure, run.error = verdict, failed_phase, failure, error
    return run


def load_documents(directory: Path) -> dict[str, dict[str, Any]]:
    """The documents that the phases left in a run's directory, by the names of C(DOCUMENT_FILES).

    :raises InputError: when one of them is damaged.
    """
    found = {name: directory / file for name, file in DOCUMENT_FILES.items()}
    return {name: _load_document(path) for name, path in found.items() if path.is_file()}


def _load_document(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"A document of the run cannot be read: {error}",
            where=str(path),
            next_step="Move it away and run again; the database is not touched by this.",
        ) from error
    return document


def list_runs(project_dir: Path) -> tuple[list[RunEntry], list[str]]:
    """The runs of a project, newest first, and the directories whose run.json is damaged, with what is wrong.

    Other directories, such as a backup's that was made outside a run, are no runs.
    """
    entries, unreadable = [], []
    for directory in sorted(project_dir.iterdir(), reverse=True) if project_dir.is_dir() else []:
        if (directory / RUN_FILE).is_file():
            try:
                entries.append(RunEntry(path=str(directory), run=load_run(directory)))
            except InputError as error:
                unreadable.append(f"{error.where}: {error.what}")
    return entries, unreadable


def verdict_of(
    documents: Mapping[str, Mapping[str, Any]], operation: Operation, *, failed: bool, outcome: Outcome = "unchanged"
) -> RunVerdict:
    """How a run ended, from what its phases left; pure.

    :param outcome: what the error says about the database, of a run that failed.
    """
    migration, rollback = documents.get("migration", {}), documents.get("rollback", {})
    adoption = documents.get("adoption", {})
    if (migration or rollback or adoption).get("dry_run"):
        return "dry_run"
    if operation == "adopt":
        if failed:
            return "needs_attention" if adoption.get("committed") or outcome != "unchanged" else "not_applied"
        return "adopted" if adoption.get("committed") else "nothing_to_do"
    if operation == "restore":
        return _verdict_of_restore(documents.get("restore", {}), failed=failed, outcome=outcome)
    if operation == "backup":
        if failed:
            return "needs_attention" if documents.get("manifest") else "not_applied"
        return "backed_up" if documents.get("manifest") else "nothing_to_do"
    if operation == "rollback":
        return "needs_attention" if failed else ("rolled_back" if rollback.get("committed") else "nothing_to_do")
    if not failed:
        return "migrated" if migration.get("committed") else "nothing_to_do"
    if not migration.get("committed"):
        return "not_applied"
    return "rolled_back" if rollback.get("committed") and not rollback.get("failed") else "needs_attention"


def _verdict_of_restore(restored: Mapping[str, Any], *, failed: bool, outcome: Outcome) -> RunVerdict:
    if restored.get("dry_run"):
        return "dry_run"
    if failed:
        return "needs_attention" if restored.get("committed") or outcome != "unchanged" else "not_applied"
    return "restored" if restored.get("committed") else "nothing_to_do"
