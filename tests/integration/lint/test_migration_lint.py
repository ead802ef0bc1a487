# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The linter against a real server: what the tables hold decides, and nothing is different after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration import snapshots
from tests.integration.application import Application
from tests.integration.live import LiveProject, run_module

TABLES = """
create table public.people (id int primary key, email text, team int, note varchar(50), age int);
create table public.teams (id int primary key);
create table public.empty (id int, email text);
insert into public.teams values (1), (2);
insert into public.people select i, 'p' || i, 1, 'n', i from generate_series(1, 500) i;
insert into public.people values (501, 'p1', 7, null, -1), (502, null, 8, null, -2), (503, null, null, null, -3);
"""


@pytest.fixture
def supabase_dir(tmp_path: Path) -> Path:
    """An empty project in Supabase's layout."""
    for name in ("migrations", "rollbacks"):
        (tmp_path / "supabase" / name).mkdir(parents=True)
    return tmp_path / "supabase"


@pytest.fixture
def people(project: LiveProject) -> LiveProject:
    """A database with some tables and rows."""
    project.psql(TABLES)
    return project


def write(supabase_dir: Path, name: str, up: str, down: str | None = None) -> Path:
    """Write a migration and its rollback."""
    path = supabase_dir / "migrations" / f"{name}.sql"
    path.write_text(up, encoding="utf-8")
    if down is not None:
        (supabase_dir / "rollbacks" / path.name).write_text(down, encoding="utf-8")
    return path


def lint_twice(project: LiveProject | None, supabase_dir: Path, **params: Any) -> dict[str, Any]:
    """Lint two times: both say the same, neither changes anything."""
    login = project.login if project else {}
    before = snapshots.take(project, supabase_dir) if project else None
    first, second = (
        run_module("migration_lint", supabase_dir=str(supabase_dir), **login, **params) for _time in range(2)
    )
    assert not first["changed"] and not second["changed"]
    if "lint" in first:
        assert first["lint"].get("findings") == second["lint"].get("findings")
    assert project is None or snapshots.take(project, supabase_dir) == before
    return first


def ours(result: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Code, level and line of the findings that are not squawk's and not about rollbacks."""
    return [
        (f["code"], f["level"], f["line"])
        for f in result["lint"]["findings"]
        if not f["code"].startswith("squawk.") and "rollback" not in f["code"]
    ]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("alter table people alter column email set not null", "2 rows of table public.people have null in email"),
        ("alter table people add unique (email)", "1 values of email in table public.people are there more than once"),
        ("create unique index on people (email)", "1 values of email in table public.people are there more than once"),
        (
            "alter table people add constraint c check (age > 0)",
            "3 rows of table public.people do not satisfy the check c",
        ),
        (
            "alter table people add constraint c check (email !~ '%' and age > -2)",
            "2 rows of table public.people do not satisfy the check c",
        ),
        (
            "alter table people add foreign key (team) references teams",
            "2 rows of table public.people point at no row of table public.teams with team",
        ),
        (
            "alter table people drop constraint people_pkey, add primary key (email)",
            "3 values or rows of table public.people are duplicates or null in email",
        ),
        (
            "alter table people add column must text not null",
            "at least 503 rows of table public.people would have no value",
        ),
    ],
)
def test_rows_that_would_not_obey_are_counted(people: LiveProject, supabase_dir: Path, sql: str, reason: str) -> None:
    write(supabase_dir, "1_change", f"-- first line\n{sql};\n", "select 1;")
    result = lint_twice(people, supabase_dir)
    assert result["failed"]
    assert ours(result) == [("existing-data-violates", "error", 2)]
    (found,) = [f for f in result["lint"]["findings"] if f["code"] == "existing-data-violates"]
    assert found["reason"].startswith(reason)
    assert f"{supabase_dir}/migrations/1_change.sql:2:1: {reason}" in result["msg"]
    for text in ("Fix: ", "State: nothing was changed.", "Next: "):
        assert text in result["msg"]
    # PostgreSQL agrees that the migration fails.
    assert people.psql_error(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "alter table people alter column id set not null",
        "alter table people add unique (id)",
        "alter table people add constraint c check (age > 0) not valid",
        "alter table people add constraint c check (age > -10 or email ~ '100%')",
        "alter table people add constraint f foreign key (team) references teams not valid",
        "alter table people add column may text not null default 'x'",
        "alter table empty alter column email set not null, add primary key (id)",
        "alter table empty add column must text not null",
        "create unique index on empty (email) where id > 5",
        "create unique index on empty (lower(email))",
    ],
)
def test_rows_that_obey_are_no_finding(people: LiveProject, supabase_dir: Path, sql: str) -> None:
    write(supabase_dir, "1_change", f"{sql};\n", "select 1;")
    assert ours(lint_twice(people, supabase_dir)) == []
    people.psql(sql)


def test_a_statement_before_it_may_mend_the_rows(people: LiveProject, supabase_dir: Path) -> None:
    sql = "update people set email = id where email is null;\nalter table people alter column email set not null;\n"
    write(supabase_dir, "1_change", sql, "select 1;")
    result = lint_twice(people, supabase_dir)
    assert ours(result) == [("existing-data-violates", "warning", 2)]
    assert "1_change.sql:1:1 may mend that first" in result["lint"]["findings"][0]["reason"] + str(result["lint"])


@pytest.mark.parametrize(
    "sql", ["create unique index on people (email) where age > 5", "alter table people validate constraint later"]
)
def test_what_no_query_asks_about_is_said(people: LiveProject, supabase_dir: Path, sql: str) -> None:
    people.psql("alter table people add constraint later check (age > 0) not valid")
    write(supabase_dir, "1_change", f"{sql};", "select 1;")
    assert ours(lint_twice(people, supabase_dir)) == [("existing-data-unchecked", "notice", 1)]


def test_what_cannot_be_found_out_is_said(people: LiveProject, supabase_dir: Path) -> None:
    write(supabase_dir, "1_change", "alter table people add constraint c check (not_there(age));", "select 1;")
    result = lint_twice(people, supabase_dir)
    assert ours(result) == [("existing-data-unchecked", "notice", 1)]
    assert "function not_there(integer) does not exist" in str(result["lint"]["findings"])


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("create index on people (team)", "index-without-concurrently-large"),
        ("alter table people alter column age type bigint", "table-rewrite-large"),
        ("alter table people alter column note type varchar(20)", "table-rewrite-large"),
        ("alter table people alter column note type text using upper(note)", "table-rewrite-large"),
        ("alter table people add column token uuid default gen_random_uuid()", "table-rewrite-large"),
        ("alter table people add column number bigserial", "table-rewrite-large"),
        ("alter table people add column twice int generated always as (age * 2) stored", "table-rewrite-large"),
        ("alter table people add constraint c check (age > -10)", "lock-large-table"),
        ("alter table people add constraint u unique (id)", "lock-large-table"),
        ("alter table people alter column age set not null", "lock-large-table"),
        ("alter table people alter column note type text", None),
        ("alter table people alter column note type varchar(60)", None),
        ("alter table people add column since timestamptz default now()", None),
        ("alter table people add constraint c check (age > 0) not valid", None),
        ("create index concurrently on people (team)", None),
        ("create index on empty (id)", None),
        ("alter table people alter column id set not null", None),
    ],
)
def test_large_tables_are_not_locked_for_long(
    people: LiveProject, supabase_dir: Path, sql: str, code: str | None
) -> None:
    write(supabase_dir, "1_change", f"{sql};\n", "select 1;")
    large = ours(lint_twice(people, supabase_dir, large_table_rows=100))
    assert [found for found in large if found[0] != "not-transactional"] == ([(code, "warning", 1)] if code else [])
    small = run_module("migration_lint", supabase_dir=str(supabase_dir), **people.login)
    assert [found for found in ours(small) if found[0] != "not-transactional"] == []
    assert not any(f["level"] == "error" for f in small["lint"]["findings"])
    if code and code.startswith("table-rewrite"):
        files = "select pg_relation_filenode('people')"
        before = people.psql(files)
        people.psql(sql)
        assert people.psql(files) != before


@pytest.mark.parametrize(
    "sql", ["alter table people alter column note type text", "alter table people alter note type varchar(60)"]
)
def test_a_type_that_keeps_its_storage_does_not_rewrite(people: LiveProject, sql: str) -> None:
    files = "select pg_relation_filenode('people')"
    before = people.psql(files)
    people.psql(sql)
    assert people.psql(files) == before


def test_a_validated_check_proves_that_nothing_is_null(people: LiveProject, supabase_dir: Path) -> None:
    people.psql("update people set email = id; alter table people add constraint given check (email is not null)")
    write(supabase_dir, "1_change", "alter table people alter column email set not null;", "select 1;")
    assert ours(lint_twice(people, supabase_dir, large_table_rows=100)) == []


@pytest.mark.parametrize(
    ("sql", "level"),
    [
        ("drop table people", "warning"),
        ("alter table people drop column note", "warning"),
        ("truncate people", "warning"),
        ("delete from people", "warning"),
        ("drop table empty", None),
        ("alter table people drop column never", None),
        ("delete from people where id = 1", None),
        ("alter table people rename to persons", None),
    ],
)
def test_data_that_would_be_dropped(people: LiveProject, supabase_dir: Path, sql: str, level: str | None) -> None:
    people.psql("alter table people add column never text")
    write(supabase_dir, "1_change", sql, "select 1;")
    assert ours(lint_twice(people, supabase_dir)) == ([("drops-data", level, 1)] if level else [])
    without = lint_twice(None, supabase_dir)
    assert not without.get("failed")
    assert {item[1] for item in ours(without)} <= {"warning"}


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("drop schema app cascade", "schema app holds data: table app.full, table app.part, column public.moods.a and 1 more"),
        ("drop type app.mood cascade", "type app.mood holds data: column public.moods.a, column public.moods.c"),
        ("drop domain app.mail cascade", "type app.mail holds data: column public.moods.c"),
        ("drop type app.row cascade", None),
        (
            "alter table app.full set schema public; drop schema app cascade",
            "schema app holds data: table app.part, column public.moods.a, column public.moods.c",
        ),
        ("drop schema nowhere cascade", None),
        ("drop extension if exists not_there cascade", None),
        ("drop extension hstore cascade", "extension hstore holds data: column public.moods.h"),
    ],
)  # fmt: skip
def test_what_goes_with_what_is_dropped(project: LiveProject, supabase_dir: Path, sql: str, what: str | None) -> None:
    project.psql(
        "create schema app; create type app.mood as enum ('x'); create domain app.mail as app.mood; create type app.row as (a int);"
        "create table app.full (id int); insert into app.full values (1); create table app.empty (id int);"
        "create table app.parts (id int) partition by range (id);"
        "create table app.part partition of app.parts for values from (0) to (9); insert into app.parts values (1);"
        "create extension if not exists hstore;"
        "create table moods (id int, a app.mood, b app.mood, c app.mail, h hstore, r app.row);"
        "insert into moods (id, a, c, h) values (1, 'x', 'x', '');",
        user="supabase_admin",
    )
    write(supabase_dir, "1_change", f"{sql};", "select 1;")
    result = lint_twice(project, supabase_dir)
    found = [f for f in result["lint"]["findings"] if f["code"] == "drops-data" and "dropped with" in f["reason"]]
    assert [(f["level"], f["reason"]) for f in found] == ([("warning", f"What is dropped with {what}")] if what else [])


@pytest.mark.parametrize(
    ("up", "down", "level"),
    [
        ("do $$ begin alter table people add column if not exists fresh int; end $$", "alter table people drop column fresh", None),
        ("do $$ begin create table if not exists fresh (id int); end $$", "drop table fresh", None),
        ("do $$ begin create schema fresh; end $$", "drop schema fresh cascade", None),
        ("do $$ begin alter table people add column if not exists note text; end $$", "alter table people drop column note", "warning"),
        ("select 1", "alter table people drop column never", "warning"),
        ("select 1", "drop table people", "warning"),
        ("select 1", "drop table empty", "warning"),
        ("select 1", "delete from empty", "warning"),
        ("select 1", "truncate people", "warning"),
        ("select 1", "drop schema filled cascade", "warning"),
    ],
)  # fmt: skip
def test_a_rollback_loses_only_what_is_there(
    people: LiveProject, supabase_dir: Path, up: str, down: str, level: str | None
) -> None:
    people.psql(
        "alter table people add column never int; create schema filled; create table filled.t as select 1 as id"
    )
    write(supabase_dir, "1_change", f"{up};", f"{down};")
    result = lint_twice(people, supabase_dir)
    found = [f["level"] for f in result["lint"]["findings"] if f["code"] == "rollback-loses-data"]
    assert found == ([level] if level else [])


def test_only_pending_migrations_are_linted(people: LiveProject, supabase_dir: Path) -> None:
    write(supabase_dir, "1_old", "create table made (id int);", "drop table made;")
    applied = run_module("migration", supabase_dir=str(supabase_dir), **people.login)
    assert applied["changed"]
    pending = write(supabase_dir, "2_new", "create index made_id on made (id);", "drop index made_id;")
    result = lint_twice(people, supabase_dir)
    assert result["lint"]["files"] == [str(pending)]
    assert result["lint"]["database"] == people.database
    (squawk,) = [f for f in result["lint"]["findings"] if f["code"].startswith("squawk.")]
    assert squawk["level"] == "notice" and "is small, though" in squawk["reason"]
    pending.unlink()
    assert lint_twice(people, supabase_dir)["lint"]["findings"] == []


def test_rows_that_the_role_may_not_see_are_not_taken_as_none(people: LiveProject, supabase_dir: Path) -> None:
    people.psql(
        "create role narrow login password 'narrow'; grant select on people to narrow; "
        "alter table people enable row level security; create policy p on people to narrow using (id < 10)",
        user="supabase_admin",
    )
    write(supabase_dir, "1_change", "alter table people alter column email set not null;", "select 1;")
    narrow = {"login_user": "narrow", "login_password": "narrow"}
    result = run_module("migration_lint", **people.login | narrow, supabase_dir=str(supabase_dir))
    people.psql("drop owned by narrow; drop role narrow", user="supabase_admin")
    assert ours(result) == [("existing-data-unchecked", "notice", 1), ("table-unknown", "warning", 1)]
    assert "would be affected by row-level security" in str(result["lint"]["findings"])


def test_no_query_takes_longer_than_allowed(people: LiveProject, supabase_dir: Path) -> None:
    sql = "alter table people add constraint c check (pg_sleep(0.1) is not null);"
    write(supabase_dir, "1_change", sql, "select 1;")
    result = lint_twice(people, supabase_dir, statement_timeout_seconds=0.3)
    assert ours(result) == [("existing-data-unchecked", "notice", 1)]
    assert "statement timeout" in str(result["lint"]["findings"])


def test_findings_are_waived_on_record_and_written_down(
    people: LiveProject, supabase_dir: Path, tmp_path: Path
) -> None:
    up = "-- pgops: allow drops-data nobody reads it since 2.0\ndrop table people;\n\ntruncate teams;\n"
    write(supabase_dir, "1_change", up, "select 1;")
    run_dir = tmp_path / "run"
    result = lint_twice(people, supabase_dir, run_dir=str(run_dir), fail_level="warning")
    assert result["failed"]
    assert result["msg"].count("drops-data") == 1 and ":4:1: " in result["msg"]
    # A failure is small facts where the run's directory has the rest.
    assert "findings" not in result["lint"]
    document = json.loads((run_dir / "lint.json").read_text())
    drops = [f for f in document["findings"] if f["code"] == "drops-data"]
    assert [(f["waived"], f["waiver_reason"]) for f in drops] == [(True, "nobody reads it since 2.0"), (False, None)]
    assert (document["document"], document["waived"], document["errors"]) == ("lint", 1, 0)
    for params in ({}, {"fail_level": "never"}, {"exclude": ["drops-data"]}):
        assert not lint_twice(people, supabase_dir, **params).get("failed")


def test_what_a_dry_run_and_the_operator_decide_is_no_error_and_is_seen(project: LiveProject, tmp_path: Path) -> None:
    """A filled column goes, as the CLI would have it; the loss is told with its rows before and in the run's report."""
    application = Application(project, tmp_path / "supabase")
    project.psql("create table public.people (id int, note text); insert into public.people values (1, 'x'), (2, null)")
    application.migration("1_drop", "alter table public.people drop column note;")
    for playbook in ("plan", "migrate"):
        done = application.play(playbook)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "drops-data" in done.stdout and "column public.people.note: 2 rows" in " ".join(done.stdout.split())
    assert (
        project.psql(
            "select count(*) from pg_attribute where attrelid = 'public.people'::regclass and attname = 'note'"
        )
        == "0"
    )


def test_what_an_editor_on_windows_leaves_is_told_with_its_place(people: LiveProject, supabase_dir: Path) -> None:
    file = write(supabase_dir, "1_change", "select 1;", "select 1;")
    file.write_bytes(b"\xef\xbb\xbfselect 1;\n-- next\r\nselect 2;\r\n")
    result = lint_twice(people, supabase_dir)
    told = [
        (f["code"], f["level"], f["line"], f["column"])
        for f in result["lint"]["findings"]
        if f["code"] in ("line-ends", "byte-order-mark")
    ]
    assert told == [("byte-order-mark", "warning", 1, 1), ("line-ends", "warning", 2, 8)]
    assert not result.get("failed")
    file.write_bytes(b"select 1;\n")
    assert not [
        f for f in lint_twice(people, supabase_dir)["lint"]["findings"] if f["code"] in ("line-ends", "byte-order-mark")
    ]


def test_people_read_once_what_many_files_have(project: LiveProject, tmp_path: Path) -> None:
    application = Application(project, tmp_path / "supabase")
    for number in range(1, 7):
        application.migration(f"{number}_file", f"create view public.v{number} as select {number};")
    said = application.play("plan").stdout
    assert said.count("missing-rollback") == 1 and "and 3 more" in said
    assert f"6 files: {', '.join(f'supabase/migrations/{n}_file.sql:1:1' for n in (1, 2, 3))}" in said
    assert f"{tmp_path}/supabase/migrations" not in said


def test_bad_input_is_refused(supabase_dir: Path) -> None:
    write(supabase_dir, "1_change", "select 1;\nselect from where;\n")
    result = run_module("migration_lint", supabase_dir=str(supabase_dir))
    assert result["failed"] and "1_change.sql:2:13" in result["msg"]
    missing = run_module("migration_lint", files=[str(supabase_dir / "no.sql")])
    assert missing["failed"] and "There is no such file" in missing["msg"]
    program = run_module("migration_lint", supabase_dir=str(supabase_dir), squawk="/nonexistent/squawk")
    assert program["failed"] and "pip install squawk-cli==2.70.0" in program["msg"]
    both = run_module("migration_lint", supabase_dir=str(supabase_dir), files=["x"])
    assert both["failed"] and "mutually exclusive" in both["msg"]


def test_the_examples_have_no_errors() -> None:
    examples = Path(__file__).parents[3] / "examples" / "ready_set"
    for directory in (examples / "supabase", examples / "failing" / "supabase"):
        result = lint_twice(None, directory)
        assert not result.get("failed"), result["msg"]
        assert result["lint"]["errors"] == 0
        assert {f["code"] for f in result["lint"]["findings"] if f["level"] == "warning"} <= {
            "missing-rollback",
            "squawk.ban-char-field",
            "squawk.require-concurrent-index-creation",
        }
