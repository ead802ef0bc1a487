# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a backup."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import ArchiveFormat
from ansible_collections.pgops.supabase.plugins.module_utils.backup.retention import Retention
from ansible_collections.pgops.supabase.plugins.module_utils.backup.source import PLATFORM_DATA_SCHEMAS
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ScratchPlace:
    """Where a scratch server lives, and of which programs it is made; None is found."""

    pg_bin: Path | None = None
    directory: Path | None = None

    @property
    def place(self) -> Path:
        """The directory that it lives in: the one given, or the system's temporary one."""
        return (self.directory or Path(tempfile.gettempdir())).absolute()


@dataclass(frozen=True, kw_only=True)
class BackupRequest:
    """What to back up, and where to.

    :param path: the directory that becomes the backup; it must not exist.
    :param before_restore_of: the id of the backup that is about to replace what this one keeps, for the manifest.
    :param schemas: the project's schemas, None for all that are the user's own.
    :param platform_schemas: the platform's schemas to back up as well, those that exist.
    :param jobs: connections that count, and for the directory format dump, at the same time.
    :param compression: V(auto), or what pg_dump's --compress takes.
    :param pg_bin: directory of PostgreSQL's programs, None to look for them.
    :param lock_timeout_ms: how long to wait for a table that is locked against reading.
    :param space_factor: free space required, as a multiple of the tables' size on the server.
    :param max_age_seconds: a sound backup of the same content that is younger than this will do; 0 is never.
    :param verify: V(read) reads the archive whole, V(restore) restores it to a scratch server besides and compares.
    :param scratch: where that server lives.
    :param recipients: public keys that the files are encrypted to; none is not encrypted.
    :param retention: which older backups of the project go when this one is verified.
    :param events_dir: the run's directory: events.jsonl in it tells how far it is, backup-used.json which other run's backup
        will do. None for no such files.
    :param any_project: whether the database may be marked as another project's: for what a restore elsewhere keeps aside.
    """

    path: Path
    project: str
    run_id: str | None = None
    before_restore_of: str | None = None
    schemas: tuple[str, ...] | None = None
    platform_schemas: tuple[str, ...] = PLATFORM_DATA_SCHEMAS
    format: ArchiveFormat = "directory"
    jobs: int = 2
    compression: str = "auto"
    pg_bin: str | None = None
    lock_timeout_ms: int = 30_000
    space_factor: float = 1.0
    max_age_seconds: float = 0.0
    verify: Literal["read", "restore"] = "read"
    scratch: ScratchPlace = ScratchPlace()
    recipients: tuple[str, ...] = ()
    retention: Retention = Retention()
    events_dir: Path | None = None
    any_project: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense.

        :raises InputError: naming the option.
        """
        for name, value, least in (
            ("jobs", self.jobs, 1),
            ("lock_timeout_seconds", self.lock_timeout_ms / 1000, 0.001),
            ("space_factor", self.space_factor, 0),
            ("max_age_seconds", self.max_age_seconds, 0),
            ("retention_count", self.retention.count, 1),
            ("retention_max_age_seconds", self.retention.max_age_seconds, 0),
        ):
            if value is not None and value < least:
                raise InputError(
                    f"{name} is {value}, but has to be at least {least}",
                    where=name,
                    next_step=f"Correct {name}, or leave it out for its default.",
                )
