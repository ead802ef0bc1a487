# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates that look at the pending files: what the linter finds in them, and whether git's remote has them too."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, run_module

FIRST = "20260101000000_first"
LOSES_ROWS = "alter table public.orders drop column client;"


def gate(application: Application, name: str, **params: Any) -> dict[str, Any]:
    """Hold the gates twice, with the same outcome; one of them, with the whole result in it."""
    given = {**application.project.login, "project": "app_prod", "supabase_dir": str(application.directory), **params}
    results = [run_module("preflight_gates", **given) for dummy in range(2)]
    gates = [next(g for g in r["preflight"]["gates"] if g["name"] == name) for r in results]
    assert gates[0] == gates[1]
    return {**gates[0], "result": results[0]}


def linted(application: Application) -> dict[str, Any]:
    """What the linter says of what is pending."""
    arguments = {**application.project.login, "supabase_dir": str(application.directory), "fail_level": "never"}
    report: dict[str, Any] = run_module("migration_lint", **arguments)["lint"]
    return report


def git(directory: Path, *arguments: str) -> str:
    """Run git itself."""
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def application(project: LiveProject, tmp_path: Path) -> Application:
    project.psql(TABLES)
    application = Application(project, tmp_path / "app" / "supabase")
    application.migration(FIRST, LOSES_ROWS)
    return application


@pytest.fixture
def published(application: Application, tmp_path: Path) -> Path:
    """A work tree whose branch is published; the bare repository that it follows is C(origin.git) beside it."""
    tree = application.directory.parent
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(tree, "init", "--quiet")
    git(tree, "add", "--all", ".")
    git(tree, "commit", "--quiet", "--message=first")
    git(tree, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(tree, "push", "--quiet", "--set-upstream", "origin", "main")
    return tree


def test_what_the_linter_finds_closes_its_gate(application: Application) -> None:
    report = linted(application)
    closed = gate(application, "lint", lint=report, lint_fail_level="warning")
    assert closed["verdict"] == "FAIL" and closed["result"]["failed"]
    failing = [finding for finding in report["findings"] if finding["level"] == "warning"]
    assert failing
    for finding in failing:
        assert finding["code"] in closed["evidence"] and f"{FIRST}.sql:{finding['line']}:" in closed["evidence"]
    assert failing[0]["fix"] in closed["next_step"] and "-- pgops: allow" in closed["next_step"]
    assert gate(application, "lint", lint=report, lint_fail_level="never")["verdict"] == "WARNING"
    waived = gate(
        application, "lint", lint=report, lint_fail_level="warning", waivers={"lint": "the column is empty by now"}
    )
    assert (waived["verdict"], waived["waiver"]) == ("WAIVED", "the column is empty by now")


def test_a_finding_that_its_file_accepts_is_on_record(application: Application) -> None:
    codes = {finding["code"] for finding in linted(application)["findings"] if finding["level"] != "notice"}
    accepted = "".join(f"-- pgops: allow {code} nobody reads it since March\n" for code in sorted(codes))
    application.migration(FIRST, accepted + LOSES_ROWS)
    opened = gate(application, "lint", lint=linted(application))
    assert opened["verdict"] == "PASS" and f"{len(codes)} accepted in the files" in opened["evidence"], opened
    on_record = opened["result"]["preflight"]["lint_waivers"]
    assert {waiver["code"] for waiver in on_record} == codes
    assert {waiver["reason"] for waiver in on_record} == {"nobody reads it since March"}
    applied = application.apply(lint_waivers=on_record)
    assert applied["changed"], applied
    query = "select count(*) from pgops.ledger, jsonb_array_elements(details::jsonb -> 'lint_waivers')"
    assert application.project.psql(query) == str(len(codes))


def test_files_that_were_not_linted_close_the_gate(application: Application, tmp_path: Path) -> None:
    arguments = {**application.project.login, "supabase_dir": str(application.directory)}
    report = linted(application)
    application.migration("20260102000000_second", "create table public.second (id int);")
    plan = run_module("migration_plan", **arguments)["plan"]
    (tmp_path / "lint.json").write_text(json.dumps(report))
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    paths = {"lint": str(tmp_path / "lint.json"), "plan": str(tmp_path / "plan.json")}
    for given in ({"lint": report, "plan": plan}, paths):
        closed = gate(application, "lint", **given, lint_fail_level="never")
        assert closed["verdict"] == "FAIL" and "20260102000000_second.sql" in closed["evidence"]
        assert FIRST not in closed["evidence"]
    closed = gate(application, "lint", lint_failure="squawk is not installed.\nNext: install it")
    assert closed["verdict"] == "FAIL" and closed["evidence"].endswith("squawk is not installed")
    assert gate(application, "lint")["verdict"] == "SKIP"
    for _time in range(2):
        wrong = run_module("preflight_gates", **application.project.login, project="app", lint={"document": "plan"})
        assert wrong["failed"] and wrong["error"]["code"] == "input"


def test_a_published_branch_has_the_files(application: Application, published: Path) -> None:
    before = git(published, "for-each-ref")
    opened = gate(application, "git")
    assert opened["verdict"] == "PASS" and opened["evidence"].endswith("; so has origin/main")
    application.migration("20260102000000_second", "create table public.second (id int);")
    git(published, "add", "--all", ".")
    git(published, "commit", "--quiet", "--message=second")
    closed = gate(application, "git")
    assert closed["verdict"] == "FAIL" and closed["next_step"] == "git push"
    assert "migrations/20260102000000_second.sql" in closed["evidence"] and FIRST not in closed["evidence"]
    assert gate(application, "git", git_remote=False)["verdict"] == "PASS"
    git(published, "push", "--quiet")
    (published / "notes.txt").write_text("nothing that is pending\n")
    git(published, "add", "--all", ".")
    git(published, "commit", "--quiet", "--message=notes")
    opened = gate(application, "git")
    assert opened["verdict"] == "PASS" and "which is 1 commit behind" in opened["evidence"]
    assert len(before.splitlines()) == len(git(published, "for-each-ref").splitlines()), "nothing was fetched"


def test_somebody_else_was_quicker(application: Application, published: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    git(tmp_path, "clone", "--quiet", "--branch", "main", "origin.git", "other")
    (other / "supabase" / "migrations" / f"{FIRST}.sql").write_text("select 1;\n")
    git(other, "commit", "--quiet", "--all", "--message=other")
    git(other, "push", "--quiet")
    warned = gate(application, "git", git_push=False)
    assert warned["verdict"] == "WARNING" and "has commits that are not here" in warned["evidence"]
    refused = gate(application, "git", git_push=True)
    assert refused["verdict"] == "FAIL" and "a push to origin/main would be refused" in refused["evidence"]
    git(published, "fetch", "--quiet")
    closed = gate(application, "git")
    assert closed["verdict"] == "FAIL" and closed["next_step"].startswith("git pull")
    git(published, "pull", "--quiet", "--ff-only")
    assert gate(application, "git", git_push=True)["verdict"] == "PASS"
    assert git(other, "rev-parse", "HEAD") == git(tmp_path / "origin.git", "rev-parse", "main"), "nothing was pushed"


def test_a_remote_that_does_not_answer(application: Application, published: Path, tmp_path: Path) -> None:
    (tmp_path / "origin.git").rename(tmp_path / "gone.git")
    closed = gate(application, "git")
    assert closed["verdict"] == "FAIL" and "origin/main does not answer" in closed["evidence"]
    assert "preflight_git_remote" in closed["next_step"]
    waived = gate(application, "git", waivers={"git": "the forge is down"})
    assert waived["verdict"] == "WAIVED"
    (tmp_path / "gone.git").rename(tmp_path / "origin.git")
    git(tmp_path / "origin.git", "branch", "--move", "main", "trunk")
    closed = gate(application, "git")
    assert closed["verdict"] == "FAIL" and "origin/main is not there" in closed["evidence"]


def test_a_branch_that_follows_none(application: Application, published: Path) -> None:
    git(published, "checkout", "--quiet", "-b", "hotfix")
    assert "its branch follows none" in gate(application, "git")["evidence"]
    git(published, "checkout", "--quiet", "--detach")
    opened = gate(application, "git")
    assert opened["verdict"] == "PASS" and "its branch follows none" in opened["evidence"]


def test_what_hangs_on_the_platforms_tables_needs_no_right_on_their_schemas(application: Application) -> None:
    project = application.project
    # As on hosted projects, where CREATE on these schemas was taken from postgres.
    for schema in ("auth", "storage"):
        project.psql(f"revoke create on schema {schema} from postgres", "supabase_admin")
    application.migration(
        FIRST,
        "create function public.made() returns trigger language plpgsql as 'begin return new; end';\n"
        "create trigger made after insert on auth.users for each row execute function public.made();\n"
        "create policy seen on storage.objects for select to anon using (bucket_id = 'seen');\n"
        "alter policy seen on storage.objects rename to looked_at;\n"
        "insert into storage.buckets (id, name) values ('seen', 'seen');\n",
    )
    assert gate(application, "privileges")["verdict"] == "PASS"
    assert application.apply().get("changed") and not application.apply()["changed"]
    assert project.psql("select polname from pg_policy where polrelid = 'storage.objects'::regclass") == "looked_at"
