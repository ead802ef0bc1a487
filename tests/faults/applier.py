# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module that applies in processes that can be killed, each a fork of one that has loaded everything.

As a program it is that warm process: it reads a request a line, forks, and tells the process id and then how it ended.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.postgres import read_back
from tests.integration.live import CLONE, MODULES, module_environment

PRELOADED = (
    "psycopg2",
    "pglast",
    *(
        f"{MODULES}.{name}"
        for name in ("migration", "migration_adopt", "row_counts", "backup", "backup_info", "restore", "rollback")
    ),
)


@dataclass(frozen=True)
class Ended:
    """How a run ended: what it reported, or None when it was killed before it could."""

    status: int
    result: dict[str, Any] | None

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.status == -signal.SIGKILL


class Applier:
    """The warm process, seen from outside. It runs one module at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=module_environment(),
            cwd=CLONE,
            encoding="utf-8",
        )
        self._directory = tempfile.TemporaryDirectory(prefix="pgops-faults-")
        self._pid: int | None = None

    def run(self, module: str, arguments: dict[str, Any], started: Callable[[], None] = lambda: None) -> Ended:
        """Run a module in a process of its own, and wait for its end."""
        output = Path(self._directory.name) / "result.json"
        request = {"module": module, "arguments": arguments, "output": str(output)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request, default=str) + "\n")
        self._process.stdin.flush()
        self._pid = int(self._line())
        started()
        status = int(self._line())
        self._pid = None
        reported = output.read_text(encoding="utf-8")
        if status == -signal.SIGKILL:
            return Ended(status, None)
        assert reported.strip(), f"the module {module} gave no result, and ended with {status}"
        return Ended(status, json.loads(reported))

    def kill(self) -> None:
        """Kill the process that applies, while it waits for an answer."""
        assert self._pid is not None, "nothing runs that could be killed"
        os.kill(self._pid, signal.SIGKILL)

    def tools(self) -> list[int]:
        """The programs of PostgreSQL that the module runs at this moment."""
        assert self._pid is not None, "nothing runs"
        children = [path.read_text(encoding="ascii") for path in Path(f"/proc/{self._pid}/task").glob("*/children")]
        return [int(pid) for pid in " ".join(children).split()]

    def close(self) -> None:
        """End the warm process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()
        self._directory.cleanup()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that applies has ended"
        return line


def serve() -> None:
    """Fork for each request; the answers are two lines: the process id, and the exit status (negative: the signal)."""
    for name in PRELOADED:
        importlib.import_module(name)
    # A server that was stopped stays so until the run has ended: there is nothing to wait for.
    read_back.PAUSES_SECONDS = (0.1,)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(request)
        print(pid, flush=True)
        _pid, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(request: dict[str, Any]) -> None:
    """The forked process: the module with its arguments on standard input, as Ansible's wrapper gives them."""
    with tempfile.TemporaryFile() as arguments, open(request["output"], "wb") as output:
        arguments.write(json.dumps({"ANSIBLE_MODULE_ARGS": request["arguments"]}).encode())
        arguments.seek(0)
        os.dup2(arguments.fileno(), 0)
        os.dup2(output.fileno(), 1)
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    status = 1
    try:
        importlib.import_module(f"{MODULES}.{request['module']}").main()
    except SystemExit as ended:
        status = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
