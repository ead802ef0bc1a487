# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a backup is written: a place that is free and roomy enough, filled beside it and renamed when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupFile, PlainFile
from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import BACKUP_NAME, INCOMPLETE_PREFIX
from ansible_collections.pgops.supabase.plugins.module_utils.base.claims import (
    abandoned_directories,
    claimed_directory,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.disk import free_bytes, is_full
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    BackupError,
    InputError,
    PgopsError,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import (
    PRIVATE_DIRECTORY,
    PRIVATE_FILE,
    fsync_directory,
    fsync_file,
    make_private_directory,
    sha256_of_file,
)

NO_BACKUP_MADE = "the database was not changed; the unfinished backup was removed, earlier backups are untouched"


def require_place(path: Path, needed_bytes: int) -> None:
    """Refuse a place that is taken, cannot be written or has too little room.

    :raises InputError: when it is taken or cannot be written.
    :raises BackupError: when less than the bytes needed are free.
    """
    if path.exists():
        raise InputError(
            f"{path} exists already, and a backup never replaces anything",
            where=str(path),
            next_step="Give another path (a new run_dir), or move that one away.",
        )
    above = _nearest_directory(path)
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise InputError(
            f"{above} is not a directory in which this user can write",
            where=str(above),
            next_step="Give a path below a directory that the user who runs this may write in.",
        )
    free = free_bytes(above)
    if needed_bytes > free:
        raise _no_space(above, needed_bytes, free, state="nothing was changed and nothing was written")


def _nearest_directory(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.exists())


def _no_space(directory: Path, needed: int, free: int, *, state: str) -> BackupError:
    return BackupError(
        f"There is no space for the backup in {directory}: it may need {needed} bytes, {free} are free",
        where=str(directory),
        state=state,
        next_step=(
            "Free space there or give a path on a larger disk. A compressed archive is commonly a third of the tables: "
            "space_factor says how much has to be free."
        ),
        details={"needed_bytes": needed, "free_bytes": free},
    )


@contextmanager
def unfinished_directory(path: Path, backup_id: str, expected_bytes: int) -> Iterator[Path]:
    """A private directory beside the target, so that the last step is a rename within one file system.

    Whatever goes wrong in the block, the directory is removed, and the error says so.

    :raises BackupError: when the disk is full or the files cannot be written.
    """
    parent = path.parent
    directory: Path | None = None
    try:
        make_private_directory(parent)
        with claimed_directory(parent, f"{INCOMPLETE_PREFIX}{backup_id}-") as directory:
            yield directory
    except BaseException as error:
        state = NO_BACKUP_MADE
        if directory is not None:
            # A removal that fails must not hide the fault that is being reported.
            shutil.rmtree(directory, ignore_errors=True)
            if directory.exists():
                state = f"the database was not changed, earlier backups are untouched; remove {directory}"
        if is_full(error):
            free = free_bytes(_nearest_directory(path))
            raise _no_space(parent, expected_bytes, free, state=state) from error
        if isinstance(error, PgopsError):
            error.state = state
            raise
        if isinstance(error, OSError):
            raise BackupError(
                f"The backup could not be made: {str(error).strip()}",
                where=str(path),
                state=state,
                next_step="Mend what it says and run again.",
            ) from error
        raise


def remove_unfinished(path: Path) -> None:
    """Remove what backups that were killed have left: beside the path, or for a run's backup in all runs beside its own.

    They may hold rows in the clear, also of a backup that was to be encrypted.

    :raises OSError: when it cannot be removed.
    """
    place, pattern = path.parent, f"{INCOMPLETE_PREFIX}*"
    if path.name == BACKUP_NAME:
        place, pattern = place.parent, f"*/{pattern}"
    with abandoned_directories(place, pattern) as found:
        for directory in found:
            shutil.rmtree(directory)


def seal(directory: Path, plain: Mapping[str, PlainFile]) -> list[BackupFile]:
    """Make every file private, have it reach the disk, and take its hash.

    :param plain: what the encrypted files were, by their paths in the directory.
    """
    files = []
    for path in sorted(directory.rglob("*")):
        if path.is_dir():
            path.chmod(PRIVATE_DIRECTORY)
            fsync_directory(path)
            continue
        path.chmod(PRIVATE_FILE)
        fsync_file(path)
        size, sha256 = path.stat().st_size, sha256_of_file(path)
        name = str(path.relative_to(directory))
        files.append(BackupFile(path=name, bytes=size, sha256=sha256, plain=plain.get(name)))
    return files
