# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project's life on the newest minor release of each major version of PostgreSQL that can be had, and Debian's beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import find_program, program_version
from ansible_collections.pgops.supabase.plugins.module_utils.servers.documents import LocalProject
from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import ensure_absent, ensure_started
from tests.integration.application import Application
from tests.integration.conftest import FAST_SETTINGS
from tests.integration.installations import SUITES, WHEELS, programs_of
from tests.integration.live import LiveProject, RunModule

TABLES = """
create table public.prices (id int primary key, amount int not null default 3, note text);
insert into public.prices select i, i, 'n' || i from generate_series(1, 50) i;
create view public.dear as select id, amount from public.prices where amount > 40;
alter table public.prices enable row level security;
create policy everyone on public.prices for select to anon using (true);
"""
WIDER = """
drop view public.dear;
alter table public.prices alter column amount type bigint, alter column note set default 'none';
create view public.dear as select id, amount from public.prices where amount > 40;
"""
NARROWER = """
drop view public.dear;
alter table public.prices alter column amount type integer, alter column note drop default;
create view public.dear as select id, amount from public.prices where amount > 40;
"""

TYPE = "select atttypid::regtype from pg_attribute where attrelid = 'public.prices'::regclass and attname = 'amount'"


@pytest.fixture(scope="module", params=[*WHEELS, *SUITES])
def server(request: pytest.FixtureRequest, server_state: Path) -> Iterator[LocalProject]:
    """A running project of each installation."""
    programs, state_dir = programs_of(request.param), server_state / f"minors-{request.param}"
    project = ensure_started(state_dir, "one", pg_bin=programs, settings=FAST_SETTINGS).project
    assert project is not None
    yield project
    ensure_absent(state_dir, "one")


def programs_of_people(project: LocalProject) -> Path:
    """The programs that a person has, unless the server is newer than those: then the server's own."""
    usual = find_program("pg_dump").parent
    old_enough = int(project.server_version.split(".")[0]) <= program_version(usual / "pg_dump").major
    return usual if old_enough else Path(project.pg_bin)


def schema(application: Application) -> list[str]:
    """What pg_dump writes of the schema, without what the server writes into columns by itself."""
    return [line for line in application.snapshot().catalog.splitlines() if "pg_attver" not in line]


def rows(project: LiveProject) -> str:
    """The rows as psql finds them."""
    return project.psql("select * from public.prices order by id")


@pytest.mark.timeout(300)
def test_its_whole_life(server: LocalProject, run_module: RunModule, tmp_path: Path) -> None:
    project = LiveProject(server, "postgres")
    assert project.psql("show server_version").split()[0] == server.server_version
    tmp_path.chmod(0o755)
    application = Application(project, tmp_path / "supabase")
    pg_bin: dict[str, Any] = {"pg_bin": str(programs_of_people(server))}
    login: dict[str, Any] = {**project.login, "project": "shop"}
    project.psql(TABLES)
    # With it the history is there.
    application.migration("20250101000000_first", "comment on table public.prices is 'what things cost'")
    application.applies()
    before = (schema(application), rows(project))

    run_dir = application.state_dir / "shop" / "20260101T000000Z-0000"
    own: dict[str, Any] = {"scratch_pg_bin": server.pg_bin}
    made = run_module("backup", run_dir=str(run_dir), verify="restore", **pg_bin, **own, **login)
    assert made.get("changed"), made
    assert made["manifest"]["verification"]["notes"] == []

    # On a copy that the server's own programs made, the inverse returns the catalog to what it was.
    by_own = run_module(
        "backup", run_dir=str(run_dir.with_name("20260101T000001Z-0000")), pg_bin=server.pg_bin, **login
    )
    assert by_own.get("changed"), by_own
    application.migration("20260101000000_wider", WIDER)
    application.way_back("20260101000000_wider", NARROWER)
    rehearsed = application.play("rehearse", rehearse_pg_bin=server.pg_bin)
    assert rehearsed.returncode == 0, rehearsed.stdout
    [document] = (application.state_dir / "shop").glob("rehearsals/*/rehearsal.json")
    assert json.loads(document.read_text())["differences"] == []

    application.applies()
    assert project.psql(TYPE) == "bigint"
    after = (schema(application), rows(project))
    arguments: dict[str, Any] = {"supabase_dir": str(application.directory), **project.login}
    drafted = run_module("rollback_draft", **arguments)
    assert not drafted.get("failed"), drafted
    taken_back = run_module("rollback", reason="a test", **arguments)
    assert taken_back.get("changed"), taken_back
    assert not run_module("rollback", reason="a test", **arguments)["changed"]
    assert (schema(application), rows(project)) == before
    application.applies()
    assert (schema(application), rows(project)) == after

    project.psql("drop table public.prices cascade")
    for time in range(2):
        arguments = {"backup": str(run_dir / "backup"), "consent": f"shop {made['manifest']['backup_id']}"}
        again = run_module("restore", run_dir=str(tmp_path / f"restore{time}"), **arguments, **pg_bin, **login)
        assert again.get("changed"), again
        assert (schema(application), rows(project)) == before
