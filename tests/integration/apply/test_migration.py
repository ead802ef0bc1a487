# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applying migrations to a real server, as psql sees it afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, run_module

FIRST, SECOND = "20260101000000_first", "20260102000000_second"
VERSIONS = [FIRST[:14], SECOND[:14]]

FUNCTION = """create function public.tag() returns text language plpgsql as $body$
begin
  -- inner; comment
  return 'x;y';
end
$body$"""
WITH_A_TRANSACTION_OF_ITS_OWN = f"""-- Above the first
BEGIN;

-- About é
create table public.tags (id int, name text default 'a;b'); /* trailing; */
{FUNCTION};
COMMIT;
"""


@pytest.fixture
def application(project: LiveProject, tmp_path: Path) -> Application:
    """An application without migrations."""
    project.psql(TABLES)
    return Application(project, tmp_path / "supabase")


def wait_until(condition: Callable[[], bool], otherwise: str, seconds: float = 30.0) -> None:
    """Look again and again."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


def is_running(application: Application, query: str) -> bool:
    """Whether a session of this database runs a statement that begins so."""
    return (
        application.project.psql(
            f"select count(*) from pg_stat_activity where datname = current_database() and query like '{query}%' "
            "and state = 'active' and pid <> pg_backend_pid()"
        )
        != "0"
    )


# --- what stays


def test_history_and_ledger_say_what_was_done(application: Application, tmp_path: Path) -> None:
    application.migration(FIRST, WITH_A_TRANSACTION_OF_ITS_OWN)
    application.migration(SECOND, "insert into public.tags values (1);\n\n\nselect public.tag();\n")
    result = application.applies(run_id="run-1", run_dir=str(tmp_path / "run"))

    assert application.project.psql("select id, name from public.tags") == "1|a;b"
    assert application.project.psql("select public.tag()") == "x;y"
    # What the Supabase CLI (2.122 and 3.1) writes for the same files.
    history = application.project.psql(
        "select json_agg(json_build_array(version, name, statements) order by version) from supabase_migrations.schema_migrations"
    )
    assert json.loads(history) == [
        [
            VERSIONS[0],
            "first",
            [
                "-- Above the first\nBEGIN",
                "-- About é\ncreate table public.tags (id int, name text default 'a;b')",
                f"/* trailing; */\n{FUNCTION}",
                "COMMIT",
            ],
        ],
        [VERSIONS[1], "second", ["insert into public.tags values (1)", "select public.tag()"]],
    ]
    ledger = application.project.psql(
        "select event, version, name, sha256, run_id, database_role, details ->> 'batch' from pgops.ledger order by event_id"
    ).splitlines()
    hashes = [done["sha256"] for done in result["migration"]["migrations"]]
    files = application.snapshot().files
    assert hashes == [files[f"migrations/{name}.sql"] for name in (FIRST, SECOND)]
    batch = json.dumps(VERSIONS)
    assert ledger == [
        f"applied|{name[:14]}|{name[15:]}|{sha256}|run-1|postgres|{batch}"
        for name, sha256 in zip((FIRST, SECOND), hashes, strict=True)
    ]
    assert (
        json.loads((tmp_path / "run" / "migration.json").read_text())["migrations"] == result["migration"]["migrations"]
    )
    assert (tmp_path / "run" / "catalog-before.json").stat().st_mode & 0o777 == 0o600

    info = application.info()["migration_info"]
    assert (info["applied"], info["pending"], info["problems"]) == (VERSIONS, [], [])
    assert info["last_event"]["run_id"] == "run-1"


def test_the_ledger_is_closed_and_append_only(application: Application) -> None:
    application.migration(FIRST, "select 1;")
    application.applies()
    for role in ("anon", "authenticated", "service_role"):
        for statement in (
            "select * from pgops.ledger",
            "insert into pgops.ledger (event, version, name, sha256, operator) values ('applied', '1', 'x', '', 'x')",
            "select pgops.refuse_change()",
        ):
            assert "permission denied for schema pgops" in application.project.psql_error(
                f"set role {role}; {statement};"
            )
    for statement in ("update pgops.ledger set name = 'x'", "delete from pgops.ledger", "truncate pgops.ledger"):
        for user in ("postgres", "supabase_admin"):
            assert "pgops.ledger is append-only" in application.project.psql_error(f"{statement};", user)
    assert application.events() == [f"applied {VERSIONS[0]}"]


@pytest.mark.parametrize(
    "columns",
    [
        "",
        ", statements text[]",
        ", statements text[], name text, created_by text, idempotency_key text unique, rollback text[]",
    ],
)
def test_a_history_that_others_made_is_kept(application: Application, columns: str) -> None:
    """As older tools made it, and as hosted projects have it."""
    application.project.psql(
        "create schema supabase_migrations;"
        f"create table supabase_migrations.schema_migrations (version text not null primary key{columns});"
        "insert into supabase_migrations.schema_migrations (version) values ('20251231000000');"
    )
    if "created_by" in columns:
        application.project.psql(
            "update supabase_migrations.schema_migrations set created_by = 'someone', idempotency_key = 'k', "
            "rollback = array['drop table x']"
        )
    application.migration("20251231000000_theirs", "create table public.theirs (id int);\n")
    application.migration(FIRST, "create table public.first (id int);\n")
    result = application.applies()
    assert [done["version"] for done in result["migration"]["migrations"]] == [VERSIONS[0]]
    rows = application.project.psql("select to_jsonb(m) from supabase_migrations.schema_migrations m order by version")
    theirs, ours = (json.loads(row) for row in rows.splitlines())
    assert (ours["version"], ours["name"], ours["statements"]) == (
        VERSIONS[0],
        "first",
        ["create table public.first (id int)"],
    )
    assert (theirs["name"], theirs["statements"]) == (None, None)
    if "created_by" in columns:
        assert (theirs["created_by"], theirs["idempotency_key"], theirs["rollback"]) == (
            "someone",
            "k",
            ["drop table x"],
        )
        assert ours["created_by"] is None


# --- how much, and when


def test_to_version_stops_there(application: Application) -> None:
    application.migration(FIRST, "create table public.first (id int);")
    application.migration(SECOND, "create table public.second (id int);")
    application.applies(to_version=VERSIONS[0])
    assert application.project.psql("select to_regclass('public.first'), to_regclass('public.second')") == "first|"
    assert application.versions() == VERSIONS[:1]
    application.applies(to_version=VERSIONS[1])
    assert application.versions() == VERSIONS


def test_check_mode_executes_and_leaves_nothing(application: Application, tmp_path: Path) -> None:
    application.migration(
        FIRST, "create table public.first (id int);\ncreate sequence public.numbers;\ndrop table public.orders;\n"
    )
    application.migration(
        SECOND, "insert into public.first values (1);\nalter table public.clients add column note text;\n"
    )
    application.project.psql("create sequence public.kept")
    application.migration("20260103000000_third", "select nextval('public.kept');\n")
    before = application.snapshot()
    for dummy in range(2):
        result = application.apply(check=True, diff=True, run_dir=str(tmp_path / "run"))
        assert result["changed"] and result["migration"]["dry_run"] and not result["migration"]["committed"], result
        assert len(result["migration"]["migrations"]) == 3
        lines = result["diff"]["prepared"].splitlines()
        assert any(line.startswith("+ ") and "public.first" in line for line in lines), lines
        assert any(line.startswith("- ") and "public.orders" in line for line in lines), lines
        assert any("public.clients" in line and "note" in line for line in lines), lines
        assert not any("pgops" in line or "supabase_migrations" in line for line in lines), lines
        assert application.snapshot() == before
        assert (
            application.project.psql("select to_regnamespace('pgops'), to_regnamespace('supabase_migrations')") == "|"
        )
    assert not (tmp_path / "run").exists()
    # The one thing that a transaction cannot take back.
    assert application.project.psql("select last_value from public.kept") == "2"


def test_diff_lists_the_objects(application: Application) -> None:
    application.migration(FIRST, 'create table public."First" (id int);')
    first = application.applies(diff=True)
    assert "First" in first["diff"]["prepared"]
    assert application.apply(diff=True)["diff"]["prepared"] == ""


def test_scope_file_keeps_what_was_committed_before_a_failure(application: Application) -> None:
    application.migration(
        FIRST, "create table public.first (id int);\ninsert into public.clients values (4, 'four');\n"
    )
    application.migration(SECOND, "insert into public.first values (1);\nselect * from public.missing;\n")
    failed = application.apply(transaction_scope="file")
    assert failed["failed"] and failed["changed"] and failed["migration"]["committed"]
    assert failed["error"]["state"].endswith(f"; committed before and still there: {VERSIONS[0]}")
    assert "nothing was changed" not in failed["error"]["state"] and failed["error"]["outcome"] == "partial"
    assert application.versions() == VERSIONS[:1]
    assert application.project.psql("select count(*) from public.first") == "0"
    after = application.snapshot()
    again = application.apply(transaction_scope="file")
    assert again["failed"] and not again["changed"]
    assert application.snapshot() == after
    application.migration(SECOND, "insert into public.first values (1);\n")
    result = application.applies(transaction_scope="file")
    assert [done["version"] for done in result["migration"]["migrations"]] == [VERSIONS[1]]
    assert application.events() == [
        f"applied {VERSIONS[0]}",
        f"failed {VERSIONS[1]}",
        f"failed {VERSIONS[1]}",
        f"applied {VERSIONS[1]}",
    ]


# --- each file as if it had a session of its own


def test_deferred_constraints_are_checked_by_file_and_stay_deferred(application: Application) -> None:
    """The second file relies on the deferral; of another's constraint, which the role cannot name, COMMIT takes care."""
    application.project.psql(
        "create schema hidden; create table hidden.a (id int unique deferrable initially deferred);", "supabase_admin"
    )
    application.migration(
        FIRST,
        "create table public.late (client int references public.clients deferrable initially deferred);\n"
        "insert into public.late values (9);\ninsert into public.clients values (9, 'nine');\n",
    )
    application.migration(
        SECOND, "insert into public.late values (10);\ninsert into public.clients values (10, 'ten');\n"
    )
    application.applies()
    assert application.project.psql("select client from public.late order by 1") == "9\n10"


# --- checks inside the transaction


def test_validations_see_what_is_to_be_committed_and_leave_nothing(application: Application) -> None:
    application.migration(FIRST, "create table public.first (id int);\ninsert into public.first values (1);\n")
    script = application.validation(
        "select case count(*) when 1 then 'PASS' else 'FAIL' end as rows from public.first;\n"
        "insert into public.first values (2);\ndelete from public.orders;\n"
        "select case count(*) when 2 then 'PASS' else 'FAIL' end as written from public.first;\n"
    )
    result = application.applies(validations=[str(script)], baseline=application.baseline())
    assert result["migration"]["verified"] == "before_commit"
    assert result["migration"]["validation"]["passed"] == 2
    assert result["migration"]["counts"]["verdict"] == "PASS"
    assert (
        application.project.psql("select count(*) from public.first union all select count(*) from public.orders")
        == "1\n100"
    )


def test_a_declared_difference_is_expected(application: Application) -> None:
    application.migration(
        FIRST, "delete from public.orders where id <= 10;\ninsert into public.clients values (4, 'four');\n"
    )
    baseline = application.baseline()
    application.refuses(
        "verification", "table public.orders: -10 rows", "table public.clients: +1 row", baseline=baseline
    )
    contract = {"public.orders": -10, "clients": "any"}
    result = application.applies(baseline=baseline, count_contract=contract)
    assert result["migration"]["counts"]["verdict"] == "PASS"
    changes = {(row["table"], row["change"]) for row in result["migration"]["row_changes"]}
    assert changes == {("orders", -10), ("clients", 1)}


def test_rows_that_others_write_meanwhile_are_not_judged(application: Application) -> None:
    application.migration(FIRST, "create table public.first (id int);\nselect pg_sleep(1.5);\n")
    baseline = application.baseline()
    with ThreadPoolExecutor() as pool:
        applying = pool.submit(application.apply, baseline=baseline)
        wait_until(lambda: is_running(application, "select pg_sleep"), "the migration does not run")
        application.project.psql("insert into public.orders values (1001, 1), (1002, 1)")
        result = applying.result()
    assert result.get("changed"), result
    assert (result["migration"]["counts"]["verdict"], result["migration"]["counts"]["tables"]) == ("PASS", [])
    assert application.project.psql("select count(*) from public.orders") == "102"
    assert application.apply()["changed"] is False


# --- more than one, and less than one


def test_a_killed_process_leaves_the_database_as_it_was(application: Application) -> None:
    application.migration(
        FIRST, "create table public.first (id int);\ndelete from public.orders;\nselect pg_sleep(1.5);\n"
    )
    before = application.snapshot()
    for dummy in range(2):
        process = application.start_applying()
        wait_until(lambda: is_running(application, "select pg_sleep"), "the migration does not run")
        process.kill()
        process.wait()
        wait_until(lambda: not is_running(application, "select pg_sleep"), "the server has not noticed")
        sessions = "select count(*) from pg_stat_activity where datname = current_database() and application_name like 'pgops%'"
        wait_until(lambda: application.project.psql(sessions) == "0", "the session is still there")
        assert application.snapshot() == before
    application.applies()
    assert application.versions() == VERSIONS[:1]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("create view public.deep as " + " union all ".join(["select 1 as n"] * 1000), "1000"),
        ("create view public.deep as select " + " || ".join(["'a'"] * 600) + " as n", "1"),
        (
            "alter table public.clients add constraint deep check (name <> " + " || ".join(["'a'"] * 600) + ");\n"
            "create view public.deep as select * from public.clients",
            "3",
        ),
    ],
)
def test_a_long_chain_of_operators_is_applied(application: Application, sql: str, expected: str) -> None:
    application.migration(FIRST, f"{sql};\n")
    lint = run_module("migration_lint", supabase_dir=str(application.directory), **application.project.login)
    assert not lint.get("failed"), lint
    checked = application.apply(check=True)
    assert not checked.get("failed"), checked
    application.applies()
    assert application.project.psql("select count(*) from public.deep") == expected


def test_rows_against_a_long_check_are_reported_as_postgresql_says(application: Application) -> None:
    check = " || ".join(["'a'"] * 600)
    application.migration(FIRST, f"alter table public.clients add constraint deep check (name = {check});\n")
    assert application.apply(check=True)["msg"].startswith("Rows break 1 constraint: deep of public.clients")
