# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that try to get out of their transaction or their session, in every scope."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject

FIRST, SECOND, THIRD = "20260101000000_first", "20260102000000_second", "20260103000000_third"
COMMITS = """
create procedure public.commits() language plpgsql as $$ begin update public.clients set name = 'half'; commit; end $$;
create procedure public.nested() language plpgsql as $$ begin call public.commits(); end $$;
"""
SCOPES = pytest.mark.parametrize("scope", ["batch", "file"])


@pytest.fixture
def application(project: LiveProject, tmp_path: Path) -> Application:
    """An application without migrations."""
    project.psql(TABLES)
    return Application(project, tmp_path / "supabase")


@SCOPES
@pytest.mark.parametrize(
    "hidden",
    [
        "call public.commits();",
        "call public.nested();",
        "do $$ begin update public.clients set name = 'half'; commit; end $$;",
        "do $$ begin execute 'call public.nested()'; end $$;",
    ],
)
def test_a_commit_that_is_hidden_in_a_call_is_refused(application: Application, scope: str, hidden: str) -> None:
    application.project.psql(COMMITS)
    application.migration(FIRST, f"insert into public.clients values (10, 'ten');\n{hidden}\n")
    application.migration(SECOND, "create table public.second (id int);\n")
    application.refuses("statement", "invalid transaction termination", f"{FIRST}.sql:2", transaction_scope=scope)


def test_a_commit_that_is_hidden_in_a_call_is_refused_where_there_is_no_transaction(application: Application) -> None:
    application.project.psql(COMMITS)
    application.migration(FIRST, "insert into public.clients values (10, 'ten');\ncall public.nested();\nvacuum;\n")
    for _attempt in range(2):
        result = application.apply()
        assert result["failed"] and "invalid transaction termination" in result["msg"], result
        assert result["error"]["state"].startswith("the 1 statement before it in the file is done and stays")
        assert application.project.psql("select name from public.clients order by id") == "one\ntwo\nthree\nten"


CHANGES_ITS_SESSION = """
set statement_timeout = 0;
set lock_timeout = 0;
reset all;
create table public.seen (place text, name text, value text);
insert into public.seen select 'first', name, setting from pg_settings where name in ('lock_timeout', 'statement_timeout');
create temp table mine as select 1 as id;
prepare asked as select 1;
declare held cursor with hold for select 1;
grant usage, create on schema public to authenticated;
set search_path = auth;
set statement_timeout = 0;
set lock_timeout = 0;
set work_mem = '77MB';
set role authenticated;
"""
LOOKS_AT_ITS_SESSION = """
insert into public.seen select 'second', name, setting from pg_settings where name in ('lock_timeout', 'statement_timeout');
insert into public.seen values
  ('second', 'mine', to_regclass('pg_temp.mine')::text), ('second', 'role', current_user),
  ('second', 'search_path', current_setting('search_path')), ('second', 'work_mem', current_setting('work_mem')),
  ('second', 'prepared', (select count(*) from pg_prepared_statements)), ('second', 'cursors', (select count(*) from pg_cursors));
"""


@SCOPES
def test_nothing_of_one_file_reaches_the_next(application: Application, scope: str) -> None:
    application.migration(FIRST, CHANGES_ITS_SESSION)
    application.migration(SECOND, LOOKS_AT_ITS_SESSION)
    usual = application.project.psql("select current_setting('search_path'), current_setting('work_mem')").split("|")
    application.applies(statement_timeout_seconds=20, transaction_scope=scope)
    seen = application.project.psql("select place, name, value from public.seen order by place, name").splitlines()
    assert seen == [
        "first|lock_timeout|300",
        "first|statement_timeout|20000",
        "second|cursors|0",
        "second|lock_timeout|300",
        "second|mine|",
        "second|prepared|0",
        "second|role|postgres",
        f"second|search_path|{usual[0]}",
        "second|statement_timeout|20000",
        f"second|work_mem|{usual[1]}",
    ]


@pytest.mark.parametrize("leaks", ["set role authenticated;", "set search_path = auth;", "reset all; set role anon;"])
def test_nothing_of_a_file_outside_a_transaction_reaches_its_records_or_the_next(
    application: Application, leaks: str
) -> None:
    application.migration(FIRST, "create table public.first (id int);\n")
    application.migration(SECOND, f"vacuum public.orders;\n{leaks}\n")
    application.migration(THIRD, "create table third as select current_user::text as who;\n")
    application.applies()
    assert application.project.psql("select who from public.third") == "postgres"
    assert application.versions() == [FIRST[:14], SECOND[:14], THIRD[:14]]
