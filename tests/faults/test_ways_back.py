# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups, restores and rollbacks that are cut short: nothing older is lost, nothing half-done is called done.

The database is at the start or at the target, what the run says of it is true, and the next run ends as an undisturbed one does.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_value, session
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.faults.applier import Ended
from tests.faults.conftest import FIGURES
from tests.faults.figures import Figures
from tests.faults.proxy import Moment, Phase, Then
from tests.faults.stage import Prepared, Stage, wait_until_alone
from tests.faults.states import State
from tests.faults.subject import SUBJECTS
from tests.integration.backups import content_of
from tests.integration.live import LiveProject

FULL = os.environ.get("PGOPS_FAULTS") == "full"
# Questions of each job at which each fault is made, besides those around COMMIT. A restore asks hundreds, one for each object.
QUESTIONS = 60 if FULL else 3
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
    target: Callable[[State, State], str]
    arguments: Callable[[LiveProject, int, Path], dict[str, Any]]
    questions: int = 0
    # The number of the question that commits, where one does.
    commit: int | None = None


@dataclass
class Story:
    """A project with applied migrations, a backup of it, and the same project after an accident."""

    stage: Stage
    whole: Prepared
    messed: Prepared
    backup: Path
    before: State
    as_backed_up: State
    jobs: dict[str, Job] = field(default_factory=dict)


@pytest.fixture(scope="session")
def story(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Made once for each worker."""
    place = tmp_path_factory.mktemp("ways_back")
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
        made = stage.applier.run("backup", {**project.login, "project": "cell", "path": str(backup)})
        assert made.result is not None and made.result.get("changed"), made
        project.psql(MESS)
        messed = _template(prepared, project)
    story = Story(stage, whole, messed, backup, before, as_backed_up)
    for job in _jobs(story, place / "supabase"):
        story.jobs[job.name] = job
        with job.start.database() as project:
            seen: dict[int, str] = {}
            ended = _run(stage, job, project, place / f"undisturbed-{job.name}", _noting(seen))
            assert ended.result is not None and ended.result.get("changed"), (ended.result or {}).get("msg", ended)
            job.questions = max(seen)
            if job.name != "backup":
                job.commit = max(number for number, words in seen.items() if words == "commit")
    return story


def _noting(seen: dict[int, str]) -> Callable[[Moment], None]:
    """Take note of each question."""

    def note(moment: Moment) -> None:
        seen[moment.question.number] = moment.question.words.lower()

    return note


def _template(prepared: Prepared, project: LiveProject) -> Prepared:
    """The database as it is now, to begin from as often as wanted."""
    name = f"start_{secrets.token_hex(4)}"
    wait_until_alone(project)
    with session(project.server.connection(user=SUPERUSER), autocommit=True) as connection:
        copy = sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(project.database))
        execute(connection, copy)
    # See Stage.prepare: an immediate stop must not take back what the copy gave out.
    LiveProject(project.server, name).psql(
        "select setval('pgops.ledger_event_id_seq', max(event_id)) from pgops.ledger"
    )
    return Prepared(prepared.stage, prepared.subject, name, prepared.arguments)


def _jobs(story: Story, supabase_dir: Path) -> Iterator[Job]:
    backup_id = json.loads((story.backup / "manifest.json").read_text(encoding="utf-8"))["backup_id"]

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

    yield Job("backup", "backup", story.whole, lambda start, found: start.difference(found), backup)
    yield Job("restore", "restore", story.messed, is_at(story.as_backed_up, "catalog", "rows", "history"), restore)
    yield Job("rollback", "rollback", story.whole, is_at(story.before, "catalog", "rows", "history"), rollback)


def _run(stage: Stage, job: Job, project: LiveProject, place: Path, interfere: Any = None) -> Ended:
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


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value.replace(" ", "_"))
@pytest.mark.parametrize("name", ["backup", "restore", "rollback"])
def test_at_every_point(
    story: Story, name: str, fault: Fault, record_property: Callable[[str, object], None], tmp_path: Path
) -> None:
    if (name, fault) == ("rollback", Fault.KILL_TOOL):
        # It runs none.
        return
    job = story.jobs[name]
    started, left, wrong, points = time.monotonic(), Counter[str](), [], 0
    for number, phases in _points(job, fault):
        for phase in phases:
            cell = _Cell(story, job, fault, number, phase, tmp_path / f"{number}-{phase.value}")
            complaint = cell.make()
            if not cell.made:
                # The run has no tool, or no session, at this moment.
                continue
            points += 1
            left[cell.after] += 1
            if complaint:
                wrong.append(f"{name}/{fault.value}/{number:03}-{phase.value} {cell.words}\n    {complaint}")
    seconds = time.monotonic() - started
    untouched, complete = left["untouched"], left["complete"]
    figures = Figures(name, fault.value, points, untouched, left["neither"], complete, points - len(wrong), seconds)
    record_property(FIGURES, figures.as_properties())
    assert not wrong, f"{len(wrong)} of {points} points:\n" + "\n".join(wrong)
    assert points, "there was no point at which this fault could be made"


def _points(job: Job, fault: Fault) -> Iterator[tuple[int, tuple[Phase, ...]]]:
    """Questions, before the server has them and before the answer comes, evenly over the job, and around COMMIT."""
    both = (Phase.BEFORE, Phase.UNANSWERED)
    step = max(1, job.questions // QUESTIONS)
    for number in range(1 + list(Fault).index(fault) % step, job.questions + 1, step):
        yield number, both if FULL else (both[number % 2],)
    if job.commit is not None:
        yield job.commit, both


class _Cell:
    """One fault at one point, and what it left."""

    def __init__(self, story: Story, job: Job, fault: Fault, number: int, phase: Phase, place: Path) -> None:
        self.made = False
        self.words = ""
        self.after = "untouched"
        self._story, self._job, self._fault = story, job, fault
        self._number, self._phase, self._place = number, phase, place

    def make(self) -> str:
        """What is wrong afterwards, in words."""
        story, job, stage = self._story, self._job, self._story.stage
        older = self._place / "older"
        shutil.copytree(story.backup, older)
        kept = content_of(older)
        with job.start.database() as project:
            start = job.start.state(project)
            ended = _run(stage, job, project, self._place, self._interfere)
            stage.start_again()
            wait_until_alone(project)
            found = job.start.state(project)
            complaints = [*self._judge(start, found, ended)]
            if content_of(older) != kept:
                complaints.append("the older backup was touched")
            again = self._place
            if job.name == "restore" or ended.result is None or ended.result.get("failed"):
                again = self._place / "again"
            result = _run(stage, job, project, again).result
            if result is None or (result.get("failed") and not self._is_there_already(result)):
                complaints.append(f"the next run failed: {result and result['msg']}")
            elif difference := job.target(start, job.start.state(project)):
                complaints.append(f"after the next run it is not as if nothing had happened: {difference}")
            complaints += self._judge_backups(stage, again)
        shutil.rmtree(self._place)
        return "; ".join(complaints)

    def _judge(self, start: State, found: State, ended: Ended) -> Iterator[str]:
        job = self._job
        missing, moved = job.target(start, found), start.difference(found)
        self.after = "complete" if not missing and moved else "neither" if moved else "untouched"
        if self.after == "neither":
            yield f"the database is neither at the start nor at the target: {missing} // {moved}"
        result = ended.result
        if result is None:
            return
        if not result.get("failed"):
            if missing:
                yield f"it says that all is well: {missing}"
            return
        error = result.get("error") or {}
        if not error.get("next_step"):
            yield f"the failure does not say what to do: {result['msg']}"
        if not result.get("changed") and moved and "not known" not in error.get("state", ""):
            yield f"it says that nothing is changed: {error.get('state')} // {moved}"

    def _judge_backups(self, stage: Stage, again: Path) -> Iterator[str]:
        """What is called a backup is one, and nothing else lies about."""
        if self._job.name != "backup":
            return
        for place in dict.fromkeys((self._place, again)):
            lying = [path.name for path in place.iterdir() if path.name.startswith(".")]
            if lying and place == again:
                yield f"after the next run this lies about: {lying}"
        for path in dict.fromkeys((self._place / "new", again / "new")):
            if not path.exists():
                continue
            listed = stage.applier.run("backup_info", {"project_dir": str(path.parent.parent), "verify": "read"}).result
            for backup in (listed or {}).get("backups", []):
                if backup["path"] == str(path) and not backup["sound"]:
                    yield f"it is called a backup and is none: {backup['problems']}"

    def _is_there_already(self, result: Mapping[str, Any]) -> bool:
        """A backup that was complete before the fault is not made again under its name."""
        return self._job.name == "backup" and (self._place / "new" / "manifest.json").exists()

    def _interfere(self, moment: Moment) -> Then | None:
        if self.made or (moment.question.number, moment.phase) != (self._number, self._phase):
            return None
        self.words = moment.question.words
        applier = self._story.stage.applier
        if self._fault is Fault.KILL:
            applier.kill()
        elif self._fault is Fault.KILL_TOOL:
            tools = applier.tools()
            for pid in tools:
                os.kill(pid, signal.SIGKILL)
            self.made = bool(tools)
            return None
        elif self._fault is Fault.TERMINATE:
            if moment.pid is None:
                return None
            _terminate(self._story.stage, moment.pid)
            self.made = True
            return Then.LET_THE_SERVER_SPEAK
        elif self._fault is Fault.STOP:
            self._story.stage.stop_at_once()
            self.made = True
            return Then.LET_THE_SERVER_SPEAK
        self.made = True
        return Then.CUT


def _terminate(stage: Stage, pid: int) -> None:
    with session(stage.server.connection(user=SUPERUSER), autocommit=True) as connection:
        assert fetch_value(connection, "select pg_terminate_backend(%s, 10000)", [pid]), "the session did not end"
