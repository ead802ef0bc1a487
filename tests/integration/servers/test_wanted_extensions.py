# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The extensions that a local project is asked to have: made, there already, not to be had."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.servers.extensions import MARK
from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import ensure_absent, read_project
from ansible_collections.pgops.supabase.plugins.module_utils.servers.server import running_pid
from tests.integration.conftest import FAST_SETTINGS
from tests.integration.installations import WHEELS, programs_of
from tests.integration.live import LiveProject, RunModule

WHERE = "select extname, extnamespace::regnamespace, extowner::regrole from pg_extension order by 1"


@pytest.fixture
def state_dir(server_state: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory of the test's own, with a project C(one) at most."""
    directory = server_state / request.node.name.split("[")[0]
    yield directory
    ensure_absent(directory, "one")
    shutil.rmtree(directory, ignore_errors=True)


class Asked:
    """The module, asked for the project with extensions."""

    def __init__(self, run_module: RunModule, state_dir: Path, pg_bin: Path | None = None) -> None:
        self._run_module, self.state_dir = run_module, state_dir
        self._options: dict[str, Any] = {"pg_bin": str(pg_bin)} if pg_bin else {}

    def __call__(self, *extensions: str, check: bool = False) -> dict[str, Any]:
        same = {"name": "one", "state_dir": str(self.state_dir), "settings": FAST_SETTINGS, **self._options}
        return self._run_module("local_project", check=check, diff=True, extensions=list(extensions), **same)

    @property
    def database(self) -> LiveProject:
        project = read_project(self.state_dir, "one")
        assert project is not None
        return LiveProject(project, "postgres")

    def refused(self, *extensions: str, named: list[str]) -> None:
        """Each time, checked or not, all that cannot be had are named and nothing is made."""
        for check in (True, False, False):
            result = self(*extensions, check=check)
            assert result.get("failed") and not result["changed"], result
            assert result["error"]["details"]["extensions"] == named


def test_a_project_gets_them_with_stand_ins_for_what_the_programs_lack(run_module: RunModule, state_dir: Path) -> None:
    asked = Asked(run_module, state_dir)
    asked.refused("hstore", "postgis", "vector", named=["postgis", "vector"])
    assert not (state_dir / "one").exists()
    asked.refused("hstore; drop", named=["hstore; drop"])
    assert asked("hstore", check=True)["changed"] and not (state_dir / "one").exists()

    made = asked("hstore", "pg_cron", "pgcrypto")
    assert made["changed"] and made["project"]["extensions"] == ["hstore", "pg_cron", "pgcrypto"]
    there = asked.database.psql(WHERE).splitlines()
    assert {"hstore|extensions|supabase_admin", "pg_cron|pg_catalog|supabase_admin"} <= set(there)
    assert MARK in asked.database.psql(
        "select obj_description(oid, 'pg_extension') from pg_extension where extname = 'pg_cron'"
    )
    for check in (True, False):
        assert not asked("hstore", "pg_cron", "pgcrypto", check=check)["changed"]

    pid = running_pid(asked.database.server.server)
    predicted = asked("ltree", check=True)
    assert predicted["changed"] and asked.database.psql(WHERE).splitlines() == there
    assert asked("ltree")["diff"] == predicted["diff"]
    assert running_pid(asked.database.server.server) == pid
    asked.refused("citext", "postgis", named=["postgis"])
    assert set(asked.database.psql(WHERE).splitlines()) == {*there, "ltree|extensions|supabase_admin"}
    assert asked.database.psql("select 'a => 1'::hstore -> 'a', 'a.b'::ltree <@ 'a'") == "1|t"
    for _time in range(2):
        assert asked()["project"]["extensions"] == ["hstore", "pg_cron", "pgcrypto", "ltree"]


@pytest.mark.parametrize("version", WHEELS[:1])
def test_an_installation_that_is_named_has_its_own_and_no_stand_ins(
    run_module: RunModule, state_dir: Path, version: str
) -> None:
    asked = Asked(run_module, state_dir, programs_of(version))
    asked.refused("hstore", "pg_net", "pg_cron", named=["pg_cron", "pg_net"])
    assert not (state_dir / "one").exists()
    assert asked("earthdistance")["changed"]
    there = asked.database.psql(WHERE).splitlines()
    assert {"cube|extensions|supabase_admin", "earthdistance|extensions|supabase_admin"} <= set(there)
    # It has the file, but perhaps not the library that it wants; then none of the list is made.
    result = asked("hstore", "uuid-ossp")
    if result.get("failed"):
        assert (
            "uuid-ossp: could not load library" in result["msg"] and "none of the extensions was made" in result["msg"]
        )
        assert asked.database.psql(WHERE).splitlines() == there
        assert len(asked.database.psql("select uuid_generate_v4()")) == 36


def test_what_must_be_loaded_at_the_servers_start_is(run_module: RunModule, state_dir: Path) -> None:
    asked = Asked(run_module, state_dir, programs_of("bookworm"))
    assert asked()["changed"]
    pid = running_pid(asked.database.server.server)
    assert asked("pg_cron")["changed"]
    assert running_pid(asked.database.server.server) != pid
    assert "pg_cron" in asked.database.psql("show shared_preload_libraries")
    assert (
        asked.database.psql("select extnamespace::regnamespace from pg_extension where extname = 'pg_cron'")
        == "pg_catalog"
    )
    # The true one, and postgres may use it as on the platform.
    assert MARK not in asked.database.psql("select obj_description(oid, 'pg_extension') from pg_extension")
    assert asked.database.psql("select cron.schedule('nightly', '0 3 * * *', 'select 1')") == "1"
    for check in (True, False):
        assert not asked("pg_cron", check=check)["changed"]
    assert not asked()["changed"]
