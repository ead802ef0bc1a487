# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts of real tables: exact, of one moment, and judged; what cannot be counted exactly is refused."""

from __future__ import annotations

import dataclasses
import io
import json
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.base.background import in_background
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import CountError, InputError, PrivilegeError
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowCounts
from ansible_collections.pgops.supabase.plugins.module_utils.counts.job import (
    count_in_transaction,
    count_tables,
    resolve_tables,
)
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import own_changes
from ansible_collections.pgops.supabase.plugins.module_utils.counts.parallel import CountingSessions, count_in_snapshot
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    execute,
    session,
)
from tests.integration import live
from tests.integration.backups import wait_until

TABLES = """
create table public.profiles (id int primary key);
insert into public.profiles select generate_series(1, 1000);
alter table public.profiles enable row level security;
alter table public.profiles force row level security;
create table public."camelCase" (id int);
insert into public."camelCase" values (1), (2);
create table public.events (id int) partition by range (id);
create table public.events_1 partition of public.events for values from (0) to (10);
create table public.events_2 partition of public.events for values from (10) to (20);
insert into public.events values (1), (2), (15);
create schema app;
create table app.empty (id int);
create view public.seen as select * from public.profiles;
create materialized view public.kept as select * from public.profiles;
"""

EXPECTED = {
    "app.empty": 0,
    "public.camelCase": 2,
    "public.events_1": 2,
    "public.events_2": 1,
    "public.profiles": 1000,
}


def as_mapping(counts: RowCounts) -> dict[str, int]:
    return {f"{count.schema}.{count.table}": count.rows for count in counts.tables}


def change(project: live.LiveProject, statements: str) -> None:
    """Commit statements as postgres."""
    with session(project.options, autocommit=True) as connection:
        execute(connection, statements)


@contextmanager
def reader(project: live.LiveProject, name: str, grants: str, *, attributes: str = "") -> Iterator[ConnectionOptions]:
    """A role of the server that may log in, for one test."""
    role = f"{name}_{project.database}"
    with session(project.superuser_options, autocommit=True) as connection:
        execute(
            connection, f"create role \"{role}\" login password 'reader-word' {attributes}; {grants.format(role=role)}"
        )
        try:
            yield dataclasses.replace(project.options, login_user=role, login_password="reader-word")
        finally:
            execute(connection, f'drop owned by "{role}"; drop role "{role}"')


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_every_row_is_counted_once(project: live.LiveProject, workers: int) -> None:
    change(project, TABLES)
    for _time in range(2):
        counts = count_tables(project.options, workers=workers)
        assert as_mapping(counts) == EXPECTED
        assert counts.total == 1005
    assert project.psql("select count(*) from public.profiles") == "1000"


def test_large_tables_are_counted_on_their_own(project: live.LiveProject) -> None:
    change(project, TABLES)
    change(project, "create table public.large (id int, filler char(2000) default 'x')")
    change(project, "insert into public.large select generate_series(1, 5000); analyze public.large")
    assert as_mapping(count_tables(project.options, workers=3)) == {**EXPECTED, "public.large": 5000}


def test_named_tables_and_schemas(project: live.LiveProject) -> None:
    change(project, TABLES)
    named = count_tables(
        project.options, tables=["profiles", "public.camelCase", 'public."camelCase"', "public.events"]
    )
    assert as_mapping(named) == {"public.profiles": 1000, "public.camelCase": 2, "public.events": 3}
    assert as_mapping(count_tables(project.options, schemas=["app"])) == {"app.empty": 0}
    assert as_mapping(count_tables(project.options, tables=[], schemas=[])) == EXPECTED


def test_a_database_without_tables_has_no_rows(project: live.LiveProject) -> None:
    counts = count_tables(project.options)
    assert (counts.tables, counts.total) == ([], 0)


def test_the_counts_are_of_one_moment_while_others_write(project: live.LiveProject) -> None:
    change(project, "create table public.a (id int); insert into public.a select generate_series(1, 2000)")
    change(project, "create table public.b (id int)")
    change(project, "create table public.filler (id int, text char(2000) default 'x')")
    change(project, "insert into public.filler select generate_series(1, 20000); analyze")
    stop = threading.Event()

    def move_rows() -> None:
        with session(project.options) as connection:
            for _round in range(100_000):
                if stop.is_set():
                    return
                execute(
                    connection,
                    "with gone as (delete from public.a where ctid in (select ctid from public.a limit 1) returning id) "
                    "insert into public.b select id from gone",
                )
                connection.commit()

    writer = threading.Thread(target=move_rows)
    writer.start()
    try:
        totals = [count_tables(project.options, workers=2) for _time in range(5)]
        with session(project.options) as connection:
            in_one = count_in_transaction(connection, [("public", "a"), ("public", "b")])
    finally:
        stop.set()
        writer.join()
    assert [as_mapping(c)["public.a"] + as_mapping(c)["public.b"] for c in totals] == [2000] * 5
    assert sum(count.rows for count in in_one) == 2000
    assert len({as_mapping(c)["public.b"] for c in totals}) > 1


def test_nothing_is_left_open(project: live.LiveProject) -> None:
    change(project, TABLES)
    count_tables(project.options, workers=4)
    with pytest.raises(CountError):
        count_tables(project.options, tables=["nothing"], workers=4)
    left = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    assert project.psql(f"select pg_sleep(0.2); {left}").split()[-1] == "0"


def test_a_table_that_does_not_exist_is_named_with_those_like_it(project: live.LiveProject) -> None:
    change(project, TABLES)
    for _time in range(2):
        with pytest.raises(CountError) as caught:
            count_tables(project.options, tables=["public.profile", "public.camelcase", "profiles"])
        error = caught.value
        assert error.what == (
            "These tables do not exist: public.camelcase (similar: public.camelCase), "
            "public.profile (similar: public.profiles)"
        )
        assert error.where == "option tables (project_count_tables)"
        assert error.state == "nothing was changed"
        assert error.next_step and "upper and lower case matter" in error.next_step


def test_a_table_of_another_schema_is_suggested(project: live.LiveProject) -> None:
    change(project, TABLES)
    with pytest.raises(CountError, match=r"public.empty \(similar: app.empty\)"):
        count_tables(project.options, tables=["empty"])


@pytest.mark.parametrize(("name", "kind"), [("seen", "view"), ("kept", "materialized view")])
def test_what_holds_no_rows_of_its_own_is_refused(project: live.LiveProject, name: str, kind: str) -> None:
    change(project, TABLES)
    with pytest.raises(CountError, match=f"public.{name} is a {kind}"):
        count_tables(project.options, tables=[name])


def test_a_schema_that_does_not_exist_is_named(project: live.LiveProject) -> None:
    with pytest.raises(CountError, match="This schema does not exist: nowhere"):
        count_tables(project.options, schemas=["nowhere", "public"])


def test_no_worker_is_refused(project: live.LiveProject) -> None:
    with pytest.raises(InputError, match="At least one worker"):
        count_tables(project.options, workers=0)


def test_a_role_that_row_security_may_deceive_is_refused(project: live.LiveProject) -> None:
    change(project, TABLES)
    grants = 'grant usage on schema public to "{role}"; grant select on all tables in schema public to "{role}"'
    with reader(project, "deceived", grants) as options:
        for _time in range(2):
            with pytest.raises(PrivilegeError, match="may not bypass row level security") as caught:
                count_tables(options, tables=["profiles"])
            assert caught.value.next_step and "bypassrls" in caught.value.next_step
        with session(options) as connection, pytest.raises(CountError, match="row-level security"):
            count_in_transaction(connection, [("public", "profiles")])


def test_a_table_that_the_role_may_not_read_is_named(project: live.LiveProject) -> None:
    change(project, TABLES)
    grants = 'grant usage on schema public to "{role}"; grant select on public.profiles to "{role}"'
    with reader(project, "narrow", grants, attributes="bypassrls") as options:
        assert as_mapping(count_tables(options, tables=["profiles"])) == {"public.profiles": 1000}
        with pytest.raises(PrivilegeError, match=r"may not read app.empty, public.camelCase") as caught:
            count_tables(options, tables=["profiles", "app.empty", "camelCase"])
        assert caught.value.details["tables"] == ["app.empty", "public.camelCase"]


def test_a_count_that_takes_too_long_is_ended_with_all_its_sessions(project: live.LiveProject) -> None:
    change(project, "create table public.one (id int); create table public.two (id int)")
    change(project, "insert into public.one select generate_series(1, 3000000); analyze")
    with pytest.raises(CountError, match="statement timeout"):
        count_tables(project.options, statement_timeout_ms=20, workers=2)


def test_counting_leaves_row_security_as_it_was(project: live.LiveProject) -> None:
    change(project, TABLES)
    with session(project.options) as connection:
        for _time in range(2):
            assert [c.rows for c in count_in_transaction(connection, [("public", "profiles")])] == [1000]
            with connection.cursor() as cursor:
                cursor.execute("show row_security")
                assert cursor.fetchone() == ("on",)


def test_own_changes_are_those_of_the_transaction(project: live.LiveProject) -> None:
    change(project, TABLES)
    change(
        project,
        "create table public.pets (id int, owner int references public.profiles on delete cascade);"
        "insert into public.pets select n, n from generate_series(1, 10) as n",
    )
    with session(project.options) as connection, session(project.options, autocommit=True) as other:
        execute(connection, "delete from public.profiles where id <= 3")
        execute(other, "insert into public.profiles values (5000)")
        assert own_changes(connection) == {("public", "profiles"): -3, ("public", "pets"): -3}
        with connection.cursor() as cursor:
            cursor.copy_expert("copy public.pets from stdin", io.StringIO("11\t11\n12\t12\n"))
        execute(connection, "alter table public.pets alter owner type bigint")
        execute(connection, "update public.events set id = 12 where id = 1; insert into public.events values (3), (4)")
        assert own_changes(connection) == {
            ("public", "profiles"): -3,
            ("public", "pets"): -1,
            ("public", "events"): 2,
            ("public", "events_1"): 1,
            ("public", "events_2"): 1,
        }
        connection.commit()
        earlier = own_changes(connection)
        execute(connection, "insert into public.pets values (13, 13)")
        assert own_changes(connection, since=earlier) == {("public", "pets"): 1}
        execute(connection, "truncate public.profiles cascade")
        assert ("public", "profiles") not in own_changes(connection, since=earlier)


def test_names_are_resolved_on_an_open_session(project: live.LiveProject) -> None:
    change(project, TABLES)
    with session(project.options) as connection:
        execute(connection, "create table public.pending (id int)")
        assert resolve_tables(connection, ["pending"]) == [("public", "pending")]
        assert resolve_tables(connection, ["lost", "profiles"], may_be_gone=[("public", "lost")]) == [
            ("public", "profiles")
        ]


def test_the_module_counts_writes_its_document_and_never_changes(
    project: live.LiveProject, run_module: live.RunModule, tmp_path: Path
) -> None:
    change(project, TABLES)
    parameters = {**project.login, "run_dir": str(tmp_path / "run")}
    checked = run_module("row_counts", check=True, **parameters)
    assert checked["changed"] is False and checked["row_counts"]["total"] == 1005
    assert not (tmp_path / "run").exists() and checked["counts_file"] is None
    for _time in range(2):
        result = run_module("row_counts", **parameters)
        assert result["changed"] is False and result["comparison"] is None
        written = tmp_path / "run" / "counts-before.json"
        assert json.loads(written.read_text()) == result["row_counts"] and result["counts_file"] == str(written)
        assert stat.S_IMODE(written.stat().st_mode) == 0o600


def test_the_module_holds_counts_against_a_baseline(
    project: live.LiveProject, run_module: live.RunModule, tmp_path: Path
) -> None:
    change(project, TABLES)
    parameters = {**project.login, "run_dir": str(tmp_path)}
    baseline = run_module("row_counts", **parameters)["row_counts"]
    after = {**parameters, "stage": "after", "baseline": str(tmp_path / "counts-before.json")}
    assert run_module("row_counts", **after)["comparison"]["verdict"] == "PASS"
    change(project, 'delete from public.profiles where id = 1; insert into public."camelCase" values (3)')
    for given in (after["baseline"], baseline):
        failed = run_module("row_counts", **{**after, "baseline": given})
        assert failed["failed"] is True
        assert "public.camelCase +1 row; public.profiles -1 row" in failed["msg"]
        assert failed["error"]["code"] == "verification"
        assert failed["comparison"]["verdict"] == "FAIL"
        assert failed["row_counts"]["total"] == 1005
    assert json.loads((tmp_path / "counts-after.json").read_text())["total"] == 1005
    declared = run_module("row_counts", **after, contract={"public.profiles": -1, "camelCase": "any"})
    assert declared["comparison"]["verdict"] == "PASS"


def test_the_module_says_what_is_wrong_without_the_password(
    project: live.LiveProject, run_module: live.RunModule, tmp_path: Path
) -> None:
    change(project, TABLES)
    parameters = project.login
    for _time in range(2):
        failed = run_module("row_counts", **parameters, tables=["public.profile"], run_dir=str(tmp_path))
        assert failed["failed"] is True and failed["error"]["code"] == "row_counts"
        assert "public.profile (similar: public.profiles)" in failed["msg"]
        assert "State: nothing was changed." in failed["msg"]
        assert list(tmp_path.iterdir()) == []
    missing = run_module("row_counts", **parameters, baseline=str(tmp_path / "none.json"))
    assert "The baseline is not a row counts document" in missing["msg"]


@pytest.mark.parametrize("locked", [["a", "b"], ["a"], []])
def test_counting_can_be_ended_from_outside_and_is_never_half_a_count(
    project: live.LiveProject, locked: list[str]
) -> None:
    project.psql("""
        create table public.a as select i, repeat('x', 900) from generate_series(1, 9000) i;
        create table public.b as table public.a;
        analyze public.a, public.b;
        """)
    counting = "select count(*) from pg_stat_activity where query ilike '%count(*)%' and wait_event_type = 'Lock'"
    tables, settings, sessions = (
        [("public", "a"), ("public", "b")],
        SessionSettings(lock_timeout_ms=60_000),
        CountingSessions(),
    )
    with session(project.options) as holder, session(project.options, settings) as first:
        for table in locked:
            execute(holder, f"lock table public.{table} in access exclusive mode")
        first.set_session(isolation_level="REPEATABLE READ", readonly=True)
        if not locked:
            sessions.stop()
        count = in_background(
            lambda: count_in_snapshot(project.options, settings, first, tables, workers=2, sessions=sessions)
        )
        if locked:
            wait_until(lambda: project.psql(counting) == str(len(locked)), "they do not count")
            sessions.stop()
        with pytest.raises(CountError):
            count.result(timeout=10)
    assert project.psql(counting) == "0"
