# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An encrypted backup and a disk that is too small for what is in it: named as that, and nothing is left there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupManifest
from ansible_collections.pgops.supabase.plugins.module_utils.archive.encryption import opened_backup
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError
from tests.integration import age_program
from tests.integration.backups import small_disk
from tests.integration.live import LiveProject, run_module


def test_no_room_to_decrypt_is_no_wrong_key(
    project: LiveProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{age_program.directory()}{os.pathsep}{os.environ['PATH']}")
    identity, recipient = age_program.new_identity(tmp_path / "identity")
    project.psql(
        "create table public.noise as select md5(i::text) || md5((-i)::text) as text from generate_series(1, 120000) i"
    )
    path = tmp_path / "backup"
    made = run_module("backup", project="p", path=str(path), recipients=[recipient], **project.login)
    assert made.get("changed"), made
    manifest = from_dict(BackupManifest, json.loads((path / "manifest.json").read_text()))
    largest = max(
        (file for file in manifest.files if file.plain), key=lambda file: file.plain.bytes if file.plain else 0
    )
    assert largest.plain is not None and largest.plain.bytes > 2 * 2**20
    with small_disk(tmp_path / "disk") as is_disk:
        if not is_disk:
            pytest.skip("no file system can be mounted here")
        for full in ("before", "meanwhile"):
            if full == "meanwhile":
                # As if another process had filled it after the look at it.
                for file in manifest.files:
                    if file.plain:
                        file.plain.bytes = 1
            for _time in range(2):
                with pytest.raises(BackupError) as raised:
                    with opened_backup(path, manifest, identity, place=tmp_path / "disk"):
                        pass
                assert "There is no room to decrypt the backup" in raised.value.what, raised.value.message()
                assert "key" not in raised.value.message()
                assert list((tmp_path / "disk").iterdir()) == []
