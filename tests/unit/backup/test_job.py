# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups on disk: the place they are written to, finding them, judging them. No server."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.archive import store as archive
from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupManifest, BackupVerification
from ansible_collections.pgops.supabase.plugins.module_utils.backup.job import summarize
from ansible_collections.pgops.supabase.plugins.module_utils.backup.place import (
    NO_BACKUP_MADE,
    require_place,
    seal,
    unfinished_directory,
)
from ansible_collections.pgops.supabase.plugins.module_utils.backup.request import BackupRequest
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError, InputError, ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowCounts, TableCount
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.programs import ProgramVersion


def manifest_of(directory: Path, started_at: str = "2026-01-01T00:00:00.000+00:00") -> BackupManifest:
    """A manifest that is true of the files in the directory."""
    files = seal(directory, {})
    return BackupManifest(
        backup_id="20260101T000000Z-beef",
        run_id="run",
        project="ready_set_dev",
        database="postgres",
        host="127.0.0.1",
        system_identifier="7",
        server_version="17.10",
        client_version="17.10",
        format="custom",
        compression="zstd:1",
        schemas=["public"],
        own_schemas=["public"],
        left_out_schemas=[],
        snapshot="1:1:",
        started_at=started_at,
        finished_at=started_at,
        duration_seconds=1.25,
        lsn="0/1",
        catalog_fingerprint="f",
        counts=RowCounts(
            taken_at=started_at,
            server_version="17.10",
            tables=[TableCount(schema="public", table="profiles", rows=1234)],
            total=1234,
            duration_seconds=0.1,
        ),
        files=files,
        total_bytes=sum(file.bytes for file in files),
        verification=BackupVerification(method="read", verified_at=started_at, entries=9, duration_seconds=0.1),
    )


def backup_at(path: Path, started_at: str = "2026-01-01T00:00:00.000+00:00") -> Path:
    path.mkdir(parents=True)
    (path / "database.dump").write_bytes(b"PGDMP" + bytes(1000))
    (path / "roles.sql").write_text("create role x;\n")
    archive.write_manifest(path, manifest_of(path, started_at))
    return path


def test_sound_backups_are_found_newest_first_and_the_rest_after_them(tmp_path: Path) -> None:
    old = backup_at(tmp_path / "run1" / "backup", "2026-01-01T00:00:00.000+00:00")
    new = backup_at(tmp_path / "run2" / "backup", "2026-01-02T00:00:00.000+00:00")
    left = tmp_path / "run3" / ".incomplete-20260103T000000Z-beef-x"
    left.mkdir(parents=True)
    (tmp_path / "run4" / "backup").mkdir(parents=True)
    found = archive.find_backups(tmp_path, verify="checksums")
    assert [entry.path for entry in found[:2]] == [str(new), str(old)]
    assert [entry.sound for entry in found] == [True, True, False, False]
    assert {entry.path: entry.problems[0].split(" ")[0] for entry in found[2:]} == {
        str(left): "unfinished",
        str(tmp_path / "run4" / "backup"): "manifest.json",
    }


def test_a_project_without_runs_has_no_backups(tmp_path: Path) -> None:
    assert archive.find_backups(tmp_path / "not_there") == []


def test_a_file_is_no_place_for_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a directory"):
        archive.find_backups(tmp_path / "file")


def test_a_truncated_file_is_seen_without_reading_it(tmp_path: Path) -> None:
    path = backup_at(tmp_path / "run" / "backup")
    os.truncate(path / "database.dump", 500)
    entry = archive.inspect_backup(path)
    assert not entry.sound
    assert entry.problems == ["database.dump has 500 bytes, the manifest says 1005"]


def test_a_flipped_bit_is_seen_by_its_checksum_only(tmp_path: Path) -> None:
    path = backup_at(tmp_path / "run" / "backup")
    content = bytearray((path / "database.dump").read_bytes())
    content[700] ^= 1
    (path / "database.dump").write_bytes(content)
    assert archive.inspect_backup(path, verify="none").sound
    assert "SHA-256" in archive.inspect_backup(path, verify="checksums").problems[0]


def test_a_manifest_that_says_only_in_words_that_a_restore_made_it_is_understood(tmp_path: Path) -> None:
    old = manifest_of(tmp_path).as_dict()
    del old["before_restore_of"]
    assert from_dict(BackupManifest, old).before_restore_of is None
    old["reason"] = "before the restore of 20251111T000000Z-cafe"
    assert from_dict(BackupManifest, old).before_restore_of == "20251111T000000Z-cafe"


def test_a_manifest_of_before_it_said_what_it_does_not_hold_is_understood(tmp_path: Path) -> None:
    old = manifest_of(tmp_path).as_dict()
    for name in ("not_held", "large_objects", "platform_extensions", "copy_bytes"):
        del old[name]
    read = from_dict(BackupManifest, old)
    assert (read.not_held, read.large_objects, read.platform_extensions, read.copy_bytes) == ([], None, None, None)


def test_a_missing_file_and_a_broken_manifest_are_named(tmp_path: Path) -> None:
    path = backup_at(tmp_path / "run" / "backup")
    (path / "roles.sql").unlink()
    assert archive.inspect_backup(path).problems == ["roles.sql is missing"]
    (path / "manifest.json").write_text("{")
    assert "cannot be read" in archive.inspect_backup(path).problems[0]
    write_json(path / "manifest.json", {"document": "run"})
    assert "backup_manifest" in archive.inspect_backup(path).problems[0]


def test_a_manifest_that_was_changed_vouches_for_nothing(tmp_path: Path) -> None:
    path = backup_at(tmp_path / "run" / "backup")
    manifest = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(manifest.replace("1234", "1235"))
    assert "manifest.json is not what was written" in archive.inspect_backup(path).problems[0]
    (path / "manifest.json").write_text(manifest)
    assert archive.inspect_backup(path).sound
    (path / "manifest.json.sha256").unlink()
    assert "manifest.json.sha256 cannot be read" in archive.inspect_backup(path).problems[0]


def test_an_older_client_is_refused_with_both_versions() -> None:
    tools = archive.DumpTools(
        Path("/x/pg_dump"), Path("/x/pg_dumpall"), Path("/x/pg_restore"), ProgramVersion(15, "15.18")
    )
    archive.require_client_for(tools, "15.99")
    archive.require_client_for(tools, "14.2")
    with pytest.raises(ToolError) as caught:
        archive.require_client_for(tools, "17.10")
    assert "pg_dump 15.18 is older than the server, which is 17.10" in caught.value.message()
    assert "pg_bin" in caught.value.message()
    assert caught.value.where == "/x/pg_dump"


@pytest.mark.parametrize(("version", "major"), [("17.10", 17), ("18beta1", 18), ("9.6.24", 9)])
def test_the_major_of_a_version(version: str, major: int) -> None:
    assert archive.major_version(version) == major


def test_compression_is_the_best_that_the_program_was_built_for() -> None:
    tools = archive.find_dump_tools()
    assert archive.choose_compression(tools, "auto") in archive.COMPRESSIONS
    assert archive.choose_compression(tools, "gzip:1") == "gzip:1"
    with pytest.raises(ToolError, match="cannot compress with brotli"):
        archive.choose_compression(tools, "brotli")


def test_a_place_that_exists_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        require_place(tmp_path, 0)


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a directory"):
        require_place(tmp_path / "file" / "backup", 0)


def test_too_little_room_is_told_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(BackupError) as caught:
        require_place(tmp_path / "run" / "backup", 10**18)
    free = caught.value.details["free_bytes"]
    assert f"it may need {10**18} bytes, {free} are free" in caught.value.message()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("fault", "expected", "text"),
    [
        (OSError(errno.ENOSPC, "full"), BackupError, "There is no space for the backup"),
        (ToolError("failed", details={"stderr": "write: No space left on device"}), BackupError, "There is no space"),
        (OSError(errno.EIO, "a broken disk"), BackupError, "a broken disk"),
        (ToolError("pg_dump failed"), ToolError, "pg_dump failed"),
        (KeyboardInterrupt(), KeyboardInterrupt, ""),
    ],
)
def test_whatever_goes_wrong_nothing_stays(
    tmp_path: Path, fault: BaseException, expected: type[BaseException], text: str
) -> None:
    with pytest.raises(expected) as caught, unfinished_directory(tmp_path / "backup", "id", 1):
        raise fault
    assert list(tmp_path.iterdir()) == []
    assert text in str(caught.value)
    assert getattr(caught.value, "state", NO_BACKUP_MADE) == NO_BACKUP_MADE


def test_files_and_directories_become_private(tmp_path: Path) -> None:
    (tmp_path / "database").mkdir(mode=0o755)
    (tmp_path / "database" / "toc.dat").write_bytes(b"x")
    (tmp_path / "database" / "toc.dat").chmod(0o644)
    assert [file.path for file in seal(tmp_path, {})] == ["database/toc.dat"]
    assert (tmp_path / "database").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "database" / "toc.dat").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "wrong", [{"jobs": 0}, {"lock_timeout_ms": 0}, {"space_factor": -1.0}, {"max_age_seconds": -1.0}]
)
def test_numbers_without_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="has to be at least"):
        BackupRequest(path=Path("/x"), project="p", **wrong)


def test_a_backup_in_one_sentence(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path)
    assert summarize(manifest) == "0 B, 1,234 rows of 1 table, read back whole"
    assert "not verified" in summarize(dataclasses.replace(manifest, verification=None))


@pytest.mark.parametrize("jobs", [1, 2, 3, 9])
@pytest.mark.parametrize("directory", [True, False])
def test_an_archive_is_read_in_shares_that_are_all_of_it(tmp_path: Path, jobs: int, directory: bool) -> None:
    place = tmp_path / "database"
    listing = ["1; 2615 2200 SCHEMA - public postgres"]
    listing += [f"{number}; 0 {number} TABLE DATA public t{number} postgres" for number in range(2, 8)]
    listing += ["9; 0 0 SEQUENCE SET public s postgres"]
    if directory:
        place.mkdir()
        for number in range(2, 8):
            (place / f"{number}.dat.zst").write_bytes(b"x" * number * 100)
    shares = archive._shares(listing, place, jobs)
    assert len(shares) <= jobs
    assert sorted(line for share in shares for line in share) == sorted(listing)
    if directory and jobs == 2:
        sizes = [sum(int(line.split(";")[0]) for line in share if "TABLE DATA" in line) for share in shares]
        assert max(sizes) - min(sizes) <= 1
