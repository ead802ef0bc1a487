# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A local project's place in the file system: its directory, what belongs in it, and one at a time at work there.

A project lives in ``<state_dir>/<name>``: ``project.json`` says how to connect (readable by its owner only) and
``server/`` holds the data directory and the log. The server is made in ``making-*/`` and renamed when it is whole, so
that an interrupted attempt is recognised and made again.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, LocalProjectError, State

PROJECT_FILE = "project.json"
SERVER = "server"

_MAKING = "making-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def project_directory(state_dir: Path, name: str) -> Path:
    """Where the project of this name lives.

    :raises InputError: when the name could not be a directory's, or would leave the state directory.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is not a name for a local project",
            where="name",
            next_step="Use letters, digits, _, - and ., beginning with a letter or digit.",
        )
    # PostgreSQL's programs run in another working directory, so a relative path would mean another place to them.
    return state_dir.expanduser().absolute() / name


def new_making_directory(directory: Path) -> Path:
    """A private directory to make a server in.

    Its name is its own each time: what an interrupted attempt left behind may still be at work for a moment.
    """
    making = directory / f"{_MAKING}{secrets.token_hex(4)}"
    making.mkdir(mode=0o700)
    return making


def refuse_foreign(directory: Path) -> None:
    """Never take over, and never remove, a directory with somebody else's files.

    :raises LocalProjectError: when there are any.
    """
    own = {PROJECT_FILE, SERVER, *(leftover.name for leftover in leftovers(directory))}
    # A description that was being written when its writer was killed is ours too.
    names = [entry.name for entry in directory.iterdir() if not entry.name.startswith(f".{PROJECT_FILE}.")]
    foreign = sorted(name for name in names if name not in own)
    if foreign:
        raise LocalProjectError(
            f"The directory holds files that are not a local project's: {', '.join(foreign[:5])}",
            where=str(directory),
            next_step="Choose another name or state_dir, or move the files away.",
        )


def leftovers(directory: Path) -> list[Path]:
    """What interrupted attempts to make or to remove a server left in a project's directory."""
    return [entry for entry in directory.iterdir() if entry.name.startswith((_MAKING, f".{_MAKING}"))]


def half_removed(directory: Path) -> list[Path]:
    """What an interrupted removal of the whole project left beside its directory."""
    return list(directory.parent.glob(f".{directory.name}.removing-*"))


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One at a time per project; what the file system refuses meanwhile becomes an error that says where.

    :raises LocalProjectError: when a directory or a file cannot be made, written or removed.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _lock_file(directory.with_name(f".{directory.name}.lock")):
            yield
    except OSError as error:
        raise LocalProjectError(
            f"The files of the local project {directory.name} cannot be worked on: {error.strerror}",
            where=str(error.filename or directory),
            state=State("the project is as far as it came; the next attempt goes on from there", "partial"),
            next_step="Make room or permit it there, or choose another state_dir, and run again.",
        ) from error


@contextmanager
def _lock_file(path: Path) -> Iterator[None]:
    """Hold a lock whose file is removed by whoever holds it: a waiter looks again at which file it got."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _same_file(descriptor, path):
            break
        os.close(descriptor)
    try:
        yield
    finally:
        path.unlink()
        os.close(descriptor)


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
