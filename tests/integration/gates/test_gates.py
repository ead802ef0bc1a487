# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates on a real server: what closes each, that nothing is written, and that a table is whole."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.gates.table import GATES
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import make_ledger
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, session
from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import ensure_absent, ensure_started
from tests.integration.conftest import FAST_SETTINGS
from tests.integration.live import LiveProject, RunModule
from tests.integration.pooler import POOLER_USER, running_pooler

MARKER = "select project, ref, environment, system_identifier is not null from pgops.project_marker"
NO_SCHEMA = "select to_regnamespace('pgops') is null"


def table(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The gates by name; the table has to be whole, in order, whatever the outcome."""
    gates: list[dict[str, Any]] = result["preflight"]["gates"]
    assert [gate["name"] for gate in gates] == list(GATES)
    return {gate["name"]: gate for gate in gates}


def look(project: LiveProject, run_module: RunModule, /, **params: Any) -> dict[str, Any]:
    return run_module("preflight_gates", **{**project.login, "project": "app_dev", **params})


def mark(project: LiveProject, run_module: RunModule, /, **params: Any) -> dict[str, Any]:
    given = {"project": "app_dev", "environment": "dev", **params}
    return run_module("project_marker", **{**project.login, **given})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A committed Supabase folder with one migration."""
    supabase_dir = tmp_path / "app" / "supabase"
    (supabase_dir / "migrations").mkdir(parents=True)
    (supabase_dir / "migrations" / "20250101000000_notes.sql").write_text(
        "create schema notes; create table notes.note (id bigint primary key); create table public.tag (id int);\n"
    )
    git(supabase_dir, "init", "--quiet")
    commit(supabase_dir)
    return supabase_dir


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(directory: Path) -> None:
    git(directory, "add", "--all", ".")
    git(directory, "commit", "--quiet", "--message=migrations")


@contextmanager
def login_role(project: LiveProject, grants: str = "") -> Iterator[dict[str, Any]]:
    """A role without any right but those given; its login."""
    role = f"visitor_{project.database}"
    project.psql(f"create role {role} login password 'visitor-word'; {grants.format(role=role)}", "supabase_admin")
    try:
        yield {**project.login, "login_user": role, "login_password": "visitor-word"}
    finally:
        project.psql(f"drop owned by {role}; drop role {role}", "supabase_admin")


def test_all_gates_of_a_sound_project_are_open(
    project: LiveProject, run_module: RunModule, repository: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "runs" / "app_dev" / "run-1"
    given = {
        "project_ref": "abcdefghijklmnopqrst",
        "environment": "dev",
        "supabase_dir": repository,
        "state_dir": tmp_path / "runs",
        "run_dir": run_dir,
    }
    foreseen = look(project, run_module, check=True, **given)
    assert (foreseen["changed"], project.psql(NO_SCHEMA), run_dir.exists()) == (False, "t", False)
    assert mark(project, run_module, project_ref="abcdefghijklmnopqrst")["changed"]
    marked = project.psql(MARKER)
    assert marked == "app_dev|abcdefghijklmnopqrst|dev|t"
    for _time in range(2):
        result = look(project, run_module, **given)
        assert result["changed"] is False, result
        assert project.psql(MARKER) == marked
        verdicts = {name: gate["verdict"] for name, gate in table(result).items()}
        assert verdicts == {
            **dict.fromkeys(GATES, "PASS"),
            **dict.fromkeys(("lint", "approval", "window", "rehearsal", "backup_age"), "SKIP"),
        }, result
        assert json.loads((run_dir / "preflight.json").read_text())["gates"] == result["preflight"]["gates"]
    assert git(repository, "rev-parse", "HEAD") in table(result)["git"]["evidence"]
    assert "notes" not in project.psql("select nspname from pg_namespace").split()


def test_an_unmarked_database_is_not_marked_by_looking(project: LiveProject, run_module: RunModule) -> None:
    for check in (False, True):
        result = look(project, run_module, check=check)
        identity = table(result)["identity"]
        assert (result["changed"], identity["verdict"]) == (False, "WARNING")
        assert "project_marker" in identity["next_step"] and "app_dev" in identity["next_step"]
        assert project.psql(NO_SCHEMA) == "t"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"environment": "prod"}, "dev is not prod"),
        ({"project": "app_prod"}, "app_dev is not app_prod"),
        ({"project_ref": "zzzzzzzzzzzzzzzzzzzz"}, "is not zzzzzzzzzzzzzzzzzzzz"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_dev_is_not_prod(
    project: LiveProject, run_module: RunModule, other: dict[str, str], said: str, check: bool
) -> None:
    given = {"environment": "dev", "project_ref": "abcdefghijklmnopqrst"}
    mark(project, run_module, **given)
    marked = project.psql("select * from pgops.project_marker")
    for _time in range(2):
        refused = mark(project, run_module, check=check, **{**given, **other})
        assert refused["failed"] and not refused["changed"] and said in refused["msg"]
        result = look(project, run_module, check=check, **{**given, **other})
        assert result["failed"] and not result["changed"]
        assert said in result["msg"] and "identity" in result["msg"]
        assert table(result)["identity"]["verdict"] == "FAIL"
        assert project.psql("select * from pgops.project_marker") == marked
    waived = look(project, run_module, check=check, waivers={"identity": "moved on purpose"}, **{**given, **other})
    identity = table(waived)["identity"]
    assert (identity["verdict"], identity["waiver"]) == ("WAIVED", "moved on purpose")
    assert identity["evidence"].startswith("WAIVED AGAINST THE EVIDENCE")
    assert waived["preflight"]["waivers"] == {"identity": "moved on purpose"}


def test_a_copy_of_a_marked_database_on_another_server_is_not_the_project(
    project: LiveProject, run_module: RunModule
) -> None:
    mark(project, run_module)
    project.psql("update pgops.project_marker set system_identifier = '7000000000000000001'")
    for _time in range(2):
        result = look(project, run_module, environment="dev")
        assert result["failed"] and "7000000000000000001" in result["msg"]


@pytest.mark.parametrize("first", ["ledger", "lease", "marker"])
def test_records_in_any_order_are_closed_to_the_api(project: LiveProject, run_module: RunModule, first: str) -> None:
    def ledger() -> None:
        with session(project.options) as connection:
            make_ledger(connection)
            connection.commit()

    makers: dict[str, Callable[[], object]] = {
        "ledger": ledger,
        "lease": lambda: run_module("run_lease", **project.login, run_id="run-1"),
        "marker": lambda: mark(project, run_module),
    }
    project.psql("alter default privileges grant all on tables to anon, authenticated, service_role")
    for name in [first, *(name for name in makers if name != first)]:
        makers[name]()
    rights = "select, insert, update, delete, truncate, references, trigger"
    for role in ("anon", "authenticated", "service_role"):
        for relation in ("ledger", "lease", "project_marker"):
            assert project.psql(f"select has_table_privilege('{role}', 'pgops.{relation}', '{rights}')") == "f"
        assert "permission denied" in project.psql_error(f"set role {role}; select * from pgops.project_marker")


def test_a_transaction_pooler_is_refused(project: LiveProject, run_module: RunModule, tmp_path: Path) -> None:
    for extra in ("", "server_round_robin = 1\n", "default_pool_size = 1\n"):
        with running_pooler(project, "transaction", extra) as port:
            for _time in range(2):
                result = look(project, run_module, login_port=port)
                pooler = table(result)["pooler"]
                assert (result["failed"], pooler["verdict"]) == (True, "FAIL")
                assert (
                    "same server process" in pooler["evidence"] or "answered by server processes" in pooler["evidence"]
                )
                assert "port 5432" in pooler["next_step"] and "session pooler" in result["msg"]
            waived = look(project, run_module, login_port=port, waivers={"pooler": "reads only"})
            assert table(waived)["pooler"]["evidence"].startswith("WAIVED AGAINST THE EVIDENCE")


def test_a_session_pooler_that_drops_connection_options_passes(project: LiveProject, run_module: RunModule) -> None:
    with running_pooler(project, "session") as port:
        for _time in range(2):
            pooler = table(look(project, run_module, login_port=port, login_user=POOLER_USER))["pooler"]
            assert pooler["verdict"] == "PASS", pooler


def test_a_role_that_misses_rights(project: LiveProject, run_module: RunModule, repository: Path) -> None:
    project.psql("create schema notes; create schema supabase_migrations")
    project.psql("create table supabase_migrations.schema_migrations (version text primary key)")
    with login_role(project) as login:
        for _time in range(2):
            result = run_module("preflight_gates", **login, project="app_dev", supabase_dir=repository)
            gates = table(result)
            assert result["failed"] and gates["privileges"]["verdict"] == "FAIL"
            for said in ("row level security", "may not create schemas", "schema public", "supabase_migrations"):
                assert said in gates["privileges"]["evidence"]
            # The files that are pending cannot be known without the history: that gate is closed, not forgotten.
            assert gates["git"]["verdict"] == "FAIL" and "permission denied" in gates["git"]["evidence"]
    with login_role(project, 'grant usage on schema supabase_migrations to {role}; grant select on all tables in schema '
                    'supabase_migrations to {role}; alter role {role} bypassrls') as login:  # fmt: skip
        gates = table(run_module("preflight_gates", **login, project="app_dev", supabase_dir=repository))
        assert "not write supabase_migrations" in gates["privileges"]["evidence"]
        assert "row level security" not in gates["privileges"]["evidence"]
    assert table(look(project, run_module, supabase_dir=repository))["privileges"]["verdict"] == "PASS"


def test_evidence_that_may_not_be_read_closes_its_gate_only(project: LiveProject, run_module: RunModule) -> None:
    mark(project, run_module)
    run_module("run_lease", **project.login, run_id="run-1")
    with login_role(project, "grant usage on schema pgops to {role}") as login:
        for _time in range(2):
            gates = table(run_module("preflight_gates", **login, project="app_dev"))
            for name in ("identity", "lease"):
                assert gates[name]["verdict"] == "FAIL" and "permission denied" in gates[name]["evidence"]
            assert gates["versions"]["verdict"] == "PASS"


def test_programs_that_are_missing(project: LiveProject, run_module: RunModule, tmp_path: Path) -> None:
    for _time in range(2):
        versions = table(look(project, run_module, pg_bin=tmp_path))["versions"]
        assert versions["verdict"] == "FAIL" and str(tmp_path) in versions["evidence"]


def test_too_little_space(project: LiveProject, run_module: RunModule, tmp_path: Path) -> None:
    for _time in range(2):
        disk = table(look(project, run_module, state_dir=tmp_path / "later", disk_space_factor=1e9))["disk"]
        assert disk["verdict"] == "FAIL" and str(tmp_path) in disk["evidence"]
    assert not (tmp_path / "later").exists()


def test_an_old_transaction_is_listed_without_its_query(project: LiveProject, run_module: RunModule) -> None:
    with session(project.options) as connection:
        execute(connection, "set application_name = 'reporting'; select 'a-secret-in-a-query'")
        pid = connection.info.backend_pid
        for _time in range(2):
            result = look(project, run_module, max_transaction_age_seconds=0)
            gate = table(result)["long_transactions"]
            assert gate["verdict"] == "FAIL"
            for said in (f"pid {pid}", "postgres", "reporting", "idle in transaction"):
                assert said in gate["evidence"]
            assert f"pg_terminate_backend({pid})" in result["msg"]
            assert "a-secret-in-a-query" not in json.dumps(result)
        assert table(look(project, run_module))["long_transactions"]["verdict"] == "PASS"
        with login_role(project) as login:
            gate = table(run_module("preflight_gates", **login, project="app_dev"))["long_transactions"]
            assert gate["verdict"] == "WARNING" and "cannot see how old" in gate["evidence"]


def test_a_prepared_transaction_is_listed(server_state: Path, run_module: RunModule) -> None:
    started = ensure_started(
        server_state, "prepared", settings={**FAST_SETTINGS, "max_prepared_transactions": 5}
    ).project
    assert started is not None
    project = LiveProject(started, started.database)
    try:
        project.psql(
            "create table public.t (id int); begin; insert into public.t values (1); prepare transaction 'it''s mine'"
        )
        for _time in range(2):
            result = look(project, run_module)
            gate = table(result)["prepared_transactions"]
            assert gate["verdict"] == "FAIL" and "it's mine of postgres" in gate["evidence"]
        project.psql(gate["next_step"].rpartition("or ")[2])
        assert table(look(project, run_module))["prepared_transactions"]["verdict"] == "PASS"
    finally:
        ensure_absent(server_state, "prepared")


def test_half_made_objects_are_listed(project: LiveProject, run_module: RunModule) -> None:
    project.psql("create table public.t (id int); insert into public.t values (1), (1)")
    project.psql("alter table public.t add constraint positive check (id > 1) not valid")
    assert "could not create unique" in project.psql_error("create unique index concurrently t_id on public.t (id)")
    for _time in range(2):
        result = look(project, run_module)
        gate = table(result)["invalid_objects"]
        assert (result.get("failed"), gate["verdict"]) == (None, "WARNING")
        assert "public.t_id" in gate["evidence"] and "positive on public.t" in gate["evidence"]


def test_a_slot_that_nobody_reads(project: LiveProject, run_module: RunModule) -> None:
    slot = f"slot_{project.database}"
    project.psql(f"select pg_create_physical_replication_slot('{slot}', true)")
    try:
        for _time in range(2):
            gate = table(look(project, run_module))["replication_lag"]
            assert gate["verdict"] == "WARNING" and slot in gate["evidence"]
    finally:
        project.psql(f"select pg_drop_replication_slot('{slot}')")
    assert table(look(project, run_module))["replication_lag"]["verdict"] == "PASS"


def test_pending_files_have_to_be_committed(project: LiveProject, run_module: RunModule, repository: Path) -> None:
    migrations = repository / "migrations"

    def verdict() -> tuple[str, str]:
        gate = table(look(project, run_module, supabase_dir=repository))["git"]
        return gate["verdict"], gate["evidence"]

    assert verdict()[0] == "PASS"
    (migrations / "20250102000000_more.sql").write_text("create table public.more (id int);\n")
    (repository.parent / ".gitignore").write_text("*_more.sql\n")
    for _time in range(2):
        judged, said = verdict()
        assert judged == "FAIL" and "20250102000000_more.sql" in said and "20250101000000" not in said
    (repository.parent / ".gitignore").unlink()
    git(repository, "add", "--all", ".")
    assert verdict()[0] == "FAIL"
    commit(repository)
    assert verdict()[0] == "PASS"
    (migrations / "20250101000000_notes.sql").write_text("select 1;\n")
    judged, said = verdict()
    assert judged == "FAIL" and "20250101000000_notes.sql" in said
    # What is applied may differ: another check says so.
    (repository / "rollbacks").mkdir()
    (repository / "rollbacks" / "20250102000000_more.sql").write_text("drop table public.more;\n")
    assert "rollbacks/20250102000000_more.sql" in verdict()[1]
    shutil.rmtree(repository / ".git")
    for _time in range(2):
        judged, said = verdict()
        assert judged == "WARNING" and "not in a git work tree" in said
    git(repository, "init", "--quiet")
    assert verdict()[0] == "FAIL"


def test_another_run_holds_the_lease(project: LiveProject, run_module: RunModule) -> None:
    run_module("run_lease", **project.login, run_id="run-1")
    for _time in range(2):
        result = look(project, run_module, run_id="run-2")
        assert result["failed"] and "held by another run: run-1" in result["msg"]
    assert table(look(project, run_module, run_id="run-1"))["lease"]["verdict"] == "PASS"
    waived = look(project, run_module, run_id="run-2", waivers={"lease": "that machine is gone"})
    assert table(waived)["lease"]["waiver"] == "that machine is gone"
    project.psql("update pgops.lease set expires_at = clock_timestamp()")
    assert "takes it over" in table(look(project, run_module, run_id="run-2"))["lease"]["evidence"]


def test_a_backup_that_is_required(project: LiveProject, run_module: RunModule, tmp_path: Path) -> None:
    project.psql("create table public.t (id int)")
    given = {"state_dir": tmp_path, "max_backup_age_seconds": 3600}
    assert table(look(project, run_module, **given))["backup_age"]["verdict"] == "FAIL"
    run_dir = tmp_path / "app_dev" / "run-1"
    made = run_module("backup", **project.login, project="app_dev", run_dir=run_dir)
    assert not made.get("failed"), made
    for _time in range(2):
        assert table(look(project, run_module, **given))["backup_age"]["verdict"] == "PASS"
    old = table(look(project, run_module, **{**given, "max_backup_age_seconds": 0}))["backup_age"]
    assert old["verdict"] == "FAIL" and str(run_dir) in old["evidence"]
    (run_dir / "backup" / "roles.sql").write_text("")
    assert "no sound backup" in table(look(project, run_module, **given))["backup_age"]["evidence"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"waivers": {"weather": "fine"}}, "no gate weather"),
        ({"waivers": {"disk": "  "}}, "without a reason"),
        ({"waivers": {"disk": None}}, "without a reason"),
        ({"max_backup_age_seconds": 60}, "state_dir"),
    ],
)
def test_bad_options_are_refused_before_connecting(
    project: LiveProject, run_module: RunModule, params: dict[str, Any], said: str
) -> None:
    for _time in range(2):
        result = look(project, run_module, **params, login_port=1)
        assert result["failed"] and said in result["msg"] and result["error"]["code"] == "input"


def test_the_hours_of_migrations(project: LiveProject, run_module: RunModule, repository: Path) -> None:
    always = {"from": "00:00", "to": "24:00", "time_zone": "UTC"}
    never = {**always, "days": [f"{datetime.now(timezone.utc) + timedelta(days=3):%a}"]}
    given = {"supabase_dir": str(repository), "state_dir": str(repository)}
    for _time in range(2):
        assert table(look(project, run_module))["window"]["verdict"] == "SKIP"
        assert table(look(project, run_module, window=always, **given))["window"]["verdict"] == "PASS"
        shut = look(project, run_module, window=never, **given)
        assert shut["failed"] and table(shut)["window"]["verdict"] == "FAIL"
        assert table(look(project, run_module, check=True, window=never, **given))["window"]["verdict"] == "WARNING"
        passed = look(project, run_module, window=never, waivers={"window": "an incident"}, **given)
        assert table(passed)["window"]["verdict"] == "WAIVED"
        refused = look(project, run_module, window={"from": "25:00", "to": "1"})
        assert refused["failed"] and "25:00 is no time" in refused["msg"] and "time_zone is missing" in refused["msg"]
        assert project.psql(NO_SCHEMA) == "t"
