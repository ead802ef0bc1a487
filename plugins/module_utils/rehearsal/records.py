# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsals of a project: where they are kept, for which files each counts, and the newest one for given files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import (
    canonical_json,
    sha256_of_bytes,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import MigrationFile
from ansible_collections.pgops.supabase.plugins.module_utils.rehearsal.documents import Rehearsal, RehearsalEntry
from ansible_collections.pgops.supabase.plugins.module_utils.runs.records import load_record
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import sha256_of_sql_file

REHEARSALS = "rehearsals"
REHEARSAL_FILE = "rehearsal.json"
SCRATCH_NAME = "scratch"
FileHashes = tuple[str, str, Optional[str]]
"""A migration's version, its SHA-256 and that of its rollback."""


def rehearsal_key(files: Sequence[FileHashes]) -> str:
    """What a rehearsal counts for: exactly these migrations with exactly these rollbacks, in this order."""
    return sha256_of_bytes(canonical_json([list(file) for file in files]))


def hashes_of(files: Sequence[MigrationFile]) -> list[FileHashes]:
    """The hashes of migrations as they are on disk now, with their rollbacks'."""
    return [
        (file.version, file.sha256, sha256_of_sql_file(file.rollback) if file.rollback is not None else None)
        for file in files
    ]


def load_rehearsal(directory: Path) -> Rehearsal:
    """Read rehearsal.json of a directory.

    :raises InputError: when there is none, or it is not one.
    """
    return load_record(
        Rehearsal,
        directory / REHEARSAL_FILE,
        "rehearsal",
        "Give the rehearsal_dir that the module rehearsal returned when it was started.",
    )


def find_rehearsals(project_dir: Path) -> tuple[list[tuple[Path, Rehearsal]], list[str]]:
    """The rehearsals of a project, newest first, and what is wrong with those that cannot be read."""
    found, unreadable = [], []
    for file in sorted((project_dir / REHEARSALS).glob(f"*/{REHEARSAL_FILE}"), reverse=True):
        try:
            found.append((file.parent, load_rehearsal(file.parent)))
        except InputError as error:
            unreadable.append(f"{error.where}: {error.what}")
    return found, unreadable


def list_rehearsals(project_dir: Path) -> tuple[list[RehearsalEntry], list[str]]:
    """The same for a person who looks at them."""
    found, unreadable = find_rehearsals(project_dir)
    return [RehearsalEntry(path=str(directory), rehearsal=rehearsal) for directory, rehearsal in found], unreadable


def abandoned_rehearsals(project_dir: Path, idle_seconds: float) -> list[Path]:
    """The directories of rehearsals that never ended, whose server with the project's rows is still there, unused.

    No process lives through all tasks of a rehearsal, so nothing but its traces tells whether it goes on: when its document
    or its server's write-ahead log was last written.

    :param idle_seconds: how long nothing may have been written.
    """
    now = time.time()
    rehearsals, _unreadable = find_rehearsals(project_dir)
    return [
        directory
        for directory, rehearsal in rehearsals
        if rehearsal.verdict == "running"
        and (directory / SCRATCH_NAME).exists()
        and now - _last_written(directory) > idle_seconds
    ]


def _last_written(directory: Path) -> float:
    moments = []
    for path in (directory / REHEARSAL_FILE, *(directory / SCRATCH_NAME).rglob("pg_wal/*")):
        # The server may rename its files meanwhile.
        with contextlib.suppress(FileNotFoundError):
            moments.append(path.stat().st_mtime)
    return max(moments, default=0.0)
