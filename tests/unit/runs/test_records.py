# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run ended, from what its phases left, and what its directory holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    InputError,
    Outcome,
    State,
    StatementFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import Operation, RunVerdict
from ansible_collections.pgops.supabase.plugins.module_utils.runs.records import (
    close_run,
    list_runs,
    load_documents,
    load_run,
    new_run,
    save_run,
    verdict_of,
)

COMMITTED = {"committed": True, "dry_run": False}
OPEN = {"committed": False, "dry_run": False}
DRY = {"committed": False, "dry_run": True}


@pytest.mark.parametrize(
    ("documents", "operation", "failed", "verdict"),
    [
        ({}, "migrate", False, "nothing_to_do"),
        ({"migration": OPEN}, "migrate", False, "nothing_to_do"),
        ({"migration": COMMITTED}, "migrate", False, "migrated"),
        ({}, "migrate", True, "not_applied"),
        ({"migration": OPEN}, "migrate", True, "not_applied"),
        ({"migration": COMMITTED}, "migrate", True, "needs_attention"),
        ({"migration": COMMITTED, "rollback": OPEN}, "migrate", True, "needs_attention"),
        ({"migration": COMMITTED, "rollback": COMMITTED}, "migrate", True, "rolled_back"),
        ({"migration": COMMITTED, "rollback": {**COMMITTED, "failed": True}}, "migrate", True, "needs_attention"),
        ({"migration": DRY}, "migrate", False, "dry_run"),
        ({"migration": DRY}, "migrate", True, "dry_run"),
        ({}, "rollback", False, "nothing_to_do"),
        ({"rollback": COMMITTED}, "rollback", False, "rolled_back"),
        ({}, "rollback", True, "needs_attention"),
        ({"rollback": DRY}, "rollback", False, "dry_run"),
        ({"adoption": COMMITTED}, "adopt", False, "adopted"),
        ({"adoption": OPEN}, "adopt", False, "nothing_to_do"),
        ({}, "adopt", True, "not_applied"),
        ({"adoption": COMMITTED}, "adopt", True, "needs_attention"),
        ({"adoption": DRY}, "adopt", False, "dry_run"),
    ],
)
def test_verdict(documents: dict[str, dict[str, Any]], operation: Operation, failed: bool, verdict: RunVerdict) -> None:
    assert verdict_of(documents, operation, failed=failed) == verdict
    assert verdict_of(documents, operation, failed=failed) == verdict


@pytest.mark.parametrize("operation", ["adopt", "restore"])
@pytest.mark.parametrize("outcome", ["committed", "partial", "unknown"])
def test_a_failure_after_which_not_all_is_as_before_needs_attention(operation: Operation, outcome: Outcome) -> None:
    assert verdict_of({}, operation, failed=True, outcome=outcome) == "needs_attention"
    assert verdict_of({}, operation, failed=True) == "not_applied"


def test_what_a_failure_says_to_programs_is_kept(tmp_path: Path) -> None:
    error = StatementFailed("No", state=State("half of it stays", "partial")).as_dict()
    assert (error["outcome"], error["state"]) == ("partial", "half of it stays")
    run = close_run(new_run("shop", "migrate", "me"), "not_applied", failed_phase="Apply", failure="No.", error=error)
    save_run(tmp_path, run)
    assert load_run(tmp_path).error == error
    written = json.loads((tmp_path / "run.json").read_text())
    del written["error"]
    (tmp_path / "run.json").write_text(json.dumps(written))
    assert load_run(tmp_path).error is None


def test_a_run_is_saved_for_its_owner_only_and_read_back(tmp_path: Path) -> None:
    directory = tmp_path / "runs" / "shop" / "one"
    run = close_run(new_run("shop", "rollback", "me", "why"), "rolled_back", failed_phase=None, failure=None)
    for _time in range(2):
        save_run(directory, run, "# report\n")
        assert load_run(directory) == run
        assert [(tmp_path / part).stat().st_mode & 0o777 for part in ("runs", "runs/shop", "runs/shop/one")] == [
            0o700
        ] * 3
        assert {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()} == {
            "run.json": 0o600,
            "report.md": 0o600,
        }
    assert run.finished_at is not None and run.duration_seconds is not None and run.duration_seconds >= 0


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file in the way")
    with pytest.raises(InputError, match="cannot be written") as caught:
        save_run(tmp_path / "runs" / "one", new_run("shop", "migrate", "me"))
    assert "project_state_dir" in str(caught.value)
    assert (tmp_path / "runs").read_text() == "a file in the way"


@pytest.mark.parametrize("content", [None, "{", "[]", '{"document": "rollback"}', '{"document": "run"}'])
def test_a_directory_that_is_no_run(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match="not the directory of a run") as caught:
        load_run(tmp_path)
    assert caught.value.where == str(tmp_path / "run.json")


def test_the_documents_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "manifest.json").write_text('{"total_bytes": 1}')
    (tmp_path / "counts-before.json").write_text('{"total": 2}')
    (tmp_path / "other.json").write_text("{")
    assert load_documents(tmp_path) == {"manifest": {"total_bytes": 1}, "counts_before": {"total": 2}}


def test_a_damaged_document_is_named(tmp_path: Path) -> None:
    (tmp_path / "migration.json").write_text('{"committed": tr')
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_documents(tmp_path)
    assert caught.value.where == str(tmp_path / "migration.json")


def test_runs_are_listed_newest_first_and_damaged_ones_named(tmp_path: Path) -> None:
    for name in ("20260101T000000Z-aaaa", "20260102T000000Z-bbbb"):
        save_run(tmp_path / name, new_run("shop", "migrate", name))
    (tmp_path / "20260103T000000Z" / "backup").mkdir(parents=True)
    broken = tmp_path / "20260104T000000Z-cccc"
    broken.mkdir()
    (broken / "run.json").write_text("")
    for _time in range(2):
        entries, unreadable = list_runs(tmp_path)
        assert [entry.run.operator for entry in entries] == ["20260102T000000Z-bbbb", "20260101T000000Z-aaaa"]
        assert len(unreadable) == 1 and str(broken / "run.json") in unreadable[0]
    assert list_runs(tmp_path / "missing") == ([], [])
    assert json.loads((tmp_path / "20260101T000000Z-aaaa" / "run.json").read_text())["verdict"] == "running"
