# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance around whole runs: what the application can do before, meanwhile and after, also after SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject
from tests.integration.maintenance.test_maintenance import SETTINGS, write_as

DATABASE = {"project_maintenance": {"strategy": "database", "drain_seconds": 0.5}}
SLOW = "select pg_sleep(30);\ncreate table public.slow (id int);\n"
QUICK = "create table public.slow (id int);\n"


@pytest.fixture
def shop(project: LiveProject, tmp_path: Path) -> Application:
    """An application with a migration."""
    project.psql(TABLES)
    project.psql(
        "grant select, insert, update, delete on all tables in schema public to anon, authenticated, service_role"
    )
    application = Application(project, tmp_path / "app" / "supabase")
    application.migration("20260101000000_slow", QUICK)
    application.way_back("20260101000000_slow", "drop table public.slow;\n")
    return application


def documents(shop: Application) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(shop.state_dir.glob("shop/*/maintenance.json"))]


def writes(project: LiveProject) -> bool:
    return all(write_as(project, role).returncode == 0 for role in ("anon", "authenticated", "service_role"))


def test_a_run_stops_the_writes_and_lets_them_on(shop: Application) -> None:
    project = shop.project
    # What the rows of a migration are counted against may not move: this one sees for itself that nobody else could write.
    shop.migration(
        "20260101000000_slow",
        QUICK
        + "do $$ begin if (select count(*) from pgops.maintenance where run_id is not null) <> 1 then raise 'it is not on'; "
        "end if; end $$;\n",
    )
    checked = shop.play("migrate", **DATABASE)
    assert checked.returncode == 0, checked.stdout
    (first,) = documents(shop)
    assert (first["on"], first["strategy"], first["seconds"] > 0) == (False, "database", True)
    assert len([proof for proof in first["proofs"] if proof["passed"]]) >= 6
    assert writes(project) and project.psql(SETTINGS) == ""
    assert shop.play("migrate", **DATABASE).returncode == 0
    assert len(documents(shop)) == 1
    back = shop.play("rollback", **DATABASE, rollback_reason="too early")
    assert back.returncode == 0, back.stdout
    assert len(documents(shop)) == 2 and not documents(shop)[1]["on"]
    assert writes(project) and project.psql("select count(*) from pgops.maintenance") == "0"


def test_a_run_that_fails_lets_them_on(shop: Application) -> None:
    shop.migration("20260101000000_slow", "create table public.slow (id int); select 1 / 0;\n")
    for number in range(2):
        done = shop.play("migrate", **DATABASE)
        assert done.returncode != 0 and "division by zero" in done.stdout
        assert [document["on"] for document in documents(shop)] == [False] * (number + 1)
        assert writes(shop.project) and shop.project.psql(SETTINGS) == ""


def killed_run(shop: Application) -> None:
    """A whole run by SIGKILL while it applies."""
    shop.migration("20260101000000_slow", SLOW)
    command, options = shop.command("migrate", **DATABASE)
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **options
    )
    query = "query like 'select pg_sleep(30)%' and state = 'active'"
    end = time.monotonic() + 120
    while shop.project.psql(f"select count(*) from pg_stat_activity where {query}") == "0":
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shop.project.psql("select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep(30)%'")
    shop.migration("20260101000000_slow", QUICK)
    assert not writes(shop.project)


def test_what_a_killed_run_left_the_next_one_lets_on(shop: Application) -> None:
    killed_run(shop)
    status = shop.play("status", **DATABASE)
    assert "the application's writes are stopped since" in status.stdout and "which is over" in status.stdout
    done = shop.play("migrate", **DATABASE)
    assert done.returncode == 0, done.stdout
    assert writes(shop.project) and shop.project.psql("select count(*) from pgops.maintenance") == "0"
    assert shop.project.psql("select to_regclass('public.slow')") == "slow"
    # With nothing pending too, as its first step.
    shop.migration("20260102000000_more", SLOW.replace("slow (", "more ("))
    killed_run_of_more(shop)
    done = shop.play("migrate", **DATABASE)
    assert done.returncode == 0 and "nothing is pending" in done.stdout, done.stdout
    assert writes(shop.project)
    assert "writes are stopped" not in shop.play("status", **DATABASE).stdout


def killed_run_of_more(shop: Application) -> None:
    """As a run that was killed leaves it: its lease and its maintenance, and a process that is gone."""
    (shop.directory / "migrations" / "20260102000000_more.sql").unlink()
    shop.project.psql(
        f'alter database "{shop.project.database}" set default_transaction_read_only = on; '
        "insert into pgops.maintenance (strategy, run_id, operator, host, before) values "
        "('database', 'killed', 'somebody', 'elsewhere', '{\"default_transaction_read_only\": null}')"
    )
    assert "read-only" in shop.project.psql_error("insert into public.clients values (100, 'new')")


def test_a_person_stops_and_lets_on(shop: Application) -> None:
    project = shop.project
    for _time in range(2):
        stopped = shop.play("maintenance", **DATABASE, maintenance_state="on")
        assert stopped.returncode == 0, stopped.stdout
        assert not writes(project)
    ran = shop.play("migrate", **DATABASE)
    assert ran.returncode == 0, ran.stdout
    assert not writes(project)
    assert "which is over" not in shop.play("status", **DATABASE).stdout
    for _time in range(2):
        assert shop.play("maintenance", **DATABASE, maintenance_state="off").returncode == 0
        assert writes(project)
    refused = shop.play("maintenance", **DATABASE)
    assert refused.returncode != 0 and "has to be on or off" in refused.stdout
    none = shop.play("maintenance", maintenance_state="on")
    assert none.returncode != 0 and "There is no strategy" in none.stdout


def test_the_users_own_tasks(shop: Application, tmp_path: Path) -> None:
    tasks, flag = tmp_path / "maintenance.yml", tmp_path / "flag"
    tasks.write_text(
        "- ansible.builtin.copy:\n"
        f"    dest: {flag}\n"
        '    content: "{{ maintenance_state }}"\n'
        "    mode: '0600'\n"
        "- ansible.builtin.fail:\n"
        "    msg: it cannot be\n"
        "  when: maintenance_broken | default(false) and maintenance_state == 'on'\n"
    )
    how = {"project_maintenance": {"strategy": "tasks", "tasks_file": str(tasks)}}
    for _time in range(2):
        assert shop.play("maintenance", **how, maintenance_state="on").returncode == 0
        assert flag.read_text() == "on"
        assert shop.play("maintenance", **how, maintenance_state="off").returncode == 0
        assert flag.read_text() == "off"
        broken = shop.play("migrate", **how, maintenance_broken=True)
        assert broken.returncode != 0 and "it cannot be" in broken.stdout
        assert flag.read_text() == "off"
        assert shop.project.psql("select to_regclass('public.slow') is null, count(*) from pgops.maintenance") == "t|0"
    assert shop.play("migrate", **how).returncode == 0
    assert flag.read_text() == "off"
