# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index of a project's runs, as the module writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.live import run_module
from tests.unit.report.pages import documents_of


def finished(state_dir: Path, project: str, documents: dict[str, Any]) -> Path:
    """A run of the project that is over."""
    directory = Path(run_module("run_record", state_dir=str(state_dir), project=project)["run_dir"])
    run_module("run_record", state="finished", run_dir=str(directory), documents=documents)
    return directory


def test_each_run_has_a_line_with_a_link(tmp_path: Path) -> None:
    documents = documents_of("migrated")
    documents = {name: documents[name] for name in ("preflight", "plan", "migration")}
    new, old, other = (finished(tmp_path, project, documents) for project in ("shop", "shop", "mill"))
    # A run of an earlier release left no page, and one that was killed no report at all.
    (old / "report.html").unlink()
    killed = Path(run_module("run_record", state_dir=str(tmp_path), project="shop")["run_dir"])
    damaged = tmp_path / "shop" / "20250101T000000Z-dddd"
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    before = run_module("run_index", check=True, state_dir=str(tmp_path), project="shop")
    assert before["changed"] and not (tmp_path / "index.html").exists()
    for expected in (True, False):
        done = run_module("run_index", state_dir=str(tmp_path), project="shop")
        assert done["changed"] is expected and done["path"] == str(tmp_path / "shop" / "index.html")
        assert bool(done["written"]) is expected
    index = (tmp_path / "shop" / "index.html").read_text()
    assert f'href="{new.name}/report.html"' in index and f'href="{old.name}/report.md"' in index
    assert killed.name in index and f'href="{killed.name}' not in index and str(damaged / "run.json") in index
    assert "1_one" in index and index.count("migrated</span>") == 2
    projects = (tmp_path / "index.html").read_text()
    assert 'href="shop/index.html"' in projects and 'href="mill/index.html"' in projects
    assert f'href="{other.name}/report.html"' in (tmp_path / "mill" / "index.html").read_text()
    assert (tmp_path / "index.html").stat().st_mode & 0o777 == 0o600


def test_a_project_without_runs_has_an_empty_index(tmp_path: Path) -> None:
    for expected in (True, False):
        done = run_module("run_index", state_dir=str(tmp_path / "runs"), project="new")
        assert done["changed"] is expected and "No run yet" in Path(done["path"]).read_text()
