# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs that lose their disk or their process after COMMIT: the team hears of it, and the next run tidies up."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.conftest import FIGURES
from tests.faults.figures import Figures
from tests.faults.kept import mounted
from tests.faults.proxy import Moment, Phase, Then
from tests.faults.stage import Stage, wait_until_alone
from tests.integration import receivers
from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, run_module

WAIVERS = {"git": "a test", "identity": "a test", "lint": "a test"}
BEFORE, VERSION = "20260101000000_before", "20260102000000"
FULL = os.environ.get("PGOPS_FAULTS") == "full"
# What the application's own tasks do when the run lets the writes on again: by then it is committed and verified.
FILLS_THE_DISK = """
- name: Fill the disk
  ansible.builtin.command: dd if=/dev/zero of={place}/filler bs=4k
  changed_when: true
  failed_when: false
  when: maintenance_state == "off"
"""


def test_a_disk_that_is_full_after_commit_is_told_and_keeps_nothing_stopped(
    project: LiveProject, tmp_path: Path
) -> None:
    project.psql(TABLES)
    for number in range(2):
        with mounted(tmp_path / f"runs{number}") as disk, receivers.web() as web:
            disk.resize(pages=4096)
            application = Application(project, tmp_path / "supabase")
            application.migration(f"{number + 1}_labels", f"create table public.labels{number} (id int primary key);")
            tasks = tmp_path / "maintenance.yml"
            tasks.write_text(FILLS_THE_DISK.format(place=disk.place))
            variables = {
                "project_state_dir": str(disk.place),
                "project_maintenance": {"strategy": "tasks", "tasks_file": str(tasks)},
                "preflight_waivers": WAIVERS,
                "project_channels": [
                    {"name": name, "type": "webhook", "url": web.url, "payload": "document", "timeout_seconds": 10}
                    for name in ("first", "second")
                ],
            }
            done = application.play("migrate", **variables)
            assert disk.pages == 4096 and done.returncode != 0, done.stdout
            assert project.psql(f"select to_regclass('public.labels{number}')") == f"labels{number}"
            assert application.versions()[-1] == str(number + 1)
            # The writes are on again, at once, and nobody says that they are not.
            assert project.psql("select count(*) from pgops.maintenance") == "0"
            said = " ".join((done.stdout + done.stderr).split())
            assert "maintenance.json: No space left on device" in said, done.stdout
            assert "could not be let on again" not in said and "FAILED - RETRYING" not in said, done.stdout
            # How it ended is told on each channel, though the first could not be written down.
            told = [(content["event"], content["title"]) for _path, _headers, content in web.received]
            ends = [title for event, title in told if event == "migrated"]
            assert len(ends) == 2 and all("only the record of the run is not whole" in end for end in ends), told
            assert "only the record of the run is not whole" in done.stdout
            (disk.place / "filler").unlink()
            tasks.write_text("[]\n")
            again = application.play("migrate", **variables)
            assert again.returncode == 0 and "nothing is pending" in again.stdout, again.stdout


@dataclass(frozen=True)
class Point:
    """Where a whole run is killed: at the last of questions that come one after the other, before it or before its answer."""

    name: str
    after: Sequence[str]
    phase: Phase
    committed: bool
    in_short: bool = False


_APPLIED = (r"insert into pgops\.ledger", r"commit$")
_VERIFIED = (*_APPLIED, r"insert into pgops\.ledger", r"commit$")
_LET_ON = (*_APPLIED, r"delete from pgops\.maintenance", r"commit$")
POINTS = (
    Point("the backup is made", (r"copy public\.",), Phase.BEFORE, committed=False),
    Point("the writes are stopped", (r"insert into pgops\.maintenance", r"commit$"), Phase.UNANSWERED, committed=False),
    Point("COMMIT is sent", _APPLIED, Phase.BEFORE, committed=False),
    Point("COMMIT is not answered", _APPLIED, Phase.UNANSWERED, committed=True, in_short=True),
    Point("it is read back", (*_APPLIED, r"select"), Phase.BEFORE, committed=True),
    Point("it is recorded as verified", _VERIFIED, Phase.BEFORE, committed=True),
    Point("the writes are let on", _LET_ON, Phase.BEFORE, committed=True),
    Point("the writes are on", _LET_ON, Phase.UNANSWERED, committed=True),
    Point("the lease is given back", (*_APPLIED, r"delete from pgops\.lease"), Phase.BEFORE, committed=True),
    Point("the lease is free", (*_APPLIED, r"delete from pgops\.lease"), Phase.UNANSWERED, committed=True),
)


def descendants(pid: int) -> list[int]:
    """A process with all that it started, and they in turn: Ansible's have process groups of their own."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parent = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def play_killed_at(stage: Stage, application: Application, point: Point, variables: dict[str, object]) -> bool:
    """Run the playbook through the proxy, and kill all of it there; whether it came there."""
    left, made = list(point.after), False
    command, options = application.command("migrate", **{**variables, "project_db_port": stage.proxy.port})
    process: subprocess.Popen[bytes] | None = None

    def interfere(moment: Moment) -> Then | None:
        nonlocal made
        if made or not left:
            return Then.CUT if made else None
        last = len(left) == 1
        if moment.phase is not (point.phase if last else Phase.UNANSWERED):
            return None
        if not re.match(left[0], moment.question.words, re.IGNORECASE):
            return None
        left.pop(0)
        if not last:
            return None
        assert process is not None
        made = True
        for pid in descendants(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return Then.CUT

    stage.proxy.next_run(interfere)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    process.wait(timeout=600)
    return made and process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    "point", [p for p in POINTS if FULL or p.in_short], ids=lambda point: point.name.replace(" ", "-")
)
def test_a_whole_run_that_is_killed(
    stage: Stage, project: LiveProject, point: Point, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    started = time.monotonic()
    project.psql(TABLES)
    application = Application(project, tmp_path / "app" / "supabase")
    application.migration(BEFORE, "create table public.settings (name text primary key);")
    assert application.apply()["changed"]
    application.migration(f"{VERSION}_labels", "create table public.labels (id int primary key);")
    application.validation("select case when count(*) = 3 then 'PASS: clients' else 'FAIL: clients' end from clients;")
    variables: dict[str, object] = {
        "project_maintenance": {"strategy": "database", "drain_seconds": 0.5},
        "preflight_waivers": WAIVERS,
    }
    assert play_killed_at(stage, application, point, variables), "the run never came there"
    wait_until_alone(project)

    # History, ledger and objects agree, and a program that asks is told what is so.
    before = BEFORE.partition("_")[0]
    expected = [before, VERSION] if point.committed else [before]
    assert application.versions() == expected
    assert [event for event in application.events() if event.startswith("applied")] == [
        f"applied {v}" for v in expected
    ]
    assert project.psql("select to_regclass('public.labels') is not null") == ("t" if point.committed else "f")
    stopped = project.psql("select count(*) from pgops.maintenance") if _has_maintenance(project) else "0"
    if stopped == "1":
        status = application.play("status", **variables)
        assert "the application's writes are stopped since" in status.stdout, status.stdout
        assert "which is over" in status.stdout, status.stdout

    # The next run finishes, and lets on what was stopped.
    again = application.play("migrate", **variables)
    assert again.returncode == 0, again.stdout
    assert not point.committed or "nothing is pending" in again.stdout, again.stdout
    assert application.versions() == [before, VERSION]
    applied = [event for event in application.events() if event.startswith("applied")]
    assert applied == [f"applied {before}", f"applied {VERSION}"]
    assert project.psql("select count(*) from pgops.maintenance") == "0"
    assert project.psql("show default_transaction_read_only") == "off"
    # A lease that the dead run still has keeps nobody off.
    taken = run_module("run_lease", **project.login, run_id="the next one", expires_seconds=60)
    assert taken.get("changed") and taken["lease"]["run_id"] == "the next one", taken
    info = application.info()["migration_info"]
    assert not info["pending"], info
    outcome = (0, 1) if point.committed else (1, 0)
    figures = Figures("playbook", "kill", 1, outcome[0], 0, outcome[1], 1, time.monotonic() - started)
    record_property(FIGURES, figures.as_properties())


def _has_maintenance(project: LiveProject) -> bool:
    return project.psql("select to_regclass('pgops.maintenance') is not null") == "t"
