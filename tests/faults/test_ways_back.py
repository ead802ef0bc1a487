# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups, restores and rollbacks that are cut short: nothing older is lost, nothing half-done is called done.

The database is at the start or at the target, what the run says of it is true, and the next run ends as an undisturbed one does.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_value, session
from ansible_collections.pgops.supabase.plugins.module_utils.servers.shape import SUPERUSER
from tests.faults.applier import Ended
from tests.faults.conftest import FIGURES
from tests.faults.figures import Figures
from tests.faults.proxy import Moment, Phase, Then
from tests.faults.stage import Stage, wait_until_alone
from tests.faults.states import State
from tests.faults.ways_back import Fault, Job, Story, dump_of, into_itself, run
from tests.integration.backups import content_of
from tests.integration.live import LiveProject

FULL = os.environ.get("PGOPS_FAULTS") == "full"
WANTED = os.environ.get("PGOPS_FAULT_POINTS", "").split(",")
# Questions of each job at which each fault is made, besides those around COMMIT. A restore asks hundreds, one for each object; of
# the one into the project itself, which is made in the same way and looked at longer, what it begins is marked.
QUESTIONS = {"backup": 3, "restore": 1, "restore in place": 0, "rollback": 3, "adopt": 0}
if FULL:
    QUESTIONS = {**dict.fromkeys(QUESTIONS, 60), "restore in place": 6}
# The same of those between COMMIT and the end: reading back, the statistics.
AFTER_COMMIT = 4 if FULL else 1


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value.replace(" ", "_"))
@pytest.mark.parametrize("name", ["backup", "restore", "restore in place", "rollback", "adopt"])
def test_at_every_point(
    story: Story, name: str, fault: Fault, record_property: Callable[[str, object], None], tmp_path: Path
) -> None:
    if name in ("rollback", "adopt") and fault is Fault.KILL_TOOL:
        # They run none.
        return
    job = story.jobs[name]
    started, left, wrong, points = time.monotonic(), Counter[str](), [], 0
    for number, phases in _points(job, fault):
        for phase in phases:
            point = f"{name.replace(' ', '-')}/{fault.value.replace(' ', '-')}/{number:03}-{phase.value}"
            if not any(text in point for text in WANTED):
                continue
            cell = _Cell(story, job, fault, number, phase, tmp_path / f"{number}-{phase.value}")
            complaint = cell.make()
            if not cell.made:
                # The run has no tool, or no session, at this moment.
                continue
            points += 1
            left[cell.after] += 1
            if complaint:
                wrong.append(f"{point} {cell.words}\n    {complaint}")
    seconds = time.monotonic() - started
    untouched, complete = left["untouched"], left["complete"]
    figures = Figures(name, fault.value, points, untouched, left["neither"], complete, points - len(wrong), seconds)
    record_property(FIGURES, figures.as_properties())
    assert not wrong, f"{len(wrong)} of {points} points:\n" + "\n".join(wrong)
    assert points or any(WANTED), "there was no point at which this fault could be made"


def _points(job: Job, fault: Fault) -> Iterator[tuple[int, tuple[Phase, ...]]]:
    """Questions, before the server has them and before the answer comes: evenly over the job, where it begins something, around
    COMMIT, and from there to its end.
    """
    both = (Phase.BEFORE, Phase.UNANSWERED)
    turn = list(Fault).index(fault)
    chosen = _evenly(1, job.questions, QUESTIONS[job.name], turn)
    around: tuple[Phase, ...] = both
    if job.in_place and FULL:
        chosen |= set(job.marked)
    elif job.in_place:
        # Each of them takes as long as three of the others: one of what it begins, or COMMIT before its answer.
        begun = {Fault.KILL_TOOL: job.marked[:1], Fault.STOP: job.marked[-2:-1], Fault.CUT: job.marked[-1:]}.get(fault)
        chosen |= set(begun or ())
        around = both[1:] if begun is None else ()
    elif fault is Fault.KILL_TOOL and not FULL:
        # Its tool runs for a part of the job only.
        chosen |= set(job.marked)
    elif job.name == "adopt" and not FULL:
        around = both[1:]
    if job.commit is not None and (FULL or fault is Fault.KILL or (fault is Fault.CUT and not job.in_place)):
        chosen |= _evenly(job.commit + 1, job.questions, AFTER_COMMIT, turn)
    for number in sorted(chosen - {job.commit}):
        yield number, both if FULL else (both[number % 2],)
    if job.commit is not None:
        yield job.commit, around


def _evenly(first: int, last: int, how_many: int, turn: int) -> set[int]:
    """Numbers of questions, other ones in each turn."""
    if not how_many or last < first:
        return set()
    step = max(1, (last - first + 1) // how_many)
    return set(range(first + turn % step, last + 1, step))


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
        with job.start.database(job.database) as project:
            start = job.start.state(project)
            ended = run(stage, job, project, self._place, self._interfere)
            stage.start_again()
            wait_until_alone(project)
            found = job.start.state(project)
            complaints = [*self._judge(start, found, ended)]
            if job.in_place:
                complaints += self._judge_whole(project)
            if content_of(older) != kept:
                complaints.append("the older backup was touched")
            again = self._place
            if job.module == "restore" or ended.result is None or ended.result.get("failed"):
                again = self._place / "again"
            result = run(stage, job, project, again).result
            if result is None or (result.get("failed") and not self._is_there_already(result)):
                complaints.append(f"the next run failed: {result and result['msg']}")
            elif difference := job.target(start, job.start.state(project)):
                complaints.append(f"after the next run it is not as if nothing had happened: {difference}")
            complaints += self._judge_backups(stage, again)
            if job.in_place and (FULL or self.after == "complete"):
                complaints += self._bring_back(project)
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
        said = error.get("outcome")
        if (said == "unchanged" and moved) or (said == "committed" and missing) or (said == "partial"):
            yield f"to programs it says {said}: {missing} // {moved}"
        if not result.get("changed") and moved and "not known" not in error.get("state", ""):
            yield f"it says that nothing is changed: {error.get('state')} // {moved}"

    def _judge_whole(self, project: LiveProject) -> Iterator[str]:
        """What pg_dump says of the whole database, and whether what was kept aside is whole."""
        expected = self._job.dumps[self.after == "complete"]
        if dump_of(project) != expected:
            yield f"it is {self.after}, and pg_dump says that it is not"
        if self.after == "complete" and not (self._place / "aside" / "manifest.json").exists():
            yield "it is restored, and what was there is not kept aside"

    def _bring_back(self, project: LiveProject) -> Iterator[str]:
        """What was kept aside by each of the two runs that replaced something is there, and by the first it is as at the start."""
        for place in (self._place, self._place / "again"):
            aside = place / "aside"
            if not aside.exists():
                continue
            listed = self._story.stage.applier.run("backup_info", {"project_dir": str(place.parent), "verify": "read"})
            for backup in (listed.result or {}).get("backups", []):
                if backup["path"] == str(aside) and not backup["sound"]:
                    yield f"what was kept aside is no backup: {backup['problems']}"
        replaced = self._place if self.after == "complete" else self._place / "again"
        arguments = into_itself(replaced / "aside", self._place / "back")
        result = self._story.stage.applier.run("restore", {**project.login, **arguments}).result
        if not result or not result.get("changed"):
            yield f"what was kept aside is not restored: {result and result['msg']}"
        elif dump_of(project) != self._job.dumps[0]:
            yield "what was kept aside is not what was there at the start"

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
