# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which old backups may go, and how one goes: under another name first, so that a half-removed backup is never taken for one."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupEntry, BackupManifest
from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import BACKUP_NAME, find_backups
from ansible_collections.pgops.supabase.plugins.module_utils.backup.documents import RemovedBackup, UsedBackup
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict, utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import (
    fsync_directory,
    make_private_directory,
    read_json,
    write_json,
)
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunEntry, RunRecord
from ansible_collections.pgops.supabase.plugins.module_utils.runs.records import list_runs

REMOVING_PREFIX = ".removing-"
REMOVED_NAME = "backup-removed.json"
USED_NAME = "backup-used.json"

# Of a run that ended so nothing is left that its backup could be needed for.
_OVER = ("not_applied", "rolled_back", "dry_run", "nothing_to_do", "backed_up")
# Of a run that did what it was to do; only the last of them can be taken back, unless an age says for how long.
_DONE = ("migrated", "adopted", "restored")
# Of a run that left the database other than it found it. The backup before the last of them stays, however old it is.
_CHANGED = (*_DONE, "needs_attention")


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How many backups stay, and for how long; None is no limit.

    :param count: a backup goes when this many newer verified ones are there.
    :param max_age_seconds: a backup that is older goes.
    """

    count: int | None = None
    max_age_seconds: float | None = None

    @property
    def limited(self) -> bool:
        """Whether anything ever goes."""
        return self.count is not None or self.max_age_seconds is not None


def choose_removals(
    backups: Sequence[BackupEntry],
    runs: Mapping[str, RunRecord],
    retention: Retention,
    *,
    used: Mapping[str, str] = MappingProxyType({}),
    new: str | None = None,
) -> list[tuple[BackupEntry, str]]:
    """The backups that go, each with the reason; pure.

    Only sound and verified backups count, and only they go: what is damaged is left for a person to look at. The newest one
    stays whatever the limits say, and so does one that a run may still need to get back to its beginning.

    :param backups: newest first.
    :param runs: the project's runs by their directories, newest first.
    :param used: by the directories of runs that made no backup of their own, the id of the one that they made do with.
    :param new: the id of the backup that the others make room for. It stays even when a clock that went back dates it before them.
    """
    verified = [b for b in backups if b.sound and b.manifest is not None and b.manifest.verification is not None]
    needed = _needed(verified, runs, used, retention)
    removals = []
    for position, backup in enumerate(verified):
        reason = _reason(position, backup, retention)
        is_new = backup.manifest is not None and backup.manifest.backup_id == new
        if position and reason and not is_new and backup.path not in needed:
            removals.append((backup, reason))
    return removals


def _reason(position: int, backup: BackupEntry, retention: Retention) -> str | None:
    age, longest = backup.age_seconds, retention.max_age_seconds
    if longest is not None and age is not None and age > longest:
        return f"it is {age:.0f} s old, and backups are kept for {longest:.0f} s"
    if retention.count is not None and position >= retention.count:
        return f"there are {position} newer verified backups, and {retention.count} are kept"
    return None


def _needed(
    backups: Sequence[BackupEntry], runs: Mapping[str, RunRecord], used: Mapping[str, str], retention: Retention
) -> frozenset[str]:
    """The backups of runs that can still be taken back.

    However old, that is the one before the last change of the database. Within the age that backups are kept for it is every run
    that is open, needs a person, or has migrated. Without such an age it is the same, but of those that have migrated only the last.
    """
    by_id = {b.manifest.backup_id: b for b in backups if b.manifest is not None}
    by_run = {str(Path(b.path).parent): b for b in backups}
    by_run |= {run: by_id[backup_id] for run, backup_id in used.items() if run not in by_run and backup_id in by_id}
    needed, done, changed = set(), False, False
    for directory, run in runs.items():
        backup = by_run.get(directory)
        if backup is None or run.verdict in _OVER:
            continue
        last_change = run.verdict in _CHANGED and not changed
        if retention.max_age_seconds is None:
            wanted = run.verdict not in _DONE or not done
        else:
            wanted = backup.age_seconds is not None and backup.age_seconds <= retention.max_age_seconds
        if last_change or wanted:
            needed.add(backup.path)
        done = done or run.verdict in _DONE
        changed = changed or run.verdict in _CHANGED
    return frozenset(needed)


def note_used(run_dir: Path, path: Path, manifest: BackupManifest) -> None:
    """Have a run that makes no backup of its own name the one it would go back to, so that retention leaves it."""
    used = UsedBackup(backup_id=manifest.backup_id, path=str(path), started_at=manifest.started_at)
    make_private_directory(run_dir)
    write_json(run_dir / USED_NAME, used.as_dict())


def _used_by(runs: Sequence[RunEntry]) -> dict[str, str]:
    """What runs made do with: the ids of backups, by the directories of the runs.

    :raises BackupError: when a run does not say it legibly: then nobody knows which backup it needs.
    """
    used = {}
    for entry in runs:
        path = Path(entry.path) / USED_NAME
        try:
            used[entry.path] = from_dict(UsedBackup, read_json(path)).backup_id
        except FileNotFoundError:
            continue
        except (OSError, TypeError, ValueError) as error:
            raise BackupError(
                f"It cannot be read which backup a run relies on, so no old backup was removed: {error}",
                where=str(path),
                next_step="Remove that file if the run will never be taken back; the next backup tries again.",
            ) from error
    return used


def apply_retention(project_dir: Path, manifest: BackupManifest, retention: Retention) -> list[RemovedBackup]:
    """Remove what may go now that a new backup is verified; each removal is recorded in the run it belonged to.

    :param manifest: of the new backup; only backups of the same project are looked at.
    :raises BackupError: when it cannot be told which backups runs rely on; nothing was removed then.
    :raises OSError: when one cannot be removed; what was begun is under another name then, and goes the next time.
    """
    for leftover in project_dir.glob(f"*/{REMOVING_PREFIX}*"):
        shutil.rmtree(leftover)
    if not retention.limited:
        return []
    entries, _unreadable = list_runs(project_dir)
    runs = {entry.path: entry.run for entry in entries}
    backups = [b for b in find_backups(project_dir) if b.manifest is None or b.manifest.project == manifest.project]
    removals = choose_removals(backups, runs, retention, used=_used_by(entries), new=manifest.backup_id)
    return [
        _remove(Path(old.path), old.manifest, reason, manifest.backup_id)
        for old, reason in removals
        if old.manifest is not None
    ]


def _remove(path: Path, manifest: BackupManifest, reason: str, because_of: str) -> RemovedBackup:
    removed = RemovedBackup(
        backup_id=manifest.backup_id,
        path=str(path),
        started_at=manifest.started_at,
        total_bytes=manifest.total_bytes,
        removed_at=utc_now(),
        reason=reason,
        newer_backup=because_of,
    )
    # The record first: when the backup is gone, it is told.
    write_json(path.parent / REMOVED_NAME, asdict(removed))
    doomed = path.with_name(f"{REMOVING_PREFIX}{BACKUP_NAME}-{secrets.token_hex(4)}")
    path.rename(doomed)
    fsync_directory(doomed.parent)
    shutil.rmtree(doomed)
    return removed
