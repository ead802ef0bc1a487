# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Through a pooler in session mode that drops connection options, as Supabase's does: the whole way forth and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, run_module
from tests.integration.pooler import POOLER_USER, running_pooler

# What a file may do to the settings of the session that it runs in, and what they are afterwards.
SETTINGS = """
create table public.seen (step serial, lock_timeout text, statement_timeout text);
insert into public.seen (lock_timeout, statement_timeout) values
    (current_setting('lock_timeout'), current_setting('statement_timeout'));
set lock_timeout = '7s';
insert into public.seen (lock_timeout, statement_timeout) values
    (current_setting('lock_timeout'), current_setting('statement_timeout'));
reset lock_timeout;
reset all;
insert into public.seen (lock_timeout, statement_timeout) values
    (current_setting('lock_timeout'), current_setting('statement_timeout'));
set statement_timeout to default;
insert into public.seen (lock_timeout, statement_timeout) values
    (current_setting('lock_timeout'), current_setting('statement_timeout'));
set lock_timeout = '9s';
"""
NEXT_FILE = """
insert into public.seen (lock_timeout, statement_timeout) values
    (current_setting('lock_timeout'), current_setting('statement_timeout'));
"""
ALONE = """
create index concurrently seen_step on public.seen (step);
discard all;
insert into public.seen (lock_timeout, statement_timeout) values
    (current_setting('lock_timeout'), current_setting('statement_timeout'));
"""


@pytest.fixture
def pooled(project: LiveProject) -> Iterator[dict[str, Any]]:
    """The connection through the pooler, as the modules' parameters."""
    project.psql(TABLES)
    with running_pooler(project, "session") as port:
        yield {**project.login, "login_port": port, "login_user": POOLER_USER}


def settings_seen(project: LiveProject) -> list[str]:
    return project.psql("select lock_timeout || ' ' || statement_timeout from public.seen order by step").splitlines()


def test_the_bounds_hold_whatever_a_file_resets(project: LiveProject, pooled: dict[str, Any], tmp_path: Path) -> None:
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "1_settings.sql").write_text(SETTINGS)
    (migrations / "2_next.sql").write_text(NEXT_FILE)
    (migrations / "3_alone.sql").write_text(ALONE)
    bounds: dict[str, Any] = {"lock_timeout_seconds": 3, "statement_timeout_seconds": 60}
    for changed in (True, False):
        result = run_module("migration", supabase_dir=str(tmp_path), **pooled, **bounds)
        assert result.get("changed") is changed, result
        seen = settings_seen(project)
        assert seen == ["3s 1min", "7s 1min", "3s 1min", "3s 1min", "3s 1min", "3s 1min"]


def test_all_phases_work_through_it(project: LiveProject, pooled: dict[str, Any], tmp_path: Path) -> None:
    for directory in ("migrations", "rollbacks"):
        (tmp_path / directory).mkdir()
    (tmp_path / "migrations" / "20260101000000_labels.sql").write_text("create table public.labels (id int);")
    (tmp_path / "rollbacks" / "20260101000000_labels.sql").write_text("drop table public.labels;")
    supabase_dir = {"supabase_dir": str(tmp_path)}

    def done(name: str, **params: Any) -> dict[str, Any]:
        result = run_module(name, **pooled, **params)
        assert not result.get("failed"), result
        return result

    for round_number in range(2):
        assert done("migration_info", **supabase_dir)["migration_info"]["pending"] == ["20260101000000"]
        done("migration_plan", **supabase_dir)
        run_dir = str(tmp_path / f"run{round_number}")
        backup = done("backup", project="p", run_dir=run_dir)
        done("migration", **supabase_dir, run_id=f"run-{round_number}")
        assert project.psql("select to_regclass('public.labels')") == "labels"
        done("rollback", **supabase_dir, reason="not needed", run_id=f"back-{round_number}")
        assert project.psql("select to_regclass('public.labels')") == ""
        project.psql("delete from public.orders")
        done(
            "restore",
            project="p",
            run_dir=f"{run_dir}-restore",
            backup=f"{run_dir}/backup",
            consent=f"p {backup['manifest']['backup_id']}",
        )
        assert project.psql("select count(*) from public.orders") == "100"


def test_playbooks_go_through_it_where_the_inventory_names_it(project: LiveProject, tmp_path: Path) -> None:
    app = Application(project, tmp_path / "supabase")
    app.migration("20260101000000_labels", "create table public.labels (id int);")
    role, ref = POOLER_USER.split(".")
    with running_pooler(project, "session") as port:
        through: dict[str, Any] = {
            "project_pooler_host": "127.0.0.1",
            "project_db_port": port,
            "project_db_user": role,
            "project_ref": ref,
            # Nobody answers there.
            "project_db_host": "direct.invalid",
            "preflight_waivers": {"git": "a test has no repository"},
        }
        for pending, end in (("20260101000000", "MIGRATED: 1 migration"), ("none", "nothing is pending")):
            status = app.play("status", **through).stdout
            assert f"127.0.0.1:{port}" in status and f"pending       {pending}" in status, status
            migrated = app.play("migrate", **through)
            assert migrated.returncode == 0 and end in migrated.stdout, migrated.stdout + migrated.stderr
        elsewhere = app.play("migrate", **{**through, "project_ref": ref[::-1]})
        assert elsewhere.returncode != 0 and f"as {role}.{ref[::-1]}" in elsewhere.stdout, elsewhere.stdout
        nameless = app.play("status", **{**through, "project_ref": ""})
        assert "project_pooler_host needs project_ref" in nameless.stdout + nameless.stderr
    assert app.versions() == ["20260101000000"]
