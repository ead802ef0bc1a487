# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The linter's rules: pure, so without a database; what the database would say is made up here."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.lint.batch import (
    ColumnFacts,
    DataCheck,
    Facts,
    Limits,
    LintBatch,
    LintFile,
    TableFacts,
)
from ansible_collections.pgops.supabase.plugins.module_utils.lint.documents import LintFinding
from ansible_collections.pgops.supabase.plugins.module_utils.lint.job import judge
from ansible_collections.pgops.supabase.plugins.module_utils.lint.squawk import SquawkFinding, read_findings
from ansible_collections.pgops.supabase.plugins.module_utils.lint.table_rules import keeps_storage
from ansible_collections.pgops.supabase.plugins.module_utils.sql.effects import created_by, dropped_by
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import parse_script
from ansible_collections.pgops.supabase.plugins.module_utils.sql.table_changes import table_changes
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import DatabaseObject

NO_RLS_NEEDED = "create table app.t (id int)"


def batch(*files: tuple[str, str | None], facts: Facts | None = None) -> LintBatch:
    """Files, each a migration and its rollback, named 1.sql, 2.sql ... and 1.down.sql, 2.down.sql ..."""
    read = [
        LintFile(
            parse_script(f"{number}.sql", up),
            None if down is None else parse_script(f"{number}.down.sql", down),
            f"{number}.down.sql",
        )
        for number, (up, down) in enumerate(files, start=1)
    ]
    return LintBatch(read, facts)


def found(up: str, down: str | None = "select 1") -> list[tuple[str, str]]:
    """Code and level of what is found in one migration; what its rollback leaves behind matters only where it is given."""
    unasked = ("rollback-incomplete",) if down == "select 1" else ()
    return [(f.code, f.level) for f in judge(batch((up, down)), (), unasked)]


def places(findings: list[LintFinding]) -> list[str]:
    """Code and place of each finding."""
    return [f"{f.code} {f.file}:{f.line}:{f.column}" for f in findings]


@pytest.mark.parametrize(
    ("up", "expected"),
    [
        (NO_RLS_NEEDED, []),
        ("begin; create table app.t (id int); commit", []),
        ("create table t (id int)", [("missing-rls", "warning")]),
        ("create table t (id int); alter table public.t enable row level security", []),
        ("create temp table t (id int)", []),
        ("create table t as select 1", [("missing-rls", "warning")]),
        ("create materialized view t as select 1", []),
        ("create table t (id int); do $$ begin execute 'alter table t enable row level security'; end $$", []),
        ("select 1; commit; select 2", [("own-transactions", "warning")]),
        ("select 1; rollback", [("transaction-control", "error")]),
        ("copy app.t from stdin", [("inline-copy", "error")]),
        ("create index concurrently i on app.t (id)", [("not-transactional", "notice")]),
        ("vacuum app.t; select 1", [("not-transactional", "warning")]),
        ("drop table app.t", [("drops-data", "warning")]),
        ("create table app.t (id int); drop table app.t", []),
        ("alter table app.t drop column c", [("drops-data", "warning")]),
        ("alter table app.t add column c int; alter table app.t drop column c", []),
        ("truncate app.t, app.u", [("drops-data", "warning"), ("drops-data", "warning")]),
        ("delete from app.t", [("drops-data", "warning")]),
        ("delete from app.t where id = 1", []),
        ("drop view app.v; drop function app.f(int)", []),
        ("drop schema app cascade", [("drops-data", "warning")]),
        ("drop type app.e cascade", [("drops-data", "warning")]),
        ("drop extension e cascade", [("drops-data", "warning")]),
        ("drop extension e; drop type app.e; drop schema app", []),
        ("create schema app; drop schema app cascade", []),
    ],
)
def test_a_migration_by_itself(up: str, expected: list[tuple[str, str]]) -> None:
    assert found(up) == expected


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("security definer", True),
        ("security definer set search_path = ''", False),
        ("security definer set search_path to app, pg_temp", False),
        ("security definer set statement_timeout = 5", True),
        ("security invoker", False),
        ("", False),
    ],
)
def test_functions_with_their_owners_rights(definition: str, expected: bool) -> None:
    up = f"create function app.f() returns int language sql {definition} as $$ select 1 $$"
    assert found(up) == ([("security-definer-search-path", "warning")] if expected else [])
    assert found(f"{up}; alter function app.f() set search_path = ''") == []
    assert found("alter function app.f() security definer") == [("security-definer-search-path", "warning")]


@pytest.mark.parametrize(
    ("up", "down", "expected"),
    [
        (NO_RLS_NEEDED, None, [("missing-rollback", "warning")]),
        (NO_RLS_NEEDED, "drop table app.t", [("rollback-loses-data", "notice")]),
        (NO_RLS_NEEDED, "drop schema app", [("rollback-loses-data", "warning")]),
        ("create schema app; create table app.t (id int)", "drop schema app cascade", [("rollback-loses-data", "notice")]),
        (NO_RLS_NEEDED, "begin; commit", [("rollback-incomplete", "warning")]),
        (NO_RLS_NEEDED, "do $$ begin execute 'drop table app.' || 't'; end $$", []),
        ("alter table app.u add c int", "alter table app.u drop c", [("rollback-loses-data", "notice")]),
        ("alter table app.u add c int", "alter table app.u drop d", [
            ("rollback-incomplete", "warning"), ("rollback-loses-data", "warning"),
        ]),
        ("insert into app.u values (1)", "delete from app.u where id = 1", [("rollback-loses-data", "warning")]),
        ("insert into app.u values (1)", "delete from app.u", [("rollback-loses-data", "warning")]),
        ("insert into app.u values (1)", "truncate app.u", [("rollback-loses-data", "warning")]),
        ("update app.v set x = 1", "delete from app.u where id = 1", [("rollback-loses-data", "warning")]),
        ("create index i on app.u (id)", "drop index app.i", []),
        ("create index i on app.u (id)", "begin; commit", [("rollback-incomplete", "warning")]),
        (
            "alter table app.u add c int; create index i on app.u (c)",
            "alter table app.u drop c",
            [("rollback-loses-data", "notice")],
        ),
        # What a rollback would refuse when it is needed is said before the migration is applied.
        ("create index i on app.u (id)", "drop index concurrently app.i", [("rollback-locks", "notice")]),
        ("create index i on app.u (id)", "drop index app.i; reindex table concurrently app.u", [("rollback-cannot-run", "warning")]),
        ("create index i on app.u (id)", "drop index app.i; commit; select 1", [("rollback-cannot-run", "warning")]),
        ("create trigger g before insert on app.u execute function app.f()", "drop trigger g on app.u", []),
        ("create trigger g before insert on app.u execute function app.f()", "drop trigger g on app.w", [
            ("rollback-incomplete", "warning"),
        ]),
        ("create policy p on app.u using (true)", "drop policy p on app.u", []),
        ("create type app.e as enum ('x'); create domain app.d as int", "drop type app.e; drop domain app.d", []),
        ("create view app.v as select 1 as x", "drop view app.v", []),
        ("create or replace function app.f() returns int language sql as 'select 1'",
         "create or replace function app.f() returns int language sql as 'select 0'", []),
        ("drop view app.v", "create view app.v as select 1 as x", []),
        ("drop view app.v", "begin; commit", [("rollback-incomplete", "warning")]),
        ("alter table app.u rename to w", "alter table app.w rename to u", []),
        ("alter table app.u rename a to b", "begin; commit", [("rollback-incomplete", "warning")]),
        ("alter table app.u rename a to b", "alter table app.u rename b to a", []),
    ],
)  # fmt: skip
def test_a_migration_and_its_rollback(up: str, down: str | None, expected: list[tuple[str, str]]) -> None:
    assert found(up, down) == expected


@pytest.mark.parametrize(
    ("first", "second", "place"),
    [
        ("create view app.v as select 1", "create view app.v as select 2", "2.sql:1:1"),
        ("create view app.v as select 1", "create or replace view app.v as select 2", None),
        ("create table app.t (id int)", "create table if not exists app.t (id int)", None),
        ("create table app.t (id int); drop table app.t", "create table app.t (id int)", None),
        ("alter table app.t add c int", "select 1; alter table app.t add c int", "2.sql:1:11"),
        ("drop view app.v", "select * from app.v", "2.sql:1:1"),
        ("drop view app.v", "with v as (select 1) select * from v", None),
        ("drop view app.v", "create view app.v as select 1; select * from app.v", None),
        ("drop view app.v", "create table app.v (id int)", None),
        ("drop view app.v", "drop view if exists app.v", None),
        ("drop view app.v", "drop view app.v", "2.sql:1:1"),
        ("drop function app.f()", "select app.f()", "2.sql:1:1"),
        ("alter table app.t rename to u", "update app.t set x = 1", "2.sql:1:1"),
        ("alter table app.t rename to u", "update app.u set x = 1", None),
        (
            "create function app.f(int) returns int language sql as 'select 1'",
            "create function app.f(text) returns int language sql as 'select 1'",
            None,
        ),
        ("drop function app.f(int, int)", "select app.f(1)", None),
        ("drop function app.f(int, int)", "select app.f(1, 2)", "2.sql:1:1"),
        ("drop function app.f(int)", "drop function app.f(text)", None),
        (
            "drop function app.f(int); create function app.f(text) returns int language sql as '1'",
            "select app.f('x')",
            None,
        ),
        ("drop function app.f()", "create trigger g before insert on app.t execute function app.f('x')", "2.sql:1:1"),
        ("alter table app.t rename to u; create view app.t as select * from app.u", "select * from app.t", None),
        ("drop view app.v; create materialized view app.v as select 1", "refresh materialized view app.v", None),
        ("alter table app.t drop c; drop table app.t; create table app.t (c int)", "alter table app.t drop c", None),
        ("create view app.v as select * from app.t", "drop table app.t cascade; create view app.v as select 2", None),
        (
            "create view app.v as select c from app.t",
            "alter table app.t drop c cascade; create view app.v as select 2",
            None,
        ),
        ("create view app.v as select 1", "drop owned by somebody; create view app.v as select 2", None),
        ("create view app.v as select 1", "do $$ begin drop view app.v; end $$; create view app.v as select 2", None),
        ("drop view app.v", "do $$ begin create view app.v as select 1; end $$; select * from app.v", None),
    ],
)
def test_files_that_get_in_each_others_way(first: str, second: str, place: str | None) -> None:
    findings = [f for f in judge(batch((first, None), (second, None)), ()) if f.code == "conflicts-in-batch"]
    assert places(findings) == ([f"conflicts-in-batch {place}"] if place else [])
    assert all(f.level == "warning" and "1.sql:1:1" in f.reason for f in findings)


def test_another_overload_in_the_database_may_be_the_one_that_is_called() -> None:
    files = (("drop function app.f(int)", None), ("select app.f('x')", None))
    for others, expected in ((frozenset(), ["conflicts-in-batch"]), (frozenset({("app", "f")}), [])):
        facts = Facts(overloaded=others)
        assert [f.code for f in judge(batch(*files, facts=facts), (), ("missing-rollback",))] == expected


@pytest.mark.parametrize(
    ("before", "level"),
    [
        ("select 1", "error"),
        ("select set_config('a.b', 'c', true)", "error"),
        ("create function app.f() returns int language sql as 'update app.t set c = 1; select 1'", "error"),
        ("create view app.v as select lower('x')", "error"),
        ("alter table app.t alter column d type text", "error"),
        ("update app.t set c = 1", "warning"),
        ("truncate app.t", "warning"),
        ("select public.backfill()", "warning"),
        ("do $$ begin perform backfill(); end $$", "warning"),
        ("call app.backfill()", "warning"),
        ("insert into app.other values (1)", "warning"),
        ("with gone as (delete from app.t returning 1) select 1 from gone", "warning"),
        ("create table app.log as select backfill()", "warning"),
        ("alter table app.t alter column c type text using coalesce(c, '')", "warning"),
    ],
)
def test_rows_that_a_statement_before_may_mend_are_no_error(before: str, level: str) -> None:
    up = f"{before}; alter table app.t alter column c set not null"
    files = batch((up, "select 1"))
    (change,) = (c for s in files.statements() for c in table_changes(s) if c.action == "set_not_null")
    facts = Facts({TABLE: TableFacts(5, 1)}, checks=[DataCheck(change, 2)])
    findings = judge(replace(files, facts=facts), ())
    assert [f.level for f in findings if f.code == "existing-data-violates"] == [level]


def test_a_type_that_is_converted_in_the_same_statement_may_mend_the_rows() -> None:
    files = batch(("alter table app.t alter c type text using coalesce(c, ''), alter c set not null", "select 1"))
    (change,) = (c for s in files.statements() for c in table_changes(s) if c.action == "set_not_null")
    facts = Facts({TABLE: TableFacts(5, 1)}, checks=[DataCheck(change, 2)])
    findings = judge(replace(files, facts=facts), ())
    assert [f.level for f in findings if f.code == "existing-data-violates"] == ["warning"]


def test_row_level_security_may_come_in_a_later_file() -> None:
    files = batch(("create table t (id int)", "drop table t"), ("alter table t enable row level security", "select 1"))
    assert "missing-rls" not in [f.code for f in judge(files, ())]


def waived(up: str) -> list[tuple[str, str | None]]:
    """The findings of a migration without a rollback's, with the reason of their waiver."""
    return [(f.code, f.waiver_reason) for f in judge(batch((up, "select 1")), (), ("rollback-incomplete",))]


DROP = "drop table app.t;"


@pytest.mark.parametrize(
    ("up", "expected"),
    [
        (f"-- pgops: allow drops-data gone\n{DROP}", [("drops-data", "gone")]),
        (f"-- pgops: allow drops-data gone\n-- and more\n{DROP}", [("drops-data", "gone")]),
        (f"{DROP} -- pgops: allow drops-data gone", [("drops-data", "gone")]),
        ("drop table\n-- pgops: allow drops-data gone\napp.t;", [("drops-data", "gone")]),
        (f"-- pgops: allow drops-data gone\n\n{DROP}\n{DROP}".replace("app.t;\ndrop table app.t", "app.t"), [("drops-data", "gone")]),
        (f"-- pgops: allow drops-data gone\n\n{DROP}\ntruncate app.u;", [("drops-data", "gone"), ("drops-data", "gone")]),
        (f"-- pgops: allow drops-data gone\n{DROP}\ntruncate app.u;", [("drops-data", "gone"), ("drops-data", None)]),
        (f"-- pgops: allow drops-data\n{DROP}", [("waiver-without-reason", None), ("drops-data", None)]),
        (f"-- pgops: allow missing-rls x\n{DROP}", [("unused-waiver", None), ("drops-data", None)]),
        ("-- pgops: allow\nselect 1;", [("waiver-without-reason", None)]),
        (f"select '-- pgops: allow drops-data gone';\n{DROP}", [("drops-data", None)]),
        (f"do $$ begin\n-- pgops: allow drops-data gone\nend $$;\n{DROP}", [("drops-data", None)]),
    ],
)  # fmt: skip
def test_waivers(up: str, expected: list[tuple[str, str | None]]) -> None:
    assert waived(up) == expected


def test_a_finding_on_the_whole_file_is_waived_wherever_the_waiver_stands() -> None:
    (finding,) = judge(batch(("-- pgops: allow missing-rollback there is no way back\nselect 1;", None)), ())
    assert (finding.code, finding.waived, finding.waiver_reason) == ("missing-rollback", True, "there is no way back")


def test_a_waiver_of_what_is_excluded_is_not_called_unused() -> None:
    assert judge(batch(("-- pgops: allow missing-rollback none\nselect 1;", None)), (), ("missing-rollback",)) == []


@pytest.mark.parametrize(
    ("old", "new", "keeps"),
    [
        (("varchar", (50,)), ("text", ()), True),
        (("varchar", (50,)), ("varchar", (60,)), True),
        (("varchar", (50,)), ("varchar", ()), True),
        (("varchar", (50,)), ("varchar", (40,)), False),
        (("text", ()), ("varchar", (40,)), False),
        (("text", ()), ("varchar", ()), True),
        (("numeric", (10, 2)), ("numeric", (12, 2)), True),
        (("numeric", (10, 2)), ("numeric", (12, 3)), False),
        (("numeric", (10, 2)), ("numeric", ()), True),
        (("numeric", ()), ("numeric", (12, 2)), False),
        (("int4", ()), ("int8", ()), False),
        (("int4", ()), ("int4", ()), True),
    ],
)
def test_types_that_are_changed_in_the_catalog_alone(
    old: tuple[str, tuple[int, ...]], new: tuple[str, tuple[int, ...]], keeps: bool
) -> None:
    assert keeps_storage(ColumnFacts(*old), ColumnFacts(*new)) is keeps


@pytest.mark.parametrize(
    ("rows", "size_bytes", "large"),
    [(0, 10**9, False), (100_000, 100 * 2**20, False), (100_001, 0, True), (1, 100 * 2**20 + 1, True)],
)
def test_what_is_large(rows: int, size_bytes: int, large: bool) -> None:
    assert Limits().is_large(TableFacts(rows, size_bytes)) is large


def squawk_of(rule: str, line: int = 1) -> SquawkFinding:
    return SquawkFinding(rule, "1.sql", line, 1, "It is\nslow.", "")


TABLE = DatabaseObject("table", "app", "t")
INDEX_RULE = "require-concurrent-index-creation"


@pytest.mark.parametrize(
    ("up", "rows", "expected"),
    [
        ("create index i on app.t (id)", None, [(f"squawk.{INDEX_RULE}", "warning")]),
        ("create index i on app.t (id)", 5, [(f"squawk.{INDEX_RULE}", "notice")]),
        ("create index i on app.t (id)", 100_001, [("index-without-concurrently-large", "warning")]),
    ],
)
def test_squawk_is_heard_in_the_light_of_the_tables(up: str, rows: int | None, expected: list[tuple[str, str]]) -> None:
    facts = None if rows is None else Facts({TABLE: TableFacts(rows, 1000)})
    findings = judge(batch((up, "drop index app.i"), facts=facts), [squawk_of(INDEX_RULE)])
    assert [(f.code, f.level) for f in findings] == expected


def test_squawk_does_not_know_that_an_earlier_file_made_the_table() -> None:
    files = batch(
        ("create index i on app.t (id)", "drop index app.i"), ("create table app.t (id int)", "drop table app.t")
    )
    assert [f.code for f in judge(files, [squawk_of(INDEX_RULE)])] == ["rollback-loses-data"]


def test_squawks_places_are_those_a_person_counts() -> None:
    answer = [
        {"file": "a.sql", "line": 1, "column": 9, "rule_name": "ban-drop-table", "message": "m", "help": None},
        {"file": "a.sql", "line": 0, "column": 0, "rule_name": "syntax-error", "message": "m", "help": None},
    ]
    (finding,) = read_findings(json.dumps(answer), {"a.sql": "-- x\n/* \u00fc */ drop table t;"})
    assert (finding.line, finding.column, finding.help) == (2, 9, "")


@pytest.mark.parametrize(
    ("sql", "created", "dropped"),
    [
        ("alter view v rename to w", ["view public.w"], ["view public.v"]),
        ("alter policy p on t rename to q", ["policy q on public.t"], ["policy p on public.t"]),
        ("alter schema s rename to r", ["schema r"], ["schema s"]),
        ("alter function f(int) rename to g", ["function public.g"], ["function public.f"]),
        ("alter index i rename to j", ["index public.j"], ["index public.i"]),
        ("drop trigger t on a.b", [], ["trigger t on a.b"]),
        ("drop type a.t, u", [], ["type a.t", "type public.u"]),
        ("drop aggregate a.s(int)", [], ["function a.s"]),
        ("drop procedure p", [], ["function public.p"]),
        ("drop extension e", [], []),
        ("create sequence a.s", ["sequence a.s"], []),
        ("create schema if not exists s", ["schema s"], []),
        ("create schema authorization somebody", [], []),
        ("create type a.c as (x int)", ["type a.c"], []),
        ("create type a.r as range (subtype = int)", ["type a.r"], []),
        ("alter type a.c add attribute y int", [], []),
        ("alter table t add c int, drop d", ["column public.t.c"], ["column public.t.d"]),
        ("alter table t rename constraint c to d", [], []),
        ("alter type a.e rename value 'x' to 'y'", [], []),
        ("alter table only t rename c to d", ["column public.t.d"], ["column public.t.c"]),
        ("create index on t (c)", [], []),
    ],
)  # fmt: skip
def test_what_statements_create_and_drop(sql: str, created: list[str], dropped: list[str]) -> None:
    (statement,) = parse_script("f.sql", sql).statements
    assert [str(c.what) for c in created_by(statement)] == created
    assert [str(d.what) for d in dropped_by(statement)] == dropped
