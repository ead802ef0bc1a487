# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a backup is proven by a restore: what is refused before the dump, a disk that is full, a run that makes do with another's."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.backups import command_lines, wait_until
from tests.integration.live import MODULES, LiveProject, RunModule, module_environment

Backup = Callable[..., dict[str, Any]]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def backup(project: LiveProject, run_module: RunModule, runs: Path) -> Backup:
    """Run the module on the project, by default into a run of this name."""

    def run(name: str = "run1", **params: Any) -> dict[str, Any]:
        defaults = {**project.login, "project": "p", "run_dir": str(runs / name), "run_id": name}
        return run_module("backup", **{**defaults, **params})

    project.psql("create table public.filler as select i, md5(i::text) as text from generate_series(1, 30000) i")
    return run


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A short path that a server's account may pass."""
    directory = Path(tempfile.mkdtemp(prefix="pgops-tests-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Path]]:
    """Mount a small disk of so many megabytes, whose path a server's account may pass."""
    mounted: list[Path] = []

    def mount(megabytes: int) -> Path:
        place = Path("/tmp") / f"pgops-disk-{tmp_path_factory.getbasetemp().name}-{megabytes}"
        place.mkdir()
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", place],
            capture_output=True,
            check=False,
        )
        if made.returncode != 0:
            place.rmdir()
            pytest.skip("no file system can be mounted here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", place], check=True)
        place.rmdir()


def test_what_would_end_the_proof_is_refused_before_the_dump(backup: Backup, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "programs").mkdir()
    for check in (True, False):
        missing = backup(verify="restore", scratch_dir=str(tmp_path / "nowhere"), check=check)
        assert missing["failed"] and "scratch_dir" in missing["msg"], missing
        without = backup(verify="restore", scratch_pg_bin=str(tmp_path / "programs"), check=check)
        assert without["failed"] and "no program postgres" in without["msg"], without
        assert not runs.exists()


def test_a_disk_too_small_for_the_scratch_server_is_told_as_what_it_is(
    backup: Backup, runs: Path, disk: Callable[[int], Path]
) -> None:
    place = disk(20)
    for check in (True, False):
        refused = backup(verify="restore", scratch_dir=str(place), check=check)
        assert refused["failed"] and f"no space for the scratch server in {place}" in refused["msg"], refused
        assert not runs.exists()
    assert list(place.iterdir()) == []


def test_the_room_for_a_copy_counts_indexes(
    backup: Backup, project: LiveProject, runs: Path, disk: Callable[[int], Path]
) -> None:
    project.psql("".join(f"create index on public.filler (text, (i + {n}));" for n in range(60)))
    place = disk(110)
    for check in (True, False):
        refused = backup(verify="restore", scratch_dir=str(place), check=check)
        assert refused["failed"] and f"no space for the scratch server in {place}" in refused["msg"], refused
        assert not runs.exists()


def test_a_disk_that_fills_up_under_the_scratch_server_leaves_nothing_and_is_named(
    backup: Backup, project: LiveProject, runs: Path, disk: Callable[[int], Path]
) -> None:
    # Compressed there, not compressed in a copy: nobody could tell beforehand.
    project.psql(
        "create table public.wide as select repeat('x', 100000) as text from generate_series(1, 1000);"
        "alter table public.wide alter column text set storage external"
    )
    place = disk(115)
    assert backup("run1")["changed"]
    for dummy in range(2):
        failed = backup("run2", verify="restore", scratch_dir=str(place), retention_count=1)
        assert failed["failed"] and f"no space for the scratch server in {place}" in failed["msg"], failed
        assert "the database was not changed; the unfinished backup was removed" in failed["msg"]
        assert "scratch_dir" in failed["msg"]
        assert list(place.iterdir()) == []
        assert [path.name for path in (runs / "run2").iterdir()] == ["events.jsonl"]
        assert (runs / "run1" / "backup" / "manifest.json").is_file()


def test_a_run_names_the_backup_that_it_makes_do_with(backup: Backup, runs: Path) -> None:
    made = backup("run1")
    for dummy in range(2):
        assert not backup("run2", max_age_seconds=600, check=True)["changed"]
    assert not (runs / "run2").exists()
    for dummy in range(2):
        assert not backup("run2", max_age_seconds=600)["changed"]
        used = json.loads((runs / "run2" / "backup-used.json").read_text())
        assert (used["backup_id"], used["path"]) == (made["manifest"]["backup_id"], made["path"])
    # The run itself makes do with its own.
    assert not backup("run1", max_age_seconds=600)["changed"]
    assert not (runs / "run1" / "backup-used.json").exists()


def test_what_a_killed_proof_left_running_goes_with_the_next_backup_whatever_that_verifies(
    backup: Backup, project: LiveProject, runs: Path, scratch: Path
) -> None:
    # While initdb makes it, which goes on for a moment, and when it serves.
    for number, sign in enumerate(("data/PG_VERSION", ".s.PGSQL.5432")):
        wanted = {**project.login, "project": "p", "path": str(runs / "killed" / "backup"), "verify": "restore"}
        with module_process("backup", **wanted, scratch_dir=str(scratch)) as process:
            wait_until(lambda: list(scratch.glob(f"*/server/{sign}")), "no scratch server was made")
            process.send_signal(signal.SIGKILL)
        assert list(scratch.iterdir())
        assert number == 0 or servers_in(scratch)
        assert list(runs.glob("*/.incomplete-*"))
        made = backup(f"next{number}", verify="read", scratch_dir=str(scratch))
        assert made.get("changed"), made.get("msg")
        assert list(scratch.iterdir()) == []
        assert not servers_in(scratch)
        assert list(runs.glob("*/.incomplete-*")) == []


@contextmanager
def module_process(name: str, **params: Any) -> Iterator[subprocess.Popen[str]]:
    """A module in a process of its own that a test may kill; it has ended after the block."""
    with subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.{name}"],
        env=module_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": params}))
        process.stdin.close()
        yield process
    assert process.returncode == -signal.SIGKILL


def servers_in(place: Path) -> list[int]:
    return [pid for pid, line in command_lines().items() if str(place) in line and "postgres" in line.split(" ")[0]]
