# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a backup: one archive whose counts come from the dump's own snapshot, whole and proven or not there at all."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import (
    BackupEncryption,
    BackupFile,
    BackupManifest,
    BackupVerification,
)
from ansible_collections.pgops.supabase.plugins.module_utils.archive.encryption import (
    encrypt_files,
    require_recipients,
)
from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import (
    BACKUP_NAME,
    age_seconds,
    choose_compression,
    find_backups,
    find_dump_tools,
    inspect_backup,
    read_archive,
    require_client_for,
    write_manifest,
)
from ansible_collections.pgops.supabase.plugins.module_utils.backup.documents import RemovedBackup
from ansible_collections.pgops.supabase.plugins.module_utils.backup.place import (
    remove_unfinished,
    require_place,
    seal,
    unfinished_directory,
)
from ansible_collections.pgops.supabase.plugins.module_utils.backup.request import BackupRequest
from ansible_collections.pgops.supabase.plugins.module_utils.backup.retention import apply_retention, note_used
from ansible_collections.pgops.supabase.plugins.module_utils.backup.snapshot import (
    PreparedBackup,
    Snapshot,
    dump_in_snapshot,
    reading,
)
from ansible_collections.pgops.supabase.plugins.module_utils.backup.source import (
    Source,
    read_source,
    require_own_database,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.background import in_background
from ansible_collections.pgops.supabase.plugins.module_utils.base.claims import cleaning_up_when_ended
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import new_id, utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import fsync_directory
from ansible_collections.pgops.supabase.plugins.module_utils.base.progress import Progress
from ansible_collections.pgops.supabase.plugins.module_utils.base.sizes import human_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.catalog import model as catalog
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
)
from ansible_collections.pgops.supabase.plugins.module_utils.servers.scratch import remove_abandoned


@dataclass(frozen=True, kw_only=True)
class BackupOutcome:
    """What became of a request. The manifest is None when only the preconditions were checked."""

    changed: bool
    path: Path
    manifest: BackupManifest | None
    summary: str
    removed: list[RemovedBackup] = field(default_factory=list)


def back_up(options: ConnectionOptions, request: BackupRequest, *, check_only: bool = False) -> BackupOutcome:
    """Make a backup, unless one that is young enough is there.

    :param check_only: check everything that can be checked beforehand on the real server and disk, and write nothing.
    :raises PgopsError: when a precondition does not hold or the backup cannot be made; no trace of it is left then.
    """
    settings = SessionSettings(lock_timeout_ms=request.lock_timeout_ms, row_security=False, read_only=True)
    with reading(options, settings) as connection:
        if not request.any_project:
            require_own_database(connection, options, request.project)
        own_schemas = request.schemas or catalog.user_schemas(connection)
        source = read_source(connection, own_schemas, request.platform_schemas)
    young = _young_backup(request, source)
    if young is not None:
        path, manifest = young
        if request.events_dir is not None and path != request.path and not check_only:
            note_used(request.events_dir, path, manifest)
        return BackupOutcome(
            changed=False,
            path=path,
            manifest=manifest,
            summary=f"A sound backup, {age_seconds(manifest.started_at):.0f} s old, is there: {summarize(manifest)}",
        )
    prepared = _prepare(options, request, source)
    if check_only:
        return BackupOutcome(
            changed=True,
            path=request.path,
            manifest=None,
            summary=f"Would back up {', '.join(source.schemas)} ({human_bytes(source.table_bytes)} on the server)",
        )
    with cleaning_up_when_ended():
        remove_unfinished(request.path)
        # Of a proof that was killed: its server still runs, with the project's rows.
        remove_abandoned(request.scratch.place)
        manifest = _make(prepared)
        removed = _make_room(request, manifest, prepared.progress)
    return BackupOutcome(
        changed=True, path=request.path, manifest=manifest, summary=summarize(manifest), removed=removed
    )


def _prepare(options: ConnectionOptions, request: BackupRequest, source: Source) -> PreparedBackup:
    """Find the programs and check what can be checked before the dump; nothing is written.

    :raises PgopsError: when a precondition does not hold.
    """
    tools = find_dump_tools(request.pg_bin)
    require_client_for(tools, source.server_version)
    compression = choose_compression(tools, request.compression)
    encryption = require_recipients(request.recipients) if request.recipients else None
    require_place(request.path, int(source.table_bytes * request.space_factor))
    if request.verify == "restore":
        # Most backups do without all that a restore needs.
        from ansible_collections.pgops.supabase.plugins.module_utils.backup.proof import require_scratch

        require_scratch(request.scratch, source.server_version, source.copy_bytes)
    return PreparedBackup(
        options=options,
        request=request,
        source=source,
        tools=tools,
        compression=compression,
        encryption=encryption,
        progress=Progress("backup", request.project, request.events_dir),
    )


def _make_room(request: BackupRequest, manifest: BackupManifest, progress: Progress) -> list[RemovedBackup]:
    """Remove what retention has no need for any more. Only backups of runs are found, and so removed, by their place."""
    if request.path.name != BACKUP_NAME:
        return []
    try:
        with progress.phase("retention"):
            removed = apply_retention(request.path.parent.parent, manifest, request.retention)
            for backup in removed:
                progress.note(
                    "retention", "removed", backup_id=backup.backup_id, path=backup.path, reason=backup.reason
                )
    except BackupError as error:
        error.state = _whole(request, manifest)
        raise
    except OSError as error:
        raise BackupError(
            f"An old backup could not be removed: {error.strerror}",
            where=str(error.filename),
            state=_whole(request, manifest),
            next_step="Have this user be able to remove it; the next backup tries again.",
        ) from error
    return removed


def _whole(request: BackupRequest, manifest: BackupManifest) -> str:
    return f"the new backup {manifest.backup_id} is whole and verified, in {request.path}"


def summarize(manifest: BackupManifest) -> str:
    """A backup in one sentence for a person."""
    proof = "not verified"
    if manifest.verification is not None:
        proof = "read back whole"
        if manifest.verification.method == "restore":
            proof += f", restored to a scratch server of PostgreSQL {manifest.verification.restored_with} and equal"
    if manifest.encryption is not None:
        proof += f", encrypted to {number(len(manifest.encryption.recipients), 'recipient')}"
    not_held = ", ".join(item.text for item in manifest.not_held)
    return (
        f"{human_bytes(manifest.total_bytes)}, {number(manifest.counts.total, 'row')} of "
        f"{number(len(manifest.counts.tables), 'table')}, {proof}" + (f"; not held: {not_held}" if not_held else "")
    )


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
        and (request.verify == "read" or manifest.verification.method == "restore")
        and set(manifest.encryption.recipients if manifest.encryption else ()) == set(request.recipients)
        and manifest.project == request.project
        and manifest.system_identifier == source.system_identifier
        and manifest.database == source.database
        and set(manifest.schemas) >= set(source.schemas)
    )


def _make(prepared: PreparedBackup) -> BackupManifest:
    """Dump, prove and seal in a directory of another name, and give it its name last."""
    request, source = prepared.request, prepared.source
    started_at, started = utc_now(), time.monotonic()
    backup_id = new_id()
    with unfinished_directory(request.path, backup_id, source.table_bytes) as directory:
        snapshot = dump_in_snapshot(prepared, directory)
        dumped = _dumped(prepared, snapshot, backup_id, started_at)
        verification, files = _verify_and_seal(prepared, directory, dumped)
        manifest = replace(
            dumped,
            finished_at=utc_now(),
            duration_seconds=round(time.monotonic() - started, 3),
            files=files,
            total_bytes=sum(file.bytes for file in files),
            verification=verification,
            timings=dict(prepared.progress.timings),
        )
        write_manifest(directory, manifest)
        directory.rename(request.path)
        fsync_directory(request.path.parent)
    return manifest


def _dumped(prepared: PreparedBackup, snapshot: Snapshot, backup_id: str, started_at: str) -> BackupManifest:
    """The manifest of what is dumped and neither proven nor sealed yet."""
    request, source = prepared.request, prepared.source
    return BackupManifest(
        backup_id=backup_id,
        run_id=request.run_id,
        project=request.project,
        database=source.database,
        host=prepared.options.login_host,
        system_identifier=source.system_identifier,
        server_version=source.server_version,
        client_version=str(prepared.tools.version),
        format=request.format,
        compression=prepared.compression,
        schemas=list(source.schemas),
        own_schemas=list(source.own_schemas),
        left_out_schemas=snapshot.left_out_schemas,
        reason=f"before the restore of {request.before_restore_of}" if request.before_restore_of else None,
        before_restore_of=request.before_restore_of,
        started_at=started_at,
        finished_at=started_at,
        duration_seconds=0.0,
        lsn=snapshot.lsn,
        snapshot=snapshot.name,
        catalog_fingerprint=snapshot.catalog_fingerprint,
        counts=snapshot.counts,
        files=[],
        total_bytes=0,
        verification=None,
        encryption=prepared.encryption,
        platform_extensions=list(source.platform_extensions),
        not_held=snapshot.not_held,
        large_objects=snapshot.large_objects,
        copy_bytes=source.copy_bytes,
    )


def _verify_and_seal(
    prepared: PreparedBackup, directory: Path, manifest: BackupManifest
) -> tuple[BackupVerification, list[BackupFile]]:
    """Prove that the archive is whole, and have its files on the disk, encrypted where that is asked for, and hashed."""

    def sealed(encryption: BackupEncryption | None) -> list[BackupFile]:
        with prepared.progress.phase("seal"):
            return seal(directory, encrypt_files(directory, encryption) if encryption else {})

    if manifest.encryption is not None:
        verification = _verify(prepared, directory, manifest)
        return verification, sealed(manifest.encryption)
    # What is sealed is what is read, so the disk can take it meanwhile.
    files = in_background(lambda: sealed(None))
    verification = _verify(prepared, directory, manifest)
    return verification, files.result()


def _verify(prepared: PreparedBackup, directory: Path, manifest: BackupManifest) -> BackupVerification:
    """Read the archive whole, miss no counted table in it, and restore it to a scratch server where that is asked for.

    :raises BackupError: when it cannot be read, lacks a table, or restored is not what was backed up.
    """
    started, tables = time.monotonic(), len(manifest.counts.tables)
    request, tools, progress = prepared.request, prepared.tools, prepared.progress
    with progress.phase("read"):
        content = read_archive(tools, directory, request.format, jobs=request.jobs)
    if content.tables_with_data < tables:
        raise BackupError(
            f"The archive holds the rows of {content.tables_with_data} tables, but {tables} were counted",
            where=str(directory),
            next_step="Run again; if it stays so, back up with another pg_bin and compare pg_restore --list.",
        )
    if request.verify == "restore":
        from ansible_collections.pgops.supabase.plugins.module_utils.backup.proof import prove_by_restore

        with progress.phase("restore"):
            return prove_by_restore(
                tools,
                directory,
                manifest,
                request.scratch,
                entries=content.entries,
                report=lambda **figures: progress.at("restore", **figures),
            )
    return BackupVerification(
        method="read",
        verified_at=utc_now(),
        entries=content.entries,
        duration_seconds=round(time.monotonic() - started, 3),
    )
