# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applying what cannot be applied: each refusal says what, where, in which state and what next, and nothing is different."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import ADVISORY_LOCK
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, session
from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject

FIRST, SECOND, THIRD = "20260101000000_first", "20260102000000_second", "20260103000000_third"
NOTHING_CHANGED = "State: nothing was changed."
ROLLED_BACK = "State: the transaction was rolled back: catalog and data are as they were before."


@pytest.fixture
def application(project: LiveProject, tmp_path: Path) -> Application:
    """An application with one migration that could be applied, and one after it."""
    project.psql(TABLES)
    made = Application(project, tmp_path / "supabase")
    made.migration(FIRST, "create table public.first (id int);\ninsert into public.clients values (4, 'four');\n")
    made.migration(THIRD, "create table public.third (id int);\n")
    return made


def no_ledger(application: Application) -> bool:
    """Whether nothing at all was recorded: what is wrong was found before anything ran."""
    return application.project.psql("select to_regclass('pgops.ledger') is null") == "t"


# --- the connection


def test_no_server_there(application: Application) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        application.refuses(
            "connection",
            "Cannot connect",
            f"Where: 127.0.0.1:{port}",
            f"pg_isready -h 127.0.0.1 -p {port}",
            login_port=port,
        )


def test_wrong_password(application: Application) -> None:
    wrong = "this-is-not-it"
    result = application.refuses(
        "connection",
        "password authentication failed",
        "Check login_user postgres and login_password",
        login_password=wrong,
    )
    assert wrong not in str(result)


def test_database_missing(application: Application) -> None:
    application.refuses("connection", 'database "nowhere" does not exist', "Check login_db nowhere", login_db="nowhere")


# --- the directory


def test_migrations_directory_missing(application: Application, tmp_path: Path) -> None:
    missing = tmp_path / "elsewhere"
    application.refuses(
        "migration_file",
        "There is no migrations directory",
        f"Where: {missing / 'migrations'}",
        NOTHING_CHANGED,
        "Check supabase_dir",
        supabase_dir=str(missing),
    )
    assert no_ledger(application)


def test_migrations_directory_empty(application: Application) -> None:
    directory = application.directory / "migrations"
    shutil.rmtree(directory)
    directory.mkdir()
    (directory / ".keep.sql").touch()
    (directory / "README.md").touch()
    application.refuses("migration_file", "holds no migration", f"Where: {directory}", NOTHING_CHANGED)


@pytest.mark.parametrize(
    ("name", "where", "text"),
    [
        ("20260103000000_again", THIRD, "Two files have the version 20260103000000"),
    ],
)
def test_names_and_versions(application: Application, name: str, where: str, text: str) -> None:
    expected = application.migration(name, "select 1;\n").with_name(f"{where}.sql")
    result = application.refuses("migration_file", text, NOTHING_CHANGED)
    assert result["error"]["where"] == str(expected)
    assert no_ledger(application)


def test_what_cannot_be_read(application: Application) -> None:
    path = application.directory / "migrations" / f"{SECOND}.sql"
    os.mkfifo(path)
    application.refuses("migration_file", f"{SECOND}.sql is not a file", f"Where: {path}", "ls -ld")
    path.unlink()
    path.symlink_to("nowhere")
    application.refuses("migration_file", f"{SECOND}.sql cannot be read: No such file", f"Where: {path}", "ls -ld")
    assert no_ledger(application)


def test_a_version_that_no_file_has(application: Application) -> None:
    for version in ("20260102", "newest"):
        application.refuses("input", f"There is no migration file of version {version}", to_version=version)


# --- the text of a file, found before anything runs


@pytest.mark.parametrize(
    ("content", "line", "column", "texts"),
    [
        pytest.param("select 1;\nselec 2;\n", 2, 1, ['syntax error at or near "selec"'], id="syntax"),
        pytest.param("select 'é🎉'; /* ü */ selec 2;\n", 1, 22, ['near "selec"'], id="syntax after multi-byte"),
        pytest.param("create table t (\n  a int", 2, 8, ["syntax error at end of input"], id="end of input"),
        pytest.param("select 1;\nselect 'open;\n", 2, 8, ["unterminated quoted string"], id="open quote"),
        pytest.param("select 1;\n\\echo hi\n", 2, 1, ["psql's backslash commands cannot be used"], id="backslash"),
        pytest.param("select 'é';\nselect '\0';\n", 2, 9, ["holds a NUL byte", "tr -d"], id="NUL"),
        pytest.param(b"select 1;\n-- caf\xe9\n", 2, 7, ["not UTF-8: byte 0xE9", "iconv -f latin1"], id="Latin-1"),
        pytest.param("select 1;\nrollback;\n", 2, 1, ["cannot be kept on record: ROLLBACK"], id="ROLLBACK"),
        pytest.param("savepoint a;\nselect 1;\n", 1, 1, ["cannot be kept on record: SAVEPOINT A"], id="SAVEPOINT"),
        pytest.param("begin;\nselect 1;\n", 1, 1, ["left open"], id="BEGIN without end"),
        pytest.param("begin;\nselect 1;\ncommit and chain;\n", 3, 1, ["COMMIT AND CHAIN"], id="AND CHAIN"),
        pytest.param(
            "begin;\nselect 1;\nprepare transaction 'x';\n", 3, 1, ["PREPARE TRANSACTION"], id="PREPARE TRANSACTION"
        ),
        pytest.param(
            "select 1;\ncopy public.clients from stdin;\n9\tnine\n\\.\n",
            3,
            1,
            ["COPY with inline data", "INSERT"],
            id="COPY",
        ),
        pytest.param("\ncopy public.clients from stdin", 2, 1, ["COPY with inline data"], id="COPY without rows"),
        pytest.param(
            "begin;\ncreate index concurrently i on public.clients (name);\ncommit;\n",
            2,
            1,
            ["CREATE INDEX CONCURRENTLY cannot run in the transaction", "Leave out BEGIN and COMMIT"],
            id="CONCURRENTLY in a transaction",
        ),
    ],
)
def test_a_file_in_the_middle_that_cannot_be_run(
    application: Application, content: str | bytes, line: int | None, column: int | None, texts: list[str]
) -> None:
    file = application.migration(SECOND, content)
    result = application.refuses("sql_script" if line else "migration_file", *texts, NOTHING_CHANGED)
    assert result["error"]["where"] == (f"{file}:{line}:{column}" if line else str(file))
    assert no_ledger(application)


def test_migration_info_finds_the_same_when_asked(application: Application) -> None:
    file = application.migration(SECOND, "select 1;\nrollback;\nselect 2;\n")
    assert application.info()["migration_info"]["pending"] == [name[:14] for name in (FIRST, SECOND, THIRD)]
    for dummy in range(2):
        result = application.info(check_files=True)
        assert not result.get("failed") and result["error"]["where"] == f"{file}:2:1" and "Next: " in result["msg"]
        assert result["migration_info"]["pending"] == [name[:14] for name in (FIRST, SECOND, THIRD)]


# --- what PostgreSQL refuses while it runs


@pytest.mark.parametrize(
    ("content", "line", "column", "texts"),
    [
        pytest.param(
            "insert into public.clients values (5, 'é🎉');\n-- ünïcode\n  select '日本', * from public.missing;\n",
            3,
            23,
            ['relation "public.missing" does not exist', "[42P01]"],
            id="missing table after multi-byte",
        ),
        pytest.param(
            "/* é */ insert into public.clients values (1, 'twice');\n",
            1,
            9,
            ["duplicate key value", "[23505]"],
            id="duplicate key",
        ),
        pytest.param(
            "select 1;\ndo $$ begin\n  insert into public.clients values (5, 'five');\n  commit;\nend $$;\n",
            2,
            1,
            ["invalid transaction termination", "[2D000]"],
            id="COMMIT in DO",
        ),
        pytest.param(
            "select 1;\ncreate role chief superuser;\n", 2, 1, ["[42501]", "owner and grants"], id="role may not"
        ),
        pytest.param("select pg_sleep(5);\n", 1, 1, ["statement timeout", "statement_timeout_seconds"], id="too slow"),
        pytest.param(
            "create table public.late (id int references public.clients deferrable initially deferred);\n"
            "insert into public.late values (99);\n",
            None,
            None,
            ["leaves rows that a deferred constraint refuses", "[23503]"],
            id="deferred constraint",
        ),
    ],
)
def test_a_failure_in_the_second_of_three_undoes_all(
    application: Application, content: str, line: int | None, column: int | None, texts: list[str]
) -> None:
    file = application.migration(SECOND, content)
    result = application.refuses("statement", f"Migration {SECOND}", *texts, ROLLED_BACK, statement_timeout_seconds=1.0)
    assert result["error"]["where"] == (f"{file}:{line}:{column}" if line else str(file))
    assert result["error"]["outcome"] == "unchanged"
    # What the server quotes of rows stays on the server.
    logged = application.project.psql("select pg_catalog.string_agg(details::text, '') from pgops.ledger")
    assert not any("Key (" in text for text in (result["msg"], str(result["error"]), logged))
    assert result["migration"]["migrations"] == [] and not result["migration"]["committed"]
    assert application.events() == ["failed 20260102000000"] * 2
    recorded = application.project.psql("select details ->> 'where' from pgops.ledger order by event_id desc limit 1")
    assert recorded == result["error"]["where"]


def test_a_commit_that_hides_from_the_parser_is_an_error(application: Application) -> None:
    """With standard_conforming_strings off, the server would read two statements where the parser reads one."""
    application.migration(SECOND, "set standard_conforming_strings = off;\nselect 'x\\' || '; commit; --';\n")
    application.refuses("statement", "standard_conforming_strings is off", "rolled back", f"{SECOND}.sql:2:1")


def test_a_role_that_may_not_read_the_history(application: Application) -> None:
    application.apply(to_version=FIRST[:14])
    login = {"login_user": "authenticator", "login_password": application.project.server.passwords["authenticator"]}
    application.refuses(
        "privilege", "permission denied", NOTHING_CHANGED, "Connect as the role that owns them", **login
    )


def test_a_role_that_may_not_make_the_history(application: Application) -> None:
    login = {"login_user": "authenticator", "login_password": application.project.server.passwords["authenticator"]}
    application.refuses("statement", "[42501]", ROLLED_BACK, "grants", **login)
    assert no_ledger(application)


# --- checks before COMMIT


@pytest.mark.parametrize(
    ("validation", "texts"),
    [
        pytest.param(
            "select 'PASS';\nselect 'FAIL: too few' as rows;\n", ["too few", "VALIDATION_SQL.sql:2:1"], id="FAIL"
        ),
        pytest.param("select 1 / 0;\n", ["division by zero", "VALIDATION_SQL.sql:1:1"], id="errs"),
        pytest.param("do $$ begin raise warning 'FAIL: noticed'; end $$;\n", ["noticed"], id="FAIL as WARNING"),
        pytest.param("select 1;\n", ["no verdict found"], id="no verdict"),
    ],
)
def test_a_failed_validation_undoes_all(application: Application, validation: str, texts: list[str]) -> None:
    script = application.validation(validation)
    for check in (False, True):
        result = application.refuses("verification", *texts, ROLLED_BACK, validations=[str(script)], check=check)
        assert not result["migration"]["committed"]
    assert application.events() == ["failed 20260103000000"] * 2


def test_a_validation_that_does_not_parse_or_is_missing(application: Application) -> None:
    script = application.validation("select 'PASS';\nselec 'FAIL';\n")
    application.refuses("sql_script", f"Where: {script}:2:1", NOTHING_CHANGED, validations=[str(script)])
    script.unlink()
    application.refuses("sql_script", f"Where: {script}", NOTHING_CHANGED, validations=[str(script)])


@pytest.mark.parametrize(
    ("loss", "texts"),
    [
        ("delete from public.orders where id = 7;", ["table public.orders: -1 row"]),
        ("truncate public.orders;", ["table public.orders: -100 rows"]),
        ("drop table public.orders;", ["table public.orders: is gone: it held 100 rows"]),
        ("insert into public.clients values (5, 'five');", ["table public.clients: +1 row"]),
    ],
)
def test_rows_that_nobody_declared_undo_all(application: Application, loss: str, texts: list[str]) -> None:
    application.migration(FIRST, "create table public.first (id int);")
    application.migration(SECOND, loss)
    application.refuses("verification", *texts, ROLLED_BACK, baseline=application.baseline())


def test_a_baseline_that_is_none(application: Application, tmp_path: Path) -> None:
    baseline = tmp_path / "counts.json"
    baseline.write_text("[]")
    application.refuses("input", "not a row counts document", NOTHING_CHANGED, baseline=str(baseline))


# --- others


def test_a_lock_that_goes_away_meanwhile_is_no_failure(application: Application) -> None:
    application.migration(SECOND, "alter table public.orders add column note text;\n")
    with session(application.project.options) as other:
        execute(other, "lock table public.orders in access share mode")
        release = threading.Timer(1.5, other.commit)
        release.start()
        result = application.apply(retries=4)
        release.join()
    assert result.get("changed"), result
    assert [done["version"] for done in result["migration"]["migrations"]] == application.versions()
    assert len(application.versions()) == 3
    assert [(row["table"], row["change"]) for row in result["migration"]["row_changes"]] == [("clients", 1)]
    assert {event.split()[0] for event in application.events()} == {"applied"}


def test_another_apply_is_under_way(application: Application) -> None:
    with session(application.project.options) as other:
        execute(other, "select pg_advisory_xact_lock(%s, %s)", list(ADVISORY_LOCK))
        application.refuses(
            "busy", "Another apply or rollback is under way", "(postgres, pgops.supabase,", "Wait for it"
        )
    assert no_ledger(application)


def test_a_server_that_ends_the_session(application: Application) -> None:
    file = application.migration(SECOND, "select 1;\nselect pg_terminate_backend(pg_backend_pid());\n")
    application.refuses("connection", "The connection was lost", f"Where: {file}:2:1", "rolls the transaction back")


# --- files and database disagree


@pytest.fixture
def applied(application: Application) -> Application:
    """The application with both migrations applied."""
    assert application.apply()["changed"]
    return application


def test_an_edited_file(applied: Application) -> None:
    file = applied.migration(FIRST, "create table public.first (id bigint);\n")
    result = applied.refuses("history", f"{FIRST} is applied, but its file is not the one", f"Where: {file}", "git log")
    assert result["error"]["details"]["disagreements"] == [{"version": FIRST[:14], "name": "first", "state": "edited"}]
    info = applied.info()["migration_info"]
    assert (info["edited"], info["applied"]) == ([FIRST[:14]], [THIRD[:14]])
    checked = applied.info(check_files=True)
    assert not checked.get("failed") and checked["error"]["code"] == "history"
    assert checked["migration_info"]["edited"] == info["edited"]


def test_a_file_that_comes_too_late(applied: Application) -> None:
    file = applied.migration(SECOND, "create table public.second (id int);\n")
    applied.refuses("history", f"{SECOND} is pending, but a later version", f"Where: {file}", "allow_out_of_order")
    assert applied.info()["migration_info"]["out_of_order"] == [SECOND[:14]]
    applied.applies(allow_out_of_order=True)
    assert applied.versions() == [FIRST[:14], SECOND[:14], THIRD[:14]]


def test_a_file_that_is_gone(applied: Application) -> None:
    os.unlink(applied.directory / "migrations" / f"{FIRST}.sql")
    applied.refuses("history", f"{FIRST} is applied in the database, but there is no file", "supabase migration fetch")
    assert applied.info()["migration_info"]["remote_only"] == [FIRST[:14]]


def test_a_file_that_another_tool_applied_otherwise(applied: Application) -> None:
    applied.migration("20260104000000_theirs", "-- a comment\ncreate table public.theirs (id int);\n")
    insert = "insert into supabase_migrations.schema_migrations (version, name, statements) values ('20260104000000', 'theirs', "
    applied.project.psql(insert + "array['create table public.theirs (id bigint)'])")
    applied.refuses("history", "20260104000000_theirs is applied, but its file is not the one")
    applied.project.psql(
        "update supabase_migrations.schema_migrations set statements = array['create table public.theirs (id int)'] "
        "where version = '20260104000000'"
    )
    for dummy in range(2):
        assert applied.apply()["changed"] is False


def test_a_schema_of_the_ledgers_name_that_is_somebody_elses_is_left_alone(application: Application) -> None:
    application.project.psql("create schema pgops; create table pgops.ledger (note text)")
    application.refuses(
        "history", "pgops.ledger here is not the ledger of this collection", "alter schema pgops rename"
    )
    assert application.project.psql("select count(*) from pgops.ledger") == "0"


def test_an_event_trigger_that_refuses_the_records_is_named(application: Application) -> None:
    application.project.psql(
        "create function public.refuse() returns event_trigger language plpgsql as "
        "$$ begin raise exception 'no changes today'; end $$; "
        "create event trigger no_changes on ddl_command_end execute function public.refuse()",
        user="supabase_admin",
    )
    application.refuses("statement", "no changes today", "event triggers")


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_lock_is_not_waited_for_without_a_limit(application: Application, seconds: float) -> None:
    application.migration(FIRST, "create table public.first (id int);")
    application.refuses("input", "no limit", lock_timeout_seconds=seconds)


def test_less_than_a_millisecond_is_a_limit(application: Application) -> None:
    """PostgreSQL counts in whole milliseconds, and none of them is no limit."""
    application.migration(FIRST, "select set_config('app.seen', current_setting('lock_timeout'), false); do $$ begin raise notice '%', "
                                 "current_setting('app.seen'); end $$;")  # fmt: skip
    result = application.apply(lock_timeout_seconds=0.0004)
    assert any("1ms" in notice for notice in result["migration"]["notices"]), result
