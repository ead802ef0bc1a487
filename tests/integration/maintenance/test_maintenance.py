# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's writes stopped and let on again, with psql as the judge; each case two times."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.job import How, turn_on
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.record import Claim
from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, RunModule

API_ROLES = ("anon", "authenticated", "service_role")
DATABASE = {"strategy": "database", "drain_seconds": 0.5}
READ_ONLY = "read-only transaction"
SETTINGS = """
select coalesce(string_agg(setting, ','), '') from pg_db_role_setting s, unnest(setconfig) setting where setrole = 0
and setdatabase = (select oid from pg_database where datname = current_database()) and setting like 'default_tr%'
"""


@pytest.fixture
def shop(project: LiveProject) -> LiveProject:
    """An application with rows that its API may write."""
    project.psql(TABLES)
    project.psql(
        "grant select, insert, update, delete on all tables in schema public to anon, authenticated, service_role"
    )
    return project


def session_of(project: LiveProject, user: str, *, program: str = "api") -> Any:
    """A session as a program of the application holds it in its pool."""
    connection = psycopg2.connect(
        host=project.server.host,
        port=project.server.port,
        user=user,
        password=project.server.passwords[user],
        dbname=project.database,
        application_name=program,
    )
    connection.autocommit = True
    return connection


def write_as(project: LiveProject, role: str, user: str = "authenticator", begin: str = "begin") -> Any:
    sql = f"{begin}; set local role {role}; insert into public.clients values (100, 'new'); rollback;"
    return project.psql_result(sql, user)


def on(run_module: RunModule, project: LiveProject, how: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return run_module("maintenance", **project.login, state="on", how=DATABASE if how is None else how, **more)


def off(run_module: RunModule, project: LiveProject, how: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return run_module("maintenance", **project.login, state="off", how=DATABASE if how is None else how, **more)


def acl(project: LiveProject) -> str:
    """Who may connect, in whatever order, with the default written out."""
    return project.psql(
        "select string_agg(a::text, ' ' order by a::text) from pg_database d, "
        "unnest(coalesce(d.datacl, acldefault('d', datdba))) a where datname = current_database()"
    )


@pytest.mark.parametrize("keep_api_reads", [False, True])
def test_writes_stop_and_go_on(shop: LiveProject, run_module: RunModule, keep_api_reads: bool, tmp_path: Path) -> None:
    password = shop.server.passwords["authenticator"]
    how = {**DATABASE, "keep_api_reads": keep_api_reads, "authenticator_password": password}
    may_connect = acl(shop)
    for number in range(2):
        run_dir = tmp_path / str(number)
        pooled = session_of(shop, "authenticator")
        foreseen = on(run_module, shop, how, check=True, diff=True)
        assert foreseen["changed"] and shop.psql("show default_transaction_read_only") == "off"
        assert foreseen["diff"]["after"] == "the application's writes are stopped\n"

        stopped = on(run_module, shop, how, run_dir=str(run_dir))
        assert stopped["changed"], stopped
        told = stopped["maintenance"]
        assert told["on"] and told["ours"] and told["sessions_ended"] == 1
        assert {proof["passed"] for proof in told["proofs"]} <= {True, None}
        assert password not in json.dumps(stopped)
        with pytest.raises(psycopg2.Error):
            pooled.cursor().execute("select 1")
        # A person with psql, who has no part in any of it.
        assert READ_ONLY in shop.psql_error("insert into public.clients values (100, 'new')")
        for role in API_ROLES:
            said = write_as(shop, role).stderr
            assert (READ_ONLY if keep_api_reads else "permission denied for database") in said
            assert READ_ONLY in write_as(shop, role, "postgres").stderr
        if keep_api_reads:
            assert shop.psql("set role anon; select count(*) from public.clients", "authenticator") == "3"
            assert any("READ WRITE" in warning for warning in told["warnings"])
        assert shop.psql("select strategy, run_id is null, host <> '' from pgops.maintenance") == "database|t|t"

        again = on(run_module, shop, how, run_dir=str(run_dir))
        assert not again["changed"] and again["maintenance"]["since"] == told["since"]
        assert again["maintenance"]["proofs"] == told["proofs"]

        begun_meanwhile = session_of(shop, "postgres", program="worker")
        released = off(run_module, shop, how, run_dir=str(run_dir))
        assert released["changed"] and not released["maintenance"]["on"], released
        assert released["maintenance"]["sessions_renewed"] == 1
        with pytest.raises(psycopg2.Error):
            begun_meanwhile.cursor().execute("select 1")
        for role in API_ROLES:
            assert write_as(shop, role).returncode == 0
            assert write_as(shop, role, begin="begin read write").returncode == 0
        assert shop.psql(SETTINGS) == "" and acl(shop) == may_connect
        document = json.loads((run_dir / "maintenance.json").read_text())
        assert document["until"] > document["since"] and document["seconds"] > 0 and not document["on"]
        assert [proof["found"] for proof in document["proofs"]][-1] == "off"
        assert not off(run_module, shop, how)["changed"]


def test_what_the_owner_had_set_is_there_again(shop: LiveProject, run_module: RunModule) -> None:
    for name in ("dashboard_user", "authenticator"):
        shop.psql(f'grant connect on database "{shop.database}" to {name}')
    shop.psql(f'alter database "{shop.database}" set default_transaction_read_only = on')
    before, may_connect = shop.psql(SETTINGS), acl(shop)
    for _time in range(2):
        assert on(run_module, shop)["changed"]
        assert "permission denied for database" in write_as(shop, "anon").stderr
        assert off(run_module, shop)["changed"]
        assert (shop.psql(SETTINGS), acl(shop)) == (before, may_connect)


def test_the_grant_option_is_there_again(shop: LiveProject, run_module: RunModule) -> None:
    shop.psql(f'grant connect on database "{shop.database}" to authenticator with grant option')
    before = acl(shop)
    for _time in range(2):
        assert on(run_module, shop)["changed"] and off(run_module, shop)["changed"]
        assert acl(shop) == before


def test_two_that_are_the_first_at_the_same_moment(shop: LiveProject) -> None:
    said: list[str] = []

    def stop(number: int) -> None:
        try:
            turn_on(shop.options, How(strategy="sql", sql_on="select 1", sql_off="select 1"), claims[number])
        except Exception as error:
            said.append(getattr(error, "code", repr(error)))

    for _time in range(2):
        shop.psql("drop table if exists pgops.maintenance")
        claims = [Claim(f"run-{number}", "somebody", "here") for number in range(4)]
        # All have looked before one makes the table, which this lock lets none of them do.
        held = session_of(shop, "postgres")
        held.cursor().execute("select pg_advisory_lock(1885826931, 1835100526)")
        threads = [threading.Thread(target=stop, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        held.close()
        for thread in threads:
            thread.join()
        assert shop.psql("select count(*) from pgops.maintenance") == "1"
        # Their leases are nobody's, so each may take over what the one before left.
        assert set(said) <= {"busy"}, said


def test_what_somebody_put_back_meanwhile_is_set_again(shop: LiveProject, run_module: RunModule) -> None:
    on(run_module, shop)
    for _time in range(2):
        shop.psql(f'set default_transaction_read_only = off; alter database "{shop.database}" reset all')
        assert on(run_module, shop)["changed"]
        assert READ_ONLY in shop.psql_error("insert into public.clients values (100, 'new')")
    assert not on(run_module, shop)["changed"]
    off(run_module, shop)
    assert shop.psql(SETTINGS) == ""


def test_an_open_transaction_may_end_first(shop: LiveProject, run_module: RunModule) -> None:
    for wait, survives in ((0.4, True), (5.0, False)):
        busy = session_of(shop, "authenticator")
        cursor = busy.cursor()
        cursor.execute("begin; set local role authenticated")
        cursor.execute(f"insert into public.clients values ({int(wait * 1000)}, 'slow')")
        result: list[str] = []

        def finish(cursor: Any, wait: float, result: list[str]) -> None:
            try:
                cursor.execute(f"select pg_sleep({wait})")
                cursor.execute("commit")
                result.append("committed")
            except psycopg2.Error:
                result.append("ended")

        thread = threading.Thread(target=finish, args=(cursor, wait, result))
        thread.start()
        assert on(run_module, shop, {**DATABASE, "drain_seconds": 1.5})["changed"]
        thread.join()
        assert result == ["committed" if survives else "ended"]
        off(run_module, shop)
    assert shop.psql("select id from public.clients where name = 'slow'") == "400"


@contextlib.contextmanager
def writing(project: LiveProject, user: str, first: str, begin: str) -> Iterator[None]:
    """A program that begins anew whenever its session is ended, and writes a hundred times a second."""
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            with contextlib.suppress(psycopg2.Error):
                cursor = session_of(project, user, program="stubborn").cursor()
                cursor.execute(first)
                while not ended.wait(0.01):
                    cursor.execute(f"{begin}; update public.orders set client = 1 where id = 1; commit")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        time.sleep(0.5)
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("revoked", ["connect", "all"])
def test_what_a_migration_revokes_of_the_database_meanwhile_stays_revoked(
    shop: LiveProject, run_module: RunModule, revoked: str
) -> None:
    connect = "select has_database_privilege('{}', current_database(), 'connect')"
    public = "select count(*) from pg_database, aclexplode(datacl) where datname = current_database() and grantee = 0 and privilege_type = 'CONNECT'"
    for _round in range(2):
        assert on(run_module, shop)["changed"]
        shop.psql(f'begin read write; revoke {revoked} on database "{shop.database}" from public; commit')
        let_on = off(run_module, shop)
        assert let_on["changed"], let_on
        assert any(
            f'GRANT CONNECT ON DATABASE "{shop.database}" TO PUBLIC;' in w for w in let_on["maintenance"]["warnings"]
        )
        assert shop.psql(public) == "0"
        # Nobody who logged in is locked out.
        assert shop.psql("select 1", "authenticator") == "1"
        assert shop.psql(connect.format("postgres")) == "t"
        shop.psql(f'grant connect on database "{shop.database}" to public')
    # Asked twice and put back in between, it is the module's own change.
    assert on(run_module, shop)["changed"]
    assert off(run_module, shop)["maintenance"]["warnings"] == []
    assert shop.psql(public) == "1"


@pytest.mark.parametrize(
    ("user", "first", "begin", "keep_api_reads"),
    [
        ("authenticator", "select 1", "begin read write; set local role service_role", True),
        ("postgres", "set default_transaction_read_only = off", "begin", False),
    ],
)
def test_who_sets_it_back_is_found_and_the_writes_are_on_again(
    shop: LiveProject, run_module: RunModule, user: str, first: str, begin: str, keep_api_reads: bool
) -> None:
    may_connect = acl(shop)
    with writing(shop, user, first, begin):
        for _time in range(2):
            refused = on(run_module, shop, {**DATABASE, "keep_api_reads": keep_api_reads})
            assert refused.get("failed") and refused["error"]["code"] == "verification", refused
            assert "Writes are not stopped" in refused["msg"] and "Next: " in refused["msg"]
            assert refused["error"]["outcome"] == "unchanged"
            assert (shop.psql(SETTINGS), acl(shop)) == ("", may_connect)
            assert shop.psql("select count(*) from pgops.maintenance") == "0"
            assert write_as(shop, "anon").returncode == 0


def test_the_api_that_begins_with_read_write_is_stopped_by_default(shop: LiveProject, run_module: RunModule) -> None:
    with writing(shop, "authenticator", "select 1", "begin read write; set local role service_role"):
        for _time in range(2):
            assert on(run_module, shop)["changed"]
            written = "select n_tup_upd from pg_stat_user_tables where relname = 'orders'"
            time.sleep(1.2)
            before = shop.psql(written)
            time.sleep(1.2)
            assert shop.psql(written) == before
            assert off(run_module, shop)["changed"]
            time.sleep(2.5)
            assert int(shop.psql(written)) > int(before)


def test_a_role_with_a_setting_of_its_own_is_named(shop: LiveProject, run_module: RunModule) -> None:
    shop.psql(
        f"create role etl_{shop.database} login; alter role etl_{shop.database} set default_transaction_read_only = off"
    )
    try:
        for _time in range(2):
            refused = on(run_module, shop)
            assert refused.get("failed") and f"etl_{shop.database}" in refused["msg"]
            assert shop.psql(SETTINGS) == "" and write_as(shop, "anon").returncode == 0
    finally:
        shop.psql(f"drop role etl_{shop.database}")


def test_a_superusers_session_is_said(shop: LiveProject, run_module: RunModule) -> None:
    with contextlib.closing(session_of(shop, "supabase_admin", program="realtime")) as platform:
        for _time in range(2):
            told = on(run_module, shop)["maintenance"]
            assert any("supabase_admin (realtime, 1)" in warning for warning in told["warnings"])
            platform.cursor().execute(
                "insert into public.clients values (100, 'x'); delete from public.clients where id = 100"
            )
            assert any("realtime" in warning for warning in off(run_module, shop)["maintenance"]["warnings"])


def test_the_collection_works_while_it_is_on(shop: LiveProject, run_module: RunModule, tmp_path: Path) -> None:
    application = Application(shop, tmp_path / "supabase")
    application.migration(
        "20260101000000_first", "reset all; create table public.first (id int); insert into public.first values (1);"
    )
    application.migration("20260102000000_second", "create index concurrently second on public.orders (client);")
    application.way_back("20260101000000_first", "drop table public.first;")
    assert on(run_module, shop)["changed"]
    application.applies()
    assert shop.psql("select count(*) from public.first") == "1"
    assert run_module("row_counts", **shop.login)["row_counts"]["tables"]
    assert application.info()["migration_info"]["maintenance"]["strategy"] == "database"
    off(run_module, shop)
    assert application.info()["migration_info"]["maintenance"] is None


def test_whose_it_is(shop: LiveProject, run_module: RunModule) -> None:
    for _time in range(2):
        # A person's is nobody else's.
        on(run_module, shop)
        found = on(run_module, shop, run_id="run-1")
        assert (found["changed"], found["maintenance"]["ours"], found["maintenance"]["on"]) == (False, False, True)
        assert not off(run_module, shop, run_id="run-1")["changed"]
        assert not off(run_module, shop, only_left_behind=True)["changed"]
        assert READ_ONLY in shop.psql_error("insert into public.clients values (100, 'new')")
        assert off(run_module, shop)["changed"]
        # A living run's neither.
        run_module("run_lease", **shop.login, run_id="run-1")
        assert on(run_module, shop, run_id="run-1")["changed"]
        for action in (on, off):
            refused = action(run_module, shop)
            assert refused.get("failed") and refused["error"]["code"] == "busy" and "run run-1" in refused["msg"]
        assert not off(run_module, shop, run_id="run-2")["changed"]
        # A dead run's is taken over, and let on again.
        run_module("run_lease", **shop.login, run_id="run-1", state="released")
        since = shop.psql("select since from pgops.maintenance")
        assert on(run_module, shop, run_id="run-2")["changed"]
        assert shop.psql("select run_id, since from pgops.maintenance") == f"run-2|{since}"
        assert off(run_module, shop, {}, only_left_behind=True)["changed"]
        assert shop.psql(SETTINGS) == "" and write_as(shop, "anon").returncode == 0


FLAG = "create table public.flags (name text primary key, is_on boolean not null); insert into public.flags values ('maintenance', false)"
SQL = {
    "strategy": "sql",
    "sql_on": "update public.flags set is_on = true where name = 'maintenance'",
    "sql_off": "update public.flags set is_on = false where name = 'maintenance'",
    "sql_proof": "select is_on from public.flags where name = 'maintenance'",
}


def test_the_applications_own_flag(shop: LiveProject, run_module: RunModule) -> None:
    shop.psql(FLAG)
    for _time in range(2):
        assert on(run_module, shop, SQL)["changed"]
        assert shop.psql(SQL["sql_proof"]) == "t"
        assert not on(run_module, shop, SQL)["changed"]
        assert on(run_module, shop)["failed"]
        assert "sql_off" in off(run_module, shop, {})["msg"]
        assert off(run_module, shop, SQL)["changed"]
        assert shop.psql(SQL["sql_proof"]) == "f"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"sql_on": "update public.flag set is_on = true"}, 'relation "public.flag" does not exist'),
        ({"sql_on": "select 1"}, "sql_proof says false where true is expected"),
        ({"sql_proof": "select 1, 2"}, "no single boolean"),
        ({"sql_proof": "selec"}, "syntax error"),
        ({"sql_off": None}, "needs sql_off"),
        ({"strategy": "none"}, "must be one of"),
    ],
)
def test_sql_that_fails_changes_nothing(shop: LiveProject, run_module: RunModule, change: Any, text: str) -> None:
    shop.psql(FLAG)
    for _time in range(2):
        refused = on(run_module, shop, {**SQL, **change})
        assert refused.get("failed") and text in refused["msg"], refused
        assert shop.psql("select is_on from public.flags") == "f"
        there = shop.psql("select to_regclass('pgops.maintenance') is not null") == "t"
        assert not there or shop.psql("select count(*) from pgops.maintenance") == "0"


def test_an_endpoint_that_is_down_leaves_nothing_behind(shop: LiveProject, run_module: RunModule) -> None:
    nobody = {"url": "http://127.0.0.1:9/s3cret"}
    for _time in range(2):
        refused = on(run_module, shop, {"strategy": "http", "http_on": nobody, "http_off": nobody})
        assert refused.get("failed") and "The request of http_on was not answered" in refused["msg"]
        assert refused["error"]["outcome"] == "unknown" and "s3cret" not in json.dumps(refused)
        assert shop.psql("select count(*) from pgops.maintenance") == "0"
