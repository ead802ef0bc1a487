# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways back, and what else is recorded in one transaction: each a module, where it begins and where it has to end."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from psycopg2 import sql

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, session
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.faults.applier import Ended
from tests.faults.proxy import Moment, Then
from tests.faults.stage import Prepared, Stage, wait_until_alone
from tests.faults.states import State
from tests.faults.subject import SUBJECTS
from tests.integration.live import LiveProject

MESS = """
drop table public.invoices; alter table public.orders drop column note; update public.clients set name = 'by accident';
create table public.by_accident (id int); comment on table public.clients is 'by accident';
"""
ROLLBACKS = {
    "20260102000000_first": "drop table public.invoices;\n",
    "20260103000000_second": "drop index public.orders_note_idx; alter table public.orders drop column note;\n",
    "20260104000000_third": (
        "drop policy invoices_are_read on public.invoices; alter table public.invoices disable row level security;\n"
    ),
}


# What a job begins, the first of each of which is a point of its own: the rows kept aside, the way made free, the objects, the
# rows from the archive, the event in the ledger.
MARKS = (r"copy .* to stdout", r"drop ", r"create table ", r"copy .* from stdin", r"insert into pgops\.ledger")


class Fault(Enum):
    """What goes wrong."""

    KILL = "kill"  # SIGKILL for the module's process
    KILL_TOOL = "kill tool"  # SIGKILL for the pg_dump or pg_restore that it runs
    TERMINATE = "terminate"
    STOP = "stop"
    CUT = "cut"


@dataclass
class Job:
    """One of the ways back: the module, its arguments, where it begins and where it ends."""

    name: str
    module: str
    start: Prepared
    # Where the database has to be in the end: what is not as it is to be, in words.
    target: Callable[[State, State], str]
    arguments: Callable[[LiveProject, int, Path], dict[str, Any]]
    # Of the database, where it has to be the very one that was backed up.
    database: str | None = None
    questions: int = 0
    # The number of the question that commits, where one does.
    commit: int | None = None
    # The whole database at the start and in the end, as pg_dump writes it.
    dumps: tuple[str, ...] = ()
    # What is committed when nothing happens to it.
    end: State | None = None
    # The numbers of the questions that begin something of their own.
    marked: tuple[int, ...] = ()

    @property
    def in_place(self) -> bool:
        """Whether it is the very database that was backed up."""
        return self.database is not None


@dataclass
class Story:
    """A project with applied migrations, a backup of it, and the same project after an accident."""

    stage: Stage
    fresh: Prepared
    whole: Prepared
    messed: Prepared
    # With the history that the Supabase CLI leaves, and no ledger.
    by_the_cli: Prepared
    backup: Path
    # The database that was backed up, by name.
    database: str
    before: State
    as_backed_up: State
    jobs: dict[str, Job] = field(default_factory=dict)


def prepare(stage: Stage, place: Path) -> Story:
    """Make the databases, the backup, and each job once without a fault."""
    stage.start_again()
    prepared = stage.prepare(next(subject for subject in SUBJECTS if subject.name == "batch"), place / "supabase")
    (place / "supabase" / "rollbacks").mkdir()
    for name, content in ROLLBACKS.items():
        (place / "supabase" / "rollbacks" / f"{name}.sql").write_text(content, encoding="utf-8")
    with prepared.database() as project:
        before = prepared.state(project)
        applied = prepared.apply(project)
        assert applied.result is not None and applied.result.get("changed"), applied
        whole = _template(prepared, project)
        as_backed_up = prepared.state(project)
        backup = place / "runs" / "run1" / "backup"
        project_name = project.database
        made = stage.applier.run("backup", {**project.login, "project": "cell", "path": str(backup)})
        assert made.result is not None and made.result.get("changed"), made
        project.psql(MESS)
        messed = _template(prepared, project)
    with whole.database() as project:
        project.psql("set session_replication_role = replica; truncate pgops.ledger", SUPERUSER)
        by_the_cli = _template(prepared, project)
    story = Story(stage, prepared, whole, messed, by_the_cli, backup, project_name, before, as_backed_up)
    for job in _jobs(story, place / "supabase"):
        story.jobs[job.name] = job
        _undisturbed(story, job, place / f"undisturbed-{job.name}")
    return story


def _undisturbed(story: Story, job: Job, place: Path) -> None:
    """Run it once, and take note of what it asks and of where it ends."""
    seen: dict[int, str] = {}

    def note(moment: Moment) -> None:
        seen[moment.question.number] = moment.question.words.lower()

    with job.start.database(job.database) as project:
        start = dump_of(project) if job.in_place else ""
        ended = run(story.stage, job, project, place, note)
        assert ended.result is not None and ended.result.get("changed"), (ended.result or {}).get("msg", ended)
        job.end = job.start.state(project)
        if job.in_place:
            job.dumps = (start, dump_of(project))
    job.questions = max(seen)
    if job.name != "backup":
        job.commit = max(number for number, words in seen.items() if words == "commit")
    first = (min((n for n, words in seen.items() if re.match(mark, words)), default=0) for mark in MARKS)
    job.marked = tuple(sorted({number for number in first if number}))


def dump_of(project: LiveProject) -> str:
    """The whole database as pg_dump writes it, but for the collection's own records, which go on in any case."""
    options = project.superuser_options
    environment = {**os.environ, "PGPASSWORD": str(options.login_password)}
    command = [str(Path(project.server.pg_bin) / "pg_dump"), "-h", project.server.host, "-p", str(project.server.port)]
    command += ["-U", SUPERUSER, "--exclude-schema=pgops", project.database]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, encoding="utf-8", timeout=120)
    # The newer minor releases write another key each time.
    return re.sub(r"^\\(un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)


def _template(prepared: Prepared, project: LiveProject) -> Prepared:
    """The database as it is now, to begin from as often as wanted."""
    name = f"start_{secrets.token_hex(4)}"
    wait_until_alone(project)
    with session(project.server.connection(user=SUPERUSER), autocommit=True) as connection:
        copy = sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(project.database))
        execute(connection, copy)
    # See Stage.prepare: an immediate stop must not take back what the copy gave out.
    LiveProject(project.server, name).psql(
        "select setval('pgops.ledger_event_id_seq', coalesce(max(event_id), 1)) from pgops.ledger"
    )
    return Prepared(prepared.stage, prepared.subject, name, prepared.arguments)


def _jobs(story: Story, supabase_dir: Path) -> Iterator[Job]:
    backup_id = backup_id_of(story.backup)

    def backup(project: LiveProject, port: int, place: Path) -> dict[str, Any]:
        return {"project": "cell", "path": str(place / "new"), "format": "custom", "jobs": 1}

    def restore(project: LiveProject, port: int, place: Path) -> dict[str, Any]:
        return {
            "project": "cell",
            "backup": str(story.backup),
            "aside": str(place / "aside"),
            "elsewhere": True,
            "consent": f"cell {backup_id} into {project.database} on 127.0.0.1:{port}",
            "retries": 0,
        }

    def restore_in_place(_project: LiveProject, _port: int, place: Path) -> dict[str, Any]:
        return into_itself(story.backup, place)

    def adopt(_project: LiveProject, _port: int, _place: Path) -> dict[str, Any]:
        return {"supabase_dir": str(supabase_dir), "run_id": "20260101T000000Z-0002", "retries": 0}

    def rollback(project: LiveProject, port: int, place: Path) -> dict[str, Any]:
        return {
            "supabase_dir": str(supabase_dir),
            "reason": "a test",
            "to_version": "20260101000000",
            "export_dir": str(place / "exported"),
            "retries": 0,
        }

    def is_at(expected: State, *names: str) -> Callable[[State, State], str]:
        # The ledger goes on in every one of them.
        return lambda _start, found: "; ".join(
            name for name in names if getattr(expected, name) != getattr(found, name)
        )

    at_backup = is_at(story.as_backed_up, "catalog", "rows", "history")
    yield Job("backup", "backup", story.whole, lambda start, found: start.difference(found), backup)
    yield Job("restore", "restore", story.messed, at_backup, restore)
    yield Job("restore in place", "restore", story.messed, at_backup, restore_in_place, story.database)
    yield Job("rollback", "rollback", story.whole, is_at(story.before, "catalog", "rows", "history"), rollback)

    adoption = Job("adopt", "migration_adopt", story.by_the_cli, lambda _start, _found: "", adopt)
    adoption.target = lambda _start, found: adoption.end.difference(found) if adoption.end else ""
    yield adoption


def backup_id_of(backup: Path) -> str:
    """By which a consent names it."""
    return str(json.loads((backup / "manifest.json").read_text(encoding="utf-8"))["backup_id"])


def into_itself(backup: Path, place: Path) -> dict[str, Any]:
    """The arguments of a restore into the project that was backed up, with the consent that it takes."""
    return {
        "project": "cell",
        "backup": str(backup),
        "aside": str(place / "aside"),
        "consent": f"cell {backup_id_of(backup)}",
        "retries": 0,
    }


def run(stage: Stage, job: Job, project: LiveProject, place: Path, interfere: Any = None) -> Ended:
    """Run the job's module, through the proxy when somebody interferes."""
    place.mkdir(parents=True, exist_ok=True)
    login, port = project.login, project.server.port
    if interfere is not None:

        def ask(moment: Moment) -> Then | None:
            then: Then | None = interfere(moment)
            return then

        stage.proxy.next_run(ask)
        port = stage.proxy.port
        login = {**login, "login_port": port}
    return stage.applier.run(job.module, {**login, **job.arguments(project, port, place)})
