# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups go, decided without a disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import (
    BackupEntry,
    BackupManifest,
    BackupVerification,
)
from ansible_collections.pgops.supabase.plugins.module_utils.backup.retention import Retention, choose_removals
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowCounts
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord, RunVerdict

DAY = 86_400.0
READ = BackupVerification(method="read", verified_at="t", entries=1, duration_seconds=1.0)


def entry(name: str, age_days: float, *, sound: bool = True, verified: bool = True) -> BackupEntry:
    moment = "2026-01-01T00:00:00.000+00:00"
    manifest = BackupManifest(
        backup_id=name,
        run_id=name,
        project="p",
        database="postgres",
        host="h",
        system_identifier="7",
        server_version="17.10",
        client_version="17.10",
        format="directory",
        compression="lz4",
        schemas=["public"],
        own_schemas=["public"],
        left_out_schemas=[],
        snapshot="1:1:",
        started_at=moment,
        finished_at=moment,
        duration_seconds=1.0,
        lsn="0/1",
        catalog_fingerprint="f",
        counts=RowCounts(taken_at=moment, server_version="17.10", tables=[], total=0, duration_seconds=0.1),
        files=[],
        total_bytes=1,
        verification=READ if verified else None,
    )
    path = str(Path("/runs") / name / "backup")
    return BackupEntry(path=path, manifest=manifest, age_seconds=age_days * DAY, sound=sound, problems=[])


def run(name: str, verdict: RunVerdict) -> tuple[str, RunRecord]:
    record = RunRecord(run_id=name, project="p", operation="migrate", operator="o", started_at="t", verdict=verdict)
    return f"/runs/{name}", record


def removed(
    backups: list[BackupEntry], *runs: tuple[str, RunRecord], count: int | None = None, days: float | None = None
) -> list[str]:
    retention = Retention(count=count, max_age_seconds=None if days is None else days * DAY)
    return [Path(b.path).parent.name for b, _reason in choose_removals(backups, dict(runs), retention)]


FOUR = [entry("d", 0), entry("c", 1), entry("b", 2), entry("a", 40)]


def test_without_limits_nothing_goes() -> None:
    assert removed(FOUR) == []


@pytest.mark.parametrize(("count", "gone"), [(1, ["c", "b", "a"]), (3, ["a"]), (4, []), (9, [])])
def test_by_count(count: int, gone: list[str]) -> None:
    assert removed(FOUR, count=count) == gone


@pytest.mark.parametrize(("days", "gone"), [(30, ["a"]), (1.5, ["b", "a"]), (100, [])])
def test_by_age(days: float, gone: list[str]) -> None:
    assert removed(FOUR, days=days) == gone


def test_either_limit_is_enough() -> None:
    assert removed(FOUR, count=3, days=1.5) == ["b", "a"]


def test_the_last_verified_one_stays_however_old() -> None:
    assert removed([entry("only", 4000)], count=1, days=0) == []
    newer = entry("newer", 1, verified=False)
    damaged = entry("damaged", 2, sound=False)
    assert removed([newer, damaged, entry("good", 4000)], count=1, days=0) == []


def test_what_is_damaged_or_not_verified_is_left_for_a_person() -> None:
    backups = [entry("new", 0), entry("damaged", 50, sound=False), entry("unverified", 60, verified=False)]
    unknown = dataclasses.replace(entry("x", 70), manifest=None, sound=False)
    assert removed([*backups, unknown], count=1, days=0) == []


def test_the_backup_of_a_run_that_can_be_taken_back_outlives_the_count() -> None:
    assert removed(FOUR, run("b", "migrated"), count=1) == ["c", "a"]
    assert removed(FOUR, run("b", "needs_attention"), run("a", "running"), count=1) == ["c"]


@pytest.mark.parametrize("verdict", ["not_applied", "rolled_back", "dry_run", "nothing_to_do", "backed_up"])
def test_the_backup_of_a_run_with_nothing_to_take_back_does_not(verdict: RunVerdict) -> None:
    assert removed(FOUR, run("b", verdict), count=1) == ["c", "b", "a"]


def test_without_an_age_only_the_last_migration_can_be_taken_back() -> None:
    runs = [run("c", "migrated"), run("b", "restored"), run("a", "migrated")]
    assert removed(FOUR, *runs, count=1) == ["b", "a"]


def test_with_an_age_every_migration_can_until_then() -> None:
    runs = [run("c", "migrated"), run("b", "migrated"), run("a", "migrated")]
    assert removed(FOUR, *runs, count=1, days=30) == ["a"]
