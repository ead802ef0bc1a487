# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsals of a project: where they are kept, for which files each counts, and the newest one for given files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from ansible_collections.pgops.supabase.plugins.module_utils.documents import Rehearsal, from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.files import (
    canonical_json,
    read_json,
    sha256_of_bytes,
    sha256_of_file,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migration_files import MigrationFile

REHEARSALS = "rehearsals"
REHEARSAL_FILE = "rehearsal.json"
FileHashes = tuple[str, str, Optional[str]]
"""A migration's version, its SHA-256 and that of its rollback."""


def rehearsal_key(files: Sequence[FileHashes]) -> str:
    """What a rehearsal counts for: exactly these migrations with exactly these rollbacks, in this order."""
    return sha256_of_bytes(canonical_json([list(file) for file in files]))


def hashes_of(files: Sequence[MigrationFile]) -> list[FileHashes]:
    """The hashes of migrations as they are on disk now, with their rollbacks'."""
    return [
        (file.version, file.sha256, sha256_of_file(file.rollback) if file.rollback is not None else None)
        for file in files
    ]


def load_rehearsal(directory: Path) -> Rehearsal:
    """Read rehearsal.json of a directory.

    :raises InputError: when there is none, or it is not one.
    """
    try:
        return from_dict(Rehearsal, read_json(directory / REHEARSAL_FILE))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"This is not the directory of a rehearsal: {error}",
            where=str(directory / REHEARSAL_FILE),
            next_step="Give the rehearsal_dir that the module rehearsal returned when it was started.",
        ) from error


def find_rehearsals(project_dir: Path) -> tuple[list[tuple[Path, Rehearsal]], list[str]]:
    """The rehearsals of a project, newest first, and what is wrong with those that cannot be read."""
    found, unreadable = [], []
    for file in sorted((project_dir / REHEARSALS).glob(f"*/{REHEARSAL_FILE}"), reverse=True):
        try:
            found.append((file.parent, load_rehearsal(file.parent)))
        except InputError as error:
            unreadable.append(f"{error.where}: {error.what}")
    return found, unreadable
