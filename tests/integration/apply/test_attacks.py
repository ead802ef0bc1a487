# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on what the engine promises: each tries to make it say something that the database does not bear out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, run_module

FIRST, SECOND, THIRD = "20260101000000_first", "20260102000000_second", "20260103000000_third"
HISTORY = "supabase_migrations.schema_migrations"


@pytest.fixture
def application(project: LiveProject, tmp_path: Path) -> Application:
    """An application with one migration applied."""
    project.psql(TABLES)
    application = Application(project, tmp_path / "supabase")
    application.migration(FIRST, "create table public.first (id int);")
    assert application.apply()["changed"]
    return application


def clients(application: Application) -> list[str]:
    """The clients that the migrations add, however often they did."""
    return application.project.psql("select id from public.clients where id > 9 order by 1").split()


@pytest.mark.parametrize(
    "sql",
    [
        f"delete from {HISTORY};",
        f"update {HISTORY} set version = '1';",
        f"insert into {HISTORY} (version, name) values ('20269999999999', 'never_run');",
        "create function public.swallow() returns trigger language plpgsql as 'begin return null; end';"
        f"create trigger swallow before insert on {HISTORY} for each row execute function public.swallow();",
        "alter table pgops.ledger disable trigger all; delete from pgops.ledger;",
        "create function public.swallow() returns trigger language plpgsql as 'begin return null; end';"
        "create trigger swallow before insert on pgops.ledger for each row execute function public.swallow();",
    ],
)
def test_a_migration_that_tampers_with_the_records_is_undone(application: Application, sql: str) -> None:
    application.migration(SECOND, sql)
    application.refuses("verification", "rolled back")


def test_a_failure_to_look_after_commit_does_not_say_that_nothing_changed(application: Application) -> None:
    name = application.project.database
    application.migration(SECOND, f"create table public.second (id int); alter database {name} connection limit 0;")
    try:
        result = application.apply()
        assert result.get("failed") and result["changed"], result
        assert "nothing was changed" not in result["msg"] and SECOND[:14] in result["msg"]
        assert "committed" in result["error"]["state"] and result["error"]["outcome"] == "unknown"
    finally:
        application.project.psql(f"alter database {name} connection limit -1", "supabase_admin")
    assert application.versions() == [FIRST[:14], SECOND[:14]]
    assert not application.apply()["changed"]


def test_a_document_that_cannot_be_written_does_not_hide_the_commit(application: Application, tmp_path: Path) -> None:
    application.migration(SECOND, "create table public.second (id int);")
    run_dir = tmp_path / "run"
    (run_dir / "migration.json").mkdir(parents=True)
    (run_dir / "migration.json" / "in_the_way").touch()
    result = application.apply(run_dir=str(run_dir))
    assert application.versions() == [FIRST[:14], SECOND[:14]]
    assert result.get("failed") and result["changed"], result
    assert "committed" in result["error"]["state"] and "migration.json" in result["msg"]
    assert result["error"]["outcome"] == "committed"
    assert not application.apply()["changed"]


def test_a_full_or_closed_place_for_a_document_is_told_in_words(application: Application, tmp_path: Path) -> None:
    (tmp_path / "run" / "counts-before.json" / "in_the_way").mkdir(parents=True)
    result = run_module("row_counts", run_dir=str(tmp_path / "run"), stage="before", **application.project.login)
    assert result.get("failed") and "counts-before.json" in result["msg"] and "Next: " in result["msg"]


def test_a_half_done_file_is_gone_on_with_although_it_now_fits_a_transaction(application: Application) -> None:
    application.project.psql("insert into public.orders values (101, 1)")
    concurrently = "create unique index concurrently orders_client_key on public.orders (client);"
    application.migration(SECOND, f"insert into public.clients values (10, 'ten'); {concurrently}")
    failed = application.apply()
    assert failed.get("failed") and clients(application) == ["10"]
    plain = "create index orders_client_key on public.orders (client);"
    application.migration(SECOND, f"insert into public.clients values (10, 'ten'); {plain}")
    result = application.apply()
    assert result["changed"], result
    assert clients(application) == ["10"]
    assert application.versions() == [FIRST[:14], SECOND[:14]]
    assert application.project.psql("select count(*) from pgops.statement_log") == "0"


def test_settings_made_by_a_query_are_there_again_when_a_file_is_gone_on_with(application: Application) -> None:
    application.project.psql("create schema tenant; create table tenant.clients (id int)")
    lines = [
        "select pg_catalog.set_config('search_path', 'tenant', false);",
        "vacuum missing;",
        "insert into clients values (10);",
    ]
    application.migration(SECOND, "\n".join(lines))
    assert application.apply().get("failed")
    lines[1] = "vacuum clients;"
    application.migration(SECOND, "\n".join(lines))
    result = application.apply()
    assert result["changed"], result
    assert application.project.psql("select id from tenant.clients") == "10"
    assert clients(application) == []


def test_what_a_killed_statement_left_is_put_right_although_another_stands_there_now(application: Application) -> None:
    application.project.psql("insert into public.orders values (101, 1)")
    application.migration(SECOND, "create unique index concurrently broken on public.orders (client); select 1;")
    assert application.apply().get("failed")
    # What SIGKILL leaves: the statement is begun, and its index INVALID.
    application.project.psql_result("create unique index concurrently broken on public.orders (client)")
    application.project.psql("update pgops.statement_log set state = 'started' where position >= 0")
    application.migration(SECOND, "create table public.other (id int); vacuum public.other;")
    assert application.apply()["changed"]
    assert application.project.psql("select count(*) from pg_index where not indisvalid") == "0"


def test_nothing_is_taken_back_beneath_a_file_that_is_half_done(application: Application) -> None:
    rollback = application.directory / "rollbacks" / f"{FIRST}.sql"
    rollback.parent.mkdir()
    rollback.write_text("drop table public.first;")
    application.migration(SECOND, "insert into public.first values (10); vacuum missing;")
    assert application.apply().get("failed")
    arguments = {"supabase_dir": str(application.directory), **application.project.login, "reason": "test"}
    refused = run_module("rollback", **arguments, to_version="0")
    assert refused.get("failed") and "half done" in refused["msg"], refused
    (application.directory / "migrations" / f"{SECOND}.sql").unlink()
    application.refuses("history", "half done", "there is no file for it", SECOND[:14])
    assert application.project.psql("select id from public.first") == "10"


@pytest.mark.parametrize(
    "prepare",
    [
        "create function public.no() returns trigger language plpgsql as $$ begin raise 'not today'; end $$;"
        f"create trigger no before insert on {HISTORY} for each row execute function public.no();",
    ],
)
def test_the_reason_is_told_when_recording_outside_a_transaction_fails(application: Application, prepare: str) -> None:
    application.project.psql(prepare)
    application.migration(SECOND, "insert into public.clients values (10, 'ten'); vacuum public.clients;")
    result = application.apply()
    assert result.get("failed") and "not today" in result["msg"], result["msg"]
    application.project.psql(f"drop trigger no on {HISTORY}")
    assert application.apply()["changed"]
    assert clients(application) == ["10"]


def test_the_apply_lock_survives_a_file_that_discards_everything(application: Application) -> None:
    application.migration(
        SECOND,
        "discard all; select pg_advisory_unlock_all(); create table public.seen as "
        "select count(*) n from pg_locks where locktype = 'advisory' and granted;",
    )
    application.apply()
    assert application.project.psql("select n from public.seen") == "1"


def test_an_encoding_of_their_own_is_refused(application: Application) -> None:
    application.migration(SECOND, "insert into public.clients values (10, 'Łódź');")
    result = application.apply(connect_params={"client_encoding": "LATIN1"})
    assert result["error"]["code"] == "input" and "client_encoding" in result["msg"]
    assert application.apply()["changed"]
    assert application.project.psql("select name from public.clients where id = 10") == "Łódź"


def test_strings_cannot_be_read_another_way_than_they_were_checked(application: Application) -> None:
    escape = "set standard_conforming_strings = off; create table public.escaped (id int); select 'a\\'';commit;--';"
    application.migration(SECOND, f"create table public.second (id int); {escape}")
    result = application.apply()
    assert result.get("failed"), result
    assert application.versions() == [FIRST[:14]]
    assert application.project.psql("select to_regclass('public.second') is null") == "t"
