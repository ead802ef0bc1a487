# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time: who gets the lease, who does not, what a late phase finds, and who can see it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.ledger import lease
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import make_ledger
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.lease import read_lease
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import session
from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, RunModule

EXPIRE = "update pgops.lease set expires_at = clock_timestamp() - interval '1 second'"


def held_by(project: LiveProject) -> str:
    return project.psql("select owner from pgops.lease")


def test_taken_renewed_and_released(project: LiveProject, run_module: RunModule) -> None:
    first = run_module("run_lease", **project.login, run_id="run-1", expires_seconds=600)
    assert (first["changed"], first["action"], first["previous"]) == (True, "acquired", None)
    assert project.psql("select owner, run_id, expires_at - renewed_at from pgops.lease") == "run-1|run-1|00:10:00"
    again = run_module("run_lease", **project.login, run_id="run-1", expires_seconds=1200)
    assert (again["changed"], again["action"]) == (False, "renewed")
    assert again["lease"]["acquired_at"] == first["lease"]["acquired_at"]
    assert project.psql("select expires_at - renewed_at from pgops.lease") == "00:20:00"
    renewed = run_module("run_lease", **project.login, run_id="run-1", state="renewed", expires_seconds=60)
    assert (renewed["changed"], renewed["action"]) == (False, "renewed")
    assert project.psql("select expires_at - renewed_at from pgops.lease") == "00:01:00"

    released = run_module("run_lease", **project.login, run_id="run-1", state="released")
    assert (released["changed"], released["lease"], released["previous"]["owner"]) == (True, None, "run-1")
    assert project.psql("select count(*) from pgops.lease") == "0"
    nothing = run_module("run_lease", **project.login, run_id="run-1", state="released")
    assert (nothing["changed"], nothing["action"]) == (False, "none")


@pytest.mark.parametrize("state", ["held", "renewed", "released"])
@pytest.mark.parametrize("check", [True, False])
def test_another_run_is_refused_by_name(
    project: LiveProject, run_module: RunModule, tmp_path: Path, state: str, check: bool
) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "20260101000000_first.sql").write_text("create table public.first (id int);")
    run_module("run_lease", **project.login, run_id="run-1")
    before = project.psql("select * from pgops.lease")
    seen = run_module("migration_info", **project.login, supabase_dir=str(tmp_path))["migration_info"]["lease"]
    assert (seen["owner"], seen["expired"]) == ("run-1", False)
    for _time in range(2):
        refused = run_module("run_lease", **project.login, run_id="run-2", state=state, check=check)
        assert refused["failed"] and refused["error"]["code"] == "busy"
        lease = refused["lease"]
        assert lease["owner"] == "run-1"
        for said in ("run-1", lease["acquired_at"], lease["expires_at"], "state: released, owner: run-1"):
            assert said in refused["msg"]
    assert project.psql("select * from pgops.lease") == before


def test_an_expired_lease_is_taken_over_and_that_is_said(project: LiveProject, run_module: RunModule) -> None:
    run_module("run_lease", **project.login, run_id="run-1")
    project.psql(EXPIRE)
    foreseen = run_module("run_lease", **project.login, run_id="run-2", check=True)
    assert (foreseen["changed"], foreseen["action"], held_by(project)) == (True, "taken_over", "run-1")
    taken = run_module("run_lease", **project.login, run_id="run-2")
    assert (taken["changed"], taken["action"], taken["previous"]["owner"]) == (True, "taken_over", "run-1")
    assert held_by(project) == "run-2"
    again = run_module("run_lease", **project.login, run_id="run-2")
    assert (again["changed"], again["action"], again["previous"]) == (False, "renewed", None)
    assert again["lease"]["taken_over_from"]["owner"] == "run-1"
    late = run_module("run_lease", **project.login, run_id="run-1", state="renewed")
    assert late["failed"] and "run-2" in late["msg"]
    assert held_by(project) == "run-2"


def test_a_late_phase_knows_that_its_lease_is_gone(project: LiveProject, run_module: RunModule) -> None:
    run_module("run_lease", **project.login, run_id="run-1")
    project.psql(EXPIRE)
    own = run_module("run_lease", **project.login, run_id="run-1", state="renewed")
    assert (own["action"], own["lease"]["expired"]) == ("renewed", False)
    run_module("run_lease", **project.login, run_id="run-1", state="released")
    for _time in range(2):
        gone = run_module("run_lease", **project.login, run_id="run-1", state="renewed")
        assert gone["failed"] and "not there any more" in gone["msg"]
    assert project.psql("select count(*) from pgops.lease") == "0"


def test_check_mode_makes_nothing(project: LiveProject, run_module: RunModule) -> None:
    for state, action in (("held", "acquired"), ("renewed", "renewed"), ("released", "none")):
        done = run_module("run_lease", **project.login, run_id="run-1", state=state, check=True)
        assert done["action"] == action
    assert project.psql("select to_regnamespace('pgops') is null") == "t"


def test_of_eight_runs_at_the_same_moment_one_wins(project: LiveProject, run_module: RunModule) -> None:
    def attempt(number: int) -> dict[str, Any]:
        return run_module("run_lease", **project.login, run_id=f"run-{number}")

    for round_number in range(2):
        with ThreadPoolExecutor(8) as processes:
            results = list(processes.map(attempt, range(8)))
        winners = [result for result in results if not result.get("failed")]
        assert len(winners) == 1, results
        assert held_by(project) == winners[0]["lease"]["owner"]
        assert {result["error"]["code"] for result in results if result.get("failed")} == {"busy"}
        assert winners[0]["action"] == ("taken_over" if round_number else "acquired")
        # The second round races for an expired lease instead of a table that is not there.
        project.psql(EXPIRE)
        project.psql("update pgops.lease set owner = 'a dead run'")


@pytest.mark.parametrize("ledger_first", [True, False])
def test_ledger_and_lease_in_either_order_are_closed_to_the_api(
    project: LiveProject, run_module: RunModule, ledger_first: bool
) -> None:
    def ledger() -> None:
        with session(project.options) as connection:
            make_ledger(connection)
            connection.commit()

    def lease() -> None:
        assert run_module("run_lease", **project.login, run_id="run-1")["action"] in ("acquired", "renewed")

    project.psql("alter default privileges grant all on tables to anon, authenticated, service_role")
    project.psql("alter default privileges grant all on schemas to anon, authenticated, service_role")
    for _time in range(2):
        for make in (ledger, lease) if ledger_first else (lease, ledger):
            make()
    assert project.psql("select count(*) from pgops.lease, pgops.ledger") == "0"
    for role in ("anon", "authenticated", "service_role"):
        for table in ("lease", "ledger"):
            assert project.psql(f"select has_schema_privilege('{role}', 'pgops', 'usage')") == "f"
            rights = "select, insert, update, delete, truncate, references, trigger"
            assert project.psql(f"select has_table_privilege('{role}', 'pgops.{table}', '{rights}')") == "f"
        assert "permission denied" in project.psql_error(f"set role {role}; select * from pgops.lease")


def test_the_lease_is_held_while_the_database_is_read_only_by_default(
    project: LiveProject, run_module: RunModule
) -> None:
    project.psql(f'alter database "{project.database}" set default_transaction_read_only = on')
    for action in ("acquired", "renewed"):
        assert run_module("run_lease", **project.login, run_id="run-1")["action"] == action
    assert held_by(project) == "run-1"


def test_a_lease_without_time_or_owner_is_refused(project: LiveProject, run_module: RunModule) -> None:
    for _time in range(2):
        assert "expires_seconds" in run_module("run_lease", **project.login, run_id="r", expires_seconds=0)["msg"]
        assert run_module("run_lease", **project.login)["failed"]
    assert project.psql("select to_regnamespace('pgops') is null") == "t"


def test_the_lease_of_a_dead_process_is_taken_over_at_once(project: LiveProject, run_module: RunModule) -> None:
    run_module("run_lease", **project.login, run_id="run-1")
    here = " ".join((Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")))
    for process, action in ((f"{here} {os.getpid()} 1", "taken_over"), (f"another {here} 1 1", None)):
        project.psql(f"update pgops.lease set owner = 'run-1', process = '{process}'")
        for check in (True, False):
            result = run_module("run_lease", **project.login, run_id="run-2", check=check)
            assert result.get("action") == action, result
    project.psql("update pgops.lease set owner = 'run-1', process = null")
    assert run_module("run_lease", **project.login, run_id="run-2")["failed"]


def test_a_table_of_an_older_release_is_read_and_completed(project: LiveProject, run_module: RunModule) -> None:
    run_module("run_lease", **project.login, run_id="run-1")
    project.psql("alter table pgops.lease drop column process")
    with session(project.options) as connection:
        found = read_lease(connection)
        assert found is not None and (found.owner, found.process, found.expired) == ("run-1", None, False)
    for _time in range(2):
        assert run_module("run_lease", **project.login, run_id="run-1")["action"] == "renewed"
    assert project.psql("select count(*) from pgops.lease where process is null") == "1"


def test_a_lease_is_kept_while_a_module_works(
    project: LiveProject, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.1)
    run_module("run_lease", **project.login, run_id="run-1", expires_seconds=600)
    renewed = "select renewed_at from pgops.lease where expires_at - renewed_at = interval '10 minutes'"
    before = project.psql(renewed)
    for owner, is_kept in (("run-1", True), ("run-2", False)):
        with lease.kept_alive(project.options, owner):
            time.sleep(1.5)
        after = project.psql(renewed)
        assert (after > before) is is_kept
        before = after
    time.sleep(0.5)
    assert project.psql(renewed) == before


def test_a_run_that_was_killed_holds_up_nobody(project: LiveProject, tmp_path: Path) -> None:
    """The whole playbook by SIGKILL while it applies; the next one begins at once."""
    project.psql(TABLES)
    application = Application(project, tmp_path / "app" / "supabase")
    application.migration("20260101000000_slow", "select pg_sleep(30);\ncreate table public.slow (id int);\n")
    command, options = application.command("migrate")
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **options
    )
    is_there = "select count(*) from pg_stat_activity where query like 'select pg_sleep(30)%' and state = 'active'"
    end = time.monotonic() + 90
    while project.psql(is_there) == "0":
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # The module's own process goes on without its command, and what it does is kept apart by the apply lock.
    project.psql("select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep(30)%'")
    holder = held_by(project)
    assert holder and project.psql("select process is not null and expires_at > now() from pgops.lease") == "t"
    application.migration("20260101000000_slow", "create table public.slow (id int);\n")
    done = application.play("migrate")
    assert done.returncode == 0, done.stdout
    assert project.psql("select to_regclass('public.slow'), count(*) from pgops.lease") == "slow|0"
    assert application.play("migrate").returncode == 0
