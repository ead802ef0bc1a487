# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Row counts judged while the application goes on writing: only what the migration itself does counts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import connect
from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, run_module

FIRST, SECOND = "20260101000000_first", "20260102000000_second"
ROWS = "select count(*) from public."
RUNS = 20


@pytest.fixture
def application(project: LiveProject, tmp_path: Path) -> Application:
    """An application without migrations."""
    project.psql(TABLES)
    return Application(project, tmp_path / "supabase")


def counted(result: dict[str, Any], table: str) -> list[tuple[Any, ...]]:
    """What the comparison says of a table."""
    return [
        (row["before"], row["after"], row["own_change"], row["verdict"], row["message"])
        for row in (result.get("comparison") or result["migration"]["counts"])["tables"]
        if row["table"] == table
    ]


def judged_afterwards(application: Application, baseline: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """What the role verify asks for after COMMIT."""
    return run_module(
        "row_counts",
        **application.project.login,
        baseline=baseline,
        row_changes=result["migration"]["row_changes"],
        row_declarations=result["migration"]["row_declarations"],
    )


def test_rows_that_the_application_deletes_fail_nothing(application: Application) -> None:
    application.migration(FIRST, "create table public.first (id int);\n")
    baseline = application.baseline()
    application.project.psql("delete from public.orders where id = 7")
    result = application.applies(baseline=baseline)
    assert result["migration"]["counts"]["verdict"] == "PASS"
    after = judged_afterwards(application, baseline, result)
    assert not after.get("failed")
    assert counted(after, "orders") == [(100, 99, 0, "PASS", "unchanged; other sessions: -1 row")]


def test_rows_that_the_application_adds_hide_no_deletion(application: Application) -> None:
    application.migration(FIRST, "delete from public.orders where id <= 5;\n")
    baseline = application.baseline()
    application.project.psql("insert into public.orders select i, 1 from generate_series(1001, 1005) i")
    application.refuses("verification", "table public.orders: -5 rows; other sessions: +5 rows", baseline=baseline)
    assert application.project.psql("select count(*), min(id) from public.orders") == "105|1"


def test_the_same_deletion_after_commit_is_a_failure(application: Application) -> None:
    application.migration(FIRST, "delete from public.orders where id <= 5;\n")
    baseline = application.baseline()
    result = application.apply(verify_before_commit=False)
    application.project.psql("insert into public.orders select i, 1 from generate_series(1001, 1005) i")
    after = judged_afterwards(application, baseline, result)
    assert after["failed"] and "public.orders -5 rows; other sessions: +5 rows" in after["msg"]


def test_declared_rows_are_expected_and_a_wrong_number_is_refused_with_its_place(application: Application) -> None:
    application.project.psql('create table public."Odd ""one"".x" (id int)')
    application.migration(
        FIRST,
        "-- pgops: rows public.clients +2\n"
        "insert into public.clients values (4, 'four'), (5, 'five');\n"
        '-- pgops: rows public."Odd ""one"".x" any\n'
        'insert into public."Odd ""one"".x" select generate_series(1, 7);\n',
    )
    second = application.migration(
        SECOND,
        "create table public.made (id int);\n-- pgops: rows made +3\ninsert into public.made values (1), (2), (3);\n"
        "  -- pgops: rows Public.Clients -2\ndelete from public.clients where id = 5;\n",
    )
    baseline = application.baseline()
    application.refuses("verification", "table public.clients: +1 row", f"{second}:4:3", baseline=baseline)
    second.write_text(second.read_text().replace("-2", "-1").replace("made +3", "made +4"))
    application.refuses("verification", "public.made: is new with 3 rows", f"{second}:2:1", baseline=baseline)
    second.write_text(second.read_text().replace("made +4", "made +3"))
    result = application.applies(baseline=baseline)
    assert counted(result, "clients") == [(3, 4, 1, "PASS", "+1 row, declared: +1 row")]
    assert not judged_afterwards(application, baseline, result).get("failed")


def test_the_option_adds_to_what_the_files_declare(application: Application) -> None:
    application.migration(
        FIRST, "-- pgops: rows clients +1\ninsert into public.clients values (4, 'four'), (5, 'five');\n"
    )
    baseline = application.baseline()
    application.refuses("verification", "table public.clients: +2 rows, declared: +1 row", baseline=baseline)
    application.applies(baseline=baseline, count_contract={"clients": 1})


@pytest.mark.parametrize("params", [{}, {"verify_before_commit": False}], ids=["verified", "unverified"])
def test_a_declaration_that_cannot_be_read_stops_everything(application: Application, params: dict[str, Any]) -> None:
    application.migration(FIRST, "create table public.first (id int);\n")
    second = application.migration(SECOND, "select 1;\nselect 2; -- pgops: rows public.clients 2\n")
    application.refuses("sql_script", f"{second}:2:11", "-- pgops: rows", **params)


def test_a_declared_table_that_does_not_exist_is_refused(application: Application) -> None:
    first = application.migration(FIRST, "-- pgops: rows public.client +1\nselect 1;\n")
    application.refuses("verification", "public.client", f"{first}:1:1", baseline=application.baseline())


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("truncate public.orders;", "table public.orders: -100 rows"),
        ("truncate public.orders; insert into public.orders values (1, 1);", "table public.orders: -99 rows"),
        ("do $$ begin execute 'truncate public.clients cascade'; end $$;", "table public.clients: -3 rows"),
        ("alter table public.orders alter id type bigint; truncate public.orders;", "table public.orders: -100 rows"),
        ("drop table public.orders;", "table public.orders: is gone: it held 100 rows"),
        ("drop table public.orders; create table public.orders (id int);", "table public.orders: -100 rows"),
        ("alter table public.orders rename to sales; delete from public.sales;", "table public.sales: -100 rows"),
    ],
)
def test_what_empties_a_table_is_refused(application: Application, sql: str, said: str) -> None:
    application.migration(FIRST, sql)
    application.refuses("verification", said, baseline=application.baseline())
    assert application.project.psql(f"{ROWS}orders") == "100"


@pytest.mark.parametrize(
    "sql",
    [
        "-- pgops: rows orders -100\ntruncate public.orders;",
        "-- pgops: rows orders -98\ntruncate public.orders; insert into public.orders values (1, 1), (2, 1);",
        "-- pgops: rows orders any\ndrop table public.orders;",
        "create table public.fresh as select * from public.orders; drop table public.orders;\n"
        "alter table public.fresh rename to orders;",
        "alter table public.orders alter id type bigint; alter table public.orders add at timestamptz default clock_timestamp();",
        "alter table public.orders rename to sales; create view public.orders as select * from public.sales;",
        "create schema later; alter table public.orders set schema later; alter schema later rename to latest;",
        "update public.orders set id = id + 1000; delete from public.orders where id = 1001; insert into public.orders values (1, 1);",
    ],
)
def test_what_keeps_or_declares_its_rows_passes(application: Application, sql: str) -> None:
    application.migration(FIRST, sql)
    baseline = application.baseline()
    application.project.psql("insert into public.clients values (9, 'nine')")
    result = application.apply(baseline=baseline)
    assert result.get("changed"), result
    after = judged_afterwards(application, baseline, result)
    assert not after.get("failed"), after


@pytest.mark.parametrize("before", ["", "create index concurrently on public.orders (client);\n"], ids=["one", "alone"])
def test_what_an_exception_block_undoes_does_not_count(application: Application, before: str) -> None:
    undone = "do $$ begin {}; raise exception 'no'; exception when raise_exception then null; end $$;\n"
    application.migration(FIRST, before + undone.format("insert into public.clients values (9, 'nine')"))
    baseline = application.baseline()
    result = application.apply(baseline=baseline)
    assert result.get("changed") and result["migration"]["row_changes"] == [], result
    masked = undone.format("insert into public.orders select i, 1 from generate_series(1001, 1005) i")
    application.migration(SECOND, masked + "delete from public.orders where id <= 5;\n")
    application.refuses("verification", "table public.orders: -5 rows", baseline=baseline)


def test_who_waits_for_a_written_table_does_not_block_the_judgement(application: Application) -> None:
    application.migration(
        FIRST, "-- pgops: rows orders -1\ndelete from public.orders where id = 1;\nselect pg_sleep(2);\n"
    )
    baseline = application.baseline()
    waiting = threading.Timer(1.0, application.project.psql, ["truncate public.orders"])
    waiting.start()
    result = application.apply(baseline=baseline)
    waiting.join()
    assert result.get("changed"), result
    assert application.project.psql(f"{ROWS}orders") == "0"
    after = judged_afterwards(application, baseline, result)
    assert counted(after, "orders")[0][2:4] == (-1, "PASS")


def test_a_file_outside_of_a_transaction_is_judged_after_it(application: Application) -> None:
    application.migration(
        FIRST,
        "delete from public.orders where id <= 5;\ncreate index concurrently on public.orders (client);\n"
        "truncate public.clients cascade;\n",
    )
    baseline = application.baseline()
    result = application.apply(baseline=baseline)
    assert result.get("changed"), result
    after = judged_afterwards(application, baseline, result)
    assert after["failed"] and "public.orders -100 rows" in after["msg"] and "public.clients -3 rows" in after["msg"]


def test_only_what_was_touched_is_counted_while_locks_are_held(application: Application) -> None:
    application.migration(FIRST, "delete from public.orders where id = 1;\n")
    baseline = application.baseline()
    result = application.apply(baseline=baseline, count_contract={"orders": -1})
    assert result.get("changed"), result
    assert [row["table"] for row in result["migration"]["counts"]["tables"]] == ["orders"]


def test_the_rollback_gives_back_only_what_the_migration_did(application: Application) -> None:
    application.migration(FIRST, "-- pgops: rows clients +1\ninsert into public.clients values (4, 'four');\n")
    application.way_back(FIRST, "delete from public.clients where id = 4;\n")
    baseline = application.baseline()
    done = application.apply(baseline=baseline, run_id="one")["migration"]
    application.project.psql("delete from public.orders where id = 7")
    back = {"supabase_dir": str(application.directory), **application.project.login, "reason": "a test"}
    back |= {"of_run": "one", "baseline": baseline, "export_dir": str(application.directory.parent / "exported")}
    assert "table public.orders: -1 row" in run_module("rollback", **back)["msg"]
    too_much = application.way_back(FIRST, "delete from public.clients where id in (3, 4);\n")
    application.project.psql("delete from public.orders where client = 3")
    refused = run_module("rollback", **back, row_changes=done["row_changes"])
    assert refused["failed"] and "table public.clients: -1 row" in refused["msg"]
    too_much.write_text("delete from public.clients where id = 4;\n")
    result = run_module("rollback", **back, row_changes=done["row_changes"])
    assert result.get("changed"), result
    assert application.project.psql(f"{ROWS}clients") == "3"


@contextmanager
def writers(project: LiveProject) -> Iterator[list[int]]:
    """The application at full speed: rows of C(busy) and C(queue) come, change and go, and C(queue) is truncated."""
    project.psql(
        "create table public.busy (id int generated always as identity primary key, n int default 0);"
        "insert into public.busy select from generate_series(1, 200);"
        "create table public.queue (id int generated always as identity); insert into public.queue select from generate_series(1, 9)"
    )
    stop = threading.Event()
    done = [0, 0, 0]

    def write(number: int, statements: list[str]) -> None:
        connection = connect(project.options)
        connection.autocommit = True
        with connection.cursor() as cursor:
            while not stop.is_set():
                for statement in statements:
                    # Who meets the lock of a migration writes again.
                    try:
                        cursor.execute(statement)
                    except psycopg2.errors.LockNotAvailable:
                        continue
                done[number] += 1
        connection.close()

    last = "(select id from public.busy order by id desc limit 1)"
    threads = [
        threading.Thread(target=write, args=(number, statements))
        for number, statements in enumerate(
            (
                ["insert into public.busy default values", f"update public.busy set n = n + 1 where id = {last}"],
                [f"delete from public.busy where id > 200 and id in {last}", "insert into public.busy default values"],
                [
                    "insert into public.queue default values",
                    "truncate public.queue",
                    "insert into public.queue default values",
                ],
            )
        )
    ]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_writers_at_full_speed_fail_no_good_migration_and_hide_no_bad_one(application: Application) -> None:
    project = application.project
    bad = [
        "delete from public.busy where id between 148 and 150;",
        "insert into public.busy default values;",
        "truncate public.busy;",
        "insert into public.clients values (99, 'extra');",
    ]
    # Locks are waited for as long as the writers need: this is about counts.
    patient = {"lock_timeout_seconds": 20, "lock_wait_seconds": 20}
    with writers(project) as done:
        for run in range(RUNS):
            name = f"202602{run + 1:02}000000_run"
            baseline = application.baseline()
            migration = application.migration(name, bad[run % len(bad)])
            refused = application.apply(baseline=baseline, **patient)
            assert refused.get("failed") and refused["error"]["code"] == "verification", refused
            assert not refused["changed"]
            migration.write_text(
                f"create table public.made_{run} (id int);\nalter table public.busy add column c{run} int default {run};\n"
                f"insert into public.made_{run} select generate_series(1, 10);\n"
                "-- pgops: rows busy -1\ndelete from public.busy where id = (select min(id) from public.busy);\n"
                + (
                    "alter table public.queue add at timestamptz default clock_timestamp();\n"
                    if run == RUNS // 2
                    else ""
                )
            )
            result = application.apply(baseline=baseline, **patient)
            assert result.get("changed"), result
            after = judged_afterwards(application, baseline, result)
            assert not after.get("failed"), after
    assert min(done) > RUNS, done
    assert len(application.versions()) == RUNS
    assert project.psql(f"{ROWS}busy where id <= 200") == str(200 - RUNS)
    assert project.psql(f"{ROWS}clients") == "3"
