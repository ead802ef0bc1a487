# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the written report has beyond the terminal's: locks, probes, maintenance, gates, sign-off, what comes next. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.report.receipt import who_waits
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Documents, Section
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord

NOT_SIGNED = "not signed"
_NOBODY = "nobody: it was not there before"


def lock_section(documents: Documents) -> Iterator[Section]:
    """The strongest lock on each relation of each migration, as the plan reads them from the statements."""
    rows: list[tuple[str, str, str, str]] = []
    for step in documents.get("plan", {}).get("steps", []):
        for migration in step.get("migrations", []):
            label = f"{migration['version']}_{migration['name']}"
            rows += [(label, *lock) for lock in _strongest(migration.get("locks") or [])]
    changes = documents.get("migration", {}).get("catalog_changes") or []
    made = {change["object_name"] for change in changes if change["change"] == "created"}
    rows = [(*row[:3], _NOBODY if row[1] in made else row[3]) for row in rows]
    if rows:
        header = ("migration", "relation", "mode", "who waits")
        yield Section("Locks", header, rows, in_order=lambda row: row[3] == _NOBODY)


def _strongest(locks: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Relation, mode and who waits, in the order in which the relations are first locked."""
    strongest: dict[str, tuple[int, str, str]] = {}
    for lock in locks:
        rank, who = who_waits(lock["mode"])
        known = strongest.get(lock["relation"])
        if known is None or rank < known[0]:
            strongest[lock["relation"]] = (rank, lock["mode"], who)
    return [(relation, mode, who) for relation, (_rank, mode, who) in strongest.items()]


def gate_section(documents: Documents) -> Iterator[Section]:
    """Every gate with what was found, and the waiver where somebody let it pass."""
    rows = []
    for gate in documents.get("preflight", {}).get("gates", []):
        found = [gate["evidence"]]
        if gate.get("waiver"):
            found.append(f"waived because: {gate['waiver']}")
        rows.append((gate["verdict"], gate["name"], "; ".join(found)))
    if rows:
        yield Section("Gates", ("verdict", "gate", "found"), rows, in_order=lambda row: row[0] in ("PASS", "SKIP"))


def probe_section(documents: Documents) -> Iterator[Section]:
    """The application's endpoints: how fast they answered before and after, and what is wrong."""
    before = {probe["name"]: probe for probe in documents.get("probes_before", {}).get("probes", [])}
    after = {probe["name"]: probe for probe in documents.get("probes_after", {}).get("probes", [])}
    rows = []
    # What needs a look comes first.
    for name in sorted(before | after, key=lambda name: (after.get(name) or before[name])["verdict"] == "PASS"):
        probe = after.get(name) or before[name]
        says = "; ".join(dict.fromkeys(part for part in (probe.get("message"), *probe.get("notes", [])) if part))
        limit = milliseconds(probe.get("limit_seconds"))
        what = f"{probe.get('method', '')} {probe.get('url', '')}".strip()
        rows.append((probe["verdict"], name, what, _latency(before.get(name)), _latency(after.get(name)), limit, says))
    if rows:
        header = (
            "verdict",
            "probe",
            "request",
            "before, p50 / p95 / max ms",
            "after, p50 / p95 / max ms",
            "p95 below ms",
            "says",
        )
        yield Section("Probes", header, rows, in_order=lambda row: row[0] == "PASS")


def milliseconds(seconds: float | None) -> str:
    """Seconds as whole milliseconds for a cell; a dash where nobody measured."""
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


def _latency(probe: Mapping[str, Any] | None) -> str:
    # A write is sent once, and one latency is no percentile.
    if not probe or probe.get("writes") or probe.get("p50_seconds") is None:
        return "-"
    return " / ".join(milliseconds(probe.get(f"{which}_seconds")) for which in ("p50", "p95", "max"))


def maintenance_section(documents: Documents) -> Iterator[Section]:
    """The application off and on again, and how it was proven that it could not write."""
    report = documents.get("maintenance")
    if not report:
        return
    rows = [("writes are", "still off" if report.get("on") else "on again")]
    rows += [
        (label, str(report[key]))
        for key, label in (
            ("strategy", "strategy"),
            ("operator", "turned off by"),
            ("since", "since"),
            ("until", "until"),
        )
        if report.get(key)
    ]
    if report.get("seconds") is not None:
        rows.append(("off for", f"{report['seconds']:.1f} s"))
    if report.get("sessions_ended"):
        rows.append(("sessions ended", str(report["sessions_ended"])))
    rows += [("warning", warning) for warning in report.get("warnings", [])]
    yield Section("Maintenance", ("", ""), rows)
    said = {True: "PASS", False: "FAIL", None: "SKIP"}
    proofs = [
        (said[proof.get("passed")], proof["who"], proof["tried"], proof["expected"], proof["found"])
        for proof in report.get("proofs", [])
    ]
    if proofs:
        header = ("verdict", "who", "tried", "expected", "found")
        yield Section("Maintenance, tried out", header, proofs, in_order=lambda row: row[0] == "PASS")


def sign_off_section(run: RunRecord, documents: Documents) -> Iterator[Section]:
    """Who executed it, and whose signatures approve the plan; what nobody signed stays open, to be signed by hand."""
    rows = [("Executed by", run.operator, run.finished_at or "not finished", "the account that ran it")]
    preflight = documents.get("preflight", {})
    checked = str(preflight.get("checked_at", ""))
    for approval in preflight.get("approvals", []):
        how = f"signature of the plan by the key {approval['key']}, found good at that time"
        rows.append(("Reviewed and approved by", approval["principal"], checked, how))
    if len(rows) == 1:
        rows += [(f"{what} by", NOT_SIGNED, "", "") for what in ("Reviewed", "Approved")]
    yield Section("Sign-off", ("what", "who", "when", "how"), rows)


def follow_up_section(run: RunRecord) -> Iterator[Section]:
    """What is left to people after a run that changed something, or was to."""
    steps = _FOLLOW_UPS.get(run.verdict, ())
    rows = [(when, what, _command(run, command)) for when, what, command in steps]
    if rows:
        yield Section("What comes next", ("when", "what", "command"), rows)


def watch_command(run: RunRecord) -> str:
    """What has the project watched after its migration."""
    return _command(run, "monitor")


def _command(run: RunRecord, command: str) -> str:
    """A command for this project; without one it is for people and their other tools."""
    if not command:
        return ""
    playbook, _space, options = command.partition(" ")
    whole = f"ansible-playbook pgops.supabase.{playbook} -l {shlex.quote(run.project)}"
    return f"{whole} {options.replace('RUN_ID', run.run_id)}".rstrip()


_LOOK = ("Day 1", "See what the database says: all applied, nothing edited or half done", "status")
_WATCH = ("Day 1", "Watch it for 24 hours against what it was before; what gets worse is told to the team", "monitor")
_LOGS = ("Day 1", "Read the logs of the application and of PostgreSQL for errors that were not there before", "")
_APPLIED = (
    _LOOK,
    _WATCH,
    _LOGS,
    ("Day 1", "Tell the people who work with it what is new, and bring the documentation up to date", "review"),
    ("Week 1", "Make a backup that holds the new schema", "backup"),
    (
        "Week 1",
        "Look at what the new tables and columns collect: errors, outliers, growth",
        "review -e review_period=week1",
    ),
    ("Week 1", "Set up the dashboards, alerts and clean-up jobs that the new tables need", ""),
    ("Week 1", "Show those who help users what is new, with queries that they can use", ""),
    ("Month 1", "Prove that the backups can be restored and are equal", "backup -e backup_verify=restore"),
    (
        "Month 1",
        "Drop indexes that nothing uses, and add those that are missed (pg_stat_user_indexes)",
        "review -e review_period=month1",
    ),
    ("Month 1", "Hold the row level security policies against what people really read and write", ""),
    ("Month 1", "Decide how long new rows are kept, and where old ones go", ""),
    ("Month 1", "See what the new rows say by now, and whether their kinds and categories still fit", ""),
)
_FAILED = (
    _LOOK,
    _LOGS,
    (
        "Day 1",
        "Find the cause in this report, mend the files, and try them: all is executed and rolled back",
        "migrate --check --diff",
    ),
    ("Week 1", "Rehearse the mended files on a restored backup, up, down and up again", "rehearse"),
    ("Week 1", "Agree on a new time, and have the new plan read and signed", "plan"),
    ("Month 1", "Add the check or the gate that would have said it beforehand", ""),
)
_FOLLOW_UPS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "migrated": (
        *_APPLIED[:5],
        (
            "Week 1",
            "Know what the way back would cost by now: rows written since are named before they are lost",
            "rollback --check -e rollback_of_run=RUN_ID -e rollback_reason='to know the cost'",
        ),
        *_APPLIED[5:],
    ),
    "adopted": _APPLIED,
    "restored": (
        _LOOK,
        ("Day 1", "See which migrations are pending again", "plan"),
        _LOGS,
        ("Day 1", "Tell the people whose rows of since the backup are gone, and where they are kept aside", ""),
        *_APPLIED[4:5],
        ("Month 1", "Write down how long the restore took and what was missed, for the next time", ""),
    ),
    "rolled_back": _FAILED,
    "not_applied": _FAILED,
    "needs_attention": _FAILED,
}
