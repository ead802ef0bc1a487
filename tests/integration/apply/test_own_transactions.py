# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that make transactions of their own, and enum values that one file adds and the next one uses; the CLI beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration import snapshots
from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, NewProject, run_module
from tests.integration.supabase_cli import SupabaseCli

# The second transaction uses what only a commit makes usable.
ENUM = """
begin;
create type public.kind as enum ('a');
commit;
alter type public.kind add value 'new';
commit;
begin;
create table public.kinds (id int primary key, kind public.kind default 'new');
create index kinds_new on public.kinds (id) where kind = 'new';
commit;
insert into public.kinds (id) values (1);
"""
ADDS = "create type public.kind as enum ('a');"
ADDS_MORE = "alter type public.kind add value 'new';"
USES = "create table public.kinds (id int, kind public.kind default 'new'); insert into public.kinds values (1);"
FILES = {
    "two_transactions": {"20260101000000_enum": ENUM},
    "enum_in_the_next_file": {"20260101000000_a": ADDS, "20260102000000_b": ADDS_MORE, "20260103000000_c": USES},
    "settings_around": {
        "20260101000000_a": "set statement_timeout = 0; begin; create table public.a (x int); commit; notify pgrst, 'reload schema';"
    },
    "serializable": {"20260101000000_a": "begin isolation level serializable; create table public.a (x int); commit;"},
}


@pytest.fixture
def application(project: LiveProject, tmp_path: Path) -> Application:
    project.psql(TABLES)
    return Application(project, tmp_path / "app" / "supabase")


@pytest.mark.parametrize("case", FILES)
def test_the_same_as_the_cli(cli: SupabaseCli, new_project: NewProject, case: str, tmp_path: Path) -> None:
    theirs, ours = new_project(), new_project()
    application = Application(ours, tmp_path / "app" / "supabase")
    for name, text in FILES[case].items():
        application.migration(name, text)
    cli.push(theirs, application.directory)
    tried = application.apply(check=True)
    assert not tried.get("failed"), tried
    assert ours.psql("select to_regclass('supabase_migrations.schema_migrations')") == ""
    for changed in (True, False):
        result = application.apply()
        assert result.get("changed") is changed, result
    history = "select version, name, statements from supabase_migrations.schema_migrations order by 1"
    assert ours.psql(history) == theirs.psql(history)
    schema = "select pg_get_userbyid(relowner), relname, relkind from pg_class where relnamespace = 'public'::regnamespace order by 2"
    assert ours.psql(schema) == theirs.psql(schema)
    assert cli.listed(ours, application.directory) == cli.listed(theirs, application.directory)


def test_a_part_that_fails_is_rolled_back_and_what_is_before_it_stays(application: Application) -> None:
    name = "20260101000000_parts"
    first = "begin; create table public.one (x int); insert into public.one values (1); commit;\n"
    second = "begin;\ncreate table public.two (x int);\ninsert into public.two values (1 / (select 0));\ncommit;\n"
    file = application.migration(name, first + second)
    for _time in range(2):
        result = application.apply()
        assert result["failed"] and result["error"]["outcome"] == "partial", result
        assert result["error"]["where"].startswith(f"{file}:4:")
        assert "the 2 statements before its transaction" in result["error"]["state"]
        assert application.project.psql("select count(*) from public.one") == "1"
        assert application.project.psql("select to_regclass('public.two')") == ""
        assert application.info()["migration_info"]["half_done"][0]["finished"] == 2
    application.migration(name, first + second.replace("(select 0)", "(select 1)"))
    for changed in (True, False):
        result = application.apply()
        assert result.get("changed") is changed, result
    assert application.project.psql("select count(*) from public.one") == "1"
    assert application.project.psql("select count(*) from public.two") == "1"
    assert application.versions() == ["20260101000000"]


def test_a_deferred_constraint_is_refused_with_its_part(application: Application) -> None:
    application.migration(
        "20260101000000_parts",
        "select 1; commit;\nalter table public.orders alter constraint orders_client_fkey deferrable initially deferred;\n"
        "commit;\ninsert into public.orders values (999, 999);\n",
    )
    result = application.apply()
    assert result["failed"] and "orders_client_fkey" in result["msg"], result
    assert application.project.psql("select count(*) from public.orders where id = 999") == "0"


def test_the_plan_says_where_the_transactions_are(application: Application) -> None:
    application.migration("20260101000000_enum", ENUM)
    plans: list[dict[str, Any]] = [
        run_module("migration_plan", supabase_dir=str(application.directory), **application.project.login)["plan"]
        for _time in range(2)
    ]
    assert plans[0]["plan_hash"] == plans[1]["plan_hash"]
    (step,) = plans[0]["steps"]
    assert step["outside_transaction"] is True
    reasons = step["migrations"][0]["outside_transaction"]
    assert len(reasons) == 4 and reasons[0].endswith(":3:1: transaction 1 of the 4 that the file makes")


def test_a_rollback_is_one_transaction(application: Application) -> None:
    application.migration("20260101000000_a", "create table public.a (x int);")
    rollback = application.directory / "rollbacks" / "20260101000000_a.sql"
    rollback.parent.mkdir()
    rollback.write_text("begin; drop table public.a; commit; begin; select 1; commit;")
    assert application.apply()["changed"]
    before = snapshots.take(application.project, application.directory)
    arguments = {"supabase_dir": str(application.directory), "reason": "wrong", **application.project.login}
    for _time in range(2):
        result = run_module("rollback", **arguments)
        assert result["failed"] and "middle of a file" in result["msg"]
        assert snapshots.take(application.project, application.directory) == before
