# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of backups work with: the files of one, a dump that is held up half-way, a disk that fills up."""

from __future__ import annotations

import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, session
from tests.integration.live import LiveProject

# pg_dump reads the value of every sequence, nothing else of a backup does: when one is being dropped, pg_dump waits, alone.
WAITING = "pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
SEQUENCE = "create sequence public.waited_for"


def content_of(directory: Path) -> dict[str, tuple[bytes, int, float]]:
    """Everything below a directory: files with bytes, mode and time, directories with their mode."""
    return {
        str(path.relative_to(directory)): (
            path.read_bytes() if path.is_file() else b"",
            path.stat().st_mode,
            path.stat().st_mtime if path.is_file() else 0.0,
        )
        for path in directory.rglob("*")
    }


def archive_of(path: Path) -> Path:
    """The archive of a backup, in whichever format it is."""
    return path / "database" if (path / "database").exists() else path / "database.dump"


def from_archive(project: LiveProject, path: Path, *arguments: str) -> str:
    """What pg_restore writes out of a backup of ours."""
    command = [str(Path(project.server.pg_bin) / "pg_restore"), "--file=-", *arguments, str(archive_of(path))]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8", timeout=60).stdout


@contextmanager
def waiting_pg_dump(
    backup: Callable[..., dict[str, Any]], project: LiveProject, path: Path
) -> Iterator[tuple[int, list[Any]]]:
    """A backup whose pg_dump waits for a lock, with its process id; after the block its result is in the list."""
    results: list[dict[str, Any]] = []
    project.psql(SEQUENCE)
    with session(project.options) as connection:
        execute(connection, "drop sequence public.waited_for")
        thread = threading.Thread(target=lambda: results.append(backup(path=str(path), format="custom")))
        thread.start()
        try:
            pid = wait_for_process("pg_dump", str(path.parent))
            wait_until(lambda: project.psql(f"select count(*) from {WAITING}").strip() == "1", "pg_dump does not wait")
            yield pid, results
        finally:
            project.psql(f"select pg_terminate_backend(pid) from {WAITING}")
            thread.join()
    project.psql("drop sequence public.waited_for")


def command_lines() -> dict[int, str]:
    """The command line of every process that is running."""
    lines = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                lines[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
    return lines


def wait_for_process(program: str, argument: str) -> int:
    """The id of the program that dumps to a place below the argument."""

    def found() -> list[int]:
        return [
            pid
            for pid, line in command_lines().items()
            if line.split(" ")[0].endswith(f"/{program}") and argument in line and "--snapshot" in line
        ]

    wait_until(found, f"{program} was not started")
    return found()[0]


def wait_until(condition: Callable[[], object], otherwise: str, seconds: float = 30.0) -> None:
    """Look again and again."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


@contextmanager
def small_disk(place: Path) -> Iterator[bool]:
    """A file system of 2 MB, or where none may be mounted a limit of 1 MB on every file; tells which it is."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, check=False
    )
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if mounted.returncode != 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        yield mounted.returncode == 0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        if mounted.returncode == 0:
            subprocess.run(["umount", place], check=True)
