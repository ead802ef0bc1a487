# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validations against a real server: what they find, and that they leave nothing, as psql sees it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import TRANSACTION_STATUS_INTRANS
from psycopg2.extensions import connection as PgConnection

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ConnectionFailed, StatementFailed
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    connect,
    execute,
    fetch_all,
    fetch_value,
)
from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import Check, ValidationReport
from ansible_collections.pgops.supabase.plugins.module_utils.validation.job import names_created_by
from ansible_collections.pgops.supabase.plugins.module_utils.validation.reader import parse_validation_script
from ansible_collections.pgops.supabase.plugins.module_utils.validation.script import run_validation
from tests.integration.live import LiveProject, RunModule

EXAMPLE = Path(__file__).parents[3] / "examples" / "ready_set" / "supabase"
BRIDGES = ("20251014220000", "20251014220100")

SCHEMA = """
create table public.clients (id int primary key, name text not null);
insert into public.clients values (1, 'one'), (2, 'two');
create sequence public.numbers;
"""

# Everything that a validation could leave behind, as text.
EVERYTHING = """
select 'class', n.nspname, c.relname, c.relkind, c.relacl::text, c.relrowsecurity
from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname !~ '^pg_(toast|temp)' order by 2, 3;
select 'attribute', attrelid::regclass, attname, atttypid from pg_attribute
where attrelid >= 16384 and attnum > 0 and attrelid::regclass::text !~ '^pg_toast' order by 2, 3;
select 'proc', oid::regprocedure, md5(prosrc) from pg_proc order by 2;
select 'schema', nspname, nspacl from pg_namespace where nspname !~ '^pg_(toast|temp)' order by 2;
select 'trigger', tgrelid::regclass, tgname, tgenabled from pg_trigger order by 2, 3;
select 'setting', setdatabase, setrole, setconfig from pg_db_role_setting order by 2, 3;
select 'row', * from public.clients order by id;
"""

WRITING = """\\echo '== A check that writes'
begin;
insert into public.clients values (3, 'three');
create table public.left_behind (id int);
create temp table mine (id int);
prepare asked as select 1;
set search_path = pg_catalog;
set role anon;
set statement_timeout = '7s';
select case when count(*) = 0 then 'FAIL' else 'FAIL unreachable' end from public.no_such_table;
reset role;
insert into public.clients values (1, 'again');
select case when count(*) = 3 then '✓ PASS' else '✗ FAIL' end as rows_seen from public.clients where id < 9;
commit;
drop table public.clients cascade;
do $$ begin raise notice 'PASS: dropped'; end $$;
"""


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def by_name(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in result["validation"]["checks"]}


def twice(run_module: RunModule, project: LiveProject, **params: Any) -> dict[str, Any]:
    """Run the module two times: the same verdicts, the same database, never a change."""
    before = project.psql(EVERYTHING)
    results = []
    for dummy in range(2):
        result = run_module("validation", **project.login, **params)
        assert result["changed"] is False
        assert project.psql(EVERYTHING) == before
        results.append(result)

    def same(result: dict[str, Any]) -> Any:
        report = dict(result.get("validation", {}))
        return result.get("msg"), {k: v for k, v in report.items() if k not in ("started_at", "duration_seconds")}

    assert same(results[0]) == same(results[1])
    return results[1]


@pytest.fixture
def clients(project: LiveProject) -> LiveProject:
    project.psql(SCHEMA)
    return project


@pytest.fixture
def transaction(clients: LiveProject) -> Iterator[PgConnection]:
    """An open transaction that has written something of its own."""
    connection = connect(clients.options)
    execute(connection, "insert into public.clients values (9, 'mine')")
    yield connection
    connection.close()


def test_all_kinds_of_verdicts_are_found(clients: LiveProject, run_module: RunModule, tmp_path: Path) -> None:
    file = write(
        tmp_path / "v.sql",
        "\\pset pager off\n"
        "\\echo '== Rows =='\n"
        "select 'names' as check_name, '✓ PASS' as status, 2 as rows;\n"
        "select * from (values ('a', 'PASS'), ('b', '⚠ WARNING: few'), ('c', 'SKIP')) as v (item, verdict);\n"
        "-- named above\nselect 'PASS';\n"
        "select array['PASS', '✗ PASSED x'] as \"both\";\n"
        "do $$ begin raise notice '✅ PASS: noticed'; raise warning 'WARNING: warned'; raise info 'PASS: told'; end $$;\n"
        "select 'nothing' as said, date '20000-01-01', 'infinity'::timestamptz, null;\n",
    )
    result = twice(run_module, clients, files=[file])
    assert not result.get("failed")
    report = result["validation"]
    assert (report["verdict"], report["passed"], report["warnings"], report["skipped"], report["failed"]) == (
        "WARNING",
        6,
        2,
        0,
        0,
    )
    checks = by_name(result)
    assert checks["names"]["where"] == f"{file}:3:1"
    assert checks["names"]["section"] == "Rows"
    assert checks["names"]["message"] == "rows: 2"
    rows = next(check for check in report["checks"] if check["rows"])
    assert (rows["verdict"], rows["message"]) == ("WARNING", "1 of 3 rows: b: few")
    assert [(row["name"], row["verdict"]) for row in rows["rows"]] == [("a", "PASS"), ("b", "WARNING"), ("c", "SKIP")]
    assert checks["named above"]["verdict"] == "PASS"
    assert checks["noticed"]["source"] == "notice"
    assert [place["where"] for place in report["silent"]] == [f"{file}:9:1"]
    assert from_dict(ValidationReport, report).checks[0] == from_dict(Check, report["checks"][0])


def test_many_rows_of_one_statement_are_one_check_and_what_says_nothing_is_listed(
    clients: LiveProject, run_module: RunModule, tmp_path: Path
) -> None:
    file = write(
        tmp_path / "v.sql",
        "\\conninfo\n\\d public.clients\n\\dt+\n"
        "-- indexes that are not used\n"
        "select 'public' as schema, 'i' || n as index, 'WARNING: ' || n || ' scans' as status from generate_series(1, 18) n;\n"
        "select 'Status: fail' where false;\ncreate temp table kept (id int);\ndo $$ begin perform 1; end $$;\n"
        "select format('Check 3: %s', 'pass');\nselect '❌ Failed';\n",
    )
    result = twice(run_module, clients, files=[file], stage="before")
    report = result["validation"]
    assert [(c["verdict"], c["name"], len(c["rows"])) for c in report["checks"]] == [
        ("WARNING", "indexes that are not used", 18),
        ("PASS", "Check 3", 0),
        ("FAIL", "statement at line 10", 0),
    ]
    assert report["checks"][0]["message"].startswith("18 of 18 rows: i1: 1 scans, schema: public; i2: ")
    assert report["checks"][0]["message"].endswith(" and 13 more")
    assert [place["where"] for place in report["silent"]] == [f"{file}:{line}:1" for line in (6, 8)]
    assert [(p["name"], p["where"]) for p in report["skipped_commands"]] == [
        ("\\conninfo", f"{file}:1:1"),
        ("\\d public.clients", f"{file}:2:1"),
        ("\\dt+", f"{file}:3:1"),
    ]


def test_warnings_fail_when_the_policy_says_so(clients: LiveProject, run_module: RunModule, tmp_path: Path) -> None:
    file = write(tmp_path / "v.sql", "select 'WARNING: slow';")
    assert not twice(run_module, clients, files=[file]).get("failed")
    result = twice(run_module, clients, files=[file], warnings_as_failures=True)
    assert result["failed"] and f"WARNING slow ({file}:1:1)" in result["msg"]


def test_a_check_that_writes_leaves_nothing_and_an_error_does_not_stop_it(
    clients: LiveProject, run_module: RunModule, tmp_path: Path
) -> None:
    file = write(tmp_path / "v.sql", WRITING)
    other = write(
        tmp_path / "w.sql", "select case when current_role = 'postgres' then 'PASS' else 'FAIL' end as role_again;"
    )
    result = twice(run_module, clients, files=[file, other], run_dir=str(tmp_path / "run"))
    assert result["failed"]
    # The failure has the figures, the run's file holds all of it.
    report = json.loads((tmp_path / "run" / "validation-after.json").read_text())
    assert "checks" not in result["validation"] and result["validation"]["failed"] == report["failed"]
    assert [(c["verdict"], c["source"]) for c in report["checks"]] == [
        ("FAIL", "error"),
        ("FAIL", "error"),
        ("PASS", "cell"),
        ("PASS", "notice"),
        ("PASS", "cell"),
    ]
    missing, duplicate = report["checks"][:2]
    line = WRITING.split("\n").index("set statement_timeout = '7s';") + 2
    column = WRITING.split("\n")[line - 1].index("public.no_such") + 1
    assert missing["where"] == f"{file}:{line}:{column}"
    assert "(SQLSTATE 42P01)" in missing["message"]
    assert "(SQLSTATE 23505)" in duplicate["message"] and "Key (" not in duplicate["message"]
    assert "State: the checks changed nothing; what was applied before them stays applied." in result["msg"]
    assert "Next:" in result["msg"] and result["error"]["code"] == "verification"


def test_the_fifty_first_notice_counts(clients: LiveProject, run_module: RunModule, tmp_path: Path) -> None:
    raised = (
        "do $$ begin raise warning 'FAIL: the first'; for i in 1..200 loop raise notice 'PASS: %', i; end loop; end $$;"
    )
    result = twice(run_module, clients, files=[write(tmp_path / "v.sql", raised)])
    assert result["failed"]
    assert (result["validation"]["passed"], result["validation"]["failed"]) == (200, 1)


def test_notices_count_even_when_the_role_does_not_want_them(
    clients: LiveProject, run_module: RunModule, tmp_path: Path
) -> None:
    file = write(tmp_path / "v.sql", "do $$ begin raise notice 'FAIL: quietly'; end $$; select 'PASS';")
    quiet = {"options": "-c client_min_messages=error"}
    assert twice(run_module, clients, files=[file], connect_params=quiet)["failed"]


def test_a_database_that_reads_backslashes_its_own_way_changes_nothing(
    clients: LiveProject, run_module: RunModule, tmp_path: Path
) -> None:
    file = write(tmp_path / "v.sql", "select case when length('\\a\\') = 3 then 'PASS' else 'FAIL' end;")
    old_ways = {"options": "-c standard_conforming_strings=off -c backslash_quote=on"}
    assert not twice(run_module, clients, files=[file], connect_params=old_ways).get("failed")


def test_a_script_without_a_verdict_fails(clients: LiveProject, run_module: RunModule, tmp_path: Path) -> None:
    files = [write(tmp_path / "v.sql", "select * from public.clients;"), write(tmp_path / "w.sql", "select 'PASS';")]
    result = twice(run_module, clients, files=files)
    assert result["failed"] and "no verdict found" in result["msg"] and f"{files[0]}:1:1" in result["msg"]
    before = twice(run_module, clients, files=files, stage="before")
    assert not before.get("failed") and before["validation"]["verdict"] == "WARNING"


def test_before_the_migration_failures_are_the_baseline(
    clients: LiveProject, run_module: RunModule, tmp_path: Path
) -> None:
    file = write(
        tmp_path / "v.sql",
        "select 'FAIL' as of_old;\n-- pgops: stage always\nselect 'PASS' as ever;\nselect 'PASS' from public.audits;\n"
        "select 'PASS' from public.clients where \"deletedBy\" is null;\nselect public.log_it();\n"
        "do $$ begin perform 1 from public.audits; end $$;\nselect 'x'::audit.kind;\nselect 'PASS' from public.unheard_of;\n",
    )
    migration = write(
        tmp_path / "1_m.sql",
        'create table public.audits (id int); alter table public.clients add column "deletedBy" uuid;\n'
        "create function public.log_it() returns int language sql as 'select 1'; create schema audit;\n",
    )
    result = twice(run_module, clients, files=[file], stage="before", pending_files=[migration])
    assert not result.get("failed")
    checks = result["validation"]["checks"]
    assert [c["verdict"] for c in checks] == ["FAIL", "PASS", "SKIP", "SKIP", "SKIP", "SKIP", "SKIP", "FAIL"]
    assert all("not there yet: created by the pending migrations" in c["message"] for c in checks[2:7])
    assert result["validation"]["verdict"] == "WARNING"
    after = twice(run_module, clients, files=[file], stage="after", pending_files=[migration])
    assert after["failed"] and after["validation"]["failed"] == 7
    dry = twice(run_module, clients, files=[file], stage="dry_run", pending_files=[migration])
    assert dry["failed"] and dry["validation"]["failed"] == 7
    write(tmp_path / "v.sql", "select 'PASS';\n-- pgops: stage always\nselect 'FAIL: now' as ever;")
    always = twice(run_module, clients, files=[file], stage="before")
    assert always["failed"] and "1 of 2 checks failed" in always["msg"] and f"FAIL ever ({file}:3:1)" in always["msg"]


def test_declared_checks(clients: LiveProject, run_module: RunModule) -> None:
    checks: list[dict[str, Any]] = [
        {"name": "two rows", "query": "select count(*) as n from public.clients", "expect": "[0].n == `2`"},
        {"name": "exact", "query": "select 9007199254740993::numeric as n", "expect": "[0].n == `9007199254740993`"},
        {"name": "none", "query": "select 1 where false", "expect": "length(@) == `0`"},
        {"name": "date", "query": "select date '20000-01-01' as d", "expect": "[0].d == '20000-01-01'"},
        {"name": "writes", "query": "delete from public.clients returning name", "expect": "contains([].name, 'one')"},
    ]
    result = twice(run_module, clients, checks=checks)
    assert not result.get("failed"), result["msg"]
    assert result["validation"]["passed"] == 5
    wrong: list[dict[str, Any]] = [
        {"name": "three", "query": "select count(*) as n from public.clients", "expect": "[0].n == `3`"},
        {"name": "errs", "query": "select * from public.no_such", "expect": "@"},
        {"name": "twins", "query": "select 1 as a, 2 as a", "expect": "@"},
        {"name": "type", "query": "select 1 as a", "expect": "length([0].a)"},
        {"name": "zero", "query": "select 0 as a", "expect": "[0].a"},
    ]
    failed = twice(run_module, clients, checks=wrong)
    assert failed["failed"] and failed["validation"]["failed"] == 5
    assert '[0].n == `3` does not hold for [{"n": 2}]' in failed["msg"]
    assert not twice(run_module, clients, checks=wrong, stage="before").get("failed")
    assert twice(run_module, clients, checks=[{**wrong[0], "always": True}], stage="before")["failed"]


@pytest.mark.parametrize(
    ("params", "where", "what"),
    [
        ({}, "files", "There is nothing to validate"),
        ({"files": ["missing.sql"]}, "missing.sql", "Cannot read the SQL file"),
        ({"files": {"empty.sql": b""}}, "empty.sql:1:1", "holds no statement"),
        ({"files": {"i.sql": b"select 'PASS';\n\\i x.sql\n"}}, "i.sql:2:1", "another file"),
        ({"files": {"latin.sql": b"select '\xe9';"}}, "latin.sql:1:9", "not UTF-8"),
        ({"files": {"nul.sql": b"select '\0';"}}, "nul.sql:1:9", "NUL byte"),
        ({"files": {"commit.sql": b"select 'PASS'; commit;"}}, "commit.sql:1:16", "no transaction was begun"),
        ({"files": {"vacuum.sql": b"vacuum;"}}, "vacuum.sql:1:1", "VACUUM cannot run in a transaction"),
        ({"checks": [{"name": "n", "query": "select 1", "expect": "[0"}]}, "checks[0].expect", "not JMESPath"),
        ({"checks": [{"name": "n", "query": "commit; select 1", "expect": "@"}]}, "checks[0].query (n)", "exactly one"),
        (
            {"files": {"v.sql": b"select 'PASS';"}, "pending_files": ["gone.sql"]},
            "gone.sql",
            "Cannot read the SQL file",
        ),
    ],
)
def test_bad_input_is_refused_before_connecting(
    params: dict[str, Any], where: str, what: str, run_module: RunModule, tmp_path: Path
) -> None:
    if isinstance(params.get("files"), dict):
        for name, content in params["files"].items():
            (tmp_path / name).write_bytes(content)
    paths: dict[str, Any] = {
        k: [str(tmp_path / name) for name in params[k]] for k in ("files", "pending_files") if k in params
    }
    everything: dict[str, Any] = {"login_host": "127.0.0.1", "login_port": 1, "ssl_mode": "disable", **params, **paths}
    for dummy in range(2):
        result = run_module("validation", **everything)
        assert result["failed"] and what in result["msg"], result["msg"]
        assert result["error"]["where"].endswith(where)
        assert "State: nothing was changed." in result["msg"] and "Next:" in result["msg"]


def test_the_report_is_written_but_not_in_check_mode(
    clients: LiveProject, run_module: RunModule, tmp_path: Path
) -> None:
    file, run_dir = write(tmp_path / "v.sql", "select 'FAIL' as x;"), tmp_path / "run"
    for stage in ("before", "after"):
        params: dict[str, Any] = {"files": [file], "stage": stage, "run_dir": str(run_dir)}
        assert run_module("validation", **clients.login, **params, check=True)["validation"]["failed"] == 1
        assert not (run_dir / f"validation-{stage}.json").exists()
        for dummy in range(2):
            result = run_module("validation", **clients.login, **params)
            written = json.loads((run_dir / f"validation-{stage}.json").read_text())
            # Of a failure come the small facts alone.
            small = {name: value for name, value in written.items() if not isinstance(value, dict | list)}
            assert result["validation"] == (small if result.get("failed") else written)
    assert (run_dir.stat().st_mode & 0o777, (run_dir / "validation-after.json").stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )


def test_timeouts_are_failed_checks(clients: LiveProject, run_module: RunModule, tmp_path: Path) -> None:
    file = write(tmp_path / "v.sql", "select pg_sleep(5);\nselect 'PASS' as still_here;")
    run_dir = tmp_path / "run"
    result = twice(run_module, clients, files=[file], statement_timeout_seconds=0.1, run_dir=str(run_dir))
    assert result["failed"] and "(SQLSTATE 57014)" in result["msg"]
    whole = {"validation": json.loads((run_dir / "validation-after.json").read_text())}
    assert by_name(whole)["still_here"]["verdict"] == "PASS"


def test_the_callers_transaction_is_left_as_it_was(clients: LiveProject, transaction: PgConnection) -> None:
    script = parse_validation_script("v.sql", WRITING)
    execute(transaction, "set local search_path = extensions; set local role service_role; reset role")
    execute(transaction, "do $$ begin raise notice 'of the caller'; end $$")
    notices, settings = (
        transaction.notices,
        "select name, setting from pg_settings where name <> 'transaction_timeout' order by 1",
    )
    before, xid = fetch_all(transaction, settings), fetch_value(transaction, "select pg_current_xact_id()::text")
    for dummy in range(2):
        report = run_validation(transaction, [script], stage="after")
        assert Counter(check.verdict for check in report.checks) == {"FAIL": 2, "PASS": 2}
        assert transaction.info.transaction_status == TRANSACTION_STATUS_INTRANS
        assert fetch_value(transaction, "select pg_current_xact_id()::text") == xid
        assert fetch_all(transaction, settings) == before
        assert transaction.notices is notices and [n.strip() for n in notices] == ["NOTICE:  of the caller"]
        assert fetch_all(transaction, "select id from public.clients order by id") == [(1,), (2,), (9,)]
        assert fetch_all(transaction, "select name from pg_prepared_statements") == []
        assert clients.psql("select count(*) from public.clients") == "2"
    transaction.commit()
    assert clients.psql("select id from public.clients order by id") == "1\n2\n9"
    assert clients.psql("select to_regclass('public.left_behind') is null") == "t"


def test_savepoints_of_a_script_do_what_they_say(transaction: PgConnection) -> None:
    def counted(wanted: int) -> str:
        return f"select case when count(*) = {wanted} then 'PASS' else 'FAIL ' || count(*) end from public.clients;\n"

    script = parse_validation_script(
        "v.sql",
        f"begin; delete from public.clients;\n{counted(0)}savepoint a; insert into public.clients values (5, 'a');\n"
        f"{counted(1)}select 1 / 0;\nrollback to a;\n{counted(0)}release a; rollback;\n{counted(3)}"
        f"begin; delete from public.clients where id = 1; commit;\n{counted(2)}begin; delete from public.clients;",
    )
    for dummy in range(2):
        report = run_validation(transaction, [script], stage="after")
        assert [check.verdict for check in report.checks] == ["PASS", "PASS", "FAIL", "PASS", "PASS", "PASS"]
        assert "division by zero" in report.checks[2].message
    assert fetch_value(transaction, "select count(*) from public.clients") == 3


@pytest.mark.parametrize(
    "harm",
    [
        "call public.commits()",
        "do $$ begin commit; end $$",
        "do $$ begin execute 'commit'; end $$",
        "set standard_conforming_strings = off",
        "select set_config('standard_conforming_strings', 'off', false)",
        "set client_encoding = 'LATIN1'",
    ],
)
def test_a_commit_cannot_escape(clients: LiveProject, transaction: PgConnection, harm: str) -> None:
    clients.psql("create procedure public.commits() language plpgsql as $$ begin commit; end $$")
    script = parse_validation_script(
        "v.sql", f"delete from public.clients;\n{harm};\nselect 'a\\', 'b;rollback;commit; --', 'PASS ü';"
    )
    for dummy in range(2):
        report = run_validation(transaction, [script], stage="after")
        assert [check.verdict for check in report.checks] == ["FAIL", "PASS"], report.checks
        assert report.checks[0].where.startswith("v.sql:2:")
        assert clients.psql("select count(*) from public.clients") == "2"
        assert fetch_value(transaction, "select count(*) from public.clients") == 3


def test_a_transaction_that_was_ended_behind_our_back_is_an_error(transaction: PgConnection) -> None:
    script = parse_validation_script("v.sql", "select 'PASS';")
    statement = script.statements[0].statement
    object.__setattr__(statement, "sql", "commit")
    with pytest.raises(StatementFailed, match="The transaction around the validation is gone"):
        run_validation(transaction, [script], stage="after")


def test_a_lost_session_is_an_error_and_nothing_stays(clients: LiveProject, transaction: PgConnection) -> None:
    script = parse_validation_script(
        "v.sql", "delete from public.clients; select pg_terminate_backend(pg_backend_pid()); select 'PASS';"
    )
    with pytest.raises(ConnectionFailed, match="The session was lost during a validation"):
        run_validation(transaction, [script], stage="after")
    assert clients.psql("select count(*) from public.clients") == "2"


def test_without_an_open_transaction_nothing_runs(clients: LiveProject, transaction: PgConnection) -> None:
    script = parse_validation_script("v.sql", "select 'PASS';")
    transaction.rollback()
    with pytest.raises(ValueError, match="open transaction"):
        run_validation(transaction, [script], stage="after")
    with pytest.raises(psycopg2.Error):
        execute(transaction, "select 1 / 0")
    with pytest.raises(ValueError, match="has not failed"):
        run_validation(transaction, [script], stage="after")


def test_what_cannot_be_undone_is_only_the_sequence(
    clients: LiveProject, run_module: RunModule, tmp_path: Path
) -> None:
    file = write(tmp_path / "v.sql", "select 'PASS' from nextval('public.numbers');")
    twice(run_module, clients, files=[file])
    assert clients.psql("select last_value from public.numbers") == "2"


def test_the_examples_script_before_and_after_its_migrations(project: LiveProject, run_module: RunModule) -> None:
    migrations = sorted((EXAMPLE / "migrations").glob("*.sql"))
    base = [path for path in migrations if path.name.partition("_")[0] < BRIDGES[0]]
    bridges = [path for path in migrations if path.name.startswith(BRIDGES)]
    assert base and len(bridges) == 2
    for path in base:
        project.psql(path.read_text())
    tables = "select relname from pg_class where relnamespace = 'public'::regnamespace order by 1"
    params: dict[str, Any] = {
        "files": [str(EXAMPLE / "VALIDATION_SQL.sql")],
        "pending_files": [str(path) for path in bridges],
    }
    at_first = project.psql(tables)
    for dummy in range(2):
        before = run_module("validation", **project.login, **params, stage="before")
        assert not before.get("failed"), before["msg"]
        assert before["validation"]["verdict"] == "WARNING" and before["validation"]["failed"] > 0
        errors = [c for c in before["validation"]["checks"] if c["source"] == "error"]
        assert errors and {c["verdict"] for c in errors} == {"SKIP"}
        assert all(c["verdict"] == "PASS" for c in before["validation"]["checks"] if c["always"])
        assert project.psql(tables) == at_first
    assert "user_audits" in names_created_by(bridges)
    for path in bridges:
        project.psql(path.read_text())
    for dummy in range(2):
        after = run_module("validation", **project.login, **params, stage="after")
        assert not after.get("failed"), after["msg"]
        assert after["validation"]["failed"] == 0 and after["validation"]["passed"] > 20
        assert project.psql("select count(*) from public.user_audits") == "0"


def test_what_is_missing_is_recognised_wherever_postgresql_says_so(transaction: PgConnection) -> None:
    missing = [
        "select 'public.audits'::regclass",
        "select has_table_privilege('audits', 'select')",
        "alter table public.clients disable trigger trg_audit",
        'insert into public.clients ("deletedBy") values (1)',
        'select c."deletedBy" from public.clients c',
        "call public.log_it()",
        "select public.log_it(1)",
        "drop function public.log_it(int)",
        "drop policy own_rows on public.clients",
        "comment on table public.audits is 'x'",
        "select cast('x' as audit.kind)",
        "select 'x'::public.kind",
        "explain select * from public.audits",
        "do $$ declare a public.audits%rowtype; begin null; end $$",
        "do $$ begin execute 'select * from public.audits'; end $$",
        "select nextval('public.audits_id_seq')",
    ]
    names = frozenset({"audits", "trg_audit", "deletedBy", "log_it", "own_rows", "audit", "kind", "audits_id_seq"})
    script = parse_validation_script("v.sql", ";\n".join([*missing, "select * from public.never", "select 1 / 0"]))
    for dummy in range(2):
        report = run_validation(transaction, [script], stage="before", pending_names=names)
        assert [check.verdict for check in report.checks] == ["SKIP"] * len(missing) + ["FAIL", "FAIL"]
        assert fetch_value(transaction, "select count(*) from public.clients") == 3
