# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose process it is, and whether it is gone, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.process import ansible_process, is_gone

# A command with a copy of itself, as Ansible's with its worker, below which something works.
COMMAND = """
import os, subprocess, sys
if os.fork():
    os.wait()
else:
    subprocess.run([sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"])
"""


def test_the_command_above_is_found_and_seen_to_end(tmp_path: Path) -> None:
    program = tmp_path / "ansible-playbook"
    program.write_text(COMMAND, encoding="utf-8")
    command = subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert command.stdout is not None
    below = int(command.stdout.readline())
    found = ansible_process(below)
    assert found is not None and found.split(" ")[-2] == str(command.pid)
    assert not is_gone(found)
    command.kill()
    # Not waited for yet: a process that has ended renews nothing.
    os.waitid(os.P_PID, command.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(found)
    os.killpg(command.pid, signal.SIGKILL)
    command.wait()
    command.stdout.close()
    assert is_gone(found)


def test_what_is_not_known_is_not_gone() -> None:
    assert ansible_process(1) is None
    here = "another-boot pid:[1] 4194303 1"
    for unknown in (here, "", "x", "a b c d"):
        assert not is_gone(unknown)


def test_a_number_that_was_given_again_is_another_process(tmp_path: Path) -> None:
    program = tmp_path / "ansible"
    program.write_text("print(1, flush=True); import time; time.sleep(60)", encoding="utf-8")
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE) as command:
        assert command.stdout is not None
        command.stdout.readline()
        found = ansible_process(command.pid)
        assert found is not None and not is_gone(found)
        assert is_gone(found.rpartition(" ")[0] + " 1")
        command.kill()
