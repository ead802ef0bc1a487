# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks: types and git at the end of a migration, and what happens to it when they fail."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.application import TABLES, Application
from tests.integration.live import CLONE, LiveProject

FIRST, SECOND = "20260101000000", "20260102000000"
BRANCH = {"branch": "main"}


@pytest.fixture
def shop(project: LiveProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Application:
    """An application in git whose branch is published, with one migration pending."""
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n name = Tester\n email = tester@example.org\n[init]\n defaultBranch = main\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    project.psql(TABLES)
    shop = Application(project, tmp_path / "app" / "supabase")
    shop.migration(f"{FIRST}_notes", "create table public.notes (id int primary key);")
    shop.way_back(f"{FIRST}_notes", "drop table public.notes;")
    shop.migration(f"{SECOND}_lines", "create table public.lines (id int primary key);")
    shop.way_back(f"{SECOND}_lines", "drop table public.lines;")
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    tree = tmp_path / "app"
    git(tree, "init", "--quiet")
    (tree / ".gitignore").write_text("runs/\ninventory.json\n")
    git(tree, "add", "--all", ".")
    git(tree, "commit", "--quiet", "--message=first")
    git(tree, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(tree, "push", "--quiet", "--set-upstream", "origin", "main")
    return shop


def git(directory: Path, *arguments: str) -> str:
    """Run git itself."""
    return subprocess.run(["git", *arguments], cwd=directory, check=True, capture_output=True, text=True).stdout.strip()


def play(shop: Application, playbook: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a playbook on the project with the types and git."""
    types = {
        "path": "src/database.types.ts",
        "generator_dir": str(next((CLONE / ".local/cache/types").glob("typegen-*"))),
    }
    given = {"project_types": types, "project_publish": BRANCH, "preflight_mark": True, "project_environment": "dev"}
    return shop.play(playbook, **{**given, **more})


def last_run(shop: Application) -> dict[str, Any]:
    """The newest run's record, with its folder."""
    path = sorted((shop.state_dir / "shop").glob("*/run.json"))[-1]
    return {**json.loads(path.read_text()), "folder": path.parent}


def test_a_migration_ends_in_the_repository(shop: Application, tmp_path: Path) -> None:
    """Twice: one migration after the other, each with a commit of its own."""
    tree, origin = tmp_path / "app", tmp_path / "origin.git"
    for version, table in ((FIRST, "notes"), (SECOND, "lines")):
        before = git(origin, "rev-parse", "main")
        tried = play(shop, "migrate", migrate_to_version=version)
        assert tried.returncode == 0, tried.stdout + tried.stderr
        run = last_run(shop)
        evidence = f"supabase/evidence/shop/{run['run_id']}"
        assert git(origin, "show", "--name-only", "--format=", "main").splitlines() == [
            "src/database.types.ts",
            *(f"{evidence}/{name}" for name in ("migration.json", "plan.json", "report.html", "report.md")),
        ]
        assert f"{table}: {{" in git(origin, "show", "main:src/database.types.ts")
        assert git(origin, "rev-parse", "main~1") == before and git(tree, "status", "--porcelain") == ""
        assert run["verdict"] == "migrated" and run["follow_ups"] is None
        commit = git(origin, "rev-parse", "main")
        assert f"{commit} on origin/main" in (run["folder"] / "report.md").read_text()
        again = play(shop, "publish")
        assert again.returncode == 0, again.stdout
        assert git(origin, "rev-parse", "main") == commit


def test_a_follow_up_that_fails_takes_nothing_back(shop: Application, tmp_path: Path) -> None:
    origin = tmp_path / "origin.git"
    hook = origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'main is protected' >&2; exit 1\n")
    hook.chmod(0o755)
    wrong = {"path": "src/database.types.ts", "generator_dir": str(tmp_path)}
    failed = play(shop, "migrate", project_types=wrong)
    assert failed.returncode == 2, failed.stdout
    run = last_run(shop)
    assert run["verdict"] == "migrated" and sorted(run["follow_ups"]) == ["publish", "types"]
    assert run["headline"].endswith("; needs attention: types, publish")
    assert "There is no @supabase/postgrest-typegen" in run["follow_ups"]["types"]
    assert "main is protected" in run["follow_ups"]["publish"] and run["failure"] is None
    assert "MIGRATED: 2 migrations" in failed.stdout and "Again, once it is mended" in failed.stdout
    assert shop.versions() == [FIRST, SECOND]
    assert "needs attention: types" in (run["folder"] / "report.md").read_text()
    for dummy in range(2):
        again = play(shop, "publish", project_types=wrong)
        assert again.returncode == 2 and "There is no @supabase/postgrest-typegen" in again.stdout
    hook.unlink()
    mended = play(shop, "publish")
    assert mended.returncode == 0, mended.stdout
    assert git(origin, "rev-parse", "main") == git(tmp_path / "app", "rev-parse", "HEAD")
    assert "notes: {" in git(origin, "show", "main:src/database.types.ts")
    assert shop.versions() == [FIRST, SECOND]
    assert last_run(shop)["follow_ups"] is None and not last_run(shop)["headline"].endswith("publish")


def test_a_run_whose_end_cannot_be_published_does_not_begin(shop: Application, tmp_path: Path) -> None:
    git(tmp_path / "app", "switch", "--quiet", "--create", "topic")
    git(tmp_path / "app", "push", "--quiet", "--set-upstream", "origin", "topic")
    for dummy in range(2):
        refused = play(shop, "migrate")
        assert refused.returncode == 2 and "is on the branch topic, and not on main" in refused.stdout
        assert not list((shop.state_dir / "shop").glob("*/run.json"))
        assert shop.project.psql("select to_regclass('public.notes') is null") == "t"
