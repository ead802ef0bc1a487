# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Supabase CLI and this collection on the same projects: each reads what the other wrote, and takes it as its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.live import CLONE, LiveProject, NewProject, run_module
from tests.integration.supabase_cli import SupabaseCli

READY_SET = CLONE / "examples" / "ready_set" / "supabase"
BRIDGES = ["20251014220000", "20251014220100"]
LAST_BEFORE_BRIDGES = "20250902090000"

# Files that are easily split in two ways; the word ME stands for the file's own name, so that all fit into one database.
HARD_FILES = {
    "nothing": "",
    "comments_only": "-- nothing; here\n/* more; */\n\n-- and more",
    "line_ends_of_another_checkout": "create table ME (id int);\r\n-- why\r\ncomment on table ME is 'a\r\nb';\r\n",
    "byte_order_mark": "\ufeffcreate table ME (id int);\n",
    "plain": "create table ME (id int);\ninsert into ME values (1);\n",
    "no_semicolon_at_end": "create table ME (id int);\ninsert into ME values (1)",
    "no_semicolon_but_comment": "create table ME (id int); select 1 -- the end",
    "comments_before": "-- first\ncreate table ME (id int);\n\n-- second\n/* block; */\nselect 1;\n",
    "comments_inside": "create table ME ( -- inside; here\n  id int /* and ; there */\n);\n",
    "comments_after": "create table ME (id int); -- after\nselect 1; /* after; */\n",
    "comments_before_semicolon": "create table ME (id int) -- why;\n;\nselect 1 /* why */ ;\n",
    "comment_at_end": "create table ME (id int);\n-- the end;\n",
    "comment_at_end_semicolon": "create table ME (id int);\n-- the end;",
    "comment_at_end_no_newline": "create table ME (id int); -- the end",
    "comments_at_end": "create table ME (id int);\n-- one\n\n/* two; */\n",
    "comments_nested": "/* a /* b; */ c; */ create table ME (id int);\n",
    "comments_alone": "-- a\n;-- b\n;/* c; */;create table ME (id int) -- d;\n;; -- e;\n;/* f */ -- g\n;\n",
    "comments_end_at_carriage_return": "-- a\rcreate table ME (id int);\n-- b\r;select 1;\n",
    "empty_statements": ";;create table ME (id int);;\n ; \nselect 1;;\n;\n",
    "white_space": "\n\n \t create table ME (id int)\t \n ;\f\n\n\tinsert into ME values (1)  ; \v \n\n",
    "dollar_quotes": (
        "create function ME() returns int language plpgsql as $$\nbegin\n  -- a; b\n  return 1;\nend;\n$$;\n"
        "create or replace function ME() returns int language sql as $body$ select length('a;$$;b') $body$;\n"
        "do $do$ begin execute $x$select 1;$x$; end $do$;\ndo $été$ begin perform 1; end $été$;\n"
    ),
    "dollars_in_names": "create table ME$b (c$1 int);\ncreate table ME$e$ (id int);\ninsert into ME$b values (1);\n",
    "dollars_of_parameters": "prepare ME(int) as select $1;\nexecute ME(1);\ndeallocate ME;\n",
    "outer_transaction": "-- header\nBEGIN;\n\n-- table\ncreate table ME (id int);\n\nCOMMIT;\n-- footer\n",
    "outer_transaction_in_full": "start transaction;\ncreate table ME (id int);\ncommit work;\n",
    "strings": "create table ME (t text);\ninsert into ME values ('x;y'), ('it''s; --not'), (E'a\\';b'), ('/* no */');\n",
    "strings_with_backslash": "create table ME (t text);\ninsert into ME values ('c:\\');\ninsert into ME values ('d;');\n",
    "strings_of_unicode": "create table ME (t text);\ninsert into ME values (U&'d\\0061t;a');\n",
    "quoted_names": 'create table "ME;b" ("c""d;" int, "--e" int);\ninsert into "ME;b" values (1, 2);\n',
    "multi_byte": (
        '-- é; ü\ncreate table "MEä" ("naïve" text);\n/* 日本; */ insert into "MEä" values (\'日本; 語\'), (\'😀;\');\n'
        "comment on table \"MEä\" is 'ß; €';\n-- ende; ß"
    ),
    "begin_atomic": (
        "create function ME(x int) returns int language sql begin atomic -- no end; yet\n"
        "  select case when x > 1 then 2 else length('end;') end;\n  select x + 1;\nend;\nselect ME(1);\n"
    ),
    "case_end": "create view ME as select case when 1 = 1 then 'a;' else 'b' end as c;\nselect 1;\n",
    "words_of_blocks": 'create table ME ("begin" int, atomic int);\ncreate table ME_atomic (id int);\nselect 1;\n',
    "operators": "create table ME (j jsonb);\nselect j->>'x;', 1 - -1, 4/2 --;\n from ME where j ? 'y;';\nselect 1;\n",
    "rule": "create table ME (id int);\ncreate rule r as on update to ME do also (delete from ME; select 1);\n",
}

COLUMNS = """
select attname, format_type(atttypid, atttypmod), attnotnull, atthasdef from pg_attribute
where attrelid = 'supabase_migrations.schema_migrations'::regclass and attnum > 0 and not attisdropped order by attnum;
select conname, pg_get_constraintdef(oid) from pg_constraint
where conrelid = 'supabase_migrations.schema_migrations'::regclass order by conname;
select relname, relkind, relrowsecurity, relacl, pg_get_userbyid(relowner) from pg_class
where relnamespace = 'supabase_migrations'::regnamespace order by relname;
select nspacl, pg_get_userbyid(nspowner) from pg_namespace where nspname = 'supabase_migrations';
"""


@pytest.fixture
def ready_set(tmp_path: Path) -> Path:
    """A copy of the example's Supabase folder."""
    return Path(shutil.copytree(READY_SET, tmp_path / "ready_set" / "supabase"))


@pytest.fixture
def hard_files(tmp_path: Path) -> Path:
    """A Supabase folder with the files that are hard to split."""
    migrations = tmp_path / "hard_files" / "supabase" / "migrations"
    migrations.mkdir(parents=True)
    for number, (name, text) in enumerate(HARD_FILES.items()):
        # Written as bytes: the text layer would translate the carriage return.
        (migrations / f"{20250101000000 + number}_{name}.sql").write_bytes(text.replace("ME", name).encode())
    return migrations.parent


def migrate(project: LiveProject, supabase_dir: Path, **params: Any) -> dict[str, Any]:
    """Apply with our module."""
    return run_module("migration", supabase_dir=str(supabase_dir), **project.login, **params)


def info(project: LiveProject, supabase_dir: Path) -> dict[str, Any]:
    """What our module finds."""
    result = run_module("migration_info", supabase_dir=str(supabase_dir), **project.login)
    assert not result.get("failed"), result
    found: dict[str, Any] = result["migration_info"]
    return found


def history(project: LiveProject) -> dict[str, Any]:
    """Supabase's history as psql reads it: name and statements of each version."""
    rows = project.psql(
        "select json_object_agg(version, json_build_array(name, statements) order by version) "
        "from supabase_migrations.schema_migrations"
    )
    found: dict[str, Any] = json.loads(rows)
    return found


def versions(supabase_dir: Path) -> list[str]:
    """The versions of a folder's migrations."""
    return sorted(path.name.split("_")[0] for path in (supabase_dir / "migrations").iterdir())


def test_the_cli_sees_nothing_pending_after_our_migrate(
    cli: SupabaseCli, project: LiveProject, ready_set: Path
) -> None:
    assert cli.listed(project, ready_set) == dict.fromkeys(versions(ready_set), False)
    for changed in (True, False):
        assert migrate(project, ready_set).get("changed") is changed
        assert cli.listed(project, ready_set) == dict.fromkeys(versions(ready_set), True)
        assert cli.pending(project, ready_set) == []
        assert cli.push(project, ready_set) == []


@pytest.mark.parametrize("folder", ["ready_set", "hard_files"])
def test_we_record_what_the_cli_records(
    cli: SupabaseCli, new_project: NewProject, folder: str, request: pytest.FixtureRequest
) -> None:
    supabase_dir: Path = request.getfixturevalue(folder)
    theirs, ours = new_project(), new_project()
    for first in (True, False):
        pushed, applied = cli.push(theirs, supabase_dir), migrate(ours, supabase_dir)
        assert bool(pushed) is first
        assert applied.get("changed") is first, applied
        assert list(history(theirs)) == versions(supabase_dir)
        assert history(ours) == history(theirs)


def test_our_history_table_is_the_clis(cli: SupabaseCli, new_project: NewProject, hard_files: Path) -> None:
    theirs, ours = new_project(), new_project()
    for _twice in range(2):
        cli.push(theirs, hard_files)
        migrate(ours, hard_files)
        assert ours.psql(COLUMNS) == theirs.psql(COLUMNS)
        assert "version|text|t|f\nstatements|text[]|f|f\nname|text|f|f\n" in ours.psql(COLUMNS)


def test_columns_of_hosted_projects_stay(cli: SupabaseCli, project: LiveProject, ready_set: Path) -> None:
    project.psql(
        "create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text primary key, "
        "statements text[], name text, created_by text, idempotency_key text unique, rollback text[])"
    )
    columns = project.psql(COLUMNS)
    for changed in (True, False):
        assert migrate(project, ready_set).get("changed") is changed
        assert cli.pending(project, ready_set) == []
        assert project.psql(COLUMNS) == columns


@pytest.mark.parametrize("folder", ["ready_set", "hard_files"])
def test_what_the_cli_pushed_is_applied_by_another_and_not_edited(
    cli: SupabaseCli, project: LiveProject, folder: str, request: pytest.FixtureRequest
) -> None:
    supabase_dir: Path = request.getfixturevalue(folder)
    for first in (True, False):
        assert bool(cli.push(project, supabase_dir)) is first
        found = info(project, supabase_dir)
        assert found["applied"] == versions(supabase_dir)
        assert found["problems"] == []
        assert {entry["applied_by"] for entry in found["migrations"]} == {"other"}
        before = history(project)
        assert migrate(project, supabase_dir).get("changed") is False
        assert history(project) == before


def test_one_goes_on_where_the_other_stopped(cli: SupabaseCli, project: LiveProject, ready_set: Path) -> None:
    migrations, later = ready_set / "migrations", ready_set.parent / "later"
    later.mkdir()
    for version in BRIDGES:
        (file,) = migrations.glob(f"{version}_*.sql")
        file.rename(later / file.name)
    cli.push(project, ready_set)

    for file in sorted(later.iterdir()):
        shutil.copy(file, migrations)
    assert info(project, ready_set)["pending"] == BRIDGES
    for changed in (True, False):
        assert migrate(project, ready_set).get("changed") is changed
        assert cli.pending(project, ready_set) == []
        by = {entry["version"]: entry["applied_by"] for entry in info(project, ready_set)["migrations"]}
        assert by == {version: "pgops" if version in BRIDGES else "other" for version in versions(ready_set)}

    name = "20260101000000_theirs.sql"
    (migrations / name).write_text("create table public.theirs (id int);\n", "utf-8")
    assert cli.pending(project, ready_set) == [name]
    for pushed in ([name], []):
        assert cli.push(project, ready_set) == pushed
        assert info(project, ready_set)["applied"] == versions(ready_set)
        assert project.psql("select to_regclass('public.theirs')") == "theirs"


def test_what_we_rolled_back_is_pending_to_the_cli(
    cli: SupabaseCli, project: LiveProject, ready_set: Path, tmp_path: Path
) -> None:
    files = [next((ready_set / "migrations").glob(f"{version}_*.sql")).name for version in BRIDGES]
    assert migrate(project, ready_set, to_version=LAST_BEFORE_BRIDGES)["changed"]
    assert migrate(project, ready_set)["changed"]
    for changed in (True, False):
        result = run_module(
            "rollback",
            supabase_dir=str(ready_set),
            to_version=LAST_BEFORE_BRIDGES,
            reason="The release is postponed",
            export_dir=str(tmp_path / "rollback-data"),
            **project.login,
        )
        assert result.get("changed") is changed, result
        assert cli.listed(project, ready_set) == {v: v not in BRIDGES for v in versions(ready_set)}
        assert cli.pending(project, ready_set) == files

    assert cli.push(project, ready_set) == files
    assert cli.pending(project, ready_set) == []
    found = info(project, ready_set)
    assert found["applied"] == versions(ready_set)
    assert {e["applied_by"] for e in found["migrations"] if e["version"] in BRIDGES} == {"other"}
