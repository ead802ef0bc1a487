# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The marker: written once, by the module only, and never against what else is known of the database."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.live import LiveProject, RunModule

MARKER = "select project, ref, environment, system_identifier from pgops.project_marker"
GIVEN = {"project": "app_dev", "project_ref": "abcdefghijklmnopqrst", "environment": "dev"}


def mark(project: LiveProject, run_module: RunModule, /, **params: Any) -> dict[str, Any]:
    return run_module("project_marker", **{**project.login, **GIVEN, **params})


def test_it_is_written_once(project: LiveProject, run_module: RunModule) -> None:
    foreseen = mark(project, run_module, check=True, diff=True)
    assert (foreseen["changed"], foreseen["marker"]) == (True, None)
    assert project.psql("select to_regnamespace('pgops') is null") == "t"
    first = mark(project, run_module, diff=True)
    assert first["changed"]
    assert (
        first["diff"]
        == foreseen["diff"]
        == {
            "before": {},
            "after": {"project": "app_dev", "ref": "abcdefghijklmnopqrst", "environment": "dev"},
        }
    )
    identifier = project.psql("select system_identifier from pg_control_system()")
    written = project.psql(f"{MARKER}; select created_at from pgops.project_marker")
    assert written.splitlines()[0] == f"app_dev|abcdefghijklmnopqrst|dev|{identifier}"
    for check in (False, True):
        again = mark(project, run_module, check=check, diff=True)
        assert not again["changed"] and again["marker"] == first["marker"] and "diff" not in again
    assert project.psql(f"{MARKER}; select created_at from pgops.project_marker") == written


@pytest.mark.parametrize("check", [True, False])
def test_nothing_is_marked_against_the_evidence(project: LiveProject, run_module: RunModule, check: bool) -> None:
    for other, said in (
        ({"environment": ""}, "none is given"),
        ({"login_port": 1, "environment": ""}, "none is given"),
    ):
        refused = mark(project, run_module, check=check, **other)
        assert refused["failed"] and refused["error"]["code"] == "input" and said in refused["msg"]
    assert project.psql("select to_regnamespace('pgops') is null") == "t"
    mark(project, run_module)
    project.psql("update pgops.project_marker set system_identifier = '7000000000000000001'")
    before = project.psql("select * from pgops.project_marker")
    for _time in range(2):
        refused = mark(project, run_module, check=check)
        assert refused["failed"] and refused["error"]["code"] == "verification"
        assert "The database is not marked as app_dev" in refused["msg"]
        assert "the marker was written on server 7000000000000000001" in refused["msg"]
    assert project.psql("select * from pgops.project_marker") == before
