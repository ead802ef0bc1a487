# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook as a check of every night: what it says, whether anything counts as changed, and when it fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.live import NewProject
from tests.integration.reconcile.diverged import COMMON, DEV, PROD, Two, play


@pytest.fixture
def two(new_project: NewProject, tmp_path: Path) -> Two:
    """Two equal projects."""
    both = Two(new_project(), new_project(), tmp_path / "supabase")
    both.example(*COMMON)
    for project in (both.dev, both.prod):
        both.apply(project)
    return both


def changed(said: str) -> str:
    """What Ansible's own callback counts as changed on prod."""
    counted = re.search(rf"{PROD}\s+: ok=\d+\s+changed=(\d+)", said)
    assert counted, said
    return counted[1]


def test_equal_projects_are_said_to_be_equal_and_nothing_is_changed(two: Two) -> None:
    for callback in ("pgops.supabase.runbook", "default"):
        done = play(two, "-l", PROD, "-e", "reconcile_fail_on=any", callback=callback)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{PROD}: EQUAL to {DEV} and to git" in done.stdout
    assert changed(done.stdout) == "0"


def test_a_drift_is_told_in_short_and_fails_from_the_risk_on_that_was_asked_for(two: Two) -> None:
    two.prod.psql(
        "alter table public.dispatches disable row level security; create index zip on public.addresses (zip);"
    )
    for risk, code in (("none", 0), ("data_loss", 0), ("security", 2), ("availability", 2), ("any", 2)):
        done = play(two, "-l", PROD, "-e", f"reconcile_fail_on={risk}")
        assert done.returncode == code, done.stdout + done.stderr
        assert f"{PROD}: DIFFERS from {DEV}: 1 security, 1 availability" in done.stdout
        assert "security: table public.dispatches differs: Where row level security is off" in done.stdout
        assert f"next       ansible-playbook pgops.supabase.reconcile -l {PROD} -e reconcile_bridge=true" in done.stdout
        assert re.search(r"report     \S+/reconcile\.html", done.stdout)
        assert ("both projects were only read" in done.stdout) is (code == 2)
    assert len(list((two.folder.parent / "runs" / PROD / "reconcile").iterdir())) == 5
    done = play(two, "-l", PROD, callback="default")
    assert done.returncode == 0 and changed(done.stdout) == "1"


def test_check_mode_compares_and_writes_nothing(two: Two) -> None:
    done = play(two, "-l", PROD, "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "EQUAL" in done.stdout and "report     " not in done.stdout
    assert not (two.folder.parent / "runs").exists()


def test_a_project_that_comes_from_none_says_so_and_one_that_cannot_be_reached_fails(two: Two) -> None:
    done = play(two, "-l", DEV)
    assert done.returncode == 0 and f"{DEV}: it promotes from no project" in done.stdout
    done = play(two, "-l", DEV, "-e", f"reconcile_source={PROD}")
    assert done.returncode == 0 and f"{DEV}: EQUAL to {PROD} and to git" in done.stdout
    done = play(two, "-l", PROD, "-e", f"reconcile_source={PROD}")
    assert done.returncode == 2 and f"{PROD} would be compared with itself" in done.stdout
    done = play(two, "-l", PROD, "-e", "project_db_port=1")
    assert done.returncode == 2 and "changed_when" not in done.stdout and "next" in done.stdout
