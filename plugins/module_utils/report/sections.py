# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says, section by section, from the documents of a run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.report.backup import backup_facts
from ansible_collections.pgops.supabase.plugins.module_utils.report.headline import ending
from ansible_collections.pgops.supabase.plugins.module_utils.report.publish import follow_up_rows
from ansible_collections.pgops.supabase.plugins.module_utils.report.receipt import receipt_tables
from ansible_collections.pgops.supabase.plugins.module_utils.report.restore import restore_identity, restore_losses
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Documents, Row, Section
from ansible_collections.pgops.supabase.plugins.module_utils.report.written import (
    follow_up_section,
    gate_section,
    lock_section,
    maintenance_section,
    probe_section,
    sign_off_section,
)
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord

_UNCHANGED_TABLES_SHOWN = 40


def written_sections(run: RunRecord, documents: Documents) -> Iterator[Section]:
    """What report.md and report.html say: the same, and what is read later, when somebody asks how it was."""
    yield from sections(run, documents)
    if not (documents.get("migration") or {}).get("receipt"):
        yield from lock_section(documents)
    yield from maintenance_section(documents)
    yield from gate_section(documents)
    yield from sign_off_section(run, documents)
    yield from follow_up_section(run)


def sections(run: RunRecord, documents: Documents, *, full: bool = True) -> Iterator[Section]:
    """What the terminal shows.

    :param full: of a dry run: the receipt with every file, object and lock, and not only its figures.
    """
    yield Section("Run", ("", ""), _identity(run))
    if run.failure:
        yield Section("Failure", ("", ""), _failure(run, ending(run, documents)))
    if waivers := documents.get("preflight", {}).get("waivers"):
        yield Section("Waivers", ("gate", "reason"), waivers.items())
    if plan := list(_plan(documents)):
        yield Section("Plan", ("", ""), plan)
    if documents.get("migration", {}).get("receipt"):
        yield from _dry_run(documents, full=full, failed=bool(run.failure))
        return
    if manifest := documents.get("manifest"):
        yield Section("Backup", ("", ""), backup_facts(manifest))
    if migrations := documents.get("migration", {}).get("migrations"):
        yield Section("Migrations", ("migration", "statements", "seconds"), _migrations(migrations))
    if changes := documents.get("migration", {}).get("catalog_changes"):
        yield Section("Objects", ("change", "number", "which"), _objects(changes))
    if migrations := documents.get("rollback", {}).get("migrations"):
        yield Section("Rollback", ("migration", "statements", "seconds"), _migrations(migrations))
        yield Section("Proof", ("", ""), _proof(documents["rollback"]))
    if adopted := list(_adopted(documents.get("adoption", {}))):
        yield Section("Adopted", ("migration", "sha256", "compared", "trusted because"), adopted)
    if restored := documents.get("restore"):
        yield Section("Restore", ("", ""), restore_identity(restored))
        if lost := list(restore_losses(restored)):
            yield Section("Replaced", ("table", "in the backup", "before", "written since", "came back"), lost)
    if counts := list(_counts(documents)):
        yield Section("Rows", ("table", "before", "after", "verdict"), counts, in_order=_is_unchanged)
    if checks := list(_checks(documents)):
        yield Section("Checks", ("verdict", "check", "before", "says"), checks, in_order=_is_passed)
    yield from probe_section(documents)
    if follow_ups := list(follow_up_rows(run, documents)):
        yield Section("Follow-ups", ("", ""), follow_ups)
    if durations := list(_durations(documents)):
        yield Section("Durations", ("phase", "seconds"), durations)


def _identity(run: RunRecord) -> Iterator[tuple[str, str]]:
    yield "id", run.run_id
    yield "operator", run.operator
    yield "started", run.started_at
    if run.duration_seconds is not None and run.verdict != "dry_run":
        yield "took", f"{run.duration_seconds:.1f} s"
    if run.reason:
        yield "reason", run.reason


def _plan(documents: Documents) -> Iterator[tuple[str, str]]:
    """The hash of what was planned, who signed it, and what the linter found but a comment in the file accepts."""
    preflight = documents.get("preflight", {})
    if plan_hash := documents.get("plan", {}).get("plan_hash"):
        yield "hash", plan_hash
    for approval in preflight.get("approvals", []):
        yield "approved by", f"{approval['principal']} ({approval['key']})"
    for waiver in preflight.get("lint_waivers", []):
        yield "accepted", f"{waiver['code']} at {waiver['where']}: {waiver['reason']}"


def _failure(run: RunRecord, state_now: str) -> Iterator[tuple[str, str]]:
    yield "phase", run.failed_phase or "not known"
    labels = {"Where: ": "where", "State: ": "state then", "Next: ": "next"}
    error = run.error or {}
    said = [(run.failure or "").strip()]
    for prefix, fact in (("Where", "where"), ("State", "state"), ("Next", "next_step")):
        if error.get(fact) and f"\n{prefix}: " not in said[0]:
            said.append(f"{prefix}: {error[fact]}")
    for index, line in enumerate("\n".join(said).splitlines()):
        label = next((name for prefix, name in labels.items() if line.startswith(prefix)), "what" if index == 0 else "")
        yield label, line.split(": ", 1)[1] if label in labels.values() else line
    yield "state now", state_now


def _migrations(migrations: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, int, str]]:
    for item in migrations:
        yield f"{item['version']}_{item['name']}", item["statements"], f"{item['duration_seconds']:.3f}"


def _objects(changes: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, int, str]]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for item in changes:
        grouped.setdefault((item["change"], item["object_type"]), []).append(item["object_name"])
    for (change, object_type), names in grouped.items():
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        yield f"{object_type} {change}", len(names), shown


def _dry_run(documents: Documents, *, full: bool, failed: bool) -> Iterator[Section]:
    """The receipt, then what of rows and checks is not as it should be: a reviewer has one screen."""
    yield from receipt_tables(documents["migration"]["receipt"], full=full, failed=failed)
    counts = [row for row in _counts(documents) if row[0] != "total" and row[3] != "PASS unchanged"]
    if counts and documents["migration"].get("counts"):
        yield Section("Rows that are not as before", ("table", "before", "after", "verdict"), counts)
    checks = list(_checks(documents))
    if checks:
        rows = [row for row in checks[:-1] if row[0] != "PASS"] + checks[-1:]
        yield Section("Checks", ("verdict", "check", "before", "says"), rows)


def _proof(rollback: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "catalog expected", (rollback.get("catalog_expected") or "not known")[:16]
    yield "catalog found", (rollback.get("catalog_after") or "not known")[:16]
    for what in rollback.get("equal_but", []):
        yield "equal but for", what
    for version in rollback.get("by_record", []):
        yield "by its record", f"{version} changed no catalog and has no rollback statement; what it did to rows stays"
    for row in rollback.get("rows_kept", []):
        yield "rows kept", f"{_table(row)}: {row['change']:+d}"
    for job in rollback.get("jobs", []):
        yield "scheduled job", f"{job['name']}: {job['change'] or 'stays'}{'; ' + job['note'] if job['note'] else ''}"
    for path in rollback.get("exported", []):
        yield "data exported", path


def _adopted(adoption: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for entry in adoption.get("migrations", []):
        if entry["verdict"] == "adopted":
            label, sha256 = f"{entry['version']}_{entry['name']}", entry["sha256"][:16]
            yield label, sha256, entry["compared"] or "no", entry["trusted"] or ""


def _counts(documents: Documents) -> Iterator[tuple[str, Any, Any, str]]:
    """Each table before and after; what was compared in the deciding transaction comes first, then the read-back."""
    comparison = (
        documents.get("restore", {}).get("counts")
        or documents.get("rollback", {}).get("counts")
        or documents.get("migration", {}).get("counts")
    )
    before = {_table(t): t["rows"] for t in documents.get("counts_before", {}).get("tables", [])}
    after = {_table(t): t["rows"] for t in documents.get("counts_after", {}).get("tables", [])}
    verdicts = {_table(t): (t["verdict"], t["message"]) for t in (comparison or {}).get("tables", [])}
    if comparison and not before:
        before = {_table(t): t["before"] for t in comparison["tables"] if t["before"] is not None}
    if comparison and not after:
        after = {_table(t): t["after"] for t in comparison["tables"] if t["after"] is not None}
    tables = sorted(before.keys() | after.keys())
    unchanged = [table for table in tables if before.get(table) == after.get(table)]
    hidden = set(unchanged[_UNCHANGED_TABLES_SHOWN:])
    for table in tables:
        if table not in hidden:
            yield table, before.get(table, "-"), after.get(table, "-"), _count_verdict(table, before, after, verdicts)
    if hidden:
        yield f"{len(hidden)} more tables", "", "", "unchanged"
    if before and after:
        yield "total", sum(before.values()), sum(after.values()), ""


def _is_unchanged(row: Row) -> bool:
    """Whether a table needs nobody's attention; without a verdict there was nothing to compare it with."""
    return row[3] in ("", "equal", "unchanged", "PASS unchanged") and row[0] != "total"


def _is_passed(row: Row) -> bool:
    """A check that passed; the sum at the end has no verdict of before."""
    return row[0] == "PASS" and row[2] != ""


def _count_verdict(
    table: str, before: Mapping[str, int], after: Mapping[str, int], verdicts: Mapping[str, tuple[str, str]]
) -> str:
    if table in verdicts:
        verdict, message = verdicts[table]
        return f"{verdict} {message}"
    if not after or not before:
        return ""
    if table not in before:
        return "new"
    return "equal" if before[table] == after.get(table) else "differs"


def _checks(documents: Documents) -> Iterator[tuple[str, str, str, str]]:
    deciding = documents.get("validation_after") or documents.get("migration", {}).get("validation") or {}
    before = {c["name"]: c["verdict"] for c in documents.get("validation_before", {}).get("checks", [])}
    for check in deciding.get("checks", []):
        says = "" if check["message"] == check["name"] else check["message"]
        place = "" if check["verdict"] == "PASS" else f" ({check['where']})"
        yield check["verdict"], check["name"], before.get(check["name"], "-"), says + place
    for kind, label in (("silent", "says nothing"), ("skipped_commands", "not run")):
        for place in deciding.get(kind, []):
            yield label, place["name"], "", f"({place['where']})"
    if deciding:
        yield (
            deciding["verdict"],
            f"{deciding['passed']} passed, {deciding['failed']} failed, {number(deciding['warnings'], 'warning')}, "
            f"{deciding['skipped']} skipped",
            "",
            "",
        )


def _durations(documents: Documents) -> Iterator[tuple[str, str]]:
    names = {
        "manifest": "backup, with its verification",
        "counts_before": "counts before",
        "validation_before": "validation before",
        "migration": "apply, with its checks",
        "rollback": "rollback, with its proof",
        "adoption": "adoption",
        "restore": "restore, with its copy aside and its proof",
        "counts_after": "counts after",
        "validation_after": "validation after",
        "probes_before": "probes before",
        "probes_after": "probes after",
    }
    for key, name in names.items():
        if key in documents:
            yield name, f"{documents[key]['duration_seconds']:.3f}"


def _table(count: Mapping[str, Any]) -> str:
    return f"{count['schema']}.{count['table']}"
