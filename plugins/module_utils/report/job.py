# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run: what a person reads at the end, as text for the terminal and as Markdown for the record. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.report.backup import backup_facts, backup_headline
from ansible_collections.pgops.supabase.plugins.module_utils.report.probes import PROBE_HEADER, probe_rows
from ansible_collections.pgops.supabase.plugins.module_utils.report.publish import attention, follow_up_rows
from ansible_collections.pgops.supabase.plugins.module_utils.report.receipt import receipt_tables
from ansible_collections.pgops.supabase.plugins.module_utils.report.restore import (
    restore_headline,
    restore_identity,
    restore_losses,
    state_left,
)
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Section, in_short
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord, RunVerdict

Documents = Mapping[str, Mapping[str, Any]]

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
_UNCHANGED_TABLES_SHOWN = 40


def summary_lines(run: RunRecord, documents: Documents, directory: str | None, *, full: bool = True) -> list[str]:
    """The report as text for the terminal.

    :param full: with what is in order too; else what somebody should look at, and how much there is of the rest. The failure
        is not in it then: it was said by the task that failed.
    """
    lines = [headline(run, documents)]
    sections = _sections(run, documents, full=full)
    for section in sections if full else filter(None, map(in_short, sections)):
        lines += ["", *section.as_text()]
    if directory is not None and run.verdict != "dry_run":
        lines += ["", "Documents", f"  {directory}"]
    return lines


def markdown(run: RunRecord, documents: Documents) -> str:
    """The report as Markdown, for report.md."""
    lines = [f"# {headline(run, documents)}", ""]
    for section in _sections(run, documents):
        lines += section.as_markdown()
    return "\n".join(lines).rstrip() + "\n"


def headline(run: RunRecord, documents: Documents) -> str:
    """How the run ended, in one line."""
    return f"{run.project}: {_headline(run, documents)}{attention(run)}"


def _headline(run: RunRecord, documents: Documents) -> str:
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
            f"{text}: what it would take back is not applied any more. An earlier run: -e rollback_of_run=<run id>, the name of its "
            "directory; or all after a version: -e rollback_to_version=<version>"
        )
    if run.verdict == "nothing_to_do" and run.operation == "migrate" and "migration" not in documents:
        return "NOTHING APPLIED: only other phases were asked for"
    if run.verdict == "not_applied" and (left := state_left(run)):
        return f"NOT APPLIED AS A WHOLE: {left}"
    count = len(documents.get("migration", {}).get("migrations", []))
    if run.verdict == "migrated":
        when = "before COMMIT and after it" if _verified_before_commit(documents) else "after COMMIT"
        text += f": {_number(count, 'migration')}, verified {when}"
    elif run.verdict == "rolled_back":
        taken_back = len(documents.get("rollback", {}).get("migrations", []))
        if equal_but := documents.get("rollback", {}).get("equal_but"):
            proof = f"the catalog is again what it was but for {', '.join(equal_but)}"
        elif _catalog_is_proven(documents):
            proof = "the catalog is again exactly what it was"
        else:
            proof = "the catalog is not proven"
        text += f": {_number(taken_back, 'migration')}; {proof}"
    elif run.verdict == "needs_attention":
        if documents.get("rollback", {}).get("committed"):
            return f"{text}: the rollback is committed, and was not found so afterwards; see below"
        planned = sum(len(step["migrations"]) for step in documents.get("plan", {}).get("steps", [])) or count
        text += f": {count} of {planned} migrations applied"
        if "rollback" in documents:
            text += ", and the rollback failed; see below"
        elif run.error and run.error.get("code") == "verification":
            text += ", and a check failed; see below"
        else:
            text += " and stay: no check found them wrong, and not all was seen or done; see below"
    elif run.verdict == "dry_run":
        taken_back = len(documents.get("rollback", {}).get("migrations", []))
        receipt = documents.get("migration", {}).get("receipt") or {}
        whole = "everything was executed" if not receipt.get("not_executed") else "what can be tried was executed"
        text += f": {whole} and rolled back; {_what_stays(documents)} ({_number(count or taken_back, 'migration')})"
    return text


def _what_stays(documents: Documents) -> str:
    """Sequences do not roll back."""
    moved = len((documents.get("migration", {}).get("receipt") or {}).get("sequences", []))
    return f"nothing stays but {_number(moved, 'sequence')} that moved" if moved else "nothing stays"


def _adoption_headline(run: RunRecord, adoption: Mapping[str, Any]) -> str:
    if run.verdict == "not_applied" or (run.verdict == "dry_run" and run.failure):
        return "NOT ADOPTED: nothing was changed"
    if run.verdict == "needs_attention":
        left = state_left(run) or "the adoption is committed, and was not found so afterwards"
        return f"{_HEADLINES[run.verdict]}: {left}; see below"
    new = [entry for entry in adoption.get("migrations", []) if entry["verdict"] == "adopted"]
    verified = len(adoption.get("verified", []))
    if run.verdict == "dry_run":
        return f"DRY RUN: {_number(len(new), 'migration')} would be adopted, {verified} verified; nothing was written"
    text = _HEADLINES[run.verdict]
    return text if run.verdict != "adopted" else f"{text}: {_number(len(new), 'migration')}, {verified} verified"


def _sections(run: RunRecord, documents: Documents, *, full: bool = True) -> Iterator[Section]:
    yield Section("Run", ("", ""), _identity(run))
    if run.failure:
        yield Section("Failure", ("", ""), _failure(run, _headline(run, documents)))
    if waivers := documents.get("preflight", {}).get("waivers"):
        yield Section("Waivers", ("gate", "reason"), waivers.items())
    if plan := list(_plan(documents)):
        yield Section("Plan", ("", ""), plan)
    if documents.get("migration", {}).get("receipt"):
        yield from _dry_run(documents, full=full)
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
        yield Section("Rows", ("table", "before", "after", "verdict"), counts)
    if checks := list(_checks(documents)):
        yield Section("Checks", ("verdict", "check", "before", "says"), checks)
    if probes := list(probe_rows(documents.get("probes_before", {}), documents.get("probes_after", {}))):
        yield Section("Probes", PROBE_HEADER, probes)
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
    for number, line in enumerate("\n".join(said).splitlines()):
        label = next(
            (name for prefix, name in labels.items() if line.startswith(prefix)), "what" if number == 0 else ""
        )
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


def _dry_run(documents: Documents, *, full: bool) -> Iterator[Section]:
    """The receipt, then what of rows and checks is not as it should be: a reviewer has one screen."""
    for table in receipt_tables(documents["migration"]["receipt"], full=full):
        yield Section(table.title, table.header, table.rows)
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
            f"{deciding['passed']} passed, {deciding['failed']} failed, {deciding['warnings']} warnings, "
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


def _verified_before_commit(documents: Documents) -> bool:
    return documents.get("migration", {}).get("verified") == "before_commit"


def _catalog_is_proven(documents: Documents) -> bool:
    rollback = documents.get("rollback", {})
    return rollback.get("catalog_expected") is not None and rollback["catalog_expected"] == rollback.get(
        "catalog_after"
    )


def _table(count: Mapping[str, Any]) -> str:
    return f"{count['schema']}.{count['table']}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
