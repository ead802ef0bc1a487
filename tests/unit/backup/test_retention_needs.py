# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups retention leaves on a disk because something would be lost with them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupManifest
from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import write_manifest
from ansible_collections.pgops.supabase.plugins.module_utils.backup.retention import (
    USED_NAME,
    Retention,
    apply_retention,
    note_used,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord, RunVerdict
from tests.unit.backup.test_job import manifest_of

LONG_AGO, BEFORE, NOW = (f"2026-0{month}-01T00:00:00.000+00:00" for month in (1, 2, 3))


def backup(runs: Path, name: str, started_at: str) -> BackupManifest:
    directory = runs / name / "backup"
    directory.mkdir(parents=True)
    (directory / "database.dump").write_bytes(b"PGDMP")
    manifest = dataclasses.replace(manifest_of(directory, started_at), backup_id=f"backup-of-{name}")
    write_manifest(directory, manifest)
    return manifest


def run(runs: Path, name: str, verdict: RunVerdict) -> None:
    (runs / name).mkdir(exist_ok=True)
    record = RunRecord(
        run_id=name, project="ready_set_dev", operation="migrate", operator="o", started_at=BEFORE, verdict=verdict
    )
    write_json(runs / name / "run.json", record.as_dict())


def held(runs: Path) -> list[str]:
    return sorted(path.parent.name for path in runs.glob("*/backup"))


def test_the_new_backup_stays_when_the_clock_went_back(tmp_path: Path) -> None:
    backup(tmp_path, "run1", NOW)
    new = backup(tmp_path, "run2", LONG_AGO)
    for retention in (Retention(count=1), Retention(max_age_seconds=0)):
        apply_retention(tmp_path, new, retention)
        assert held(tmp_path) == ["run1", "run2"]


@pytest.mark.parametrize("verdict", ["migrated", "adopted", "needs_attention"])
def test_the_backup_before_the_last_change_stays_however_old(tmp_path: Path, verdict: RunVerdict) -> None:
    backup(tmp_path, "run1", LONG_AGO)
    run(tmp_path, "run1", "migrated")
    backup(tmp_path, "run2", BEFORE)
    run(tmp_path, "run2", verdict)
    new = backup(tmp_path, "run3", NOW)
    run(tmp_path, "run3", "running")
    removed = apply_retention(tmp_path, new, Retention(count=1, max_age_seconds=60))
    assert [b.backup_id for b in removed] == ["backup-of-run1"]
    assert held(tmp_path) == ["run2", "run3"]


@pytest.mark.parametrize("retention", [Retention(count=1), Retention(max_age_seconds=60)])
def test_a_backup_that_another_run_made_do_with_stays_as_long_as_that_run_may_need_it(
    tmp_path: Path, retention: Retention
) -> None:
    young = backup(tmp_path, "run1", BEFORE)
    run(tmp_path, "run1", "backed_up")
    run(tmp_path, "run2", "migrated")
    note_used(tmp_path / "run2", tmp_path / "run1" / "backup", young)
    new = backup(tmp_path, "run3", NOW)
    assert apply_retention(tmp_path, new, retention) == []
    assert held(tmp_path) == ["run1", "run3"]
    run(tmp_path, "run2", "rolled_back")
    assert [b.backup_id for b in apply_retention(tmp_path, new, retention)] == ["backup-of-run1"]


def test_nothing_goes_where_it_cannot_be_read_what_a_run_needs(tmp_path: Path) -> None:
    backup(tmp_path, "run1", BEFORE)
    run(tmp_path, "run2", "migrated")
    (tmp_path / "run2" / USED_NAME).write_text("{")
    new = backup(tmp_path, "run3", NOW)
    with pytest.raises(BackupError, match="no old backup was removed"):
        apply_retention(tmp_path, new, Retention(count=1))
    assert held(tmp_path) == ["run1", "run3"]
