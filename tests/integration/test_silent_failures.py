# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Six ways in which community.postgresql fails silently, and ten of the Supabase CLI; each beside what ours does instead.

The peers really run here, in the releases that are named in docs/why.md. Where a peer has been mended, its test fails:
then its row there is to be corrected. Ours runs two times: done and nothing more to do, or refused and refused again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, session
from tests.integration import community_postgresql
from tests.integration.application import TABLES, Application
from tests.integration.backups import content_of, from_archive, small_disk, wait_until, waiting_pg_dump
from tests.integration.community_postgresql import CommunityPostgresql
from tests.integration.live import CLONE, LiveProject, NewProject, run_module
from tests.integration.supabase_cli import SupabaseCli

FIRST, SECOND, THIRD = "20260101000000_first", "20260102000000_second", "20260103000000_third"
VERSIONS = [FIRST[:14], SECOND[:14], THIRD[:14]]
ROLLED_BACK = "State: the transaction was rolled back: catalog and data are as they were before."
WAITING = "pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
SESSIONS = "pg_stat_activity where datname = current_database() and application_name like 'pgops%'"
# A PATH without programs: one way for a dump to fail, as the CLI's needs Docker and ours pg_dump.
NO_PROGRAMS = "/nonexistent"

BackUp = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def peer() -> CommunityPostgresql:
    """The other collection."""
    return community_postgresql.installed()


@pytest.fixture
def ours(project: LiveProject, tmp_path: Path) -> Application:
    """A project with some tables, without migrations; also what a peer works on when it leaves nothing behind."""
    project.psql(TABLES)
    return Application(project, tmp_path / "ours" / "supabase")


@pytest.fixture
def theirs(new_project: NewProject, tmp_path: Path) -> Application:
    """The same for the peer."""
    project = new_project()
    project.psql(TABLES)
    return Application(project, tmp_path / "theirs" / "supabase")


@pytest.fixture
def back_up(ours: Application, tmp_path: Path) -> BackUp:
    """Back up our project, by default into the first run's directory."""

    def run(**params: Any) -> dict[str, Any]:
        return run_module(
            "backup", **{**ours.project.login, "project": "p", "run_dir": str(tmp_path / "runs" / "run1"), **params}
        )

    return run


def script(directory: Path, content: str) -> Path:
    """A file for the modules of community.postgresql that run one."""
    path = directory / "script.sql"
    path.write_text(content, "utf-8")
    return path


def existing(project: LiveProject, *tables: str) -> list[str]:
    """Those of the tables that psql finds."""
    return [table for table in tables if project.psql(f"select to_regclass('public.{table}') is not null") == "t"]


# --- community.postgresql


def test_community_postgresql_1_a_dump_that_fails(
    peer: CommunityPostgresql, ours: Application, back_up: BackUp, tmp_path: Path
) -> None:
    """The shell empties the peer's target before pg_dump has said a word; ours never touches an older backup."""
    target = tmp_path / "dump.sql"
    dump: dict[str, Any] = {"name": ours.project.database, "state": "dump", "target": target}
    assert peer.run("postgresql_db", ours.project, **dump)["changed"]
    assert "CREATE TABLE public.clients" in target.read_text("utf-8")
    assert peer.run("postgresql_db", ours.project, **dump, login_password="changed since")["failed"]
    assert target.read_bytes() == b""

    assert back_up()["changed"]
    before = content_of(tmp_path / "runs")
    for name in ("run1/second", "run1/third"):
        refused = back_up(path=str(tmp_path / "runs" / name), login_password="changed since")
        assert refused["failed"] and "password authentication failed" in refused["msg"], refused
        assert content_of(tmp_path / "runs") == before
        with waiting_pg_dump(back_up, ours.project, tmp_path / "runs" / name) as (dummy, results):
            assert results == []
        assert results[0]["failed"], results
        assert "pg_dump failed" in results[0]["msg"]
        assert "terminating connection due to administrator command" in results[0]["msg"]
        assert "earlier backups are untouched" in results[0]["msg"]
        assert content_of(tmp_path / "runs") == before


def test_community_postgresql_2_a_full_disk(
    peer: CommunityPostgresql, ours: Application, back_up: BackUp, tmp_path: Path
) -> None:
    """The peer asks pg_dump how it went, not the program that compresses; ours fails and leaves nothing."""
    # A device that is full on every machine and for every user.
    target = tmp_path / "dump.sql.gz"
    target.symlink_to("/dev/full")
    dumped = peer.run("postgresql_db", ours.project, name=ours.project.database, state="dump", target=target)
    assert dumped["changed"] and dumped["rc"] == 0, dumped

    ours.project.psql("create table public.large as select gen_random_uuid() from generate_series(1, 200000)")
    disk = tmp_path / "disk"
    with small_disk(disk) as full:
        for dummy in range(2):
            result = back_up(path=str(disk / "backup"), format="custom", space_factor=0)
            assert result["failed"], result
            assert "the unfinished backup was removed" in result["msg"]
            if full:
                assert f"There is no space for the backup in {disk}" in result["msg"]
                assert result["error"]["details"]["free_bytes"] > 1_000_000
            assert list(disk.iterdir()) == []
        if full:
            refused = back_up(path=str(disk / "backup"))
            assert "There is no space" in refused["msg"] and "nothing was written" in refused["msg"]


def test_community_postgresql_3_verify_full(
    peer: CommunityPostgresql, ours: Application, back_up: BackUp, tmp_path: Path
) -> None:
    """The peer's dump knows nothing of ssl_mode: it goes in plaintext, here because the server has nothing else."""
    assert ours.project.psql("show ssl") == "off"
    target = tmp_path / "dump.sql"
    dump: dict[str, Any] = {"name": ours.project.database, "state": "dump", "target": target, "ssl_mode": "verify-full"}
    assert peer.run("postgresql_db", ours.project, **dump)["changed"]
    assert "three" in target.read_text("utf-8")

    for dummy in range(2):
        result = back_up(ssl_mode="verify-full")
        assert result["failed"] and "server does not support SSL, but SSL was required" in result["msg"], result
        assert not (tmp_path / "runs").exists()


def test_community_postgresql_4_a_broken_statement(
    peer: CommunityPostgresql, ours: Application, theirs: Application, tmp_path: Path
) -> None:
    """The peer restores a script with psql, which goes on after errors; with us SQL is run as a migration, whole or not."""
    sql = "create table public.before (id int);\ninsert into public.missing values (1);\ncreate table public.after (id int);\n"
    restore: dict[str, Any] = {"name": theirs.project.database, "state": "restore", "target": script(tmp_path, sql)}
    restored = peer.run("postgresql_db", theirs.project, **restore)
    assert restored["changed"] and restored["rc"] == 0, restored
    assert existing(theirs.project, "before", "after") == ["before", "after"]

    file = ours.migration(FIRST, sql)
    ours.refuses("statement", 'relation "public.missing" does not exist', f"Where: {file}:2:13", ROLLED_BACK)
    assert existing(ours.project, "before", "after") == []


def test_community_postgresql_5_a_transaction_of_its_own(
    peer: CommunityPostgresql, ours: Application, theirs: Application, tmp_path: Path
) -> None:
    """What the peer's script has committed stays and nobody knows; with us it is on record. And numbers stay exact."""
    sql = "begin;\ncreate table public.kept (id int);\ncommit;\nselect 1 / 0;\n"
    kept = peer.run("postgresql_script", theirs.project, login_db=theirs.project.database, path=script(tmp_path, sql))
    assert kept["failed"] and existing(theirs.project, "kept") == ["kept"]

    file = ours.migration(FIRST, sql)
    for dummy in range(2):
        result = ours.apply()
        assert result["failed"] and result["error"]["where"] == f"{file}:4:1", result
        assert result["error"]["outcome"] == "partial" and "1 statement before it" in result["error"]["state"]
        assert existing(ours.project, "kept") == ["kept"]
    ours.migration(FIRST, sql.replace("1 / 0", "1"))
    ours.applies()
    ours.project.psql(
        "drop table public.kept; delete from supabase_migrations.schema_migrations; drop schema pgops cascade"
    )
    ours.migration(FIRST, "begin;\ncreate table public.kept (id int);\nselect 1 / 0;\ncommit;\n")
    ours.refuses("statement", "division by zero", f"Where: {file}:3:1", ROLLED_BACK)
    assert existing(ours.project, "kept") == []

    number: dict[str, Any] = {"query": "select 9007199254740993::numeric as n"}
    read = peer.run("postgresql_query", theirs.project, login_db=theirs.project.database, **number)
    assert read["query_result"] == [{"n": 9007199254740992}]
    for value, failed in ((9007199254740993, False), (9007199254740992, True)) * 2:
        check = {"name": "exact", "expect": f"[0].n == `{value}`", **number}
        result = run_module("validation", **ours.project.login, checks=[check])
        assert bool(result.get("failed")) is failed, result


def test_community_postgresql_6_check_mode_without_a_database(
    peer: CommunityPostgresql, ours: Application, back_up: BackUp, tmp_path: Path
) -> None:
    """The peer's check mode of a dump does not even connect; ours checks all that can be checked without writing."""
    dump: dict[str, Any] = {"name": "not_there", "state": "dump", "target": tmp_path / "dump.sql"}
    assert not peer.run("postgresql_db", ours.project, **dump, check=True).get("failed")
    assert "does not exist" in peer.run("postgresql_db", ours.project, **dump)["msg"]

    for check in (True, False) * 2:
        result = back_up(login_db="not_there", check=check)
        assert result["failed"] and 'database "not_there" does not exist' in result["msg"], result
        assert not (tmp_path / "runs").exists()


# --- the Supabase CLI


def push(cli: SupabaseCli, theirs: Application) -> subprocess.CompletedProcess[str]:
    """Push with the CLI, whatever comes of it."""
    return cli.run(theirs.project, theirs.directory, "db", "push")


def test_supabase_cli_1_commit_inside_a_file(cli: SupabaseCli, ours: Application, theirs: Application) -> None:
    """The CLI loses what comes after the COMMIT, later files and the history, and does the rest again at each push."""
    for application in (theirs, ours):
        application.migration(FIRST, "create table public.first (id int);\n")
        application.migration(
            SECOND, "insert into public.first values (1);\nCOMMIT; BEGIN;\ninsert into public.first values (2);\n"
        )
        application.migration(THIRD, "create table public.third (id int);\n")
    for rows in ("1", "1\n1"):
        pushed = push(cli, theirs)
        assert pushed.returncode == 0 and "Finished" in pushed.stdout, pushed
        assert theirs.project.psql("select id from public.first") == rows
        assert theirs.versions() == VERSIONS[:1]
        assert existing(theirs.project, "third") == []

    where = f"Where: {ours.directory / 'migrations' / SECOND}.sql:2:9"
    ours.refuses("sql_script", "left open", where, "State: nothing was changed")
    assert existing(ours.project, "first", "third") == []


def test_supabase_cli_2_lock_table(cli: SupabaseCli, ours: Application, theirs: Application) -> None:
    """The CLI runs a file in no transaction that LOCK TABLE would accept; with us every plain file is in one."""
    for application in (theirs, ours):
        application.migration(FIRST, "lock table public.clients;\nupdate public.clients set name = upper(name);\n")
    for dummy in range(2):
        pushed = push(cli, theirs)
        assert pushed.returncode == 1 and "25P01" in pushed.stderr, pushed
    assert theirs.project.psql("select name from public.clients where id = 1") == "one"

    ours.applies()
    assert ours.project.psql("select name from public.clients where id = 1") == "ONE"


def test_supabase_cli_3_concurrently_and_then_a_failure(
    cli: SupabaseCli, ours: Application, theirs: Application
) -> None:
    """The CLI forgets that the index is there, so the file can never be pushed again; we go on where it stopped."""
    sql = "create index concurrently by_client on public.orders (client);\nalter table public.orders add check (id < 100);\n"
    for application in (theirs, ours):
        application.migration(FIRST, sql)
    index = "select indisvalid from pg_index where indexrelid = 'public.by_client'::regclass"
    for complaint in ("23514", '"by_client" already exists'):
        pushed = push(cli, theirs)
        assert pushed.returncode == 1 and complaint in pushed.stderr, pushed
        assert theirs.project.psql(index) == "t" and theirs.versions() == []
    theirs.project.psql("delete from public.orders where id = 100")
    assert '"by_client" already exists' in push(cli, theirs).stderr

    for dummy in range(2):
        result = ours.apply()
        assert result["failed"] and "[23514]" in result["msg"] and f"{FIRST}.sql:2:1" in result["msg"], result
        assert "goes on at this statement" in result["error"]["next_step"]
        assert ours.project.psql(index) == "t" and ours.versions() == []
        [half_done] = ours.info()["migration_info"]["half_done"]
        assert (half_done["version"], half_done["finished"]) == (VERSIONS[0], 1)
    ours.project.psql("delete from public.orders where id = 100")
    ours.applies()
    assert ours.versions() == VERSIONS[:1]


def test_supabase_cli_4_an_edited_file(cli: SupabaseCli, ours: Application) -> None:
    """The CLI compares versions only; we compare what is in the file, here with what the CLI itself has recorded."""
    sql = "create table public.first (id int);\n"
    file = ours.migration(FIRST, sql)
    assert push(cli, ours).returncode == 0
    ours.migration(FIRST, f"-- only a comment more\n{sql}")
    assert ours.info()["migration_info"]["edited"] == []

    ours.migration(FIRST, f"{sql}create table public.second (id int);\n")
    for dummy in range(2):
        pushed = push(cli, ours)
        assert pushed.returncode == 0 and "up to date" in pushed.stdout + pushed.stderr, pushed
        assert cli.listed(ours.project, ours.directory) == {VERSIONS[0]: True}
        found = ours.info()["migration_info"]
        assert found["edited"] == VERSIONS[:1] and found["applied"] == []
    ours.refuses("history", file.name)
    assert existing(ours.project, "second") == []

    ours.migration(FIRST, sql)
    assert ours.info()["migration_info"]["problems"] == []


def test_supabase_cli_5_two_at_once(cli: SupabaseCli, ours: Application, theirs: Application) -> None:
    """Two pushes both find the file pending, and both run it; only the history's key stops one, when it is too late for
    what cannot be rolled back. Of two of ours exactly one runs it."""
    for application in (theirs, ours):
        application.migration(FIRST, "create table public.payments (amount int);\n")
    assert push(cli, theirs).returncode == 0 and ours.apply()["changed"]
    for application in (theirs, ours):
        application.migration(SECOND, "insert into public.payments values (100);\nvacuum public.payments;\n")
    with ThreadPoolExecutor() as pool, session(theirs.project.options) as holder:
        execute(holder, "lock table public.payments")
        pushes = [pool.submit(push, cli, theirs) for dummy in range(2)]
        wait_until(lambda: theirs.project.psql(f"select count(*) from {WAITING}") == "2", "they do not both run it")
        holder.commit()
        assert sorted(one.result().returncode for one in pushes) == [0, 1]
    assert theirs.project.psql("table public.payments") == "100\n100"

    with ThreadPoolExecutor() as pool, session(ours.project.options) as holder:
        execute(holder, "lock table public.payments")
        applying = [pool.submit(ours.apply, lock_timeout_seconds=60, lock_wait_seconds=60) for dummy in range(2)]
        wait_until(lambda: ours.project.psql(f"select count(*) from {WAITING}") == "1", "none has begun")
        wait_until(lambda: int(ours.project.psql(f"select count(*) from {SESSIONS}")) > 2, "the other is not there")
        holder.commit()
        results = [one.result() for one in applying]
    assert sorted(result["changed"] for result in results) == [False, True], results
    for loser in results:
        # It either waited until nothing was left to do, or saw meanwhile that the history had changed.
        assert loser["changed"] or not loser.get("failed") or loser["error"]["code"] in ("busy", "history"), loser
    assert ours.project.psql("table public.payments") == "100"
    assert ours.events() == [f"applied {version}" for version in VERSIONS[:2]]
    assert ours.apply()["changed"] is False


def test_supabase_cli_6_a_lock_that_is_held(cli: SupabaseCli, ours: Application, theirs: Application) -> None:
    """The CLI waits for a table without a limit, and every reader behind it; we give up, and try again within bounds."""
    for application in (theirs, ours):
        application.migration(FIRST, "create table public.limits as select current_setting('lock_timeout');\n")
        application.migration(SECOND, "alter table public.orders add column note text;\n")
    with ThreadPoolExecutor() as pool, session(theirs.project.options) as holder:
        execute(holder, "lock table public.orders in access share mode")
        pushed = pool.submit(push, cli, theirs)
        wait_until(lambda: theirs.project.psql(f"select count(*) from {WAITING}") == "1", "it does not wait")
        assert theirs.project.psql("table public.limits") == "0"
        reader = "set lock_timeout = '200ms'; select count(*) from public.orders"
        assert "lock timeout" in theirs.project.psql_error(reader)
        holder.commit()
        assert pushed.result().returncode == 0

    with session(ours.project.options) as holder:
        execute(holder, "lock table public.orders in access share mode")
        result = ours.refuses(
            "statement", "lock timeout", "[55P03]", f"{SECOND}.sql:1:1", ROLLED_BACK, "pg_stat_activity", retries=1
        )
    assert result["error"]["details"]["attempts"] == 2
    assert ours.events() == [f"failed {VERSIONS[1]}"] * 2
    ours.applies()
    assert ours.project.psql("table public.limits") == "300ms"


def test_supabase_cli_7_the_dry_run(cli: SupabaseCli, ours: Application, theirs: Application) -> None:
    """The CLI prints the names of files that cannot run; our dry run runs them, and rolls everything back."""
    for application in (theirs, ours):
        application.migration(FIRST, "create table public.first (id int);\n")
        application.migration(SECOND, "select * from public.missing;\n")
    tried = cli.run(theirs.project, theirs.directory, "db", "push", "--dry-run")
    assert tried.returncode == 0 and f"{SECOND}.sql" in tried.stdout + tried.stderr, tried
    assert "missing" not in tried.stdout + tried.stderr

    file = ours.directory / "migrations" / f"{SECOND}.sql"
    ours.refuses("statement", "does not exist", f"Where: {file}:1:15", check=True)
    ours.migration(SECOND, "insert into public.first values (1);\n")
    before = ours.snapshot()
    for dummy in range(2):
        tried_by_us = ours.apply(check=True)
        assert tried_by_us["changed"] and tried_by_us["migration"]["dry_run"], tried_by_us
        assert [done["version"] for done in tried_by_us["migration"]["migrations"]] == VERSIONS[:2]
        assert ours.snapshot() == before
    assert ours.project.psql("select to_regnamespace('pgops') is null") == "t"


LETTER = "select 'Dear all,\n-- no comment, but a line of the letter\nyours'"


def test_supabase_cli_8_the_dump(
    cli: SupabaseCli, ours: Application, theirs: Application, back_up: BackUp, tmp_path: Path
) -> None:
    """Schema and rows of the CLI's dump are of two moments, functions lose lines, a failure empties the file."""
    for application in (theirs, ours):
        application.project.psql(f"create function public.letter() returns text language sql as $${LETTER}$$")

    def dumped(*arguments: str) -> str:
        """What the script writes that the CLI would run in a container."""
        dry = cli.run(theirs.project, theirs.directory, "db", "dump", "--dry-run", *arguments)
        path = os.pathsep.join([theirs.project.server.pg_bin, os.defpath])
        return subprocess.run(
            ["bash", "-c", dry.stdout], env={"PATH": path}, check=True, capture_output=True, encoding="utf-8"
        ).stdout

    schema = dumped()
    assert "Dear all,\nyours" in schema and LETTER not in schema
    theirs.project.psql("create table public.meanwhile (id int); insert into public.meanwhile values (1)")
    assert '"meanwhile"' not in schema and 'INSERT INTO "public"."meanwhile"' in dumped("--data-only")
    target = tmp_path / "schema.sql"
    target.write_text(schema, "utf-8")
    failed = cli.run(theirs.project, theirs.directory, "db", "dump", f"--file={target}", path=NO_PROGRAMS)
    assert failed.returncode == 1 and target.read_bytes() == b"", failed

    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            ours.project.psql("insert into public.orders select max(id) + 1, 1 from public.orders")

    for archive_format in ("directory", "custom"):
        stop.clear()
        run_dir = tmp_path / "runs" / archive_format
        with ThreadPoolExecutor() as pool:
            writer = pool.submit(write)
            try:
                result = back_up(run_dir=str(run_dir), format=archive_format)
            finally:
                stop.set()
            writer.result()
        assert result["changed"], result
        assert LETTER in from_archive(ours.project, Path(result["path"]), "--schema-only")
        rows = from_archive(ours.project, Path(result["path"]), "--data-only", "--table=orders")
        rows = rows[rows.index("COPY public.orders") :]
        counted = next(c["rows"] for c in result["manifest"]["counts"]["tables"] if c["table"] == "orders")
        assert rows[: rows.index("\\.\n")].count("\n") - 1 == counted
        assert counted < int(ours.project.psql("select count(*) from public.orders")), "nothing was written meanwhile"

        before = content_of(tmp_path / "runs")
        assert back_up(run_dir=str(run_dir), pg_bin=NO_PROGRAMS)["failed"]
        assert content_of(tmp_path / "runs") == before


def test_supabase_cli_9_the_password(cli: SupabaseCli, ours: Application, theirs: Application, tmp_path: Path) -> None:
    """The CLI's dry run prints it; ours is in no output, whatever happens and however much Ansible is asked to tell."""
    password = ours.project.options.login_password
    assert password
    dry = cli.run(theirs.project, theirs.directory, "db", "dump", "--dry-run")
    assert dry.returncode == 0 and f'PGPASSWORD="{password}"' in dry.stdout

    secret = {**ours.project.login, "login_password": "{{ lookup('ansible.builtin.env', 'SECRET') }}", "project": "p"}
    run_dir = tmp_path / "runs" / "run1"
    tasks = [
        {"pgops.supabase.backup": {**secret, "run_dir": str(run_dir)}, "check_mode": True},
        {"pgops.supabase.backup": {**secret, "run_dir": str(run_dir)}},
        {"pgops.supabase.backup": {**secret, "path": str(tmp_path / "other"), "login_port": 1}, "ignore_errors": True},
    ]
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    for failed in (0, 2):
        completed = subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", "-vvvvv", "--diff", str(playbook)],
            env={
                **os.environ,
                "SECRET": password,
                "ANSIBLE_COLLECTIONS_PATH": str(CLONE / ".ansible" / "collections"),
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                "ANSIBLE_HOME": str(tmp_path / "home"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        # The second time the backup is there already, which a backup refuses.
        assert completed.returncode == failed, completed.stdout + completed.stderr
        assert password not in completed.stdout + completed.stderr
        assert json.loads((run_dir / "backup" / "manifest.json").read_text("utf-8"))["counts"]
        for path in (tmp_path / "runs").rglob("*"):
            assert path.is_dir() or password.encode() not in path.read_bytes()


def test_supabase_cli_10_the_way_back(cli: SupabaseCli, ours: Application, theirs: Application, tmp_path: Path) -> None:
    """The CLI empties the project, auth.users too, and applies what is left of the files; ours takes back a migration."""
    for application in (theirs, ours):
        application.migration(FIRST, "create table public.first (id int);\n")
        application.migration(SECOND, "create table public.second (id int);\n")
    assert push(cli, theirs).returncode == 0
    rollback = ours.directory / "rollbacks" / f"{SECOND}.sql"
    rollback.parent.mkdir()
    rollback.write_text("drop table public.second;\n", "utf-8")
    assert ours.apply()["changed"]
    for application in (theirs, ours):
        application.project.psql(
            "insert into auth.users (id) values (gen_random_uuid()); insert into public.first values (1)"
        )

    left = "select count(*) from auth.users; select count(*) from public.first"
    assert cli.run(theirs.project, theirs.directory, "migration", "down", "--last=1").returncode == 0
    assert theirs.project.psql(left) == "0\n0"
    assert existing(theirs.project, "clients", "orders", "first", "second") == ["first"]

    for changed in (True, False):
        result = run_module(
            "rollback",
            **ours.project.login,
            supabase_dir=str(ours.directory),
            to_version=VERSIONS[0],
            reason="the release is postponed",
            export_dir=str(tmp_path / "rollback-data"),
        )
        assert result.get("changed") is changed, result
        assert ours.project.psql(left) == "1\n1"
        assert existing(ours.project, "clients", "orders", "first", "second") == ["clients", "orders", "first"]
        assert ours.versions() == VERSIONS[:1]
