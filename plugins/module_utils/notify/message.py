# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the team is told: how a run began or ended, from its documents, and what happens around it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.notify.documents import Message, Occasion
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import Operation, RunRecord

Documents = Mapping[str, Mapping[str, Any]]

_BRING_BACK = "bring-back.sql"
_MINUTES_FROM_SECONDS = 120
_MIGRATIONS_NAMED = 5


_WORK: Mapping[Operation, str] = {
    "migrate": "MIGRATION IN PROGRESS",
    "rollback": "ROLLBACK IN PROGRESS",
    "restore": "RESTORE IN PROGRESS",
    "adopt": "ADOPTION IN PROGRESS",
    "backup": "BACKUP IN PROGRESS",
}
_TITLES: Mapping[Occasion, str] = {
    "announced": "MIGRATION PLANNED",
    "maintenance_on": "MAINTENANCE ON: the application cannot write",
    "maintenance_off": "MAINTENANCE OFF: the application can write again",
    "alert": "ALERT",
    "recovered": "RECOVERED",
}
_NEXT_STEPS: Mapping[Occasion, str] = {
    "announced": "Say beforehand what speaks against it, and change nothing in this database by hand at that time.",
    "alert": "Look: ansible-playbook pgops.supabase.status -l {project}",
}


def ended(run: RunRecord, documents: Documents, *, directory: str, machine: str, contacts: Sequence[str]) -> Message:
    """What to tell about a run that has ended.

    :param directory: where the run's documents are, on the machine of that name.
    """
    return Message(
        event=run.verdict,
        run_id=run.run_id,
        project=run.project,
        operation=run.operation,
        title=run.headline or f"{run.project}: {run.verdict}",
        reason=run.reason or _reason_of_rollback(documents),
        facts=dict(_facts(run, documents, directory, machine)),
        next_steps=list(_next_steps(run, documents)),
        contacts=list(contacts),
    )


def started(
    run: RunRecord, documents: Documents, *, expected_seconds: float | None, machine: str, contacts: Sequence[str]
) -> Message:
    """What to tell when a run begins.

    :param expected_seconds: how long it is expected to take; None where nothing tells.
    """
    # A step of the plan is a transaction with its files, or a file that runs outside of one.
    planned = [m for step in documents.get("plan", {}).get("steps", []) for m in step["migrations"]]
    facts = {
        "Reason": run.reason or "",
        "Migrations": _named([f"{m['version']}_{m['name']}" for m in planned]),
        "Operator": f"{run.operator} on {machine}",
        "Started": run.started_at,
        "Expected to take": "" if expected_seconds is None else f"about {_duration(expected_seconds)}",
    }
    return Message(
        event="started",
        run_id=run.run_id,
        project=run.project,
        operation=run.operation,
        title=f"{run.project}: {_WORK[run.operation]}",
        reason=run.reason,
        facts={label: value for label, value in facts.items() if value},
        next_steps=["Change nothing in this database by hand until the end is told."],
        contacts=list(contacts),
    )


def happened(
    event: Occasion, project: str, details: Mapping[str, str], *, run_id: str | None, contacts: Sequence[str]
) -> Message:
    """What to tell of something that is not the beginning or the end of a run.

    :param details: what to say of it, by labels of the caller's.
    """
    return Message(
        event=event,
        project=project,
        run_id=run_id,
        title=f"{project}: {_TITLES[event]}",
        reason=details.get("Reason"),
        facts={**details, **({} if "At" in details else {"At": utc_now()})},
        next_steps=list(_NEXT_STEPS.get(event, "").format(project=project).splitlines()),
        contacts=list(contacts),
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _MINUTES_FROM_SECONDS else f"{seconds / 60:.0f} minutes"


def _facts(run: RunRecord, documents: Documents, directory: str, machine: str) -> Iterator[tuple[str, str]]:
    if reason := run.reason or _reason_of_rollback(documents):
        yield "Reason", reason
    if run.failure and run.verdict != "rolled_back":
        yield "Failed in", run.failed_phase or "not known"
        # The first line alone: what follows may quote rows.
        yield "Failure", run.failure.splitlines()[0]
    if migrations := _migrations(run, documents):
        yield "Migrations", _named(migrations)
    if run.verdict == "restored" and (restored := documents.get("restore")):
        yield "Backup", f"{restored['backup_id']}, taken {restored['backup_taken_at']}"
        yield "Rows written since", _written_since(restored)
        if restored.get("aside"):
            yield "Kept aside", restored["aside"]
    if exported := documents.get("rollback", {}).get("exported"):
        yield "Data exported", exported[0] if len(exported) == 1 else str(Path(exported[0]).parent)
    yield "Operator", run.operator
    yield "Started", run.started_at
    if run.duration_seconds is not None:
        yield "Took", f"{run.duration_seconds:.1f} s"
    yield "Report", f"{machine}:{directory}/report.md"


def _reason_of_rollback(documents: Documents) -> str | None:
    reason: str | None = documents.get("rollback", {}).get("reason")
    return reason


def _named(migrations: Sequence[str]) -> str:
    """A few of them by name, for a chat's message has its end, and what stands behind them is cut off there."""
    if len(migrations) <= _MIGRATIONS_NAMED + 1:
        return ", ".join(migrations)
    more = len(migrations) - _MIGRATIONS_NAMED
    return f"{', '.join(migrations[:_MIGRATIONS_NAMED])} and {more} more, the last {migrations[-1]}"


def _migrations(run: RunRecord, documents: Documents) -> list[str]:
    taken_back = documents.get("rollback", {}).get("migrations", [])
    applied = documents.get("migration", {}).get("migrations", [])
    adopted = [m for m in documents.get("adoption", {}).get("migrations", []) if m["verdict"] == "adopted"]
    listed = taken_back if run.verdict == "rolled_back" else applied or adopted or taken_back
    return [f"{m['version']}_{m['name']}" for m in listed]


def _written_since(restored: Mapping[str, Any]) -> str:
    written = {f"{loss['schema']}.{loss['table']}": _rows_lost(loss) for loss in restored.get("losses", [])}
    named = [f"{table}: {'not known' if rows is None else rows}" for table, rows in written.items() if rows != 0]
    total = sum(rows or 0 for rows in written.values())
    said = "not known" if total == 0 and named else str(total)
    return f"{said} ({', '.join(named)})" if named else said


def _rows_lost(loss: Mapping[str, Any]) -> int | None:
    """The rows of a table that were written since the backup; None where its rows cannot tell, as it was made anew since."""
    if loss["written_since"] is not None or not loss.get("now"):
        return loss["written_since"] or 0
    return loss["now"] if loss.get("in_backup") is None else None


def _next_steps(run: RunRecord, documents: Documents) -> Iterator[str]:
    if run.verdict == "rolled_back":
        yield "Find the cause: the report has every check, every row count and the proof of the rollback."
        yield "Correct the migration and its rollback, and rehearse both: ansible-playbook pgops.supabase.rehearse"
        yield "Migrate the project that this one promotes from again, then agree on a new time."
        if documents.get("rollback", {}).get("exported"):
            yield f"Once it is applied again, bring back the exported data: psql -f {_BRING_BACK}, from the directory above."
    elif run.verdict == "restored":
        yield "Look through what was written since the backup; single tables' rows come back from what was kept aside."
        yield "Find the cause before the next run: the report has the proof of the restore."
    elif run.verdict == "not_applied":
        yield "Nothing has to be taken back. Correct what failed and run again."
    elif run.verdict == "needs_attention":
        yield f"Read the report now, then: ansible-playbook pgops.supabase.status -l {run.project}"
