# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that schedules jobs, with a crontab; the entry runs as cron would run it, and goes with the run's rollback."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.application import TABLES, Application
from tests.integration.debian_packages import unpack
from tests.integration.live import CLONE, LiveProject

JOBS = [
    {"name": "50% at night", "schedule": "0 3 * * mon-fri", "command": "delete from public.orders where id > 90"},
    {"name": "weekly", "schedule": "@weekly", "command": "select 1"},
]
RUN = "20260101T000000Z-0001"


class Crontab:
    """A crontab in a directory of the test's own, by BusyBox, which takes the place of the machine's."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        place = CLONE / ".local" / "cache" / "busybox-static"
        unpack("BusyBox with its crontab", place, lambda: ["busybox-static"])
        [busybox] = [path for path in place.glob("**/bin/busybox") if not path.is_symlink()]
        programs, self._spool = directory / "bin", directory / "spool"
        programs.mkdir(parents=True)
        self._spool.mkdir()
        # Without one BusyBox fails in another way than cron does.
        (self._spool / getpass.getuser()).touch()
        self._program = programs / "crontab"
        self._program.write_text(f'#!/bin/sh\nexec {busybox} crontab -c {self._spool} "$@"\n')
        self._program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def entries(self) -> list[str]:
        """The entries, without what ansible.builtin.cron knows them by."""
        listed = subprocess.run([str(self._program), "-l"], check=False, capture_output=True, text=True)
        return [line for line in listed.stdout.splitlines() if line and not line.startswith("#")]


def run_as_cron(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the sixth field of an entry: percent signs are escaped, and there is next to no environment."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "SHELL": "/bin/sh", "LANG": "C.UTF-8"}
    command = command.replace("\\%", "%")
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=home, env=environment, check=False, capture_output=True, text=True, timeout=300
    )


def test_a_crontab_runs_the_jobs_until_the_run_is_taken_back(
    project: LiveProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.psql(TABLES)
    crontab, application = Crontab(tmp_path / "cron", monkeypatch), Application(project, tmp_path / "supabase")
    application.migration("20260101000000_notes", "create table public.notes (id int)")
    application.way_back("20260101000000_notes", "drop table public.notes")
    application.applies(run_id=RUN)
    declared: dict[str, Any] = {"project_scheduled_jobs": JOBS, "report_run_id": RUN}

    for number, arguments in enumerate((["--check", "--diff"], [], [])):
        command, options = application.command("scheduled_job", **declared)
        done = subprocess.run(
            [*command, *arguments], check=False, capture_output=True, encoding="utf-8", timeout=300, **options
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("changed=0" in done.stdout) is (number == 2), done.stdout
        assert "delete from" not in done.stdout + done.stderr
        assert len(crontab.entries()) == (2 if number else 0)
    nightly, weekly = crontab.entries()
    assert nightly.startswith("0 3 * * mon-fri ") and weekly.startswith("@weekly ")
    assert "delete" not in nightly and project.login["login_password"] not in nightly

    for ran in (1, 2):
        by_cron = run_as_cron(nightly.removeprefix("0 3 * * mon-fri "), tmp_path)
        assert by_cron.returncode == 0, by_cron.stdout + by_cron.stderr
        runs = project.psql("select name, status from pgops.scheduled_job_run order by run_number").splitlines()
        assert runs == ["50% at night|succeeded"] * ran
    assert project.psql("select max(id) from public.orders") == "90"
    status = application.play("status").stdout
    assert "50% at night: 0 3 * * mon-fri, by the crontab of" in status and "0 of 2 failed" in status
    assert f"scheduled by run {RUN}" in status

    for dummy in range(2):
        back = application.play("rollback", rollback_reason="a test")
        assert back.returncode == 0, back.stdout + back.stderr
        assert crontab.entries() == []
    assert project.psql("select to_regclass('public.notes') is null") == "t"
    [report] = [
        path for path in application.state_dir.glob("shop/*/report.md") if "weekly: unscheduled" in path.read_text()
    ]
    assert "50% at night: unscheduled" in report.read_text()
