# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Supabase CLI and this collection record of the same files, whoever comes first, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.application import Application
from tests.integration.live import LiveProject, NewProject, run_module
from tests.integration.sql_corpus import write_corpus
from tests.integration.supabase_cli import SupabaseCli

FILES = 150
# Every column of every row, the bytes of the statements in hexadecimal.
ROWS = """
select version, name, array(select encode(convert_to(s, 'UTF8'), 'hex') from unnest(statements) with ordinality u(s, n) order by n)
from supabase_migrations.schema_migrations order by version
"""
WHOLE_ROWS = "select to_jsonb(m) from supabase_migrations.schema_migrations m order by version"

# What the CLI applies and records, although the file does not mean the same everywhere.
ODD_FILES = {
    "20250101000000_crlf": (
        b"-- c\r\ncreate table crlf (id int);\r\ncreate function crlf_f() returns int language sql as $$\r\nselect 1;\r\n$$;\r\n"
    ),
    "20250101000001_byte_order_mark": b"\xef\xbb\xbf-- c\ncreate table byte_order_mark (id int);\n",
    "20250101000002_empty": b"",
    "20250101000003_comment": b"-- nothing here\n",
    "20250101000004_latin_1": b"create table latin_1 (t text);\ninsert into latin_1 values ('\xe9');\n",
    "20250101000005_savepoint": b"begin;\ncreate table sp (t text);\nsavepoint a;\nrollback to a;\ncommit;\n",
}


@pytest.fixture
def application(project: LiveProject, tmp_path: Path) -> Application:
    """A project without anything, and its folder."""
    return Application(project, tmp_path / "app" / "supabase")


@pytest.mark.parametrize("seed", [1, 2])
def test_statements_of_a_corpus_are_the_clis_own(
    cli: SupabaseCli, new_project: NewProject, tmp_path: Path, seed: int
) -> None:
    supabase_dir = tmp_path / "corpus" / "supabase"
    write_corpus(supabase_dir / "migrations", seed=seed, files=FILES)
    theirs, ours = new_project(), new_project()
    for first in (True, False):
        assert len(cli.push(theirs, supabase_dir)) == (FILES if first else 0)
        applied = run_module("migration", supabase_dir=str(supabase_dir), **ours.login)
        assert applied.get("changed") is first, applied
        rows = theirs.psql(ROWS).splitlines()
        assert len(rows) == FILES
        assert ours.psql(ROWS).splitlines() == rows
    # Each sees the other's as applied and as its own: the CLI by its version, we by its statements.
    assert cli.pending(ours, supabase_dir) == []
    found = run_module("migration_info", supabase_dir=str(supabase_dir), **theirs.login)["migration_info"]
    assert (len(found["applied"]), found["problems"]) == (FILES, [])


def test_what_only_the_cli_would_apply_is_applied_and_not_edited(cli: SupabaseCli, application: Application) -> None:
    for name, content in ODD_FILES.items():
        application.migration(name, content)
    # A pending file of this kind is refused, and nothing is changed.
    refused = application.apply()
    assert refused["failed"] and refused["error"]["state"] == "nothing was changed"
    assert application.project.psql("select to_regclass('public.crlf') is null") == "t"
    assert cli.push(application.project, application.directory) == [f"{name}.sql" for name in ODD_FILES]
    for _twice in range(2):
        info = application.info()["migration_info"]
        assert (len(info["applied"]), info["problems"]) == (len(ODD_FILES), [])
        assert not application.apply().get("failed")


def test_a_file_before_the_newest_is_for_both_a_question(cli: SupabaseCli, application: Application) -> None:
    early, late, later = "20260101000000_early", "20260102000000_late", "20260103000000_later"
    application.migration(late, "create table public.late (id int);")
    assert application.apply()["changed"]
    application.migration(early, "create table public.early (id int);")
    for _twice in range(2):
        assert f"{early}.sql" in cli.refuses_to_push(application.project, application.directory)
        refused = application.apply()
        assert refused["failed"] and refused["error"]["code"] == "history" and early in refused["msg"]
    assert application.apply(allow_out_of_order=True)["changed"]
    for _twice in range(2):
        assert cli.pending(application.project, application.directory) == []
        assert cli.listed(application.project, application.directory) == {early[:14]: True, late[:14]: True}

    # The other way round: the CLI is told to, and we go on behind it.
    between = "20260101120000_between"
    application.migration(between, "create table public.between_both (id int);")
    application.migration(later, "create table public.later (id int);")
    assert application.info()["migration_info"]["out_of_order"] == [between[:14]]
    assert cli.push(application.project, application.directory, include_all=True) == [f"{between}.sql", f"{later}.sql"]
    info = application.info()["migration_info"]
    assert (info["pending"], info["problems"]) == ([], [])
    assert [entry["applied_by"] for entry in info["migrations"]] == ["pgops", "other", "pgops", "other"]
    application.migration("20260104000000_last", "create table public.last (id int);")
    application.applies()
    assert cli.pending(application.project, application.directory) == []


def test_the_columns_of_a_hosted_project_keep_their_values(cli: SupabaseCli, application: Application) -> None:
    project = application.project
    project.psql(
        "create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text primary key, "
        "statements text[], name text, created_by text, idempotency_key text unique, rollback text[])"
    )
    application.migration("20260101000000_theirs", "create table public.theirs (id int);")
    assert cli.push(project, application.directory)
    # As the dashboard fills them.
    project.psql(
        "update supabase_migrations.schema_migrations set created_by = 'ann@example.com', idempotency_key = 'k-1', "
        "rollback = array['drop table public.theirs']"
    )
    theirs = project.psql(WHOLE_ROWS)
    assert json.loads(theirs)["created_by"] == "ann@example.com"

    for name in ("20260102000000_ours", "20260103000000_ours_too"):
        application.migration(name, f"create table public.{name[15:]} (id int);")
        rollback = application.directory / "rollbacks" / f"{name}.sql"
        rollback.parent.mkdir(exist_ok=True)
        rollback.write_text(f"drop table public.{name[15:]};\n", "utf-8")
    application.applies()
    first, *ours = project.psql(WHOLE_ROWS).splitlines()
    assert first == theirs
    extra: list[dict[str, Any]] = [json.loads(row) for row in ours]
    assert [(row["created_by"], row["idempotency_key"], row["rollback"]) for row in extra] == [(None, None, None)] * 2
    assert cli.pending(project, application.directory) == []

    for changed in (True, False):
        result = run_module(
            "rollback", supabase_dir=str(application.directory), reason="The release is postponed", **project.login
        )
        assert result.get("changed") is changed, result
        assert project.psql(WHOLE_ROWS) == theirs
    assert cli.push(project, application.directory) == ["20260102000000_ours.sql", "20260103000000_ours_too.sql"]
    assert project.psql(WHOLE_ROWS).splitlines()[0] == theirs
