# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove a backup by restoring it: into a server of its own, with the very code of a real restore, and compared with its manifest."""

from __future__ import annotations

import time
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.archive_restore import (
    plan_restore,
    read_content,
    restore_archive,
)
from ansible_collections.pgops.supabase.plugins.module_utils.backup_archive import (
    ARCHIVE_NAMES,
    ROLES_NAME,
    DumpTools,
    major_version,
)
from ansible_collections.pgops.supabase.plugins.module_utils.backup_request import ScratchPlace
from ansible_collections.pgops.supabase.plugins.module_utils.catalog import describe_changes
from ansible_collections.pgops.supabase.plugins.module_utils.connection import session
from ansible_collections.pgops.supabase.plugins.module_utils.documents import (
    BackupManifest,
    BackupVerification,
    utc_now,
)
from ansible_collections.pgops.supabase.plugins.module_utils.errors import BackupError, PgopsError
from ansible_collections.pgops.supabase.plugins.module_utils.restore_proof import RestoreProof, prove_restored
from ansible_collections.pgops.supabase.plugins.module_utils.restore_surroundings import unavailable_extensions
from ansible_collections.pgops.supabase.plugins.module_utils.scratch_server import scratch_server

DATABASE = "restored"
_SHOWN = 20


def prove_by_restore(
    tools: DumpTools, directory: Path, manifest: BackupManifest, scratch_place: ScratchPlace, *, entries: int
) -> BackupVerification:
    """Restore a readable backup to a scratch server and compare every count and the catalog with the manifest's.

    :param entries: how many entries reading the archive found.
    :raises BackupError: when it cannot be restored, or is not what the manifest says then.
    :raises PgopsError: when no scratch server can be had.
    """
    started = time.monotonic()
    major = major_version(manifest.server_version)
    content = read_content(tools, directory, directory / ARCHIVE_NAMES[manifest.format], manifest)
    with scratch_server(major=major, pg_bin=scratch_place.pg_bin, place=scratch_place.directory) as scratch:
        notes = [f"roles.sql: {reason}" for reason in scratch.take_roles(directory / ROLES_NAME)]
        try:
            with session(scratch.create_database(DATABASE)) as connection:
                missing = unavailable_extensions(connection, content.catalog)
                if missing:
                    raise _missing_extensions(missing, str(scratch.version), scratch.server.pg_bin)
                plan = plan_restore(connection, content)
                restored = restore_archive(connection, tools, content, plan)
                proof = prove_restored(connection, content, plan)
                _require_equal(proof, directory)
                connection.commit()
        except PgopsError as error:
            error.state = "the project was not changed; the scratch server was removed"
            error.details["roles"] = notes
            raise
        return BackupVerification(
            method="restore",
            verified_at=utc_now(),
            entries=entries,
            duration_seconds=round(time.monotonic() - started, 3),
            restored_with=scratch.version.text,
            restored_rows=sum(restored.rows.values()),
            notes=notes + restored.notes + describe_changes(proof.tolerated),
        )


def _require_equal(proof: RestoreProof, directory: Path) -> None:
    if proof.equal:
        return
    wrong = [f"{c.schema}.{c.table}: {c.message}" for c in proof.counts.tables if c.verdict == "FAIL"]
    wrong += describe_changes(proof.differences)
    raise BackupError(
        f"The backup was restored to a scratch server and is not what was backed up: {'; '.join(wrong[:_SHOWN])}",
        where=str(directory),
        next_step="Do not rely on it. Restore it elsewhere and look there, or back up with another pg_bin.",
        details={"differences": wrong},
    )


def _missing_extensions(missing: list[str], version: str, pg_bin: Path) -> BackupError:
    return BackupError(
        f"The backup cannot be restored to a scratch server of PostgreSQL {version}: it lacks the extensions {', '.join(missing)}",
        where=str(pg_bin),
        next_step="Point scratch_pg_bin at an installation that has them, or use verify: read.",
        details={"extensions": missing},
    )
