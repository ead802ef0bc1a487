# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PostgreSQL would refuse in the middle of a restore is refused beforehand: too many locks, and objects of others."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.servers.documents import LocalProject
from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import (
    create_database,
    ensure_absent,
    ensure_started,
)
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.integration import snapshots
from tests.integration.conftest import FAST_SETTINGS
from tests.integration.live import LiveProject, RunModule

# With so few connections the lock table is small.
SMALL = {**FAST_SETTINGS, "max_locks_per_transaction": 10, "max_connections": 20}
MANY_TABLES = "do $$ begin for i in 1..120 loop execute format('create table public.t%s (id int primary key)', i); end loop; end $$"


@pytest.fixture
def small_server(server_state: Path) -> Iterator[LocalProject]:
    """A server with a small lock table."""
    project = ensure_started(server_state, "small", settings=SMALL).project
    assert project is not None
    yield project
    ensure_absent(server_state, "small")


class Restores:
    """One backup of a project, restored to where it cannot go."""

    def __init__(self, run_module: RunModule, directory: Path) -> None:
        self._run_module, self._directory = run_module, directory

    def back_up(self, project: LiveProject) -> None:
        done = self._run_module("backup", **project.login, project="p", run_dir=str(self._directory / "run1"))
        assert done["changed"], done

    def restore(self, target: LiveProject, *, check: bool = False) -> dict[str, Any]:
        backup, aside = self._directory / "run1" / "backup", self._directory / "aside"
        parameters = {**target.login, "project": "p", "backup": str(backup), "aside": str(aside), "elsewhere": True}
        return self._run_module("restore", check=check, **parameters)

    def refused(self, target: LiveProject, code: str) -> dict[str, Any]:
        """Ask in check mode and twice for real: it is refused each time, and nothing is changed."""
        before = snapshots.take(target, self._directory)
        for check in (True, False, False):
            result = self.restore(target, check=check)
            assert result.get("failed") and not result["changed"], result
            error: dict[str, Any] = result["error"]
            assert (error["code"], error["state"]) == (code, "nothing was changed"), result["msg"]
            assert snapshots.take(target, self._directory) == before
        return error


@pytest.fixture
def restores(run_module: RunModule, tmp_path: Path) -> Restores:
    return Restores(run_module, tmp_path)


def test_a_lock_table_that_is_too_small(
    restores: Restores, project: LiveProject, small_server: LocalProject, server_state: Path
) -> None:
    project.psql(MANY_TABLES)
    restores.back_up(project)
    name = f"test_{secrets.token_hex(6)}"
    create_database(small_server, name)
    error = restores.refused(LiveProject(small_server, name), "restore")
    assert "the server's lock table holds about" in error["what"]
    assert error["details"]["locks_needed"] > 2 * error["details"]["locks_capacity"]
    wanted = int(error["next_step"].split("Set max_locks_per_transaction to ")[1].split(" ")[0])
    # What it asks for is enough.
    larger = ensure_started(server_state, "small", settings={**SMALL, "max_locks_per_transaction": wanted}).project
    assert larger is not None
    done = restores.restore(LiveProject(larger, name))
    assert done.get("changed"), done["msg"]


def test_large_objects_take_locks_too(restores: Restores, project: LiveProject, small_server: LocalProject) -> None:
    project.psql("do $$ begin perform lo_create(0) from generate_series(1, 700); end $$")
    restores.back_up(project)
    name = f"test_{secrets.token_hex(6)}"
    create_database(small_server, name)
    error = restores.refused(LiveProject(small_server, name), "restore")
    assert error["details"]["locks_needed"] >= 700 and "max_locks_per_transaction to " in error["next_step"]


def test_objects_of_somebody_for_whom_the_role_may_not_act(restores: Restores, project: LiveProject) -> None:
    project.psql("create table public.ours (id int); create table public.theirs (id int)")
    project.psql(
        f"alter table public.theirs owner to {SUPERUSER}; grant select on public.theirs to postgres", SUPERUSER
    )
    restores.back_up(project)
    error = restores.refused(project, "privilege")
    assert f"objects of {SUPERUSER}, for whom this role may not act: TABLE public.theirs" in error["what"]
    assert "superuser" in error["next_step"]
