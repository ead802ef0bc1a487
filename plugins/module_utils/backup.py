# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a backup: one archive whose counts come from the dump's own snapshot, whole and read back or not there at all."""

from __future__ import annotations

import secrets
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
    CATALOG_NAME,
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
    write_manifest,
)
from ansible_collections.pgops.supabase.plugins.module_utils.backup_place import (
    require_place,
    seal,
    unfinished_directory,
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
    BackupManifest,
    BackupVerification,
    RowCounts,
    TableCount,
    utc_now,
)
from ansible_collections.pgops.supabase.plugins.module_utils.errors import (
    BackupError,
    InputError,
)
from ansible_collections.pgops.supabase.plugins.module_utils.files import fsync_directory, write_json
from ansible_collections.pgops.supabase.plugins.module_utils.table_counts import count_in_transaction, user_tables

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


_LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True, kw_only=True)
class BackupRequest:
    """What to back up, and where to.

    :param path: the directory that becomes the backup; it must not exist.
    :param reason: why, for the manifest.
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
    reason: str | None = None
    schemas: tuple[str, ...] | None = None
    platform_schemas: tuple[str, ...] = PLATFORM_SCHEMAS
    format: ArchiveFormat = "directory"
    jobs: int = 2
    compression: str = "auto"
    pg_bin: str | None = None
    lock_timeout_ms: int = 30_000
    space_factor: float = 1.0
    max_age_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense.

        :raises InputError: naming the option.
        """
        for name, value, least in (
            ("jobs", self.jobs, 1),
            ("lock_timeout_seconds", self.lock_timeout_ms / 1000, 0.001),
            ("space_factor", self.space_factor, 0),
            ("max_age_seconds", self.max_age_seconds, 0),
        ):
            if value < least:
                raise InputError(
                    f"{name} is {value}, but has to be at least {least}",
                    where=name,
                    next_step=f"Correct {name}, or leave it out for its default.",
                )


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
    with _reading(options, settings) as connection:
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
    require_place(request.path, int(source.table_bytes * request.space_factor))
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


@contextmanager
def _reading(options: ConnectionOptions, settings: SessionSettings) -> Iterator[PgConnection]:
    """A session whose own faults (a lost connection, a table that is dropped meanwhile) are told as the backup's."""
    import psycopg2

    try:
        with session(options, settings) as connection:
            yield connection
    except psycopg2.Error as error:
        next_step = "Mend what PostgreSQL says and run again."
        if error.pgcode == _LOCK_NOT_AVAILABLE:
            next_step = (
                "Another session changes a table's definition. Let it finish, or find it: select pid, query from "
                "pg_stat_activity where pid in (select unnest(pg_blocking_pids(pid)) from pg_stat_activity);"
            )
        raise BackupError(
            f"The database could not be read: {str(error).strip()}",
            where=options.place,
            next_step=next_step,
            details={"sqlstate": error.pgcode},
        ) from error


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


@dataclass(frozen=True, kw_only=True)
class _Snapshot:
    """What was read in the dump's own snapshot."""

    counts: RowCounts
    catalog_fingerprint: str
    left_out_schemas: list[str]
    lsn: str
    name: str


def _make(
    options: ConnectionOptions, request: BackupRequest, source: Source, tools: DumpTools, compression: str
) -> BackupManifest:
    started_at, started = utc_now(), time.monotonic()
    backup_id = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    with unfinished_directory(request.path, backup_id, source.table_bytes) as directory:
        snapshot = _dump(options, request, source, tools, compression, directory)
        verification = _verify(tools, directory, request.format, len(snapshot.counts.tables))
        files = seal(directory)
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
            own_schemas=list(source.own_schemas),
            left_out_schemas=snapshot.left_out_schemas,
            reason=request.reason,
            started_at=started_at,
            finished_at=utc_now(),
            duration_seconds=round(time.monotonic() - started, 3),
            lsn=snapshot.lsn,
            snapshot=snapshot.name,
            catalog_fingerprint=snapshot.catalog_fingerprint,
            counts=snapshot.counts,
            files=files,
            total_bytes=sum(file.bytes for file in files),
            verification=verification,
        )
        write_manifest(directory, manifest)
        directory.rename(request.path)
        fsync_directory(request.path.parent)
    return manifest


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
    with _reading(options, settings) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        # The session idles while pg_dump works, and its transaction is what keeps the snapshot.
        execute(connection, "set local idle_in_transaction_session_timeout = 0")
        snapshot = str(fetch_value(connection, "select pg_catalog.pg_export_snapshot()"))
        name = str(fetch_value(connection, "select pg_catalog.pg_current_snapshot()::text"))
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
        left_out = [s for s in catalog.user_schemas(connection) if s not in source.schemas]
        definitions = catalog.read_catalog(connection, source.own_schemas)
        write_json(directory / CATALOG_NAME, definitions)
        dump_database(
            tools,
            directory,
            environment=libpq_environment(options, settings),
            snapshot=snapshot,
            excluded_schemas=source.other_schemas,
            excluded_tables=source.excluded_tables,
            archive_format=request.format,
            jobs=request.jobs,
            compression=compression,
            lock_timeout_ms=request.lock_timeout_ms,
        )
    return _Snapshot(
        counts=counts,
        catalog_fingerprint=catalog.fingerprint(definitions),
        left_out_schemas=left_out,
        lsn=str(lsn),
        name=name,
    )


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
