# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types made from a live catalog by the real generator, compiled by TypeScript's own compiler; and what is in its way."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.live import CLONE, LiveProject, run_module

CACHE = CLONE / ".local" / "cache"
# Installed once for all runs of the tests, by the module itself.
GENERATOR = CACHE / "types"
TYPESCRIPT = "typescript@5.9.3"
SCHEMA = """
create type public.mood as enum ('calm', 'it''s "odd"');
create table public.notes (id bigint primary key, body text not null, mood public.mood, "odd ""name" jsonb);
create table public.lines (id int primary key, note bigint not null references public.notes (id));
create view public.recent as select id, body from public.notes;
create materialized view public.totals as select count(*) as n from public.notes;
create table public.events (id int, on_day date) partition by range (on_day);
create function public.shout(word text) returns text language sql as 'select upper(word)';
"""
USE = """
import type { Database, Enums, Tables, TablesInsert } from "./database.types"
export const note: Tables<"notes"> = { id: 1, body: "x", mood: null, "odd \\"name": { a: [1] } }
export const added: TablesInsert<"notes"> = { id: 2, body: "y" }
export const mood: Enums<"mood"> = "it's \\"odd\\""
export const view: Tables<"recent"> = { id: null, body: null }
export const said: Database["public"]["Functions"]["shout"]["Returns"] = "HI"
// @ts-expect-error the column cannot be null
export const wrong: Tables<"notes"> = { id: 1, body: null, mood: null, "odd \\"name": null }
"""


def generate(project: LiveProject, path: Path, **more: Any) -> dict[str, Any]:
    """Run the module."""
    return run_module("typescript_types", **{**project.login, "path": str(path), "cache_dir": str(GENERATOR), **more})


@pytest.fixture(scope="session")
def compiler() -> Path:
    """TypeScript's compiler, brought once."""
    home = CACHE / "typescript"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        program = home / "node_modules" / "typescript" / "bin" / "tsc"
        if not program.is_file():
            command = [
                "npm",
                "install",
                "--prefix",
                str(home),
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                TYPESCRIPT,
            ]
            subprocess.run(command, check=True, capture_output=True, timeout=300)
    return program


@pytest.fixture
def filled(project: LiveProject) -> LiveProject:
    project.psql(SCHEMA)
    return project


def test_the_compiler_agrees_with_the_database(filled: LiveProject, tmp_path: Path, compiler: Path) -> None:
    path = tmp_path / "src" / "types" / "database.types.ts"
    first = generate(filled, path, run_dir=str(tmp_path))
    assert first["changed"], first
    assert (first["types"]["relations"], first["types"]["enums"]) == (5, 1)
    assert json.loads((tmp_path / "types.json").read_text()) == first["types"]
    (path.parent / "use.ts").write_text(USE)
    done = subprocess.run(
        ["node", str(compiler), "--noEmit", "--strict", str(path.parent / "use.ts")],
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    path.chmod(0o664)
    before = path.stat()
    second = generate(filled, path)
    assert not second["changed"] and path.stat().st_mtime_ns == before.st_mtime_ns
    filled.psql("alter table public.notes add column added int")
    text = path.read_text()
    tried = generate(filled, path, check=True, diff=True)
    assert tried["changed"] and path.read_text() == text == tried["diff"]["before"]
    assert "added: number | null" in tried["diff"]["after"]
    third = generate(filled, path)
    assert third["changed"] and path.read_text() == tried["diff"]["after"] and path.stat().st_mode & 0o777 == 0o664
    assert not generate(filled, path)["changed"]


def test_more_schemas_and_one_that_is_not_there(filled: LiveProject, tmp_path: Path) -> None:
    filled.psql("create schema app; create table app.settings (name text primary key)")
    path = tmp_path / "t.ts"
    for changed in (True, False):
        done = generate(filled, path, schemas=["public", "app"])
        assert done["changed"] is changed and done["types"]["relations"] == 6
        refused = generate(filled, path, schemas=["public", "nowhere", "nor"])
        assert refused["failed"] and "no schema nowhere, nor." in refused["msg"] and refused["error"]["code"] == "input"


def test_a_good_file_is_never_replaced_by_less(filled: LiveProject, tmp_path: Path) -> None:
    """A generator that writes nothing, cuts its text, leaves a table out, or hangs."""
    path = tmp_path / "app" / "t.ts"
    assert generate(filled, path)["changed"]
    good = path.read_text()
    modules = tmp_path / "app" / "node_modules"
    shutil.copytree(next(GENERATOR.glob("typegen-*")) / "node_modules", modules, symlinks=True)
    generation = modules / "@supabase/postgrest-typegen/dist/generation/index.js"
    real = generation.read_text()
    filled.psql("alter table public.notes add column more int")
    for body, code, said in (
        ("process.exit(0)", "tool", "wrote no whole text"),
        ('process.stdout.write(\'{"types": "export\'); process.exit(0)', "tool", "wrote no whole text"),
        ("return ''", "types", "left out 6 of the catalog's 6"),
        (
            "return 'export type Database = {\\n  public: {\\n    Tables: {\\n      notes: {\\n'",
            "types",
            "left out 5 of",
        ),
        ("throw new Error('no TypeScript')", "tool", "no TypeScript"),
        ("await new Promise((r) => setTimeout(r, 60000))", "tool", "did not end within 3 seconds"),
    ):
        generation.write_text(
            "export const sortGeneratorMetadata = (m) => m\nexport const generateTypescript = async () => { "
            + body
            + " }\n"
        )
        for dummy in range(2):
            failed = generate(filled, path, timeout_seconds=3)
            assert failed.get("failed") and failed["error"]["code"] == code and said in failed["msg"], failed
            assert "Next: " in failed["msg"] and path.read_text() == good
    generation.write_text(real)
    # What the application has itself is taken before what is in the cache.
    assert generate(filled, path, cache_dir=str(tmp_path / "none"))["changed"]
    assert not (tmp_path / "none").exists() and "more: number | null" in path.read_text()


def test_what_is_missing_is_named(filled: LiveProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cache = tmp_path / "t.ts", tmp_path / "cache"
    for dummy in range(2):
        named = generate(filled, path, generator_dir=str(tmp_path))
        assert named["failed"] and "There: npm install @supabase/postgrest-typegen@0.2.2 pg@" in named["msg"]
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    for dummy in range(2):
        without = generate(filled, path, cache_dir=str(cache))
        assert (
            without["failed"]
            and "Node.js is not installed" in without["msg"]
            and "Install Node.js 20" in without["msg"]
        )
    node = programs / "node"
    node.write_text("#!/bin/sh\necho v18.20.1\n")
    node.chmod(0o755)
    old = generate(filled, path, cache_dir=str(cache))
    assert old["failed"] and "Node.js is v18.20.1" in old["msg"]
    node.unlink()
    node.symlink_to(str(shutil.which("node", path=os.defpath + ":/usr/local/bin")))
    for dummy in range(2):
        without = generate(filled, path, cache_dir=str(cache))
        assert without["failed"] and "npm is not installed" in without["msg"] and "generator_dir" in without["msg"]
    npm = programs / "npm"
    npm.write_text("#!/bin/sh\necho no registry answers >&2; exit 1\n")
    npm.chmod(0o755)
    for dummy in range(2):
        failed = generate(filled, path, cache_dir=str(cache))
        assert failed["failed"] and "no registry answers" in failed["msg"] and list(cache.iterdir()) == []
    assert not path.exists()


def test_the_password_is_in_no_command_line(filled: LiveProject, tmp_path: Path) -> None:
    """Node.js is replaced by a script that writes down its own arguments, as ps would show them, before it does the work."""
    programs = tmp_path / "bin"
    programs.mkdir()
    seen = tmp_path / "seen"
    (programs / "node").write_text(
        f"#!/bin/sh\ntr '\\0' ' ' < /proc/$$/cmdline >> {seen}\nexec {shutil.which('node')} \"$@\"\n"
    )
    (programs / "node").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        for changed in (True, False):
            assert generate(filled, tmp_path / "t.ts")["changed"] is changed
    assert "--input-type=module" in seen.read_text()
    assert filled.login["login_password"] not in seen.read_text()


def test_nothing_is_written_to_the_database(filled: LiveProject, tmp_path: Path) -> None:
    look = "select pg_current_wal_insert_lsn() is not null, count(*), max(oid::bigint) from pg_class"
    before = filled.psql(look)
    for changed in (True, False):
        assert generate(filled, tmp_path / "t.ts")["changed"] is changed
    assert filled.psql(look) == before
    (tmp_path / "folder").mkdir()
    refused = generate(filled, tmp_path / "folder")
    assert refused["failed"] and "is a folder" in refused["msg"]
