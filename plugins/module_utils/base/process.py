# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Ansible process a module belongs to, and whether that process is gone. Linux; elsewhere nothing is known."""

from __future__ import annotations

import os
from pathlib import Path

# proc(5), /proc/pid/stat: fields 3, 4 and 22, counted behind the name in parentheses.
_STATE, _PARENT, _STARTED = 0, 1, 19


def ansible_process(pid: int | None = None) -> str | None:
    """The process of Ansible's command above this one, as a text that no other process ever has; None when there is none.

    Machine since its start, namespace of process numbers, number, and time of start. A worker is a copy of the command and ends
    with its task, so of a chain of processes with one command line the outermost is meant.

    :param pid: where to begin; by default this process.
    """
    pid = os.getpid() if pid is None else pid
    found, command = None, b""
    try:
        while pid > 1:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            if found is not None and line != command:
                break
            if found is not None or _is_ansible(line):
                found, command = pid, line
            pid = int(_stat(pid)[_PARENT])
        return None if found is None else f"{_here()} {found} {_stat(found)[_STARTED]}"
    except OSError:
        return None


def is_gone(process: str) -> bool:
    """Whether a process that :func:`ansible_process` named has ended, as far as this machine can tell."""
    *here, pid, started = ["", "", *process.split(" ")]
    try:
        if " ".join(here).strip() != _here():
            return False
        stat = _stat(int(pid))
    except (FileNotFoundError, ProcessLookupError):
        return True
    except (OSError, ValueError):
        return False
    return stat[_STARTED] != started or stat[_STATE] in ("Z", "X")


def _is_ansible(command_line: bytes) -> bool:
    return any(os.path.basename(word).startswith(b"ansible") for word in command_line.split(b"\0")[:3])


def _stat(pid: int) -> list[str]:
    # The name of the program, in parentheses, may hold spaces and parentheses.
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _here() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"
