# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads at the end of a run, from plain documents."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.report.job import markdown, summary_lines
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord, RunVerdict

MIGRATIONS = [{"version": "1", "name": "one", "statements": 3, "duration_seconds": 0.5}]
MIGRATION: dict[str, Any] = {
    "migrations": MIGRATIONS,
    "verified": "before_commit",
    "duration_seconds": 1.25,
    "catalog_changes": [
        {"change": "created", "object_type": "index", "object_name": f"public.i{n}", "detail": ""} for n in range(6)
    ],
}
ROLLBACK: dict[str, Any] = {
    "migrations": MIGRATIONS,
    "duration_seconds": 1.0,
    "catalog_expected": "f00",
    "catalog_after": "f00",
    "exported": ["/runs/one/rollback-data/public.labels.csv"],
}

RESTORE: dict[str, Any] = {
    "backup_id": "b1",
    "backup_taken_at": "2026-01-01",
    "backup_path": "/backups/b1",
    "target": "shop",
    "committed": True,
    "catalog_expected": "f00",
    "duration_seconds": 1.0,
}

ADOPTION: dict[str, Any] = {
    "migrations": [
        {
            "version": "1",
            "name": "one",
            "sha256": "f" * 64,
            "verdict": "adopted",
            "compared": None,
            "trusted": "I looked",
        },
        {"version": "2", "name": "two", "sha256": "e" * 64, "verdict": "known", "compared": None, "trusted": None},
    ],
    "verified": ["1", "2"],
    "duration_seconds": 0.5,
}


def counts(**tables: int) -> dict[str, Any]:
    """A document of exact counts."""
    rows = [{"schema": "public", "table": table, "rows": number} for table, number in tables.items()]
    return {"tables": rows, "total": sum(tables.values()), "duration_seconds": 0.1}


def run(verdict: RunVerdict, **parts: Any) -> RunRecord:
    """A run that has ended so."""
    identity = {"run_id": "20260101T000000Z-aaaa", "project": "shop", "operator": "me"}
    return RunRecord(**{"operation": "migrate", "started_at": "2026-01-01", "verdict": verdict, **identity, **parts})


@pytest.mark.parametrize(
    ("record", "documents", "headline"),
    [
        (run("migrated"), {"migration": MIGRATION}, "MIGRATED: 1 migration, verified before COMMIT and after it"),
        (
            run("migrated"),
            {"migration": {**MIGRATION, "verified": "not_here"}},
            "MIGRATED: 1 migration, verified after",
        ),
        (
            run("not_applied", failure="No."),
            {},
            "NOT APPLIED: it failed before COMMIT, so there is nothing to roll back",
        ),
        (
            run("not_applied", failure="No.", error={"outcome": "partial", "state": "the 2 statements before it stay"}),
            {"migration": {**MIGRATION, "committed": False}},
            "NOT APPLIED AS A WHOLE: the 2 statements before it stay",
        ),
        (
            run("not_applied", failure="No.", error={"outcome": "unchanged", "state": "it was rolled back"}),
            {"migration": {**MIGRATION, "committed": False}},
            "NOT APPLIED: it failed before COMMIT",
        ),
        (run("not_applied", failure="No.\nState: half of it stays."), {}, "NOT APPLIED: it failed before COMMIT"),
        (
            run("needs_attention", operation="restore", error={"outcome": "unknown", "state": "not known: 7"}),
            {},
            "NEEDS ATTENTION: not known: 7",
        ),
        (
            run("restored", operation="restore"),
            {"restore": {**RESTORE, "not_held": ["3 cron jobs", "50 Storage files"]}},
            "every row and the catalog are what it holds (not held: 3 cron jobs, 50 Storage files)",
        ),
        (
            run("needs_attention", operation="restore"),
            {"restore": RESTORE},
            "NEEDS ATTENTION: the restore is committed and proven",
        ),
        (
            run("needs_attention", operation="adopt", error={"outcome": "unknown", "state": "not known: 7"}),
            {},
            "NEEDS ATTENTION: not known: 7",
        ),
        (run("rolled_back"), {"rollback": ROLLBACK}, "the catalog is again exactly what it was"),
        (
            run("rolled_back"),
            {"rollback": {**ROLLBACK, "catalog_after": "other", "equal_but": ["column positions of public.t"]}},
            "the catalog is again what it was but for column positions of public.t",
        ),
        (run("rolled_back"), {"rollback": {**ROLLBACK, "catalog_expected": None}}, "the catalog is not proven"),
        (run("rolled_back"), {"rollback": {**ROLLBACK, "catalog_after": "bad"}}, "the catalog is not proven"),
        (run("needs_attention"), {"migration": MIGRATION}, "NEEDS ATTENTION: 1 of 1 migration applied and stay"),
        (run("needs_attention", operation="rollback"), {}, "NEEDS ATTENTION: the rollback failed"),
        (
            run("needs_attention", operation="rollback", error={"outcome": "committed", "state": "it is committed"}),
            {},
            "NEEDS ATTENTION: it is committed; see below",
        ),
        (
            run("needs_attention"),
            {"migration": MIGRATION, "rollback": {**ROLLBACK, "committed": True}},
            "NEEDS ATTENTION: the rollback is committed",
        ),
        (run("dry_run"), {"migration": MIGRATION}, "DRY RUN: everything was executed and rolled back; nothing stays"),
        (run("dry_run", failure="No."), {"migration": MIGRATION}, "DRY RUN FAILED: everything was rolled back"),
        (run("nothing_to_do"), {}, "NOTHING APPLIED: only other phases were asked for"),
        (
            run("nothing_to_do", operation="rollback"),
            {},
            "NOTHING TO DO: no run has applied anything, or what it would take back was",
        ),
        (run("nothing_to_do", operation="rollback"), {}, "An earlier run: -e rollback_of_run=<run id>"),
        (run("adopted", operation="adopt"), {"adoption": ADOPTION}, "ADOPTED: 1 migration, 2 verified"),
        (
            run("dry_run", operation="adopt"),
            {"adoption": ADOPTION},
            "DRY RUN: 1 migration would be adopted, 2 verified",
        ),
        (run("not_applied", operation="adopt", failure="No."), {}, "NOT ADOPTED: nothing was changed"),
        (run("nothing_to_do", operation="adopt"), {"adoption": ADOPTION}, "NOTHING TO DO"),
        (
            run("needs_attention", operation="adopt"),
            {"adoption": ADOPTION},
            "NEEDS ATTENTION: the adoption is committed",
        ),
    ],
)
def test_the_first_line_says_how_it_ended(record: RunRecord, documents: dict[str, Any], headline: str) -> None:
    for _time in range(2):
        assert headline in summary_lines(record, documents, "/runs/one")[0]
        assert markdown(record, documents).splitlines()[0] == f"# {summary_lines(record, documents, None)[0]}"


def test_what_an_operator_looks_for_is_there() -> None:
    documents = {
        "migration": MIGRATION,
        "rollback": ROLLBACK,
        "counts_before": counts(clients=3, orders=100),
        "counts_after": counts(clients=3, orders=99, labels=0),
    }
    text = "\n".join(summary_lines(run("rolled_back", reason="why not"), documents, "/runs/one"))
    for line in (
        "  reason    why not",
        "  index created       6  public.i0, public.i1, public.i2, public.i3 and 2 more",
        "  data exported     /runs/one/rollback-data/public.labels.csv",
        "  public.clients       3      3  equal",
        "  public.labels        -      0  new",
        "  public.orders      100     99  differs",
        "  total              103    102",
        "  apply, with its checks      1.250",
        "  /runs/one",
    ):
        assert line in text, text


def test_in_short_a_line_is_what_is_in_order_and_a_table_what_is_not() -> None:
    tally = {"verdict": "PASS", "passed": 1, "failed": 0, "warnings": 0, "skipped": 0, "duration_seconds": 0.1}
    passed = {"name": "orphans", "verdict": "PASS", "message": "", "where": "V.sql:3:1"}
    documents: dict[str, Any] = {
        "migration": MIGRATION,
        "counts_before": counts(clients=3),
        "counts_after": counts(clients=3, labels=0),
        "validation_after": {"checks": [passed], "silent": [{"name": "set", "where": "V.sql:1:1"}], **tally},
    }
    assert summary_lines(run("migrated", reason="why not"), documents, "/runs/one", full=False) == [
        "shop: MIGRATED: 1 migration, verified before COMMIT and after it",
        "  reason       why not",
        "  migrations   1_one: 3 statements, 0.500 s",
        "  created      6 indexes",
        "  rows         3 before and after; 1 table unchanged; 1 new (0 rows)",
        "  checks       1 passed; 1 statement says nothing",
        "  documents    /runs/one",
        "  watch it by  ansible-playbook pgops.supabase.monitor -l shop",
    ]
    documents["counts_after"] = counts(clients=2, labels=0)
    lines = summary_lines(run("migrated"), documents, "/runs/one", full=False)
    assert [line.split() for line in lines[lines.index("Rows") + 2 :]] == [
        ["public.clients", "3", "2", "differs"],
        ["public.labels", "-", "0", "new"],
        ["total", "3", "2"],
    ]


def test_follow_ups_are_told_whether_they_failed_or_not() -> None:
    documents: dict[str, Any] = {
        "types": {"path": "/app/types.ts", "changed": True, "relations": 11, "enums": 1, "generator": "typegen 1.0"},
        "publication": {"commit": "abc", "remote": "origin", "branch": "main", "files": ["a"]},
    }
    lines = summary_lines(run("migrated"), documents, None, full=False)
    assert lines[1:] == [
        "  types      /app/types.ts: changed; 11 relations, 1 enum",
        "  published  abc on origin/main, 1 file",
    ]
    assert "  types by   typegen 1.0" in summary_lines(run("migrated"), documents, None)
    lines = summary_lines(
        run("migrated", follow_ups={"types": "no npm\nNext: install it"}), documents, None, full=False
    )
    assert lines[2:] == ["  types failed  no npm", "                Next: install it"]


def test_in_short_a_hundred_migrations_are_not_a_hundred_lines() -> None:
    many = [{**MIGRATIONS[0], "version": str(number)} for number in range(100)]
    lines = summary_lines(run("migrated"), {"migration": {**MIGRATION, "migrations": many}}, None, full=False)
    assert len(lines) == 11 and lines[9] == "              and 92 more: 276 statements, 46.000 s"


def test_a_failure_is_shown_by_its_parts() -> None:
    failure = "It broke: badly.\nWhere: a.sql:1:2\nState: as before.\nNext: mend it."
    lines = summary_lines(run("not_applied", failed_phase="Apply", failure=failure), {}, None)
    start = lines.index("Failure")
    assert lines[start + 1 : start + 6] == [
        "  phase       Apply",
        "  what        It broke: badly.",
        "  where       a.sql:1:2",
        "  state then  as before.",
        "  next        mend it.",
    ]
    assert lines[start + 6].startswith("  state now   NOT APPLIED")


def test_only_unchanged_tables_are_folded() -> None:
    before = {f"t{n:03d}": n for n in range(100)}
    text = "\n".join(
        summary_lines(
            run("migrated"),
            {
                "migration": MIGRATION,
                "counts_before": counts(**before),
                "counts_after": counts(**{**before, "t099": 1}),
            },
            None,
        )
    )
    assert "59 more tables" in text and "public.t099" in text and "public.t039" in text and "public.t040" not in text


def test_markdown_keeps_cells_whole() -> None:
    text = markdown(run("not_applied", failed_phase="a|b", failure="No\nWhere: x|y"), {})
    assert "| phase | a\\|b |" in text and "| where | x\\|y |" in text


def test_a_check_is_shown_with_its_verdict_before() -> None:
    check = {"name": "orphans", "verdict": "FAIL", "message": "2 of them", "where": "V.sql:3:1"}
    tally = {"verdict": "FAIL", "passed": 0, "failed": 1, "warnings": 0, "skipped": 0, "duration_seconds": 0.1}
    documents = {
        "migration": MIGRATION,
        "validation_before": {"checks": [{**check, "verdict": "PASS"}], **tally},
        "validation_after": {"checks": [check], **tally},
    }
    row = next(line for line in summary_lines(run("needs_attention"), documents, None) if "orphans" in line)
    assert row.split() == ["FAIL", "orphans", "PASS", "2", "of", "them", "(V.sql:3:1)"]


def test_what_was_adopted_is_listed() -> None:
    lines = summary_lines(run("adopted", operation="adopt"), {"adoption": ADOPTION}, None)
    start = lines.index("Adopted")
    assert lines[start + 2].split() == ["1_one", "f" * 16, "no", "I", "looked"]
    assert not any("2_two" in line for line in lines)


def probed(stage: str, *probes: dict[str, Any]) -> dict[str, Any]:
    """The document of probes."""
    number = {verdict: sum(p["verdict"] == verdict for p in probes) for verdict in ("PASS", "FAIL", "WARNING", "SKIP")}
    return {
        "stage": stage,
        "verdict": next(verdict for verdict in ("FAIL", "SKIP", "WARNING", "PASS") if number[verdict]),
        "passed": number["PASS"],
        "failed": number["FAIL"],
        "warnings": number["WARNING"],
        "skipped": number["SKIP"],
        "duration_seconds": 0.5,
        "probes": list(probes),
    }


def one_probe(name: str, verdict: str = "PASS", message: str = "", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "verdict": verdict,
        "message": message,
        "notes": [],
        "writes": False,
        "p50_seconds": 0.01,
        "p95_seconds": 0.012,
        "max_seconds": 0.5,
        **more,
    }


def test_probes_are_shown_with_what_needs_a_look_first() -> None:
    run = RunRecord(
        run_id="r1", project="shop", operation="migrate", operator="ops", started_at="t", verdict="needs_attention"
    )
    many = [one_probe(f"page {number}") for number in range(15)]
    before = probed("before", *many, one_probe("orders", p95_seconds=0.08))
    slow = one_probe("orders", "FAIL", "its 95th percentile is 400 ms", p95_seconds=0.4)
    left = one_probe("change", "WARNING", "what it wrote stays", notes=["what it wrote stays"], writes=True)
    documents = {"probes_before": before, "probes_after": probed("after", *many, slow, left)}
    lines = summary_lines(run, documents, None)
    section = lines[lines.index("Probes") :]
    assert section[2].split() == "FAIL orders 10 / 80 / 500 10 / 400 / 500 - its 95th percentile is 400 ms".split()
    assert section[3].split() == "WARNING change - - - what it wrote stays".split()
    assert sum("page" in line for line in section) == 15
    assert any(line.split() == ["probes", "after", "0.500"] for line in section)
    short = summary_lines(run, documents, None, full=False)
    assert [line.split()[:2] for line in short[short.index("Probes") + 2 :]] == [
        ["FAIL", "orders"],
        ["WARNING", "change"],
        ["PASS", "15"],
    ]
    only = summary_lines(run, {"probes_before": before}, None)
    assert any(line.split() == "PASS page 0 10 / 12 / 500 - -".split() for line in only)
    assert "  probes  16 of 16 answered as they should" in summary_lines(
        run, {"probes_before": before}, None, full=False
    )
    assert "Probes" not in summary_lines(run, {}, None)


def test_the_end_of_a_migration_names_the_watch() -> None:
    documents = {"migration": {**MIGRATION, "committed": True}}
    migrated = run("migrated")
    assert (
        summary_lines(migrated, documents, "/runs/one")[-1]
        .strip()
        .startswith("ansible-playbook pgops.supabase.monitor -l ")
    )
    assert "ansible-playbook pgops.supabase.monitor -l " in markdown(migrated, documents)
    for verdict in ("rolled_back", "not_applied"):
        assert "pgops.supabase.monitor" not in "\n".join(summary_lines(run(verdict), documents, "/runs/one"))
