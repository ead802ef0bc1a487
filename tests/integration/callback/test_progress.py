# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees of a backup and a restore while they run, on a terminal and in a log."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.backups import wait_until
from tests.integration.live import CLONE, LiveProject, NewProject, module_environment

PLAYBOOK = """
- hosts: shop
  gather_facts: false
  tasks:
    - pgops.supabase.backup:
        path: "{{ place }}/backup"
        project: shop
      module_defaults: &login
        group/pgops.supabase.project: "{{ login }}"
    - pgops.supabase.restore:
        backup: "{{ place }}/backup"
        aside: "{{ place }}/aside"
        project: shop
        elsewhere: true
      module_defaults:
        group/pgops.supabase.project: "{{ login | combine({'login_db': restore_to}) }}"
    - pgops.supabase.backup:
        path: "{{ place }}/backup"
        project: shop
      module_defaults: *login
      ignore_errors: true
"""

Play = Callable[..., tuple[str, str]]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary directory with a path that is short enough for a socket, as that of a test's own is not."""
    directory = Path(tempfile.mkdtemp(prefix="pgops-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def play(project: LiveProject, new_project: NewProject, tmp_path: Path, temporary: Path) -> Play:
    project.psql("create table public.orders as select i, md5(i::text) from generate_series(1, 50000) i")
    numbers = iter(range(10))

    def run(interval: str, stdout: int = subprocess.PIPE, **environment: str) -> tuple[str, str]:
        place = tmp_path / str(next(numbers))
        place.mkdir()
        (place / "play.yml").write_text(PLAYBOOK)
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "login": project.login,
            # A restore into what an earlier play has filled asks for consent.
            "restore_to": new_project().database,
            "place": str(place),
        }
        (place / "hosts.json").write_text(json.dumps({"all": {"hosts": {"shop": variables}}}))
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", "-i", place / "hosts.json", place / "play.yml"],
            env={
                **module_environment(),
                "ANSIBLE_HOME": str(CLONE / ".ansible"),
                "ANSIBLE_CONFIG": str(CLONE / "ansible.cfg"),
                "PGOPS_PROGRESS_INTERVAL": interval,
                "TMPDIR": str(temporary),
                **environment,
            },
            cwd=CLONE,
            check=False,
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        assert stdout != subprocess.PIPE or "ignored  pgops.supabase.backup: " in done.stdout
        assert not list(temporary.glob("pgops-progress-*"))
        return done.stdout or "", done.stderr

    return run


def until_both_jobs_are_seen(look: Callable[[], str], backup: str, restore: str) -> None:
    """Plays again what runs for a moment only, which may be over before anybody looks on a machine that is busy."""
    seen = ""
    for _time in range(5):
        seen += look()
        if re.search(backup, seen, re.MULTILINE) and re.search(restore, seen, re.MULTILINE):
            return
    pytest.fail(seen)


def test_a_log_gets_lines(play: Play) -> None:
    def look() -> str:
        stdout, stderr = play("0")
        assert "\x1b" not in stdout + stderr and "backup shop:" not in stderr
        return stdout

    until_both_jobs_are_seen(look, r"^ +backup shop: \w+", r"^ +restore shop: ")


def test_quick_work_writes_nothing_into_a_log(play: Play) -> None:
    stdout, _stderr = play("60")
    assert "backup shop" not in stdout


def on_a_terminal(play: Play) -> str:
    """What a play draws on a terminal, without colors."""
    ours, theirs = os.openpty()
    drawn = bytearray()
    try:
        play("60", stdout=theirs, TERM="xterm", COLUMNS="120")
        os.set_blocking(ours, False)
        while True:
            try:
                drawn += os.read(ours, 65536)
            except BlockingIOError:
                break
    finally:
        os.close(ours)
        os.close(theirs)
    return re.sub(r"\x1b\[[0-9;]*m", "", drawn.decode())


def test_a_terminal_gets_one_line_that_goes_away(play: Play) -> None:
    def look() -> str:
        told = on_a_terminal(play)
        # Above a bar there is at most one line, and each is erased before the next is drawn.
        assert told.count("\x1b[2K") >= told.count("backup shop: ")
        assert "\x1b[?25l" not in told, "the cursor is hidden"
        return told

    until_both_jobs_are_seen(look, "backup shop: ", "restore shop: ")


def test_where_no_socket_can_be_made_the_play_goes_on(play: Play, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    stdout, stderr = play("0", TMPDIR=str(deep))
    assert "How far a job is cannot be shown" in stderr
    assert "backup shop:" not in stdout


def test_an_interrupted_play_leaves_no_socket(tmp_path: Path, temporary: Path) -> None:
    play = tmp_path / "play.yml"
    began = tmp_path / "began"
    task = f"ansible.builtin.shell: touch {began}; sleep 60"
    play.write_text(f"- hosts: localhost\n  gather_facts: false\n  tasks:\n    - {task}\n")
    environment = {"ANSIBLE_CONFIG": str(CLONE / "ansible.cfg"), "TMPDIR": str(temporary)}
    with subprocess.Popen(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", play],
        env={**module_environment(), "ANSIBLE_HOME": str(CLONE / ".ansible"), **environment},
        cwd=CLONE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            # In a task: Python may lose an interrupt that comes while Ansible is still starting.
            wait_until(began.exists, "the task does not begin")
            assert list(temporary.glob("pgops-progress-*/socket"))
            running.send_signal(signal.SIGINT)
            assert running.wait(30) != 0
        finally:
            running.kill()
    assert not list(temporary.glob("pgops-progress-*"))
