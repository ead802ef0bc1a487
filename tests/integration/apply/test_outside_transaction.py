# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations that cannot be one transaction: applied statement by statement, cut short, and gone on with."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import ADVISORY_LOCK
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import session
from tests.integration.application import TABLES, Application
from tests.integration.apply.test_migration import wait_until
from tests.integration.live import LiveProject

FIRST, INDEXES, THIRD = "20260101000000_first", "20260102000000_indexes", "20260103000000_third"
CONCURRENTLY = """set search_path = public;
insert into clients values (10, 'ten');
create index concurrently orders_client_idx on orders (client);
insert into clients values (11, 'eleven');
"""
UNFINISHED = "select position, state from pgops.statement_log where position >= 0 order by 1"


@pytest.fixture
def application(project: LiveProject, tmp_path: Path) -> Application:
    """An application with a migration that builds an index concurrently, between two plain ones."""
    project.psql(TABLES)
    application = Application(project, tmp_path / "supabase")
    application.migration(FIRST, "create table public.first (id int);")
    application.migration(INDEXES, CONCURRENTLY)
    application.migration(THIRD, "create table public.third (id int);")
    return application


def indexes(project: LiveProject) -> dict[str, str]:
    """Each index of orders, and whether it is valid, as psql finds it."""
    rows = project.psql(
        "select c.relname, i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid "
        "where i.indrelid = 'public.orders'::regclass order by 1"
    )
    return dict(row.split("|") for row in rows.splitlines())


def clients(project: LiveProject) -> list[str]:
    """The clients that the migration adds, however often it did."""
    return project.psql("select id from public.clients where id > 9 order by 1").split()


def building(project: LiveProject) -> str:
    """The pid of the session that builds an index, as psql finds it; empty when there is none."""
    return project.psql(
        "select pid from pg_stat_activity where datname = current_database() and state = 'active' "
        "and query like 'create index concurrently%'"
    )


def start_and_wait_for_the_index(application: Application) -> tuple[subprocess.Popen[str], str]:
    """Start applying, and wait until the server is at the index; an open transaction has to hold it up."""
    process = application.start_applying()
    wait_until(lambda: bool(building(application.project)), "the index was never begun")
    return process, building(application.project)


def test_it_is_applied_between_two_transactions(application: Application) -> None:
    result = application.applies()
    assert [done["version"] for done in result["migration"]["migrations"]] == [FIRST[:14], INDEXES[:14], THIRD[:14]]
    assert application.versions() == [FIRST[:14], INDEXES[:14], THIRD[:14]]
    assert indexes(application.project) == {"orders_client_idx": "t", "orders_pkey": "t"}
    assert clients(application.project) == ["10", "11"]
    assert application.project.psql("select count(*) from pgops.statement_log") == "0"
    recorded = application.project.psql(
        f"select statements[3] from supabase_migrations.schema_migrations where version = '{INDEXES[:14]}'"
    )
    assert recorded == "create index concurrently orders_client_idx on orders (client)"


def test_a_failure_keeps_what_was_done_and_a_further_run_goes_on_there(application: Application) -> None:
    application.migration(INDEXES, CONCURRENTLY.replace("create index", "create unique index"))
    for dummy in range(2):
        result = application.apply()
        assert result["failed"]
        assert "could not create unique index" in result["msg"] and f"{INDEXES}.sql:3:1" in result["msg"]
        assert "an INVALID index, if it left one, was dropped" in result["error"]["state"]
        assert result["error"]["outcome"] == "partial"
        assert f"committed before and still there: {FIRST[:14]}" in result["error"]["state"] or dummy
        assert "goes on at this statement" in result["error"]["next_step"]
        assert indexes(application.project) == {"orders_pkey": "t"}
        assert clients(application.project) == ["10"]
        assert application.versions() == [FIRST[:14]]
        assert application.project.psql(UNFINISHED).splitlines() == ["0|finished", "1|finished", "2|started"]
        [half_done] = application.info()["migration_info"]["half_done"]
        assert (half_done["version"], half_done["finished"]) == (INDEXES[:14], 2)
        assert half_done["begun"].startswith("create unique index concurrently")
    application.project.psql("delete from public.orders where id > 3")
    assert not application.apply().get("failed")
    assert indexes(application.project) == {"orders_client_idx": "t", "orders_pkey": "t"}
    assert clients(application.project) == ["10", "11"]
    assert application.versions() == [FIRST[:14], INDEXES[:14], THIRD[:14]]
    assert application.info()["migration_info"]["half_done"] == []


def test_an_index_that_somebody_else_builds_on_another_table_holds_up_nothing(application: Application) -> None:
    project = application.project
    application.migration(INDEXES, CONCURRENTLY.replace("create index", "create unique index"))
    project.psql("create table public.others (id int)")
    with ThreadPoolExecutor() as pool, session(project.options) as holder:
        with holder.cursor() as cursor:
            cursor.execute("insert into public.others values (1)")
        other = pool.submit(project.psql, "create index concurrently on public.others (id)")
        wait_until(lambda: bool(building(project)), "the other index was never begun")
        result = application.apply()
        holder.commit()
        other.result()
    assert "could not create unique index" in result["msg"] and f"{INDEXES}.sql:3:1" in result["msg"]
    assert result["error"]["code"] == "statement" and result["error"]["outcome"] == "partial"
    assert "an INVALID index, if it left one, was dropped" in result["error"]["state"]
    assert application.events() == [f"applied {FIRST[:14]}", f"failed {INDEXES[:14]}"]
    assert indexes(project) == {"orders_pkey": "t"}
    project.psql("delete from public.orders where id > 3")
    assert not application.apply().get("failed")
    assert indexes(project) == {"orders_client_idx": "t", "orders_pkey": "t"}


def test_who_loses_the_apply_lock_on_the_way_is_told_what_is_done(application: Application) -> None:
    project = application.project
    application.migration(
        INDEXES,
        "insert into clients values (10, 'ten');\nselect pg_sleep(1);\ndiscard all;\ninsert into clients values (11, 'eleven');",
    )
    take = "select pg_advisory_{}lock({}, {})"
    with ThreadPoolExecutor() as pool, session(project.options, autocommit=True) as other, other.cursor() as cursor:
        applying = pool.submit(application.apply, to_version=INDEXES[:14])
        wait_until(lambda: clients(project) == ["10"], "the file was never begun")
        # It stands in line, and gets the lock as soon as the file lets go of it.
        cursor.execute(take.format("", *ADVISORY_LOCK))
        error = applying.result()["error"]
        cursor.execute(take.format("un", *ADVISORY_LOCK))
    assert error["code"] == "busy" and error["outcome"] == "partial", error
    assert "the first 3 statements of the file are done and stay; nothing after was run" in error["state"]
    assert f"{INDEXES}.sql:3:1" in error["where"]
    assert clients(project) == ["10"]
    assert project.psql(UNFINISHED).splitlines() == ["0|finished", "1|finished", "2|finished"]
    assert not application.apply().get("failed")
    assert clients(project) == ["10", "11"]


def test_the_file_may_be_corrected_only_where_no_run_has_been(application: Application) -> None:
    application.migration(INDEXES, CONCURRENTLY.replace("(client)", "(no_such_column)"))
    assert application.apply()["failed"]
    application.migration(INDEXES, CONCURRENTLY.replace("'ten'", "'TEN'"))
    for dummy in range(2):
        refused = application.apply()
        assert refused["error"]["code"] == "history" and f"{INDEXES}.sql:2:1" in refused["error"]["where"]
        assert clients(application.project) == ["10"]
    application.migration(INDEXES, CONCURRENTLY)
    assert not application.apply().get("failed")
    assert clients(application.project) == ["10", "11"]


def test_a_killed_run_waits_for_the_server_and_keeps_what_it_finished(application: Application) -> None:
    project = application.project
    with session(project.options) as holder:
        with holder.cursor() as cursor:
            cursor.execute("insert into public.orders values (1000, 1)")
        process, _pid = start_and_wait_for_the_index(application)
        process.kill()
        process.wait()
        busy = application.apply()
        assert busy["error"]["code"] == "busy", busy["msg"]
        holder.commit()
    wait_until(lambda: not building(project), "the server did not finish the index")
    built = project.psql("select 'public.orders_client_idx'::regclass::oid")
    assert not application.apply().get("failed")
    assert project.psql("select 'public.orders_client_idx'::regclass::oid") == built
    assert indexes(project) == {"orders_client_idx": "t", "orders_pkey": "t"}
    assert clients(project) == ["10", "11"]


def test_an_index_that_was_cut_short_is_dropped_and_built_again(application: Application) -> None:
    project = application.project
    with session(project.options) as holder:
        with holder.cursor() as cursor:
            cursor.execute("insert into public.orders values (1000, 1)")
        process, pid = start_and_wait_for_the_index(application)
        process.kill()
        process.wait()
        project.psql(f"select pg_terminate_backend({pid})")
        wait_until(lambda: not building(project), "the server goes on building")
        holder.commit()
    assert indexes(project) == {"orders_client_idx": "f", "orders_pkey": "t"}
    assert not application.apply().get("failed")
    assert indexes(project) == {"orders_client_idx": "t", "orders_pkey": "t"}
    assert clients(project) == ["10", "11"]
    assert application.versions() == [FIRST[:14], INDEXES[:14], THIRD[:14]]


def test_if_not_exists_does_not_take_an_invalid_index_for_a_good_one(application: Application) -> None:
    project = application.project
    with pytest.raises(psycopg2.errors.UniqueViolation), session(project.options, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute("create unique index concurrently orders_client_idx on public.orders (client)")
    application.migration(INDEXES, CONCURRENTLY.replace("orders_client_idx", "if not exists orders_client_idx"))
    for dummy in range(2):
        refused = application.apply()
        assert refused["failed"] and "INVALID index orders_client_idx" in refused["msg"]
        assert 'drop index concurrently "orders_client_idx"' in refused["error"]["next_step"]
    project.psql("drop index concurrently public.orders_client_idx")
    assert not application.apply().get("failed")
    assert indexes(project) == {"orders_client_idx": "t", "orders_pkey": "t"}


def test_it_waits_for_a_lock_without_a_timeout(application: Application) -> None:
    """With lock_timeout_seconds at 0.3 a plain statement would have given up long before the other session ends."""
    project = application.project
    with session(project.options) as holder:
        with holder.cursor() as cursor:
            cursor.execute("insert into public.orders values (1000, 1)")
        process, _pid = start_and_wait_for_the_index(application)
        time.sleep(1)
        assert process.poll() is None
        holder.commit()
    assert process.wait(30) == 0
    assert indexes(project) == {"orders_client_idx": "t", "orders_pkey": "t"}


def test_a_dry_run_tries_all_and_an_index_without_concurrently(application: Application) -> None:
    application.migration(
        THIRD,
        "create sequence public.counter;\nselect nextval('public.clients_seen');\n"
        "alter table public.orders add column total numeric not null default random();\n"
        "update public.orders set client = null where id <= 7;\ndelete from public.orders where id > 98;",
    )
    application.project.psql("create sequence public.clients_seen")
    before = application.snapshot()
    results = [application.apply(check=True), application.apply(check=True)]
    assert application.snapshot() == before
    for number, result in enumerate(results):
        assert not result.get("failed") and result["changed"], result
        receipt = result["migration"]["receipt"]
        assert receipt["not_executed"] == []
        (rewritten,) = receipt["rewritten_tables"]
        assert rewritten["table"] == "public.orders" and rewritten["where"].endswith(f"{THIRD}.sql:3:1")
        locks = {(lock["relation"], lock["mode"]): lock for lock in receipt["locks"]}
        assert locks["public.orders", "AccessExclusiveLock"]["where"].endswith(f"{THIRD}.sql:3:1")
        assert locks["public.orders", "AccessExclusiveLock"]["held_seconds"] > 0
        rows = {(t["schema"], t["table"]): (t["inserted"], t["updated"], t["deleted"]) for t in receipt["rows"]}
        assert rows == {("public", "clients"): (2, 0, 0), ("public", "orders"): (0, 7, 2)}
        (moved,) = receipt["sequences"]
        assert (moved["sequence"], moved["after"]) == ("public.clients_seen", number + 1)
        assert len(receipt["statements"]) == 1 + 4 + 5


@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("create unique index concurrently u on public.orders (client);\nselect 1;", 1),
        (
            "create unique index concurrently u on public.orders (id, client);\n"
            "alter table public.orders replica identity using index u;",
            2,
        ),
        ("vacuum public.orders;\ninsert into public.missing values (1);", 2),
        (
            "create index concurrently i on public.orders (client);\ncreate index concurrently i on public.orders (id);",
            2,
        ),
        ("drop index concurrently public.missing;", 1),
    ],
)
def test_what_a_dry_run_refuses_an_apply_refuses_at_the_same_place(
    application: Application, sql: str, line: int
) -> None:
    file = application.migration(INDEXES, sql)
    before = application.snapshot()
    for _time in range(2):
        tried = application.apply(check=True)
        assert tried["failed"] and tried["error"]["where"].startswith(f"{file}:{line}:"), tried["msg"]
        assert application.snapshot() == before
    done = application.apply()
    assert done["failed"] and done["error"]["where"].startswith(f"{file}:{line}:"), done["msg"]


def test_a_value_that_an_earlier_file_adds_is_no_failure_of_a_dry_run(application: Application) -> None:
    application.project.psql("create type public.kind as enum ('a')")
    application.migration(INDEXES, "alter type public.kind add value 'new';")
    application.migration(
        THIRD, "create table public.kinds (kind public.kind default 'new');\ncreate table public.b (x int);"
    )
    for _time in range(2):
        tried = application.apply(check=True)
        assert not tried.get("failed"), tried["msg"]
        (left_out,) = tried["migration"]["receipt"]["not_executed"]
        assert left_out["where"].endswith(f"{THIRD}.sql:1:1")
    assert application.apply()["changed"]
    assert application.project.psql("select to_regclass('public.kinds'), to_regclass('public.b')") == "kinds|b"
