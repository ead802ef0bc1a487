# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bridges between two real databases: what is drafted is run with psql, and looked at with pg_dump."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.integration.live import LiveProject, NewProject, RunModule
from tests.integration.reconcile.bridges import COMMON, SOURCE_ONLY, dumped, login

# All kinds at once by default; each by itself where somebody asks for it, which takes half an hour.
KINDS = [*SOURCE_ONLY] if os.environ.get("BRIDGE_KINDS") == "each" else ["all"]
TWICE = (1, 2)


@pytest.fixture(params=TWICE)
def again(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def pair(new_project: NewProject, kind: str, user: str = SUPERUSER) -> tuple[LiveProject, LiveProject]:
    target, source = new_project(), new_project()
    for project in (target, source):
        project.psql(COMMON, user)
    source.psql("".join(SOURCE_ONLY.values()) if kind == "all" else SOURCE_ONLY[kind], user)
    return target, source


def migrations(directory: Path) -> list[Path]:
    return sorted((directory / "bridge" / "migrations").iterdir())


def run_files(project: LiveProject, files: Sequence[Path], *, in_full: bool = False) -> None:
    for file in files:
        text = file.read_text("utf-8")
        if in_full:
            text = uncommented(text)
        project.psql(text, SUPERUSER)


def uncommented(text: str) -> str:
    """The file as a person leaves it who takes every comment of a statement away: all comments but its head, and the reasons."""
    head, _empty, rest = text.partition("\n\n")
    lines, reason = [], False
    for line, before in zip(rest.splitlines(), ["", *rest.splitlines()]):
        # The first comment after an empty line says why.
        reason = line.startswith("-- ") and not before
        lines.append("" if reason else line.removeprefix("-- "))
    return "\n".join([head, "", *lines])


def bridged(run_module: RunModule, target: LiveProject, source: LiveProject, directory: Path, **more: Any) -> Any:
    options = {"source": login(source), "run_dir": str(directory), **more}
    return run_module("reconciliation_bridge", **login(target), **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["to_source", "to_target"])
def test_a_bridge_leads_there_and_back(
    new_project: NewProject, run_module: RunModule, tmp_path: Path, kind: str, direction: str, again: int
) -> None:
    target, source = pair(new_project, kind)
    result = bridged(run_module, target, source, tmp_path, direction=direction)
    assert result["bridge"]["verdict"] == "proven", result["bridge"]["reasons"]
    if direction == "to_target":
        target, source = source, target
    before = dumped(target)
    files = migrations(tmp_path)
    run_files(target, files)
    run_files(target, [tmp_path / "bridge" / "rollbacks" / file.name for file in reversed(files)])
    assert dumped(target) == before
    run_files(target, files, in_full=True)
    assert dumped(target) - dumped(source) == Counter()
    assert dumped(source) - dumped(target) == Counter()


def test_what_would_lose_rows_is_left_out_and_counted(
    new_project: NewProject, run_module: RunModule, tmp_path: Path, again: int
) -> None:
    target, source = new_project(), new_project()
    both = "create table public.orders (id int primary key, note text, total bigint, state text);"
    for project in (target, source):
        project.psql(both)
    target.psql(
        "create table public.old (id int); insert into public.old select generate_series(1, 7);"
        "insert into public.orders select n, case when n > 2 then 'kept' end, n, null from generate_series(1, 5) n;"
    )
    source.psql(
        "alter table public.orders drop column note, alter column total type int, alter column state set not null,"
        " add column code text not null;"
    )
    result = bridged(run_module, target, source, tmp_path)
    assert result["bridge"]["verdict"] == "proven", result["bridge"]["reasons"]
    assert {item["object_name"]: item["rows"] for item in result["bridge"]["destroying"]} == {
        "table public.old": 7,
        "column public.orders.note": 3,
        "column public.orders.total": 5,
        "column public.orders.state": 0,
        "column public.orders.code": None,
    }
    run_files(target, migrations(tmp_path))
    assert target.psql("select count(*) from public.old") == "7"
    assert target.psql("select count(note), sum(total), count(code) from public.orders") == "3|15|0"
    text = "".join(file.read_text("utf-8") for file in migrations(tmp_path))
    assert "-- drop table public.old;" in text and "(7 rows)" in text and "5 rows have no value in it" in text


def test_tables_in_use_get_safe_forms(
    new_project: NewProject, run_module: RunModule, tmp_path: Path, again: int
) -> None:
    target, source = new_project(), new_project()
    for project in (target, source):
        project.psql("create table public.a (id int primary key, b int, c text); create type public.e as enum ('x');")
    source.psql(
        "create table public.b (id int primary key); alter table public.a add foreign key (b) references public.b,"
        " add check (c <> ''), alter column c set not null, add unique (c); create index on public.a (b);"
        "alter type public.e add value 'y'; create table public.c (e public.e default 'y');"
    )
    result = bridged(run_module, target, source, tmp_path)
    assert result["bridge"]["verdict"] == "proven", result["bridge"]["reasons"]
    values, main, indexes, validation = (file.read_text("utf-8") for file in migrations(tmp_path))
    assert "add value 'y'" in values and "'y'::public.e" in main
    assert main.count(" not valid;") == 3 and " validate " not in main
    assert indexes.count("INDEX CONCURRENTLY") == 2 and "alter table" not in indexes
    assert (
        validation.count(" validate constraint ") == 3 and "using index" in validation and "set not null" in validation
    )
    assert [file["outside_transaction"] for file in result["bridge"]["files"]] == [False, False, True, False]
    # The files are a project's migrations: PostgreSQL takes each as its runner sends it.
    run_files(target, migrations(tmp_path))
    assert dumped(target) == dumped(source)


def test_nothing_differs_and_a_kept_schema(
    new_project: NewProject, run_module: RunModule, tmp_path: Path, again: int
) -> None:
    target, source = new_project(), new_project()
    assert bridged(run_module, target, source, tmp_path / "equal")["changed"] is False
    source.psql("create table public.kept (id int primary key)")
    kept = tmp_path / "kept.json"
    run_module("schema_info", **login(source), dest=str(kept))
    options = {**login(target), "catalog": str(kept), "run_dir": str(tmp_path)}
    checked = run_module("reconciliation_bridge", check=True, **options)
    assert checked["changed"] is True and not (tmp_path / "bridge").exists()
    result = run_module("reconciliation_bridge", **options)
    assert result["bridge"]["verdict"] == "proven"
    document = json.loads((tmp_path / "bridge" / "bridge.json").read_text("utf-8"))
    assert document["in_full"]["dump_equal"] is None and document["rollback"]["dump_equal"] is True
    run_files(target, migrations(tmp_path))
    assert dumped(target) == dumped(source)
