# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project whose migrations are applied, backups of it, and the disks that they are kept on."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stage import Prepared, Stage
from tests.faults.states import State
from tests.faults.subject import FIRST, SECOND, SUBJECTS, THIRD
from tests.integration.live import LiveProject

PROJECT = "kept"
FORMATS = ("custom", "directory")
# Rows that no compression makes small.
_ROWS = """
create table public.filler as select i, gen_random_uuid() as a, gen_random_uuid() as b from generate_series(1, 4000) i;
"""
ACCIDENT = """
truncate public.filler; alter table public.orders drop column note; update public.clients set name = 'by accident';
create table public.by_accident (id int);
"""
# What taking the first migration back drops.
_MORE_INVOICES = "insert into public.invoices select i, i % 3 + 1 from generate_series(51, 3000) i"
_ROLLBACKS = {
    FIRST: "drop table public.invoices;\n",
    SECOND: "drop index public.orders_note_idx; alter table public.orders drop column note;\n",
    THIRD: "drop policy invoices_are_read on public.invoices; alter table public.invoices disable row level security;\n",
}


@dataclass(frozen=True)
class Kept:
    """The project as it is applied, to begin from, and a backup of it in each format. ``before`` is before the migrations."""

    stage: Stage
    applied: Prepared
    supabase_dir: Path
    backups: dict[str, Path]
    before: State
    after: State

    def back_up(self, project: LiveProject, path: Path, **params: Any) -> dict[str, Any]:
        """Run the module that backs up."""
        arguments = {**project.login, "project": PROJECT, "path": str(path), "compression": "gzip:1"}
        return self._run("backup", {**arguments, **params})

    def restore(self, project: LiveProject, backup: Path, backup_id: str, aside: Path) -> dict[str, Any]:
        """Run the module that restores, with the consent that it takes."""
        into = f"{project.database} on {project.server.host}:{project.server.port}"
        return self._run(
            "restore",
            {
                **project.login,
                "project": PROJECT,
                "backup": str(backup),
                "aside": str(aside),
                "elsewhere": True,
                "consent": f"{PROJECT} {backup_id} into {into}",
            },
        )

    def backup_id(self, name: str) -> str:
        """By which a consent names the backup in this format."""
        manifest = json.loads((self.backups[name] / "manifest.json").read_text(encoding="utf-8"))
        return str(manifest["backup_id"])

    def roll_back(self, project: LiveProject, exported: Path) -> dict[str, Any]:
        """Run the module that takes the migrations back."""
        arguments = {"supabase_dir": str(self.supabase_dir), "reason": "a test", "to_version": "20260101000000"}
        return self._run("rollback", {**project.login, **arguments, "export_dir": str(exported)})

    def info(self, project_dir: Path) -> dict[str, dict[str, Any]]:
        """What the module says of each backup after reading it whole, by its path."""
        told = self._run("backup_info", {"project_dir": str(project_dir), "verify": "read"})
        return {entry["path"]: entry for entry in told["backups"]}

    def _run(self, module: str, arguments: dict[str, Any]) -> dict[str, Any]:
        ended = self.stage.applier.run(module, arguments)
        assert ended.result is not None, ended
        return ended.result


def prepare(stage: Stage, place: Path) -> Kept:
    """Make the project and the backups."""
    stage.start_again()
    batch = next(subject for subject in SUBJECTS if subject.name == "batch")
    supabase_dir = place / "supabase"
    prepared = stage.prepare(dataclasses.replace(batch, name="kept", start=batch.start + _ROWS), supabase_dir)
    (supabase_dir / "rollbacks").mkdir()
    for name, content in _ROLLBACKS.items():
        (supabase_dir / "rollbacks" / f"{name}.sql").write_text(content, encoding="utf-8")
    project = LiveProject(stage.server, prepared.template)
    before = prepared.state(project)
    applied = prepared.apply(project)
    assert applied.result is not None and applied.result.get("changed"), applied
    project.psql(_MORE_INVOICES)
    # See Stage.prepare: an immediate stop must not take back what the copy gives out.
    project.psql("select setval('pgops.ledger_event_id_seq', max(event_id)) from pgops.ledger")
    backups = {name: place / "runs" / name / "backup" for name in FORMATS}
    kept = Kept(stage, prepared, supabase_dir, backups, before, prepared.state(project))
    for name, path in backups.items():
        made = kept.back_up(project, path, format=name)
        assert made.get("changed"), made
    return kept


class Disk:
    """A small file system of its own whose room can be changed."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def resize(self, *, pages: int | None = None, files: int | None = None) -> None:
        """Have room for so many pages of 4 KB, or so many files and directories; None is more than enough."""
        room = f"size={(pages or 65536) * 4}k,nr_inodes={files or 100_000}"
        subprocess.run(["mount", "-o", f"remount,{room}", self.place], check=True, capture_output=True)

    def fill(self) -> None:
        """Leave no room for anything."""
        with suppress(OSError), (self.place / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(65536)):
                continue

    @property
    def pages(self) -> int:
        """How many pages are in use."""
        return self._used("%b %f")

    @property
    def files(self) -> int:
        """How many files and directories are on it, its own root among them."""
        return self._used("%c %d")

    def _used(self, what: str) -> int:
        words = ["stat", "--file-system", f"--format={what}", str(self.place)]
        total, free = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
        return int(total) - int(free)


@contextmanager
def mounted(place: Path) -> Iterator[Disk]:
    """Mount a disk; skip the test where that is not allowed."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256m,nr_inodes=100000,mode=755", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", place], check=True)
        place.rmdir()
