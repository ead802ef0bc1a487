# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of every verdict with all documents that a run can leave, and what a page says when it is read as text."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import Operation, RunRecord, RunVerdict

START = "2026-01-01T10:00:{:06.3f}+00:00"
HOSTILE = "<script>alert(1)</script>\"'&|"
VERDICTS: tuple[tuple[RunVerdict, Operation], ...] = (
    ("migrated", "migrate"),
    ("not_applied", "migrate"),
    ("rolled_back", "migrate"),
    ("needs_attention", "migrate"),
    ("restored", "restore"),
    ("adopted", "adopt"),
    ("backed_up", "backup"),
    ("dry_run", "migrate"),
    ("nothing_to_do", "rollback"),
    ("running", "migrate"),
)


def run_that_was(verdict: RunVerdict, operation: Operation, **parts: Any) -> RunRecord:
    """A run with this end; one that did not go well has a failure."""
    failed = verdict in ("not_applied", "rolled_back", "needs_attention")
    text = "Table t is in the way\nWhere: /app/a.sql:3:1\nState: it was rolled back\nNext: Rename it, then run again."
    given: dict[str, Any] = {
        "run_id": "20260101T100000Z-aaaa",
        "project": "shop",
        "operation": operation,
        "operator": "anna",
        "started_at": START.format(0),
        "finished_at": None if verdict == "running" else START.format(30),
        "duration_seconds": None if verdict == "running" else 30.0,
        "verdict": verdict,
        "failed_phase": "Apply, verify and commit" if failed else None,
        "failure": text if failed else None,
    }
    return RunRecord(**{**given, **parts})


def documents_of(verdict: RunVerdict, name: str = "one") -> dict[str, Any]:
    """All that the phases of such a run leave.

    :param name: of a migration, a table, a check and all else that somebody else gave a name to.
    """
    documents = {**_before(name)}
    migration = _migration(name)
    if verdict in ("migrated", "rolled_back", "needs_attention"):
        documents |= {"migration": migration, **_after(name)}
    if verdict == "not_applied":
        documents["migration"] = {**migration, "committed": False, "catalog_changes": []}
    if verdict == "dry_run":
        documents["migration"] = {**migration, "committed": False, "dry_run": True}
    if verdict == "rolled_back":
        documents["rollback"] = _rollback(name)
    if verdict == "restored":
        documents = {"restore": _restore(name)}
    if verdict == "adopted":
        documents = {"preflight": documents["preflight"], "adoption": _adoption(name)}
    if verdict == "backed_up":
        documents = {"manifest": documents["manifest"]}
    return copy.deepcopy({} if verdict in ("nothing_to_do", "running") else documents)


class _Reader(HTMLParser):
    """The cells of a page's tables, row by row, and every element and address in it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []
        self.elements: list[str] = []
        self.addresses: list[str] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action", "xlink:href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.rows[-1][-1] += data


def read(page: str) -> _Reader:
    """What a browser would find in the page."""
    reader = _Reader()
    reader.feed(page)
    return reader


def markdown_rows(text: str) -> Iterator[list[str]]:
    """The cells of each row of facts in a Markdown report."""
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("| --- "):
            cells = line[2:-2].replace("\\|", "\0").split(" | ")
            yield [cell.replace("\0", "|") for cell in cells]


def _before(name: str) -> dict[str, Any]:
    gates = [
        {"name": "git", "verdict": "PASS", "evidence": f"HEAD has {name}", "waiver": None, "next_step": None},
        {"name": "lint", "verdict": "WAIVED", "evidence": "2 errors", "waiver": f"because {name}", "next_step": None},
    ]
    lock = {"relation": f"public.{name}", "mode": "AccessExclusiveLock", "where": "a.sql:1:1"}
    planned = {"version": "1", "name": name, "locks": [{**lock, "mode": "RowExclusiveLock"}, lock]}
    counted = {"document": "row_counts", "duration_seconds": 0.1, "total": 4}
    tables = [{"schema": "public", "table": table, "rows": 2} for table in (name, "kept")]
    check = {"name": name, "verdict": "FAIL", "message": name, "where": "V.sql:1:1"}
    return {
        "preflight": {
            "document": "preflight",
            "database": "postgres",
            "server_version": "17.10",
            "checked_at": START.format(0.5),
            "duration_seconds": 0.5,
            "gates": gates,
            "waivers": {"lint": f"because {name}"},
            "approvals": [{"principal": "berta", "key": "SHA256:abc", "file": "f"}],
            "lint_waivers": [],
        },
        "plan": {"document": "plan", "plan_hash": "f" * 64, "steps": [{"number": 1, "migrations": [planned]}]},
        "manifest": _manifest(),
        "counts_before": {**counted, "taken_at": START.format(4), "tables": tables},
        "validation_before": {**_validation([check]), "started_at": START.format(5)},
        "probes_before": _probes("before", name, 8),
        "maintenance": _maintenance(name),
    }


def _after(name: str) -> dict[str, Any]:
    tables = [{"schema": "public", "table": table, "rows": rows} for table, rows in ((name, 3), ("kept", 2))]
    check = {"name": name, "verdict": "PASS", "message": f"{name} is there", "where": "V.sql:1:1"}
    bad = {"name": "orphans", "verdict": "FAIL", "message": "2 of them", "where": "V.sql:9:1"}
    return {
        "counts_after": {
            "document": "row_counts",
            "taken_at": START.format(20),
            "duration_seconds": 0.1,
            "total": 5,
            "tables": tables,
        },
        "validation_after": {**_validation([check, bad]), "started_at": START.format(21)},
        "probes_after": _probes("after", name, 22),
    }


def _validation(checks: list[dict[str, Any]]) -> dict[str, Any]:
    failed = sum(check["verdict"] == "FAIL" for check in checks)
    tally = {"passed": len(checks) - failed, "failed": failed, "warnings": 0, "skipped": 0}
    verdict = "FAIL" if failed else "PASS"
    return {"document": "validation", "duration_seconds": 0.2, "checks": checks, "verdict": verdict, **tally}


def _probes(stage: str, name: str, second: int) -> dict[str, Any]:
    probe = {
        "name": name,
        "method": "GET",
        "url": "http://127.0.0.1:3000/api/users",
        "writes": False,
        "verdict": "PASS",
        "message": "",
        "status": 200,
        "samples": 20,
        "p50_seconds": 0.021,
        "p95_seconds": 0.043,
        "max_seconds": 0.055,
        "limit_seconds": 0.086 if stage == "after" else None,
        "notes": [],
    }
    unasked = {"name": "gone", "method": "GET", "url": "http://127.0.0.1:9/", "verdict": "SKIP", "message": "no answer"}
    return {
        "document": "probes",
        "stage": stage,
        "started_at": START.format(second),
        "duration_seconds": 1.5,
        "probes": [probe, unasked],
    }


def _maintenance(name: str) -> dict[str, Any]:
    proof = {"who": "anon", "tried": f"insert into {name}", "expected": "refused", "found": "refused", "passed": True}
    return {
        "document": "maintenance",
        "on": False,
        "strategy": "database",
        "operator": "anna",
        "since": START.format(3),
        "until": START.format(25),
        "seconds": 22.0,
        "proofs": [proof, {**proof, "who": "superuser", "found": "not refused", "passed": False}],
        "sessions_ended": 3,
        "warnings": ["a superuser can still write"],
    }


def _manifest() -> dict[str, Any]:
    return {
        "document": "backup_manifest",
        "backup_id": "20260101T100001Z-bbbb",
        "run_id": "20260101T100000Z-aaaa",
        "project": "shop",
        "format": "directory",
        "compression": "zstd:1",
        "client_version": "17.10",
        "started_at": START.format(1),
        "duration_seconds": 2.0,
        "catalog_fingerprint": "a" * 64,
        "counts": {"tables": [{}], "total": 4},
        "files": [{}],
        "total_bytes": 1000,
        "verification": {"method": "read", "entries": 12, "notes": []},
    }


def _migration(name: str) -> dict[str, Any]:
    return {
        "document": "migration",
        "committed": True,
        "dry_run": False,
        "verified": "before_commit",
        "started_at": START.format(10),
        "duration_seconds": 6.0,
        "migrations": [{"version": "1", "name": name, "statements": 3, "duration_seconds": 0.5}],
        "catalog_changes": [
            {"change": "created", "object_type": "table", "object_name": f"public.{name}", "detail": ""},
        ],
    }


def _rollback(name: str) -> dict[str, Any]:
    return {
        "document": "rollback",
        "committed": True,
        "started_at": START.format(26),
        "duration_seconds": 1.0,
        "migrations": [{"version": "1", "name": name, "statements": 1, "duration_seconds": 0.2}],
        "catalog_expected": "a" * 64,
        "catalog_after": "a" * 64,
        "exported": [f"/runs/{name}.csv"],
    }


def _restore(name: str) -> dict[str, Any]:
    loss = {"schema": "public", "table": name, "in_backup": 2, "now": 3, "written_since": 1, "gone_since": 0}
    return {
        "document": "restore",
        "backup_id": "b1",
        "backup_taken_at": "2025-12-31",
        "backup_path": f"/backups/{name}",
        "target": "postgres",
        "committed": True,
        "catalog_expected": "a" * 64,
        "started_at": START.format(5),
        "duration_seconds": 9.0,
        "losses": [loss],
    }


def _adoption(name: str) -> dict[str, Any]:
    entry = {
        "version": "1",
        "name": name,
        "sha256": "a" * 64,
        "verdict": "adopted",
        "compared": "text",
        "trusted": name,
    }
    return {
        "document": "adoption",
        "committed": True,
        "started_at": START.format(5),
        "duration_seconds": 1.0,
        "migrations": [entry],
        "verified": ["1"],
    }
