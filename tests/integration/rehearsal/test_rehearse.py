# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook rehearse on a real backup: what passes, what does not, and the gate that asks for it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, NewProject, run_module

UP = "create table public.labels (id int primary key, label text); alter table public.orders add column note text default 'x';"
UP += "update public.clients set name = upper(name);"
DOWN = "update public.clients set name = lower(name); alter table public.orders drop column note; drop table public.labels;"


@dataclass(frozen=True)
class Rehearsed(Application):
    """The application with backups to rehearse on."""

    def back_up(self) -> dict[str, Any]:
        """Make a verified backup."""
        run_dir = self.state_dir / "shop" / "20260101T000000Z-0000"
        return run_module("backup", project="shop", run_dir=str(run_dir), **self.project.login)

    def rehearse(self, **more: Any) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        """Run the playbook; its result and the newest rehearsal.json."""
        done = self.play("rehearse", **more)
        documents = sorted((self.state_dir / "shop").glob("rehearsals/*/rehearsal.json"))
        newest: dict[str, Any] = json.loads(documents[-1].read_text(encoding="utf-8")) if documents else {}
        for document in documents:
            assert not (document.parent / "scratch").exists()
            # Rows that its rollback exported from the copy.
            assert not (document.parent / "rollback-data").exists()
        return done, newest

    def gate(self, **params: Any) -> dict[str, Any]:
        """The gate of rehearsals as the module sees it."""
        result = run_module(
            "preflight_gates",
            project="shop",
            supabase_dir=str(self.directory),
            state_dir=str(self.state_dir),
            waivers={"git": "a test", "identity": "a test", "backup_age": "a test"},
            **{"require_rehearsal": True, **params},
            **self.project.login,
        )
        gate: dict[str, Any] = next(g for g in result["preflight"]["gates"] if g["name"] == "rehearsal")
        return gate


@pytest.fixture
def app(project: LiveProject, tmp_path: Path) -> Rehearsed:
    """An application with a migration behind it and a backup."""
    os.chmod(tmp_path, 0o755)
    project.psql(TABLES)
    application = Rehearsed(project, tmp_path / "supabase")
    application.migration("1_first", "comment on table public.clients is 'first'")
    application.applies()
    made = application.back_up()
    assert made.get("changed"), made
    return application


def test_up_down_and_up_again(app: Rehearsed) -> None:
    app.migration("2_labels", UP)
    app.way_back("2_labels", DOWN)
    app.project.psql("insert into public.orders select i, 1 from generate_series(101, 1000) i")
    before = app.snapshot()
    assert app.gate()["verdict"] == "FAIL"
    for _time in range(2):
        done, it = app.rehearse()
        assert done.returncode == 0, done.stdout
        assert it["verdict"] == "passed" and it["reasons"] == [] and it["differences"] == []
        (file,) = it["files"]
        assert file["version"] == "2"
        assert min(file["up_seconds"], file["down_seconds"], file["again_seconds"]) > 0
        altered = next(s for s in it["statements"] if s["command"].startswith("alter table public.orders"))
        assert (altered["rehearsed_rows"], altered["project_rows"], altered["factor"]) == (100, 1000, 10.0)
        assert altered["estimated_seconds"] == pytest.approx(altered["seconds"] * 10)
        assert any(
            lock["relation"] == "public.orders" and lock["mode"] == "AccessExclusiveLock" for lock in it["locks"]
        )
        assert {"schema": "public", "table": "clients", "inserted": 0, "updated": 3, "deleted": 0} in it["rows"]
        assert it["database_bytes_after"] > it["database_bytes_before"] > 0 and "MiB at the most" in done.stdout
        assert app.snapshot() == before
    gate = app.gate()
    assert gate["verdict"] == "PASS" and it["rehearsal_id"] in gate["evidence"], gate
    assert app.gate(max_rehearsal_age_seconds=0.001)["verdict"] == "FAIL"
    app.way_back("2_labels", DOWN + " ")
    for _time in range(2):
        changed = app.gate()
        assert changed["verdict"] == "FAIL" and "these files" in changed["evidence"], changed
    assert app.gate(require_rehearsal=False)["verdict"] == "SKIP"


def test_a_rollback_that_does_not_return_exactly(app: Rehearsed) -> None:
    app.migration("2_labels", UP)
    app.way_back("2_labels", "drop table public.labels;")
    before = app.snapshot()
    for _time in range(2):
        done, it = app.rehearse()
        assert done.returncode != 0
        assert it["verdict"] == "failed"
        assert [d["object_name"] for d in it["differences"]] == ["public.orders.note"]
        assert "column public.orders.note created" in done.stdout
        assert app.snapshot() == before
    gate = app.gate()
    assert gate["verdict"] == "FAIL" and "column public.orders.note created" in gate["evidence"], gate


def test_rows_that_the_rollback_does_not_return(app: Rehearsed) -> None:
    app.migration("2_more", "create table public.labels (id int); delete from public.orders where id <= 5;")
    app.way_back("2_more", "drop table public.labels;")
    done, it = app.rehearse(rehearse_count_contract={"public.orders": "any"})
    assert done.returncode != 0 and it["verdict"] == "failed", done.stdout
    assert it["reasons"] == ["public.orders: 95 rows after the rollback, 100 rows before the migrations"]


def test_what_a_rollback_accepts_a_rehearsal_accepts_and_says(app: Rehearsed) -> None:
    app.project.psql(
        "create table public.notes (id int primary key, body text, at date); insert into public.notes values (1)"
    )
    assert app.play("backup").returncode == 0
    app.migration("2_body", "alter table public.notes drop column body;")
    app.way_back("2_body", "alter table public.notes add column body text;")
    app.migration("3_more", "-- pgops: rows public.clients +1\ninsert into public.clients values (4, 'four');")
    app.migration("4_names", "update public.clients set name = upper(name);")
    before = app.snapshot()
    for _time in range(2):
        done, it = app.rehearse()
        assert done.returncode == 0 and it["verdict"] == "passed", done.stdout
        assert it["equal_but"] == ["column positions of public.notes"] and it["by_record"] == ["4", "3"]
        assert [(row["table"], row["change"]) for row in it["rows_kept"]] == [("clients", 1)]
        assert "equal but   for column positions of public.notes" in done.stdout
        assert "by record   3" in done.stdout and "public.clients: +1" in done.stdout, done.stdout
        now = app.snapshot()
        assert (now.catalog, now.counts, now.history) == (before.catalog, before.counts, before.history)
    assert app.gate()["verdict"] == "PASS"
    done, it = app.rehearse(rollback_accept=[])
    assert done.returncode != 0 and it["verdict"] == "failed" and it["equal_but"] == []
    assert "the rollback does not return the exact schema: column public.notes.at" in it["reasons"][0], it["reasons"]
    # The project's own rollback says the same.
    assert app.play("backup").returncode == 0
    run_dir = app.state_dir / "shop" / "20260102T000000Z-0000"
    run_dir.mkdir()
    assert app.apply(run_id=run_dir.name, run_dir=str(run_dir)).get("changed")
    refused = app.play("rollback", rollback_reason="a test", rollback_accept=[])
    assert refused.returncode != 0 and "column public.notes.at" in refused.stdout, refused.stdout
    taken_back = app.play("rollback", rollback_reason="a test")
    assert taken_back.returncode == 0, taken_back.stdout
    assert "equal but for" in taken_back.stdout and "column positions of public.notes" in taken_back.stdout


def rehearse_into(
    app: Rehearsed, target: LiveProject, **more: Any
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Rehearse with another host of the inventory as the target."""
    command, options = app.command("rehearse", project_rehearsal_target="spare", **more)
    inventory = app.directory.parent / "inventory.json"
    hosts = json.loads(inventory.read_text())
    login = target.login
    hosts["all"]["hosts"]["spare"] = {
        "project_db_host": login["login_host"],
        "project_db_port": login["login_port"],
        "project_db_name": login["login_db"],
        "project_db_password": login["login_password"],
        "project_ssl_mode": "disable",
    }
    inventory.write_text(json.dumps(hosts))
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", timeout=600, **options)
    assert login["login_password"] not in done.stdout + done.stderr
    newest = sorted((app.state_dir / "shop").glob("rehearsals/*/rehearsal.json"))[-1]
    return done, json.loads(newest.read_text(encoding="utf-8"))


def test_a_disposable_project_as_the_target(app: Rehearsed, new_project: NewProject) -> None:
    spare = new_project()
    spare.psql("create table public.precious (id int); insert into public.precious values (1)")
    app.migration("2_labels", UP)
    app.way_back("2_labels", DOWN)
    before = app.snapshot()
    done, it = rehearse_into(app, spare)
    assert done.returncode != 0 and it["verdict"] == "failed", done.stdout
    assert "nothing in it says that it is disposable: it is not marked" in it["reasons"][0], it["reasons"]
    assert "project_environment: disposable" in it["reasons"][0]
    assert spare.psql("select id from public.precious") == "1"
    itself, it = rehearse_into(app, app.project)
    assert itself.returncode != 0 and "it is not disposable" in it["reasons"][0], it["reasons"]
    marked = run_module("project_marker", project="spare", environment="disposable", **spare.login)
    assert marked.get("changed"), marked
    for _time in range(2):
        done, it = rehearse_into(app, spare)
        assert done.returncode == 0 and it["verdict"] == "passed", done.stdout
        assert it["target"] == "spare" and spare.login["login_db"] in it["copied_to"]
        assert "copy        spare, " in done.stdout
        # Up, down and up again there, and it is still what it was marked as.
        assert (
            spare.psql("select string_agg(version, ' ' order by version) from supabase_migrations.schema_migrations")
            == "1 2"
        )
        assert (
            spare.psql("select to_regclass('public.precious') is null and to_regclass('public.labels') is not null")
            == "t"
        )
        assert spare.psql("select project || environment from pgops.project_marker") == "sparedisposable"
        assert spare.psql("select count(*) from pgops.lease where expires_at > now()") == "0"
        assert app.snapshot() == before


def test_a_missing_rollback_is_drafted(app: Rehearsed) -> None:
    app.migration("2_labels", UP)
    before = app.snapshot()
    done, it = app.rehearse()
    assert done.returncode != 0 and it["verdict"] == "failed", done.stdout
    draft = app.directory / "rollbacks" / "2_labels.sql.draft"
    assert "has no rollback file; a draft to review is in" in it["reasons"][0]
    assert "drop table public.labels;" in draft.read_text(encoding="utf-8")
    now = app.snapshot()
    assert (now.catalog, now.counts, now.history) == (before.catalog, before.counts, before.history)


def test_a_migration_that_fails(app: Rehearsed) -> None:
    app.migration("2_broken", "create table public.labels (id int); select 1 / 0;")
    app.way_back("2_broken", "drop table public.labels;")
    before = app.snapshot()
    done, it = app.rehearse()
    assert done.returncode != 0 and it["verdict"] == "failed", done.stdout
    assert "division by zero" in it["reasons"][0]
    assert app.snapshot() == before


def test_nothing_to_rehearse_and_nothing_to_rehearse_on(app: Rehearsed) -> None:
    for _time in range(2):
        done, it = app.rehearse()
        assert done.returncode == 0 and it == {}, done.stdout
        assert "nothing is pending" in done.stdout
    app.migration("2_labels", UP)
    next(app.state_dir.glob("shop/*/backup/manifest.json")).unlink()
    done, it = app.rehearse()
    assert done.returncode != 0 and it == {}
    assert "There is no verified backup to rehearse on" in done.stdout


def test_what_is_left_when_a_rollback_fails(app: Rehearsed) -> None:
    run_dir = app.state_dir / "shop" / "20260102T000000Z-0000"
    assert run_module("backup", project="shop", run_dir=str(run_dir), **app.project.login).get("changed")
    app.migration("2_labels", UP)
    app.way_back("2_labels", "drop table public.labels;")
    assert app.apply(run_id=run_dir.name, run_dir=str(run_dir)).get("changed")
    app.project.psql("insert into public.orders select i, 1 from generate_series(101, 107) i")
    before = app.snapshot()
    for one in ({"rollback_of_run": run_dir.name}, {"rollback_to_version": "1"}, {}):
        if not one:
            # A run that made do with another one's backup.
            kept = app.state_dir / "shop" / "20260101T120000Z-0000" / "backup"
            kept.parent.mkdir()
            (run_dir / "backup").rename(kept)
            (run_dir / "backup-used.json").write_text(json.dumps({"path": str(kept)}))
        done = app.play("rollback", rollback_reason="a test", **one)
        assert done.returncode != 0
        assert "column public.orders.note created" in done.stdout
        assert "Or restore: backup " in done.stdout and " minutes old. Rows written since" in done.stdout, done.stdout
        assert "public.orders: " in done.stdout
        assert "ansible-playbook pgops.supabase.restore -l shop -e" in done.stdout
        assert app.snapshot() == before


def test_what_a_killed_rehearsal_left_goes_with_the_next(app: Rehearsed) -> None:
    app.migration("2_labels", UP)
    params: dict[str, Any] = {"state_dir": str(app.state_dir), "project": "shop"}
    killed = run_module("rehearsal", **params)
    directory = Path(killed["rehearsal_dir"])
    assert killed["abandoned"] == []
    assert run_module("local_project", name="scratch", state_dir=str(directory)).get("changed")
    server = Path(json.loads((directory / "scratch" / "project.json").read_text())["directory"]) / "server"
    postmaster = int(next(server.rglob("postmaster.pid")).read_text().splitlines()[0])
    # One that is at work writes.
    assert run_module("rehearsal", check=True, **params)["abandoned"] == []
    assert run_module("rehearsal", check=True, abandoned_after_seconds=0, **params)["abandoned"] == [str(directory)]
    _done, newest = app.rehearse(rehearse_abandoned_after_seconds=0, rehearse_draft_rollbacks=False)
    assert newest["rehearsal_id"] != killed["rehearsal"]["rehearsal_id"]
    assert not Path(f"/proc/{postmaster}").exists()
    left = json.loads((directory / "rehearsal.json").read_text())
    assert left["verdict"] == "failed" and left["reasons"][0].startswith("killed: "), left["reasons"]
    status = app.play("status").stdout
    assert f"rehearsal     {newest['rehearsal_id']}: failed, 2 on backup {newest['backup_id']}" in status, status
    assert "2_labels has no rollback file" in status
    assert run_module("rehearsal", check=True, abandoned_after_seconds=0, **params)["abandoned"] == []


def test_a_backup_from_after_the_migrations_says_so(app: Rehearsed) -> None:
    """They were applied, backed up and taken back: on that backup nothing is pending."""
    app.migration("2_labels", UP)
    app.way_back("2_labels", DOWN)
    app.applies()
    assert app.play("backup").returncode == 0
    exported = str(app.directory.parent / "exported")
    taken_back = run_module(
        "rollback", supabase_dir=str(app.directory), reason="a test", export_dir=exported, **app.project.login
    )
    assert taken_back.get("changed"), taken_back
    before = app.snapshot()
    done, it = app.rehearse()
    assert done.returncode != 0 and it["verdict"] == "failed", done.stdout
    assert "The newest backup already has 2 applied" in it["reasons"][0]
    assert "Next: Back up what is there now, ansible-playbook pgops.supabase.backup -l shop" in it["reasons"][0]
    assert app.snapshot() == before
