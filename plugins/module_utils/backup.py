# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a backup: one archive whose counts come from the dump's own snapshot, whole and read back or not there at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils import catalog
from ansible_collections.pgops.supabase.plugins.module_utils.backup_archive import (
    BACKUP_NAME,
    INCOMPLETE_PREFIX,
    MANIFEST_NAME,
    ArchiveFormat,
    DumpTools,
    age_seconds,
    choose_compression,
    dump_database,
    find_backups,
    find_dump_tools,
    inspect_backup,
    read_archive,
    require_client_for,
)
from ansible_collections.pgops.supabase.plugins.module_utils.backup_source import (
    PLATFORM_SCHEMAS,
    Source,
    read_source,
)
from ansible_collections.pgops.supabase.plugins.module_utils.connection import (
    ConnectionOptions,
    SessionSettings,
    execute,
    fetch_value,
    libpq_environment,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.documents import (
    BackupFile,
    BackupManifest,
    BackupVerification,
    RowCounts,
    TableCount,
    utc_now,
)
from ansible_collections.pgops.supabase.plugins.module_utils.errors import (
    BackupError,
    InputError,
    PgopsError,
    ToolError,
)
from ansible_collections.pgops.supabase.plugins.module_utils.files import (
    PRIVATE_DIRECTORY,
    PRIVATE_FILE,
    fsync_directory,
    fsync_file,
    make_private_directory,
    sha256_of_file,
    write_json,
)
from ansible_collections.pgops.supabase.plugins.module_utils.table_counts import count_in_transaction, user_tables

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

NO_BACKUP_MADE = "the database was not changed; the unfinished backup was removed, earlier backups are untouched"


@dataclass(frozen=True, kw_only=True)
class BackupRequest:
    """What to back up, and where to.

    :param path: the directory that becomes the backup; it must not exist.
    :param schemas: the project's schemas, None for all that are the user's own.
    :param platform_schemas: the platform's schemas to back up as well, those that exist.
    :param jobs: connections that dump at the same time, for the directory format.
    :param compression: V(auto), or what pg_dump's --compress takes.
    :param pg_bin: directory of PostgreSQL's programs, None to look for them.
    :param lock_timeout_ms: how long to wait for a table that is locked against reading.
    :param space_factor: free space required, as a multiple of the tables' size on the server.
    :param max_age_seconds: a sound backup of the same content that is younger than this will do; 0 is never.
    """

    path: Path
    project: str
    run_id: str | None = None
    schemas: tuple[str, ...] | None = None
    platform_schemas: tuple[str, ...] = PLATFORM_SCHEMAS
    format: ArchiveFormat = "directory"
    jobs: int = 2
    compression: str = "auto"
    pg_bin: str | None = None
    lock_timeout_ms: int = 30_000
    space_factor: float = 1.0
    max_age_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class BackupOutcome:
    """What became of a request. The manifest is None when only the preconditions were checked."""

    changed: bool
    path: Path
    manifest: BackupManifest | None
    summary: str


def back_up(options: ConnectionOptions, request: BackupRequest, *, check_only: bool = False) -> BackupOutcome:
    """Make a backup, unless one that is young enough is there.

    :param check_only: check everything that can be checked beforehand on the real server and disk, and write nothing.
    :raises PgopsError: when a precondition does not hold or the backup cannot be made; no trace of it is left then.
    """
    settings = SessionSettings(lock_timeout_ms=request.lock_timeout_ms, row_security=False, read_only=True)
    with session(options, settings) as connection:
        own_schemas = request.schemas or catalog.user_schemas(connection)
        source = read_source(connection, own_schemas, request.platform_schemas)
    young = _young_backup(request, source)
    if young is not None:
        path, manifest = young
        return BackupOutcome(
            changed=False,
            path=path,
            manifest=manifest,
            summary=f"A sound backup, {age_seconds(manifest.started_at):.0f} s old, is there: {summarize(manifest)}",
        )
    tools = find_dump_tools(request.pg_bin)
    require_client_for(tools, source.server_version)
    compression = choose_compression(tools, request.compression)
    _require_place(request, source)
    if check_only:
        return BackupOutcome(
            changed=True,
            path=request.path,
            manifest=None,
            summary=f"Would back up {', '.join(source.schemas)} ({_megabytes(source.table_bytes)} on the server)",
        )
    manifest = _make(options, request, source, tools, compression)
    return BackupOutcome(changed=True, path=request.path, manifest=manifest, summary=summarize(manifest))


def summarize(manifest: BackupManifest) -> str:
    """A backup in one sentence for a person."""
    proof = "not verified"
    if manifest.verification is not None:
        proof = f"read back whole ({manifest.verification.entries} entries)"
    return (
        f"{_megabytes(manifest.total_bytes)} in {len(manifest.files)} files, {manifest.counts.total:,} rows of "
        f"{len(manifest.counts.tables)} tables, {proof}, {manifest.duration_seconds:.1f} s"
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _young_backup(request: BackupRequest, source: Source) -> tuple[Path, BackupManifest] | None:
    """The newest sound backup of the same content that is young enough: in the place asked for, or of a run beside it."""
    if request.max_age_seconds <= 0:
        return None
    if request.path.name == BACKUP_NAME:
        entries = find_backups(request.path.parent.parent)
    else:
        entries = [inspect_backup(request.path)]
    for entry in entries:
        manifest = entry.manifest
        if (
            manifest is not None
            and _is_of(manifest, request, source)
            and age_seconds(manifest.started_at) <= request.max_age_seconds
            and inspect_backup(Path(entry.path), verify="checksums").sound
        ):
            return Path(entry.path), manifest
    return None


def _is_of(manifest: BackupManifest, request: BackupRequest, source: Source) -> bool:
    return (
        manifest.verification is not None
        and manifest.project == request.project
        and manifest.system_identifier == source.system_identifier
        and manifest.database == source.database
        and set(manifest.schemas) >= set(source.schemas)
    )


def _require_place(request: BackupRequest, source: Source) -> None:
    """Refuse a place that is taken, cannot be written or has too little room.

    :raises InputError: when it is taken or cannot be written.
    :raises BackupError: when the free space is below the size of the tables times the factor.
    """
    if request.path.exists():
        raise InputError(
            f"{request.path} exists already, and a backup never replaces anything",
            where=str(request.path),
            next_step="Give another path (a new run_dir), or move that one away.",
        )
    above = _nearest_directory(request.path)
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise InputError(
            f"{above} is not a directory in which this user can write",
            where=str(above),
            next_step="Give a path below a directory that the user who runs this may write in.",
        )
    needed, free = int(source.table_bytes * request.space_factor), _free_bytes(above)
    if needed > free:
        raise _no_space(above, needed, free, state="nothing was changed and nothing was written")


def _nearest_directory(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.exists())


def _free_bytes(directory: Path) -> int:
    """What an ordinary user may still write there."""
    statistics = os.statvfs(directory)
    return statistics.f_bavail * statistics.f_frsize


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


@dataclass(frozen=True, kw_only=True)
class _Snapshot:
    """What was read in the dump's own snapshot."""

    counts: RowCounts
    catalog_fingerprint: str
    lsn: str


def _make(
    options: ConnectionOptions, request: BackupRequest, source: Source, tools: DumpTools, compression: str
) -> BackupManifest:
    started_at, started = utc_now(), time.monotonic()
    backup_id = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    with _unfinished_directory(request, source, backup_id) as directory:
        snapshot = _dump(options, request, source, tools, compression, directory)
        verification = _verify(tools, directory, request.format, len(snapshot.counts.tables))
        files = _seal(directory)
        manifest = BackupManifest(
            backup_id=backup_id,
            run_id=request.run_id,
            project=request.project,
            database=source.database,
            host=options.login_host,
            system_identifier=source.system_identifier,
            server_version=source.server_version,
            client_version=str(tools.version),
            format=request.format,
            compression=compression,
            schemas=list(source.schemas),
            started_at=started_at,
            finished_at=utc_now(),
            duration_seconds=round(time.monotonic() - started, 3),
            lsn=snapshot.lsn,
            catalog_fingerprint=snapshot.catalog_fingerprint,
            counts=snapshot.counts,
            files=files,
            total_bytes=sum(file.bytes for file in files),
            verification=verification,
        )
        write_json(directory / MANIFEST_NAME, manifest.as_dict())
        directory.rename(request.path)
        fsync_directory(request.path.parent)
    return manifest


@contextmanager
def _unfinished_directory(request: BackupRequest, source: Source, backup_id: str) -> Iterator[Path]:
    """A private directory beside the target, so that the last step is a rename within one file system.

    Whatever goes wrong in the block, the directory is removed, and the error says so.
    """
    import psycopg2

    parent = request.path.parent
    directory: Path | None = None
    try:
        make_private_directory(parent)
        directory = Path(tempfile.mkdtemp(prefix=f"{INCOMPLETE_PREFIX}{backup_id}-", dir=parent))
        yield directory
    except BaseException as error:
        if directory is not None:
            # A removal that fails must not hide the fault that is being reported.
            shutil.rmtree(directory, ignore_errors=True)
        if _is_full(error):
            free = _free_bytes(_nearest_directory(request.path))
            raise _no_space(parent, int(source.table_bytes), free, state=NO_BACKUP_MADE) from error
        if isinstance(error, PgopsError):
            error.state = NO_BACKUP_MADE
            raise
        if isinstance(error, (OSError, psycopg2.Error)):
            raise BackupError(
                f"The backup could not be made: {str(error).strip()}",
                where=str(request.path),
                state=NO_BACKUP_MADE,
                next_step="Mend what it says and run again.",
            ) from error
        raise


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    complaint = str(error.details.get("stderr", "")) if isinstance(error, ToolError) else ""
    return os.strerror(errno.ENOSPC) in complaint or os.strerror(errno.EDQUOT) in complaint


def _dump(
    options: ConnectionOptions,
    request: BackupRequest,
    source: Source,
    tools: DumpTools,
    compression: str,
    directory: Path,
) -> _Snapshot:
    """Dump and count in one snapshot. It ends with this function: an open one holds back CREATE INDEX CONCURRENTLY."""
    settings = SessionSettings(
        lock_timeout_ms=request.lock_timeout_ms, statement_timeout_ms=0, row_security=False, read_only=True
    )
    with session(options, settings) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        # The session idles while pg_dump works, and its transaction is what keeps the snapshot.
        execute(connection, "set local idle_in_transaction_session_timeout = 0")
        snapshot = str(fetch_value(connection, "select pg_catalog.pg_export_snapshot()"))
        lsn = fetch_value(
            connection,
            """
            select case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
                        else pg_catalog.pg_current_wal_lsn() end::text
            """,
        )
        taken_at, started = utc_now(), time.monotonic()
        tables = [t for t in user_tables(connection, source.schemas) if t not in source.excluded_tables]
        counts = _row_counts(source, count_in_transaction(connection, tables), taken_at, started)
        fingerprint = catalog.fingerprint(catalog.read_catalog(connection, source.own_schemas))
        dump_database(
            tools,
            directory,
            environment=libpq_environment(options, settings),
            snapshot=snapshot,
            schemas=source.schemas,
            excluded_tables=source.excluded_tables,
            archive_format=request.format,
            jobs=request.jobs,
            compression=compression,
            lock_timeout_ms=request.lock_timeout_ms,
        )
    return _Snapshot(counts=counts, catalog_fingerprint=fingerprint, lsn=str(lsn))


def _row_counts(source: Source, tables: list[TableCount], taken_at: str, started: float) -> RowCounts:
    return RowCounts(
        taken_at=taken_at,
        server_version=source.server_version,
        tables=tables,
        total=sum(table.rows for table in tables),
        duration_seconds=round(time.monotonic() - started, 3),
    )


def _verify(tools: DumpTools, directory: Path, archive_format: ArchiveFormat, tables: int) -> BackupVerification:
    """Read the archive whole, and miss no counted table in it.

    :raises BackupError: when it cannot be read or lacks a table.
    """
    started = time.monotonic()
    content = read_archive(tools, directory, archive_format)
    if content.tables_with_data < tables:
        raise BackupError(
            f"The archive holds the rows of {content.tables_with_data} tables, but {tables} were counted",
            where=str(directory),
            next_step="Run again; if it stays so, back up with another pg_bin and compare pg_restore --list.",
        )
    return BackupVerification(
        method="read",
        verified_at=utc_now(),
        entries=content.entries,
        duration_seconds=round(time.monotonic() - started, 3),
    )


def _seal(directory: Path) -> list[BackupFile]:
    """Make every file private, have it reach the disk, and take its hash."""
    files = []
    for path in sorted(directory.rglob("*")):
        if path.is_dir():
            path.chmod(PRIVATE_DIRECTORY)
            fsync_directory(path)
            continue
        path.chmod(PRIVATE_FILE)
        fsync_file(path)
        size, sha256 = path.stat().st_size, sha256_of_file(path)
        files.append(BackupFile(path=str(path.relative_to(directory)), bytes=size, sha256=sha256))
    return files
