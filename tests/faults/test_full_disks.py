# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that is full, with a little more room each time until it is enough: all or nothing, and never a half.

The disk is the one that is written to: of the backup, of what a restore keeps aside, of the rows that a rollback exports, or of
the database itself.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, session
from ansible_collections.pgops.supabase.plugins.module_utils.servers.local import drop_database
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.faults.conftest import FIGURES
from tests.faults.figures import Figures
from tests.faults.kept import ACCIDENT, Disk, Kept, mounted
from tests.faults.proxy import Moment, Phase
from tests.faults.states import State
from tests.faults.subject import FIRST, SECOND, THIRD
from tests.faults.ways_back import Story
from tests.integration.backups import content_of
from tests.integration.live import LiveProject

FULL = os.environ.get("PGOPS_FAULTS") == "full"
# By how much the room grows from one point to the next.
GROWTH = 1.15 if FULL else 6.0
# More than any of these needs.
MOST_PAGES, MOST_FILES = 8_000, 1_000


@dataclass
class Job:
    """What is run, where it writes, and where the database has to be when it says that all is well."""

    name: str
    run: Callable[[Kept, LiveProject, Path], dict[str, Any]]
    writes: str
    accident: str = ""

    def is_done(self, kept: Kept, start: State, found: State) -> bool:
        """Whether the database is at the target."""
        if self.name.startswith("backup"):
            return not start.difference(found)
        target = kept.after if self.name == "restore" else kept.before
        return (found.catalog, found.rows, found.history) == (target.catalog, target.rows, target.history)


# Do not look beforehand whether there is room.
_NO_ROOM: dict[str, Any] = {"space_factor": 0}
_CUSTOM: dict[str, Any] = {**_NO_ROOM, "format": "custom"}

JOBS = {
    job.name: job
    for job in (
        Job("backup custom", lambda kept, project, place: kept.back_up(project, place / "new", **_CUSTOM), "new"),
        Job("backup directory", lambda kept, project, place: kept.back_up(project, place / "new", **_NO_ROOM), "new"),
        Job(
            "restore",
            lambda kept, project, place: kept.restore(
                project, kept.backups["directory"], kept.backup_id("directory"), place / "aside"
            ),
            "aside",
            ACCIDENT,
        ),
        Job("rollback", lambda kept, project, place: kept.roll_back(project, place / "exported"), "exported"),
    )
}


def growing(start: int, most: int) -> Iterator[int]:
    """Rooms, from the smallest on."""
    room = float(start)
    while room < most:
        yield int(room)
        room = max(room + 1, room * GROWTH)


@pytest.mark.parametrize("what", ["pages", "files"])
@pytest.mark.parametrize("name", JOBS)
def test_where_files_are_written(
    kept: Kept, name: str, what: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    job = JOBS[name]
    started, left, wrong = time.monotonic(), Counter[str](), []
    with mounted(tmp_path / "disk") as disk:
        older = disk.place / "older" / "backup"
        with kept.applied.database() as project:
            made = kept.back_up(project, older)
            assert made.get("changed"), made
        files = content_of(disk.place)
        occupied = getattr(disk, what)
        for room in growing(1, MOST_PAGES if what == "pages" else MOST_FILES):
            disk.resize(**{what: occupied + room})
            with _start(kept, job) as project:
                said, complaints = _point(kept, job, project, disk.place)
                left["points"] += 1
                left["complete" if said.get("changed") else "untouched"] += 1
                if {path: content for path, content in content_of(disk.place).items() if path in files} != files:
                    complaints.append("the older backup was touched")
                disk.resize()
                if said.get("failed"):
                    again, more = _point(kept, job, project, disk.place)
                    complaints += more + ([] if again.get("changed") else [f"the next run failed: {again['msg']}"])
            told = kept.info(disk.place)
            complaints += [f"not sound: {entry['problems']}" for entry in told.values() if not entry["sound"]]
            wrong += [f"{name}/{what}/{room}: {complaint}" for complaint in complaints]
            _clear(disk.place, files)
            if said.get("changed"):
                break
    _conclude(record_property, job.name, f"full disk: {what}", left, wrong, time.monotonic() - started)


def test_where_the_database_is(kept: Kept, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Only a restore makes the database larger. A rollback changes pages that are there."""
    job = JOBS["restore"]
    started, left, wrong = time.monotonic(), Counter[str](), []
    # A path that the server's account may pass.
    with mounted(kept.stage.server.server.directory.parent / f"disk_{secrets.token_hex(4)}") as disk:
        for room in growing(1, MOST_PAGES):
            with _on(kept, disk) as project:
                project.psql(job.accident)
                project.psql("checkpoint", SUPERUSER)
                disk.resize(pages=disk.pages + room)
                said, complaints = _point(kept, job, project, tmp_path / str(room))
                left["points"] += 1
                left["complete" if said.get("changed") else "untouched"] += 1
                disk.resize()
                if said.get("failed"):
                    again, more = _point(kept, job, project, tmp_path / f"{room} again")
                    complaints += more + ([] if again.get("changed") else [f"the next run failed: {again['msg']}"])
            wrong += [f"{job.name}/server/{room}: {complaint}" for complaint in complaints]
            if said.get("changed"):
                break
    _conclude(record_property, job.name, "full disk: server", left, wrong, time.monotonic() - started)


@pytest.mark.parametrize("name", ["migrate", "restore in place", "rollback", "adopt"])
def test_where_the_document_is_written(
    story: Story, name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """It is committed by then, and that is what has to be said."""
    started, recorded = time.monotonic(), list[str]()
    stage, job = story.stage, story.jobs.get(name)
    begin = job.start if job else story.fresh
    with (
        mounted(tmp_path / "disk") as disk,
        begin.database(job.database if job else None) as project,
    ):
        disk.resize(pages=1024)
        start = begin.state(project)

        def fill(moment: Moment) -> None:
            # When the server has committed what the records are of.
            words = moment.question.words.lower()
            recorded.extend([words] if words.startswith("insert into pgops.ledger") else [])
            if words == "commit" and moment.phase is Phase.UNANSWERED and recorded:
                disk.fill()

        def once(place: Path, interfere: Callable[[Moment], None]) -> dict[str, Any]:
            place.mkdir()
            stage.proxy.next_run(interfere)
            arguments = job.arguments(project, project.server.port, place) if job else begin.arguments
            module = job.module if job else "migration"
            login = {**project.login, "login_port": stage.proxy.port, "run_dir": str(disk.place)}
            result = stage.applier.run(module, {**arguments, **login}).result
            assert result is not None
            return result

        said = once(tmp_path / "first", fill)
        found = begin.state(project)
        assert said.get("failed") and said["changed"] and said["error"]["outcome"] == "committed", said
        assert "No space left" in said["msg"] and said["error"]["next_step"], said
        missing = job.target(start, found) if job else ""
        assert start.difference(found) and not missing, missing
        assert job is not None or found.versions - start.versions == {
            v.partition("_")[0] for v in (FIRST, SECOND, THIRD)
        }
        disk.resize()
        if name != "rollback":
            again = once(tmp_path / "second", lambda _moment: None)
            assert not again.get("failed") and again["changed"] is (name == "restore in place"), again
    left = Counter({"points": 1, "complete": 1})
    _record(record_property, name, "full disk: document", left, 0, time.monotonic() - started)


def _point(kept: Kept, job: Job, project: LiveProject, place: Path) -> tuple[dict[str, Any], list[str]]:
    """Run it once: what it said, and what of it is not so."""
    place.mkdir(exist_ok=True)
    start = kept.applied.state(project)
    said = job.run(kept, project, place)
    found = kept.applied.state(project)
    there = (place / job.writes).exists() and any((place / job.writes).iterdir())
    complaints = []
    if said.get("changed"):
        complaints += [] if job.is_done(kept, start, found) else ["it says that all is well, and it is not"]
        complaints += [] if there else [f"it says that all is well, and there is no {job.writes}"]
        return said, complaints
    error = said.get("error") or {}
    if start.difference(found):
        complaints.append(f"it failed and the database is another: {start.difference(found)}")
    if not error.get("next_step") or not any(
        word in error.get("state", "") for word in ("nothing was changed", "was not changed", "as it was before")
    ):
        complaints.append(f"the failure does not say what is so: {said.get('msg', said)}")
    if "space" not in said.get("msg", "").lower():
        complaints.append(f"the failure does not say that there is no space: {said.get('msg', said)}")
    # What a restore has kept aside before it failed is a whole backup, and stays.
    if there and job.name != "restore":
        complaints.append(f"it failed and left {job.writes}")
    if job.name == "restore" and there:
        (place / job.writes).rename(place / f"kept-{secrets.token_hex(2)}")
    lying = sorted(path.name for path in place.rglob(".*"))
    return said, complaints + ([f"it failed and left {lying}"] if lying else [])


@contextmanager
def _start(kept: Kept, job: Job) -> Iterator[LiveProject]:
    with kept.applied.database() as project:
        if job.accident:
            project.psql(job.accident)
        yield project


@contextmanager
def _on(kept: Kept, disk: Disk) -> Iterator[LiveProject]:
    """A database as it is before the run, all of it on the disk."""
    server, name = kept.stage.server, f"cell_{secrets.token_hex(6)}"
    place = disk.place / name
    place.mkdir()
    owner = server.server.data.stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    names = {"name": sql.Identifier(name), "template": sql.Identifier(kept.applied.template)}
    with session(server.connection(user=SUPERUSER), autocommit=True) as connection:
        execute(
            connection,
            sql.SQL("create tablespace {name} location {place}").format(place=sql.Literal(str(place)), **names),
        )
        execute(connection, sql.SQL("create database {name} template {template} tablespace {name}").format(**names))
        execute(
            connection, sql.SQL('alter database {name} set search_path = "$user", public, extensions').format(**names)
        )
    try:
        yield LiveProject(server, name)
    finally:
        disk.resize()
        drop_database(server, name)
        with session(server.connection(user=SUPERUSER), autocommit=True) as connection:
            execute(connection, sql.SQL("drop tablespace {name}").format(**names))
        place.rmdir()


def _clear(place: Path, files: dict[str, Any]) -> None:
    """Remove all that was not there at first."""
    for path in sorted(place.rglob("*"), reverse=True):
        if str(path.relative_to(place)) not in files:
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()


def _record(
    record_property: Callable[[str, object], None], name: str, fault: str, left: Counter[str], bad: int, seconds: float
) -> None:
    points = left["points"]
    figures = Figures(name, fault, points, left["untouched"], 0, left["complete"], points - bad, seconds)
    record_property(FIGURES, figures.as_properties())


def _conclude(
    record_property: Callable[[str, object], None],
    name: str,
    fault: str,
    left: Counter[str],
    wrong: list[str],
    seconds: float,
) -> None:
    points = left["points"]
    bad = len({text.partition(":")[0] for text in wrong})
    _record(record_property, name, fault, left, bad, seconds)
    assert not wrong, f"{bad} of {points} points:\n" + "\n".join(wrong)
    assert left["untouched"] and left["complete"], "the room was never too small, or never enough"
