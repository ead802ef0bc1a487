# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules, each in a process of its own, without Python's start and imports every time.

A module's process takes 0.17 s before its first line, and the tests run some thousands. A server that has imported Ansible's part and
the engine forks one for each call: a new process with its own input, output, environment, directory and limits, whose C(__main__)
is the module's source as it is. What tests kill, and what playbooks run, starts from nothing.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import resource
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import IO, Any, NoReturn

_ENGINE = "ansible_collections.pgops.supabase.plugins.module_utils"
_LARGEST_REQUEST = 150_000
_LIMITS = (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_AS)


class ModuleServer:
    """The server as a test sees it; it ends with the process that started it."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # It gets nothing of a terminal's interrupts: it ends when nobody can ask it any more.
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).resolve().parents[2],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def run(
        self, module: str, arguments: str, environment: dict[str, str], timeout_seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a module as C(python -m) would, its arguments on standard input.

        :raises subprocess.TimeoutExpired: when it took longer; it is killed then.
        """
        request = {
            "module": module,
            "environment": environment,
            "directory": os.getcwd(),
            "limits": [resource.getrlimit(limit) for limit in _LIMITS],
        }
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as output,
            tempfile.TemporaryFile() as errors,
        ):
            given.write(arguments.encode())
            given.seek(0)
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours:
                with theirs:
                    descriptors = [file.fileno() for file in (given, output, errors, theirs)]
                    socket.send_fds(self._requests, [json.dumps(request).encode()], descriptors)
                ours.settimeout(timeout_seconds)
                process_id = int(ours.recv(32))
                try:
                    code = int(ours.recv(32))
                except TimeoutError as error:
                    os.kill(process_id, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(module, timeout_seconds) from error
            return subprocess.CompletedProcess(module, code, _text(output), _text(errors))

    def stop(self) -> None:
        """Have it end."""
        self._requests.close()
        self._process.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _serve(requests: socket.socket) -> None:
    """Fork a waiter for each request, until nobody can ask any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        content, descriptors, _flags, _address = socket.recv_fds(requests, _LARGEST_REQUEST, 4)
        if not content:
            return
        if os.fork() == 0:
            requests.close()
            _wait_for(json.loads(content), descriptors[:3], socket.socket(fileno=descriptors[3]))
        for descriptor in descriptors:
            os.close(descriptor)


def _wait_for(request: dict[str, Any], streams: list[int], answers: socket.socket) -> NoReturn:
    """Fork the module's process, and tell its number and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        answers.close()
        _be(request, streams)
    answers.send(str(child).encode())
    _child, status = os.waitpid(child, 0)
    answers.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _be(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Become the module."""
    code: Any = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(request["directory"])
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        tempfile.tempdir = None
        for limit, values in zip(_LIMITS, request["limits"], strict=True):
            resource.setrlimit(limit, values)
        sys.argv = [request["module"]]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _import_what_modules_share() -> None:
    importlib.import_module("ansible.module_utils.basic")
    for library in ("psycopg2.extras", "psycopg2.sql", "pglast"):
        importlib.import_module(library)
    engine = importlib.import_module(_ENGINE)
    for module in pkgutil.walk_packages(engine.__path__, f"{_ENGINE}."):
        importlib.import_module(module.name)


if __name__ == "__main__":
    _import_what_modules_share()
    _serve(socket.socket(fileno=int(sys.argv[1])))
