# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove a backup by restoring it: into a server of its own, with the very code of a real restore, and compared with its manifest."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupManifest, BackupVerification
from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import (
    ARCHIVE_NAMES,
    ROLES_NAME,
    DumpTools,
    major_version,
)
from ansible_collections.pgops.supabase.plugins.module_utils.backup.request import ScratchPlace
from ansible_collections.pgops.supabase.plugins.module_utils.base.disk import free_bytes, is_full, says_full
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError, InputError, PgopsError
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import describe_changes
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.privileges import unquoted
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_value, session
from ansible_collections.pgops.supabase.plugins.module_utils.restore.load import (
    BackupContent,
    plan_restore,
    read_content,
    restore_archive,
)
from ansible_collections.pgops.supabase.plugins.module_utils.restore.proof import RestoreProof, prove_restored
from ansible_collections.pgops.supabase.plugins.module_utils.restore.surroundings import unavailable_extensions
from ansible_collections.pgops.supabase.plugins.module_utils.servers.scratch import find_server_programs, scratch_server

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

DATABASE = "restored"
# What an empty server takes, with the log that a restore writes.
EMPTY_SERVER_BYTES = 96 * 2**20
_SHOWN = 20
# SQLSTATE disk_full.
_DISK_FULL = "53100"


def prove_by_restore(
    tools: DumpTools,
    directory: Path,
    manifest: BackupManifest,
    scratch_place: ScratchPlace,
    *,
    entries: int,
    report: Callable[..., None],
) -> BackupVerification:
    """Restore a readable backup to a scratch server and compare every count and the catalog with the manifest's.

    :param entries: how many entries reading the archive found.
    :param report: told how far it is, as by :func:`restore_archive`.
    :raises BackupError: when it cannot be restored, is not what the manifest says then, or the scratch server's disk is full.
    :raises PgopsError: when no scratch server can be had.
    """
    started = time.monotonic()
    major = major_version(manifest.server_version)
    content = read_content(tools, directory, directory / ARCHIVE_NAMES[manifest.format], manifest)
    with (
        _full_disk_told(scratch_place.place),
        scratch_server(major=major, pg_bin=scratch_place.pg_bin, place=scratch_place.directory) as scratch,
    ):
        notes = [f"roles.sql: {reason}" for reason in scratch.take_roles(directory / ROLES_NAME)]
        try:
            with session(scratch.create_database(DATABASE)) as connection:
                missing = unavailable_extensions(connection, content.catalog, content.platform)
                if missing:
                    raise _missing_extensions(missing, str(scratch.version), scratch.server.pg_bin)
                _stand_in_for_uuids(connection, content)
                plan = plan_restore(connection, content)
                restored = restore_archive(connection, tools, content, plan, report=report)
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


def _stand_in_for_uuids(connection: PgConnection, content: BackupContent) -> None:
    """Where the server lacks the platform's uuid-ossp, have the function that defaults of tables call.

    No row is made with it: a restore brings their values.
    """
    from psycopg2 import sql

    key = 'extension "uuid-ossp"'
    if key not in content.platform or fetch_value(
        connection, "select exists(select from pg_catalog.pg_available_extensions where name = 'uuid-ossp')"
    ):
        return
    schema = sql.Identifier(unquoted(content.catalog[key]["schema"]))
    execute(connection, sql.SQL("create schema if not exists {}").format(schema))
    execute(
        connection,
        sql.SQL(
            "create function {}.uuid_generate_v4() returns uuid language sql as 'select pg_catalog.gen_random_uuid()'"
        ).format(schema),
    )


@contextmanager
def _full_disk_told(place: Path) -> Iterator[None]:
    """Have a full disk named as such, whoever met it: this process, a program, or the scratch server."""
    try:
        yield
    except (PgopsError, OSError) as error:
        # The scratch server says it in its own words.
        by_server = isinstance(error, PgopsError) and (
            error.details.get("sqlstate") == _DISK_FULL or says_full(f"{error.what} {error.details.get('stderr', '')}")
        )
        if by_server or is_full(error):
            raise _no_space(place) from error
        raise


def require_scratch(scratch_place: ScratchPlace, server_version: str, copy_bytes: int) -> None:
    """Refuse beforehand what would end the proof after the whole dump.

    :param copy_bytes: size of the tables and their indexes on the server; a bloated one's copy is smaller.
    :raises ToolError: when no server of this version or a newer one is installed.
    :raises InputError: when there is no such directory, or it cannot be written.
    :raises BackupError: when it has too little room.
    """
    find_server_programs(major_version(server_version), scratch_place.pg_bin)
    place = scratch_place.place
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise InputError(
            f"{place} is not a directory in which this user can write, so no scratch server can be made there",
            where="scratch_dir",
            next_step="Make it, or leave scratch_dir out for the system's temporary directory.",
        )
    needed = copy_bytes + EMPTY_SERVER_BYTES
    if free_bytes(place) < needed:
        raise _no_space(place, needed)


def _no_space(place: Path, needed: int | None = None) -> BackupError:
    least = f" it needs at least {needed} bytes," if needed else ""
    return BackupError(
        f"There is no space for the scratch server in {place}:{least} {free_bytes(place)} are free",
        where=str(place),
        next_step="Free space there, point scratch_dir at a larger disk (as large as the database), or use verify: read.",
        details={"free_bytes": free_bytes(place), "needed_bytes": needed},
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
        next_step="Point scratch_pg_bin (in the inventory: backup_scratch_pg_bin) at an installation that has them, or use verify: read.",
        details={"extensions": missing},
    )
