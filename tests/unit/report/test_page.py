# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html: the facts of report.md, nothing loaded, every name escaped, old documents readable."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import Adoption, MigrationResult
from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupManifest
from ansible_collections.pgops.supabase.plugins.module_utils.gates.documents import PreflightReport
from ansible_collections.pgops.supabase.plugins.module_utils.report.job import markdown, summary_lines
from ansible_collections.pgops.supabase.plugins.module_utils.report.page import page
from ansible_collections.pgops.supabase.plugins.module_utils.report.plots import latency_plot
from ansible_collections.pgops.supabase.plugins.module_utils.report.timeline import timeline
from ansible_collections.pgops.supabase.plugins.module_utils.restore.documents import RestoreResult
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.documents import RollbackResult
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import Operation, RunVerdict
from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import ValidationReport
from tests.unit.report.pages import HOSTILE, VERDICTS, documents_of, markdown_rows, read, run_that_was


@pytest.mark.parametrize(("verdict", "operation"), VERDICTS)
@pytest.mark.parametrize("name", ["one", HOSTILE])
def test_each_fact_of_the_markdown_stands_in_the_page(verdict: RunVerdict, operation: Operation, name: str) -> None:
    run, documents = run_that_was(verdict, operation), documents_of(verdict, name)
    found = {tuple(cell.replace("\n", " ") for cell in row) for row in read(page(run, documents)).rows}
    facts = [row for row in markdown_rows(markdown(run, documents)) if any(row)]
    assert len(facts) > 2
    for fact in facts:
        assert tuple(fact) in found, fact


@pytest.mark.parametrize(("verdict", "operation"), VERDICTS)
def test_nothing_is_loaded_and_nothing_runs(verdict: RunVerdict, operation: Operation) -> None:
    documents = documents_of(verdict, HOSTILE)
    run = run_that_was(verdict, operation, operator=HOSTILE, project=HOSTILE, reason=HOSTILE)
    text = page(run, documents)
    reader = read(text)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base"} & set(reader.elements)
    assert all(address.startswith("#") for address in reader.addresses), reader.addresses
    assert "@import" not in text and "url(" not in text and "<script" not in text
    assert "default-src 'none'" in text
    # Escaped once, and not twice.
    assert "&lt;script&gt;" in text and "&amp;lt;" not in text


def test_what_is_in_order_is_folded_away() -> None:
    text = page(run_that_was("migrated", "migrate"), documents_of("migrated"))
    rows = text[text.index(">Rows</h2>") : text.index(">Checks</h2>")]
    shown, folded = rows.split("<details>")
    assert "public.one" in shown and "public.kept" in folded
    checks = text[text.index(">Checks</h2>") :].split("<details>")
    assert "orphans" in checks[0] and "one is there" in checks[1]


def test_nobody_signed_leaves_lines_to_sign() -> None:
    documents = documents_of("migrated")
    run = run_that_was("migrated", "migrate")
    assert ["Reviewed and approved by", "berta"] in [row[:2] for row in read(page(run, documents)).rows]
    documents["preflight"]["approvals"] = []
    rows = [row[:2] for row in read(page(run, documents)).rows]
    assert ["Executed by", "anna"] in rows
    assert ["Reviewed by", "not signed"] in rows and ["Approved by", "not signed"] in rows


def test_the_strongest_lock_on_a_relation_is_told() -> None:
    documents = documents_of("migrated")
    documents["migration"]["catalog_changes"] = []
    rows = read(page(run_that_was("migrated", "migrate"), documents)).rows
    locks = [row for row in rows if row[0] == "1_one" and row[1] == "public.one"]
    assert locks == [["1_one", "public.one", "AccessExclusiveLock", "everybody, readers too"]]


def test_the_terminal_is_not_told_what_is_read_later() -> None:
    text = "\n".join(summary_lines(run_that_was("migrated", "migrate"), documents_of("migrated"), "/runs/one"))
    assert "Sign-off" not in text and "What comes next" not in text and "Gates" not in text
    assert "restore_consent='shop 20260101T100001Z-bbbb'" in text


def test_the_timeline_has_each_phase_where_it_was() -> None:
    drawn = timeline(run_that_was("rolled_back", "migrate"), documents_of("rolled_back"))
    assert drawn is not None and drawn.seconds == 30
    placed = {line.label: (line.begin, line.seconds, line.left, line.width) for line in drawn.bars}
    assert placed["Backup"] == (1.0, 2.0, 3.33, 6.67)
    assert placed["Application's writes off"] == (3.0, 22.0, 10.0, 73.33)
    assert [line.label for line in drawn.bars][-1] == "Rollback"
    assert all(0 <= line.left and line.left + line.width <= 100.01 for line in drawn.bars)


def test_a_phase_without_a_time_is_no_bar() -> None:
    documents = documents_of("migrated")
    documents["migration"]["started_at"] = "some day"
    del documents["manifest"]["started_at"]
    drawn = timeline(run_that_was("migrated", "migrate"), documents)
    assert drawn is not None and {"Apply, check, commit", "Backup"}.isdisjoint(line.label for line in drawn.bars)
    assert timeline(run_that_was("nothing_to_do", "migrate"), {}) is None


def test_a_backup_of_another_run_is_no_phase_of_this_one() -> None:
    documents = documents_of("migrated")
    documents["manifest"]["run_id"] = "another"
    drawn = timeline(run_that_was("migrated", "migrate"), documents)
    assert drawn is not None and "Backup" not in [line.label for line in drawn.bars]


def test_the_plot_is_an_image_with_a_name_and_a_description() -> None:
    drawn = latency_plot(documents_of("migrated", HOSTILE))
    assert drawn.startswith("<svg") and 'role="img"' in drawn and drawn.count("<title") == drawn.count("<desc") == 1
    assert "<script" not in drawn and "pygal.org" not in drawn and "1 probes" not in drawn
    assert drawn == latency_plot(documents_of("migrated", HOSTILE))
    assert latency_plot({}) == ""


def test_without_pygal_the_table_stays_and_the_page_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygal", None)
    text = page(run_that_was("migrated", "migrate"), documents_of("migrated"))
    assert "needs the Python package pygal" in text and "21 / 43 / 55" in text and "<svg" not in text


PLAYBOOKS = Path(__file__).resolve().parents[3] / "playbooks"
SHAPES: dict[str, Any] = {
    "preflight": PreflightReport,
    "manifest": BackupManifest,
    "migration": MigrationResult,
    "rollback": RollbackResult,
    "restore": RestoreResult,
    "adoption": Adoption,
    "validation_before": ValidationReport,
    "validation_after": ValidationReport,
}


@pytest.mark.parametrize(("verdict", "operation"), VERDICTS)
def test_documents_of_earlier_releases_are_rendered(verdict: RunVerdict, operation: Operation) -> None:
    """A field with a default came later: a document of before does not have it."""
    documents = documents_of(verdict)
    for name, shape in SHAPES.items():
        for field in dataclasses.fields(shape):
            if field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING:
                documents.get(name, {}).pop(field.name, None)
    for name in ("probes_before", "probes_after", "maintenance"):
        documents.pop(name, None)
    run = run_that_was(verdict, operation, error=None, headline=None)
    assert "</html>" in page(run, documents)


def test_each_command_names_a_playbook_that_there_is() -> None:
    commands = set()
    for verdict, operation in VERDICTS:
        text = markdown(run_that_was(verdict, operation), documents_of(verdict))
        commands |= set(re.findall(r"ansible-playbook pgops\.supabase\.(\w+) -l shop", text))
    assert {"status", "backup", "restore", "rollback", "migrate", "rehearse", "plan"} <= commands
    assert all((PLAYBOOKS / f"{name}.yml").is_file() for name in commands)
