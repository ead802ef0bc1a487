# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of a backup on disk: its files, its proof, its manifest."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowCounts


@dataclass(kw_only=True)
class PlainFile:
    """What an encrypted file was before."""

    bytes: int
    sha256: str


@dataclass(kw_only=True)
class BackupFile:
    """One file of a backup, path relative to the backup's directory; ``plain`` is what an encrypted one decrypts to."""

    path: str
    bytes: int
    sha256: str
    plain: PlainFile | None = None


@dataclass(kw_only=True)
class BackupEncryption:
    """With what a backup's files are encrypted, and to whose public keys."""

    tool: str
    recipients: list[str]


@dataclass(kw_only=True)
class BackupVerification:
    """How a backup was proven.

    ``read``: the whole archive was read by pg_restore. ``restore``: it was restored besides, to a server of version
    ``restored_with``, and all counts and the catalog were those of the manifest.
    """

    method: Literal["read", "restore"]
    verified_at: str
    entries: int
    duration_seconds: float
    restored_with: str | None = None
    restored_rows: int | None = None
    notes: list[str] = dataclasses.field(default_factory=list)


@dataclass(kw_only=True)
class NotHeld:
    """Something of the project that no backup holds; ``count`` is None where the role may not count it."""

    what: str
    count: int | None

    @property
    def text(self) -> str:
        """It for a person: C(3 cron jobs)."""
        return f"{self.what} (not countable)" if self.count is None else f"{self.count:,} {self.what}"


@dataclass(kw_only=True)
class BackupManifest(Document):
    """backup/manifest.json: what was backed up, from which snapshot, and how it was verified.

    ``own_schemas`` are those that the catalog's fingerprint covers, ``left_out_schemas`` the user's that were there and were
    not to be backed up; ``before_restore_of`` is the backup whose restore made this one, of what it was about to replace;
    ``platform_extensions`` are the names of those that belong to the platform, None where an older manifest does not say;
    ``not_held`` is what the project has and no backup holds, ``large_objects`` how many of them there were;
    ``reason`` says so in words; ``snapshot`` is PostgreSQL's text of the dump's snapshot. ``timings`` are the phases' seconds.
    ``copy_bytes`` is what the tables and their indexes took on the server, None in an older manifest.
    """

    kind: ClassVar[str] = "backup_manifest"
    backup_id: str
    run_id: str | None
    project: str
    database: str
    host: str
    system_identifier: str
    server_version: str
    client_version: str
    format: Literal["custom", "directory"]
    compression: str
    schemas: list[str]
    own_schemas: list[str]
    left_out_schemas: list[str]
    reason: str | None = None
    before_restore_of: str | None = None
    started_at: str
    finished_at: str
    duration_seconds: float
    lsn: str
    snapshot: str
    catalog_fingerprint: str
    counts: RowCounts
    files: list[BackupFile]
    total_bytes: int
    verification: BackupVerification | None
    encryption: BackupEncryption | None = None
    timings: dict[str, float] = dataclasses.field(default_factory=dict)
    platform_extensions: list[str] | None = None
    not_held: list[NotHeld] = dataclasses.field(default_factory=list)
    large_objects: int | None = None
    copy_bytes: int | None = None

    def __post_init__(self) -> None:
        """Older manifests say only in words that a restore made them."""
        if self.reason and self.before_restore_of is None:
            self.before_restore_of = self.reason.rpartition(" ")[2]


@dataclass(kw_only=True)
class BackupEntry:
    """One backup as status shows it; ``sound`` is false when files are missing or differ from the manifest.

    ``checked`` is how far it was looked at: an encrypted backup is read only where its identity is given.
    """

    path: str
    manifest: BackupManifest | None
    age_seconds: float | None
    sound: bool
    problems: list[str]
    checked: Literal["none", "checksums", "read"] = "none"
