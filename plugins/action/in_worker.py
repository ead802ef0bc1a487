# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs this collection's modules without starting Python for each: in a process forked from the one Ansible forked for the task.

Starting Python and compiling the engine out of the module's archive is most of what a module of this collection costs. The forked process
has the engine imported (see this package). It is a process of its own all the same: what a module leaves behind in its process ends
with it, and one that is killed is a failed task, after which the play's rescue runs, and not the end of Ansible.

From the arguments' encoding to the reading of the result Ansible does what it does for every module; only the program it would start is
replaced. C(meta/runtime.yml) names this plugin for each module.
"""

from __future__ import annotations

import atexit
import io
import json
import multiprocessing
import os
import selectors
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.module_utils.common.text.converters import to_text
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as NormalActionModule
from ansible.utils.display import Display

try:
    # Ansible's own parts, which another release may have elsewhere: then its own way serves.
    from ansible.executor.module_common import _BuiltModule
    from ansible.module_utils import _internal
    from ansible.module_utils._internal import _traceback
    from ansible.module_utils._internal._ansiballz import _loader
    from ansible.module_utils.common import warnings as module_warnings
    from ansible.module_utils.common.json import Direction, get_module_encoder

    MISSING: str | None = None
except ImportError as error:
    MISSING = str(error)

display = Display()

SWITCH = "pgops_modules_in_worker"
# What modules without metadata of their own are given their arguments in, and answer in.
_PROFILE = "legacy"
# How Ansible reads what a program writes that is no UTF-8.
_AS_READ = "surrogate_then_replace"
# Read by Python, the dynamic linker, the C library or OpenSSL when a process starts: too late for one that is forked.
_READ_AT_START = ("PYTHON", "LD_", "DYLD_", "LANG", "LC_", "LOCPATH", "GLIBC_", "MALLOC_", "OPENSSL_")
# What a module that is ended may take to leave things in order, as pg_dump and git are given.
_ENDING_SECONDS = 10


class ActionModule(NormalActionModule):  # type: ignore[misc]  # Ansible ships without types.
    """Ansible's own way to run a module, but for the process that becomes the module."""

    _here = False
    _payload: bytes | None = None
    _module = ""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task's module."""
        reason = self._reason_against(task_vars or {})
        self._here = reason is None
        display.vvv(
            f"{self._task.action} runs " + (f"as a program of its own: {reason}" if reason else "in the worker")
        )
        result: dict[str, Any] = super().run(tmp, task_vars)
        return result

    def _reason_against(self, task_vars: dict[str, Any]) -> str | None:
        """Why the module has to be a program of its own, None when it need not."""
        if MISSING is not None:
            return f"this release of Ansible has other parts: {MISSING}"
        host_vars = task_vars
        if self._task.delegate_to:
            host_vars = task_vars["ansible_delegated_vars"][self._task.delegate_to]
        environment: dict[str, Any] = {}
        self._compute_environment_string(environment)
        reasons = {
            f"{SWITCH} is false": not boolean(self._templar.template(host_vars.get(SWITCH, True))),
            "the connection is not local": self._connection.transport != "local",
            "it becomes another user": self._connection.become is not None,
            "it is asynchronous": bool(self._task.async_val),
            "its files are to be kept": C.DEFAULT_KEEP_REMOTE_FILES,
            "its environment is read when a program starts": any(n.startswith(_READ_AT_START) for n in environment),
            "it has a limit of open files": bool(
                C.config.get_config_value("PYTHON_MODULE_RLIMIT_NOFILE", variables=host_vars)
            ),
            "its interpreter is another one": not self._is_ours(host_vars),
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def _is_ours(self, host_vars: Mapping[str, Any]) -> bool:
        """Whether a module's interpreter is the one that runs Ansible."""
        named = self._templar.template(C.config.get_config_value("INTERPRETER_PYTHON", variables=host_vars))
        if not named or str(named).startswith("auto"):
            # Who has it looked for, has it looked for by Ansible's own way, once for each host.
            named = host_vars.get("ansible_facts", {}).get("discovered_interpreter_python", "")
        given, ours = Path(str(named)), Path(sys.executable)
        # Of two names in one directory, as python and python3 of a virtual environment; elsewhere, one program has other libraries.
        return given.parent == ours.parent and given.exists() and given.samefile(ours)

    # What Ansible's own way asks on its way to the program it would start.

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        """No file has to lie anywhere."""
        return self._here or bool(super()._is_pipelining_enabled(module_style, wrap_async))

    def _configure_module(
        self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]
    ) -> tuple[_BuiltModule, str]:
        """The arguments alone, where Ansible packs the module with all it imports."""
        if not self._here:
            return super()._configure_module(module_name, module_args, task_vars)  # type: ignore[no-any-return]
        loader = self._shared_loader_obj.module_loader
        found = loader.find_plugin_with_context(module_name, ".py", collection_list=self._task.collections)
        encoder = get_module_encoder(_PROFILE, Direction.CONTROLLER_TO_MODULE)
        try:
            self._payload = json.dumps({"ANSIBLE_MODULE_ARGS": module_args}, cls=encoder).encode()
        except TypeError:
            # Ansible says which.
            return super()._configure_module(module_name, module_args, task_vars)  # type: ignore[no-any-return]
        namespace, collection, name = found.resolved_fqcn.split(".", 2)
        self._module = f"ansible_collections.{namespace}.{collection}.plugins.modules.{name}"
        built = _BuiltModule(
            b_module_data=self._payload,
            module_style="new",
            shebang=f"#!{sys.executable}",
            serialization_profile=_PROFILE,
        )
        return built, found.plugin_resolved_path

    def _low_level_execute_command(self, cmd: str, *args: Any, in_data: bytes | None = None, **options: Any) -> Any:
        """The module's process, where Ansible starts a program."""
        if self._payload is None or in_data is not self._payload:
            return super()._low_level_execute_command(cmd, *args, in_data=in_data, **options)
        environment: dict[str, Any] = {}
        self._compute_environment_string(environment)
        code, output, errors = _run(self._module, self._payload, environment, self._loader.get_basedir())
        texts = {"stdout": to_text(output, errors=_AS_READ), "stderr": to_text(errors, errors=_AS_READ)}
        return {"rc": code, **texts, **{f"{name}_lines": text.splitlines() for name, text in texts.items()}}


def _run(module: str, arguments: bytes, environment: Mapping[str, Any], directory: str) -> tuple[int, bytes, bytes]:
    """Run a module in a process of its own: its exit code as a shell tells it, and what it wrote.

    :param environment: what the task adds to this process's environment.
    :param directory: where it runs; a relative path of an option is meant from there.
    """
    streams = [os.pipe(), os.pipe()]
    ends = [write for _read, write in streams]
    process = multiprocessing.get_context("fork").Process(
        target=_be, args=(module, arguments, environment, directory, ends)
    )
    try:
        with _ended_with_us(process):
            process.start()
            for end in ends:
                os.close(end)
            output, errors = _read_to_end([read for read, _write in streams])
            process.join()
    finally:
        for read, _write in streams:
            os.close(read)
    code = process.exitcode or 0
    if code < 0:
        # As the shell does, which Ansible runs a module with.
        return 128 - code, output, errors + f"{signal.strsignal(-code)}\n".encode()
    return code, output, errors


def _read_to_end(streams: list[int]) -> list[bytes]:
    """What comes out of each of the streams until nobody can write there any more."""
    read = {stream: b"" for stream in streams}
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _events in selector.select():
                chunk = os.read(key.fd, 65536)
                read[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
    return list(read.values())


@contextmanager
def _ended_with_us(process: ForkProcess) -> Iterator[None]:
    """Have a module that is not waited for any more, because the task's time is over, end as an interrupt ends it."""
    try:
        yield
    except BaseException:
        if process.is_alive():
            before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
            try:
                _end(process)
            finally:
                signal.signal(signal.SIGTERM, before)
        raise


def _end(process: ForkProcess) -> None:
    """Politely, with the programs it has started, then by force."""
    if os.getpgrp() == os.getpid():
        # The worker's group, in which nobody is but this task's programs; the worker itself ignores it.
        os.killpg(0, signal.SIGTERM)
    else:
        process.terminate()
    process.join(_ENDING_SECONDS)
    process.kill()
    process.join()


# In the module's process.


def _be(module: str, arguments: bytes, environment: Mapping[str, Any], directory: str, streams: list[int]) -> None:
    """Become the module, as the program would that Ansible makes of it."""
    _forget_ansible()
    for number, stream in enumerate(streams, 1):
        os.dup2(stream, number)
        os.close(stream)
    _open_standard_streams()
    os.chdir(directory)
    os.environ.update({name: str(value) for name, value in environment.items()})
    time.tzset()
    tempfile.tempdir = None
    sys.argv = [module]
    try:
        _loader.run_module(
            json_params=arguments, profile=_PROFILE, module_fqn=module, modlib_path=directory, extensions={}
        )
    finally:
        atexit._run_exitfuncs()


def _forget_ansible() -> None:
    """Leave behind what Ansible's process has that a module's does not: signal handlers, ends of its own, and that it controls."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    atexit._clear()
    # By this, warnings and deprecations go into the result and not to a display.
    _internal.is_controller = False
    _traceback._is_traceback_enabled = _traceback._is_module_traceback_enabled
    for told in (module_warnings._global_warnings, module_warnings._global_deprecations):
        told.clear()


def _open_standard_streams() -> None:
    """New ones, as Python opens them here: in Ansible's there may be what it has not written yet, and they replace what they cannot write."""
    for number, name, errors in (
        (1, "stdout", getattr(sys.__stdin__, "errors", "strict")),
        (2, "stderr", "backslashreplace"),
    ):
        encoding = getattr(sys, f"__{name}__").encoding
        binary = os.fdopen(number, "wb", closefd=False)
        stream = io.TextIOWrapper(binary, encoding=encoding, errors=errors, line_buffering=name == "stderr")
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
