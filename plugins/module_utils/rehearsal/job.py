# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rehearsal is opened with the backup it begins from, and closed with what its steps found, its verdict and its estimate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import MigrationResult, StatementTiming
from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupEntry, BackupManifest
from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import (
    find_backups,
    inspect_backup,
    major_version,
)
from ansible_collections.pgops.supabase.plugins.module_utils.backup.proof import EMPTY_SERVER_BYTES
from ansible_collections.pgops.supabase.plugins.module_utils.base.disk import free_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict, new_id, utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError, InputError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import make_private_directory, write_json
from ansible_collections.pgops.supabase.plugins.module_utils.base.sizes import human_bytes
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import SchemaDiff
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import describe_changes
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowCounts
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.documents import RollbackDrafts
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.documents import MigrationPlan, PlannedMigration
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import read_script
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import is_embedded
from ansible_collections.pgops.supabase.plugins.module_utils.rehearsal.documents import Rehearsal, RehearsedFile
from ansible_collections.pgops.supabase.plugins.module_utils.rehearsal.estimate import estimate, rows_by_table
from ansible_collections.pgops.supabase.plugins.module_utils.rehearsal.records import (
    REHEARSAL_FILE,
    REHEARSALS,
    rehearsal_key,
)
from ansible_collections.pgops.supabase.plugins.module_utils.restore.documents import RestoreResult
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.documents import RollbackResult
from ansible_collections.pgops.supabase.plugins.module_utils.servers.scratch import find_server_programs

_SHOWN = 20
# PostgreSQL's default for max_wal_size.
_WRITE_AHEAD_LOG = 2**30


def choose_backup(project_dir: Path, *, max_age_seconds: float | None = None) -> tuple[Path, BackupManifest]:
    """The newest backup of a project that is sound and was verified.

    :raises BackupError: when there is none, or the newest is older than is allowed.
    """
    # Newest first, and only those are read whole that come before the first sound one.
    verified = (entry for entry in find_backups(project_dir) if _is_verified(entry))
    newest = next((e for e in (inspect_backup(Path(v.path), verify="checksums") for v in verified) if e.sound), None)
    if newest is None or newest.manifest is None:
        raise BackupError(
            "There is no verified backup to rehearse on",
            where=str(project_dir),
            next_step="Make one: ansible-playbook pgops.supabase.backup, or the playbook migrate, which makes one.",
        )
    if max_age_seconds is not None and newest.age_seconds is not None and newest.age_seconds > max_age_seconds:
        raise BackupError(
            f"The newest verified backup is {newest.age_seconds:.0f} s old, more than the {max_age_seconds:g} s allowed",
            where=newest.path,
            next_step="Make a new one: ansible-playbook pgops.supabase.backup; or raise rehearse_max_backup_age_seconds.",
        )
    return Path(newest.path), newest.manifest


def scratch_programs(state_dir: Path, manifest: BackupManifest, pg_bin: str | None) -> str | None:
    """The directory of PostgreSQL's programs for a copy of the backup: of its major version, or the next newer one that is here.

    None is the collection's own, which has stand-ins for the platform's extensions.

    :raises ToolError: when there is none that is new enough.
    :raises BackupError: when the disk has too little room for the copy: the backups are on it as well.
    """
    programs, _version = find_server_programs(major_version(manifest.server_version), pg_bin)
    size = manifest.copy_bytes or manifest.total_bytes
    place = next(path for path in (state_dir.absolute(), *state_dir.absolute().parents) if path.exists())
    needed, free = size + min(size, _WRITE_AHEAD_LOG) + EMPTY_SERVER_BYTES, free_bytes(place)
    if free < needed:
        raise BackupError(
            f"There is no room for a copy of the project: it may need {human_bytes(needed)}, {human_bytes(free)} are free",
            where=str(place),
            state="nothing was changed and nothing was written",
            next_step="Make room there, where the backups are too; or name a disposable project in project_rehearsal_target.",
            details={"needed_bytes": needed, "free_bytes": free},
        )
    return pg_bin or (None if is_embedded(programs) else str(programs))


def open_rehearsal(
    state_dir: Path,
    project: str,
    backup: tuple[Path, BackupManifest],
    *,
    target: str | None = None,
    dry_run: bool = False,
) -> tuple[Path, Rehearsal]:
    """Make the directory of a rehearsal that begins now.

    :param target: the project that it restores into, None for a scratch server.
    :raises InputError: when it cannot be made.
    """
    path, manifest = backup
    rehearsal = Rehearsal(
        rehearsal_id=new_id(),
        project=project,
        key=None,
        started_at=utc_now(),
        finished_at=None,
        duration_seconds=None,
        backup_id=manifest.backup_id,
        backup_path=str(path),
        backup_taken_at=manifest.started_at,
        backup_bytes=manifest.total_bytes,
        server_version=None,
        project_server_version=manifest.server_version,
        files=[],
        statements=[],
        rehearsed_seconds=0.0,
        estimated_seconds=0.0,
        locks=[],
        rewritten_tables=[],
        rows=[],
        differences=[],
        verdict="running",
        reasons=[],
        target=target,
    )
    directory = state_dir.absolute() / project / REHEARSALS / rehearsal.rehearsal_id
    if not dry_run:
        save_rehearsal(directory, rehearsal)
    return directory, rehearsal


def save_rehearsal(directory: Path, rehearsal: Rehearsal) -> None:
    """Write rehearsal.json.

    :raises InputError: when the directory cannot be written.
    """
    try:
        make_private_directory(directory)
        write_json(directory / REHEARSAL_FILE, rehearsal.as_dict())
    except OSError as error:
        raise InputError(
            f"The rehearsal's directory cannot be written: {error.strerror}",
            where=str(directory),
            next_step="Check project_state_dir in the inventory and the disk.",
        ) from error


def close_rehearsal(
    rehearsal: Rehearsal,
    documents: Mapping[str, Mapping[str, Any]],
    supabase_dir: Path,
    *,
    failed_phase: str | None,
    failure: str | None,
) -> Rehearsal:
    """The rehearsal with its end.

    :param supabase_dir: where the plan's files are.
    :param documents: what its steps returned, as far as they came: V(plan), V(project_counts), V(restored), V(counts_before), V(dry_run),
        V(up), V(down), V(schema_diff), V(counts_after), V(up_again), V(drafts).
    :raises InputError: when one of them is not what it should be.
    """
    steps = _Steps(documents)
    planned = [item for step in steps.plan.steps for item in step.migrations] if steps.plan else []
    rehearsal.key = rehearsal_key([(item.version, item.sha256, item.rollback_sha256) for item in planned])
    rehearsal.server_version = steps.counts_before.server_version if steps.counts_before else None
    if steps.project_counts:
        rehearsal.project_server_version = steps.project_counts.server_version
    rehearsal.files = [_file(item, steps) for item in planned]
    _estimate(rehearsal, planned, steps, supabase_dir)
    rehearsal.differences = steps.schema_diff.changes if steps.schema_diff else []
    if steps.restored and rehearsal.server_version:
        into = (
            f"{rehearsal.target}, {steps.restored.target}" if rehearsal.target else "a scratch server on this machine"
        )
        rehearsal.copied_to = f"{into}, PostgreSQL {rehearsal.server_version}"
        rehearsal.lacks = [*describe_changes(steps.restored.tolerated), *steps.restored.notes, *steps.restored.not_held]
    if steps.down:
        rehearsal.equal_but, rehearsal.by_record = steps.down.equal_but, steps.down.by_record
        rehearsal.rows_kept = steps.down.rows_kept
    rehearsal.reasons = list(_reasons(planned, steps, failed_phase, failure))
    rehearsal.verdict = "failed" if rehearsal.reasons else "passed"
    rehearsal.finished_at = utc_now()
    began, ended = datetime.fromisoformat(rehearsal.started_at), datetime.fromisoformat(rehearsal.finished_at)
    rehearsal.duration_seconds = round((ended - began).total_seconds(), 3)
    return rehearsal


class _Steps:
    """What the steps returned; None where one was not reached."""

    def __init__(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        def read(shape: type[Any], name: str) -> Any:
            try:
                return from_dict(shape, documents[name]) if documents.get(name) else None
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"The document {name} is not what it should be: {error}",
                    where="documents",
                    next_step="Give what the module of that step returned.",
                ) from error

        self.plan: MigrationPlan | None = read(MigrationPlan, "plan")
        self.project_counts: RowCounts | None = read(RowCounts, "project_counts")
        self.restored: RestoreResult | None = read(RestoreResult, "restored")
        self.counts_before: RowCounts | None = read(RowCounts, "counts_before")
        self.dry_run: MigrationResult | None = read(MigrationResult, "dry_run")
        self.up: MigrationResult | None = read(MigrationResult, "up")
        self.down: RollbackResult | None = read(RollbackResult, "down")
        self.schema_diff: SchemaDiff | None = read(SchemaDiff, "schema_diff")
        self.counts_after: RowCounts | None = read(RowCounts, "counts_after")
        self.up_again: MigrationResult | None = read(MigrationResult, "up_again")
        self.drafts: RollbackDrafts | None = read(RollbackDrafts, "drafts")

    def is_returned(self) -> bool | None:
        """Whether the rollback returned the schema, or one that it accepts; None where it was not compared."""
        if self.schema_diff is None:
            return None
        return self.schema_diff.equal or bool(self.down and self.down.equal_but)

    def without_rollback(self, planned: list[PlannedMigration]) -> list[PlannedMigration]:
        """The migrations that need a rollback file and have none; one that changed no catalog is taken back by its record."""
        unchanged = {m.version for m in self.up.migrations if m.changed_catalog is False} if self.up else set()
        return [item for item in planned if item.rollback_sha256 is None and item.version not in unchanged]


def _reasons(
    planned: list[PlannedMigration], steps: _Steps, failed_phase: str | None, failure: str | None
) -> Iterator[str]:
    """Why the rehearsal does not pass; nothing when it does."""
    if failure:
        yield f"{failed_phase}: {failure}"
    if not planned:
        yield "nothing was pending, so nothing was rehearsed"
    drafts = {draft.version: draft for draft in steps.drafts.drafts} if steps.drafts else {}
    missing = steps.without_rollback(planned)
    for item in missing:
        draft = drafts.get(item.version)
        drafted = f"; a draft to review is in {draft.file}" if draft and draft.outcome != "not_needed" else ""
        yield f"{item.version}_{item.name} has no rollback file{drafted}"
    if rehearsed_differently := _rehearsed_differently(planned, steps):
        yield rehearsed_differently
    if steps.schema_diff and not steps.is_returned():
        changes = describe_changes(steps.schema_diff.changes)
        more = f"; and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        yield f"the rollback does not return the exact schema: {'; '.join(changes[:_SHOWN])}{more}"
    yield from _count_differences(steps)
    if not failure and planned and not missing:
        again = steps.up_again is not None and steps.up_again.committed
        if steps.schema_diff is None or steps.counts_after is None:
            yield "the state after the rollback was not compared with the one before"
        elif steps.is_returned() and not again and not (steps.down and steps.down.rows_kept):
            yield "the migrations were not applied again after the rollback"


def _rehearsed_differently(planned: list[PlannedMigration], steps: _Steps) -> str | None:
    """The backup may be from another stage of the project's history than the project is in now."""
    for result in (steps.up, steps.up_again):
        if result is not None and result.committed:
            found = [(item.version, item.sha256) for item in result.migrations]
            if found != [(item.version, item.sha256) for item in planned]:
                versions = ", ".join(version for version, _sha256 in found)
                return f"on the restored backup {versions} were pending: something else than in the project; make a new backup"
    return None


def _count_differences(steps: _Steps) -> Iterator[str]:
    if steps.counts_before is None or steps.counts_after is None:
        return
    before, after = rows_by_table(steps.counts_before.tables), rows_by_table(steps.counts_after.tables)
    # What a migration did to rows stays when it is taken back by its record.
    for kept in steps.down.rows_kept if steps.down else []:
        if (kept.schema, kept.table) in before:
            before[kept.schema, kept.table] += kept.change
    for table in sorted(before.keys() | after.keys()):
        if before.get(table) != after.get(table):
            now, then = (number(rows[table], "row") if table in rows else "is not there" for rows in (after, before))
            yield f"{'.'.join(table)}: {now} after the rollback, {then} before the migrations"


def _file(item: PlannedMigration, steps: _Steps) -> RehearsedFile:
    def seconds(result: MigrationResult | RollbackResult | None) -> float | None:
        done = result.migrations if result is not None and result.committed else []
        return next((m.duration_seconds for m in done if m.version == item.version), None)

    return RehearsedFile(
        version=item.version,
        name=item.name,
        sha256=item.sha256,
        rollback_sha256=item.rollback_sha256,
        up_seconds=seconds(steps.up),
        down_seconds=seconds(steps.down),
        again_seconds=seconds(steps.up_again),
    )


def _estimate(rehearsal: Rehearsal, planned: list[PlannedMigration], steps: _Steps, supabase_dir: Path) -> None:
    receipt = steps.dry_run.receipt if steps.dry_run else None
    if receipt is None:
        return
    rehearsal.locks = [lock for lock in receipt.locks if not lock.new_object]
    rehearsal.rewritten_tables = receipt.rewritten_tables
    rehearsal.rows = receipt.rows
    rehearsal.database_bytes_before, rehearsal.database_bytes_after = (
        receipt.database_bytes_before,
        receipt.database_bytes_after,
    )
    here = rows_by_table(steps.counts_before.tables) if steps.counts_before else {}
    there = rows_by_table(steps.project_counts.tables) if steps.project_counts else here
    scripts = [read_script(supabase_dir / item.file) for item in planned]
    outside = [
        timing
        for item, file in zip(planned, rehearsal.files, strict=True)
        for timing in _outside(item, file, steps, supabase_dir / item.file)
    ]
    rehearsal.statements = estimate([*receipt.statements, *outside], scripts, here, there)
    rehearsal.rehearsed_seconds = round(sum(item.seconds for item in rehearsal.statements), 3)
    rehearsal.estimated_seconds = round(sum(item.estimated_seconds for item in rehearsal.statements), 3)


def _outside(item: PlannedMigration, file: RehearsedFile, steps: _Steps, path: Path) -> Iterator[StatementTiming]:
    """What the dry run left out because it runs in no transaction: all that the file took in earnest beyond the rest."""
    if (
        not item.outside_transaction
        or file.up_seconds is None
        or steps.dry_run is None
        or steps.dry_run.receipt is None
    ):
        return
    timed = sum(t.seconds for t in steps.dry_run.receipt.statements if t.where.startswith(f"{path}:"))
    place, reason = item.outside_transaction[0].rsplit(": ", 1)
    more = len(item.outside_transaction) - 1
    yield StatementTiming(
        where=str(path.parent / Path(place).name),
        command=reason + (f" and {more} more outside a transaction" if more else ""),
        seconds=round(max(file.up_seconds - timed, 0.0), 4),
    )


def _is_verified(entry: BackupEntry) -> bool:
    return entry.sound and entry.manifest is not None and entry.manifest.verification is not None
