# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's directory as the modules open, close and list it; no database has a part in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.live import run_module


def test_a_run_is_opened_closed_and_listed(tmp_path: Path) -> None:
    state_dir = tmp_path / "runs"
    directories = []
    for _time in range(2):
        opened = run_module("run_record", state_dir=str(state_dir), project="shop")
        directory = Path(opened["run_dir"])
        directories.append(directory)
        assert opened["changed"] and directory == state_dir / "shop" / opened["run_id"]
        assert (state_dir.stat().st_mode & 0o777, directory.stat().st_mode & 0o777) == (0o700, 0o700)
        assert json.loads((directory / "run.json").read_text())["verdict"] == "running"

        closed = run_module(
            "run_record", state="finished", run_dir=str(directory), failed_phase="Apply", failure="No.\nNext: mend it."
        )
        assert closed["run"]["verdict"] == "not_applied"
        assert "nothing to roll back" in closed["summary"][0]
        assert json.loads((directory / "run.json").read_text()) == closed["run"]
        assert (directory / "report.md").read_text().startswith("# shop: NOT APPLIED")
        assert {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()} == {
            "run.json": 0o600,
            "report.md": 0o600,
            "report.html": 0o600,
        }
    assert directories[0] != directories[1]
    listed = run_module("run_info", project_dir=str(state_dir / "shop"))
    assert not listed["changed"] and listed["unreadable"] == []
    assert sorted(entry["path"] for entry in listed["runs"]) == sorted(map(str, directories))


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    for _time in range(2):
        opened = run_module("run_record", check=True, state_dir=str(tmp_path / "runs"), project="shop")
        assert opened["changed"]
        closed = run_module(
            "run_record",
            check=True,
            state="finished",
            project="shop",
            run_dir=opened["run_dir"],
            documents={"migration": {"dry_run": True, "committed": False, "migrations": [], "duration_seconds": 0.1}},
        )
        assert closed["run"]["verdict"] == "dry_run" and closed["summary"][0].startswith("shop: DRY RUN")
    assert list(tmp_path.iterdir()) == []


def test_documents_from_before_the_run_are_handed_on_as_paths(tmp_path: Path) -> None:
    plan = {"document": "plan", "steps": []}
    for check in (False, True):
        opened = run_module(
            "run_record", check=check, state_dir=str(tmp_path), project="shop", documents={"plan": plan}
        )
        assert opened["document_files"] == ({} if check else {"plan": f"{opened['run_dir']}/plan.json"})
        assert all(json.loads(Path(path).read_text()) == plan for path in opened["document_files"].values())


def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file in the way")
    for _time in range(2):
        failed = run_module("run_record", state_dir=str(tmp_path / "runs"), project="shop")
        assert failed["failed"] and failed["error"]["code"] == "input"
        assert "cannot be written" in failed["msg"] and "Next: Check project_state_dir" in failed["msg"]
        missing = run_module("run_record", state="finished", run_dir=str(tmp_path / "nothing"))
        assert missing["failed"] and "not the directory of a run" in missing["msg"]
    assert (tmp_path / "runs").read_text() == "a file in the way" and not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(("committed", "outcome"), [(True, "committed"), (False, "unchanged")])
def test_a_record_that_cannot_be_written_says_how_the_run_ended(tmp_path: Path, committed: bool, outcome: str) -> None:
    directory = Path(run_module("run_record", state_dir=str(tmp_path), project="shop")["run_dir"])
    migration = {
        "committed": True,
        "migrations": [{"version": "1", "name": "one", "statements": 1, "duration_seconds": 0}],
    }
    if committed:
        (directory / "migration.json").write_text(json.dumps({**migration, "duration_seconds": 0.1}))
    # A file cannot take its place.
    (directory / "report.md").mkdir()
    end: dict[str, Any] = {} if committed else {"failed_phase": "Apply", "failure": "no"}
    for _time in range(2):
        failed = run_module("run_record", state="finished", run_dir=str(directory), **end)
        assert failed["failed"] and failed["error"]["outcome"] == outcome, failed
        assert ("MIGRATED: 1 migration" if committed else "NOT APPLIED") in failed["error"]["state"]
        assert "nothing was changed" not in failed["error"]["state"] and "status -l shop" in failed["msg"]


def test_a_damaged_document_stops_the_report_and_no_list(tmp_path: Path) -> None:
    directory = Path(run_module("run_record", state_dir=str(tmp_path), project="shop")["run_dir"])
    (directory / "migration.json").write_text('{"committed": tr')
    failed = run_module("run_record", state="finished", run_dir=str(directory))
    assert failed["failed"] and str(directory / "migration.json") in failed["msg"]
    (directory / "run.json").write_text("")
    for _time in range(2):
        listed = run_module("run_info", project_dir=str(tmp_path / "shop"))
        assert listed["runs"] == [] and str(directory / "run.json") in listed["unreadable"][0]


def test_what_follows_a_run_changes_no_verdict(tmp_path: Path) -> None:
    directory = Path(run_module("run_record", state_dir=str(tmp_path), project="shop")["run_dir"])
    migration = {"committed": True, "verified": "before_commit", "duration_seconds": 0.2, "migrations": []}
    (directory / "migration.json").write_text(json.dumps(migration))
    failed = {"types": "There is no Node.js.\nNext: install it."}
    closed = run_module("run_record", state="finished", run_dir=str(directory), follow_ups=failed)
    assert closed["run"]["verdict"] == "migrated" and closed["headline"].endswith("; needs attention: types")
    report = (directory / "report.md").read_text()
    assert "needs attention: types" in report and "| types failed | There is no Node.js. |" in report
    for dummy in range(2):
        refused = run_module(
            "run_record", state="amended", run_dir=str(directory), follow_ups={**failed, "publish": "No."}
        )
        assert refused["headline"].endswith("; needs attention: types, publish")
        assert json.loads((directory / "run.json").read_text()) == refused["run"]
        # It may be published later, and does not say then that it was not.
        assert (directory / "report.md").read_text() == report
    types = {"path": "t.ts", "changed": True, "relations": 3, "enums": 1, "generator": "typegen 1"}
    (directory / "types.json").write_text(json.dumps(types))
    where = {"commit": "1c02ed10f6c2", "remote": "origin", "branch": "main", "files": ["a", "b"]}
    (directory / "publish.json").write_text(json.dumps(where))
    for check in (True, False, False):
        mended = run_module("run_record", check=check, state="amended", run_dir=str(directory))
        assert mended["run"]["follow_ups"] is None and "needs attention" not in mended["headline"]
        assert mended["run"]["finished_at"] == closed["run"]["finished_at"]
    report = (directory / "report.md").read_text()
    assert "| published | 1c02ed10f6c2 on origin/main, 2 files |" in report and "t.ts: changed; 3 relations" in report
