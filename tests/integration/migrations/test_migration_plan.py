# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan tells what then happens, holds up nobody, and changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import session
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.integration.application import TABLES, Application
from tests.integration.apply.test_migration import wait_until
from tests.integration.live import LiveProject, run_module

FIRST, INDEXES, THIRD = "20260101000000_first", "20260102000000_indexes", "20260103000000_third"
# The plan's session is the one that waits for the ledger.
WAITING = "select count(*) from pg_locks where not granted and relation = 'pgops.ledger'::regclass"
LOCKED_BY_THE_PLAN = """
select distinct n.nspname || '.' || c.relname from pg_locks l join pg_class c on c.oid = l.relation
join pg_namespace n on n.oid = c.relnamespace where l.pid in (
    select pid from pg_locks where not granted and relation = 'pgops.ledger'::regclass)
"""
ALTER = "alter table public.orders add column note text, add constraint positive check (id > 0);"


@pytest.fixture
def application(project: LiveProject, tmp_path: Path) -> Application:
    """An application with three pending migrations; the one in the middle cannot be in a transaction."""
    project.psql(TABLES)
    application = Application(project, tmp_path / "supabase")
    application.migration(FIRST, ALTER)
    application.migration(INDEXES, "create index concurrently orders_client_idx on public.orders (client);")
    application.migration(THIRD, "create table public.third (id int references public.clients (id));")
    return application


def planned(application: Application, **params: Any) -> dict[str, Any]:
    """Plan twice: the same plan, and nothing is different."""
    before = application.snapshot()
    arguments = {"supabase_dir": str(application.directory), **application.project.login, **params}
    first, second = (run_module("migration_plan", **arguments) for dummy in range(2))
    assert not first.get("failed"), first["msg"]
    assert first == second and not first["changed"]
    assert application.snapshot() == before
    plan: dict[str, Any] = first["plan"]
    return plan


def test_it_tells_what_then_happens(application: Application) -> None:
    plan = planned(application)
    steps = [([m["version"] for m in step["migrations"]], step["outside_transaction"]) for step in plan["steps"]]
    assert steps == [([FIRST[:14]], False), ([INDEXES[:14]], True), ([THIRD[:14]], False)]
    assert [m["version"] for m in application.applies()["migration"]["migrations"]] == [
        version for versions, _outside in steps for version in versions
    ]
    assert planned(application)["steps"] == []


def test_it_waits_for_nobody(application: Application) -> None:
    with session(application.project.options) as holder:
        with holder.cursor() as cursor:
            cursor.execute("lock table public.orders, public.clients in access exclusive mode")
        arguments = {"supabase_dir": str(application.directory), **application.project.login}
        assert run_module("migration_plan", **arguments)["plan"]["steps"]


def test_it_locks_nothing_of_the_users(application: Application) -> None:
    """Seen from a second session while the plan's own is busy: held up at the ledger, after the history."""
    project = application.project
    application.applies(to_version=FIRST[:14])
    with session(project.superuser_options) as holder:
        with holder.cursor() as cursor:
            cursor.execute("lock table pgops.ledger in access exclusive mode")
        arguments = {"supabase_dir": str(application.directory), **project.login}
        with ThreadPoolExecutor() as threads:
            plan = threads.submit(run_module, "migration_plan", **arguments)
            wait_until(lambda: project.psql(WAITING, SUPERUSER) == "1", "the plan never came to the ledger")
            locked = project.psql(LOCKED_BY_THE_PLAN, SUPERUSER).splitlines()
            holder.rollback()
            assert plan.result()["plan"]["steps"]
    assert locked and all(name.startswith(("pg_catalog.", "supabase_migrations.", "pgops.")) for name in locked), locked


def test_the_locks_it_tells_of_are_taken(application: Application) -> None:
    plan = planned(application)
    receipt = application.apply(check=True)["migration"]["receipt"]
    taken = {(lock["relation"], lock["mode"]) for lock in receipt["locks"]}
    for number in (0, 2):
        for lock in plan["steps"][number]["migrations"][0]["locks"]:
            assert (lock["relation"], lock["mode"]) in taken


def test_its_hash_is_of_the_files_and_their_rollbacks(application: Application) -> None:
    first = planned(application)["plan_hash"]
    rollback = application.directory / "rollbacks" / f"{THIRD}.sql"
    rollback.parent.mkdir()
    rollback.write_text("drop table public.third;")
    second = planned(application)["plan_hash"]
    application.migration(FIRST, ALTER + "\n")
    third = planned(application)["plan_hash"]
    assert len({first, second, third, planned(application, to_version=FIRST[:14])["plan_hash"]}) == 4


def test_thousand_tables_outgrow_a_small_lock_table_and_are_cut(application: Application) -> None:
    """The server holds 64 locks for each of about 100 connections: seven for a table are too many for a thousand."""
    for number in range(100):
        tables = "".join(
            f"create table public.t{number}_{i} (id int primary key, name text unique);" for i in range(10)
        )
        application.migration(f"202602{number:08d}_many", tables + f"create index on public.t{number}_0 (name);")
    plan = planned(application)
    assert len(plan["steps"]) == 3 + 1
    assert all(step["lock_table_entries"] <= plan["lock_table_capacity"] for step in plan["steps"])
    result = application.apply()
    assert not result.get("failed"), result["msg"]
    assert application.project.psql("select count(*) from pg_tables where tablename ~ '^t[0-9]+_'") == "1000"
