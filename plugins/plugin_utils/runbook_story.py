# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook told as a runbook: what of all that Ansible reports becomes an event that somebody is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_text import (
    WITHOUT_A_WORD,
    Failure,
    Heading,
    Verdict,
    clean,
    failure_of,
    heading_of,
    told,
    unsaid,
)

Kind = Literal["ok", "failed", "skipped", "unreachable"]
Event = dict[str, Any]
_MOST_SAID = 3
_AFTER_AN_INTERRUPT = "An open transaction is rolled back by the server; what was committed stays."


@dataclass(frozen=True)
class TaskFacts:
    """What is to be known of a task.

    :param phase: identifies the phase that it belongs to; empty for none.
    :param ours: whether it is a task of this collection's roles or playbooks.
    :param module: whether it runs a module of this collection.
    :param maintenance: whether that module stops the application's writes or lets them on.
    """

    name: str
    phase: str = ""
    heading: Heading | None = None
    ours: bool = False
    module: bool = False
    prints: bool = False
    maintenance: bool = False


@dataclass
class _Phase:
    key: str
    heading: Heading
    began: float
    ended: float
    verdict: Verdict = "skipped"
    changed: bool = False
    below: list[Event] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


@dataclass
class _Project:
    """A host as far as the play has come with it."""

    began: float
    ended: float
    phase: _Phase | None = None
    failures: list[tuple[Failure, bool]] = field(default_factory=list)
    headline: str = ""
    run: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    failed: bool = False
    failed_phase: str = ""
    told: bool = False
    run_dir: str = ""
    committed: bool = False
    writes: str = ""


class Story:
    """Takes what happens in the order in which it happens, and emits events.

    :param emit: is given each event, a plain dict with C(event) and what belongs to it.
    :param clock: gives seconds of any clock.
    """

    def __init__(self, emit: Callable[[Event], None], clock: Callable[[], float]) -> None:
        self._emit, self._clock = emit, clock
        self._projects: dict[str, _Project] = {}
        self._doing: dict[str, tuple[str, float]] = {}
        self._play = ""
        self._hosts: list[str] = []
        self._runbook = False
        self._announced = True
        self._check = False

    @property
    def fleet(self) -> bool:
        """Whether there are several projects, of which each gets one line."""
        return len(self._hosts) > 1

    def doing(self) -> list[tuple[str, float]]:
        """What is being done now, and for how many seconds."""
        now = self._clock()
        return [
            (f"{host}  {text}" if self.fleet else text, now - began) for host, (text, began) in [*self._doing.items()]
        ]

    def play(self, name: str, hosts: Sequence[str], *, numbered: bool, check: bool, again: bool) -> None:
        """A play begins, or the next hosts of the same.

        :param numbered: whether it has numbered phases: then it is a runbook, and its roles are not phases of themselves.
        :param again: whether these are the next hosts of a play that has begun already.
        """
        self._close_all()
        if not again:
            self._play, self._hosts, self._runbook, self._check = name, list(hosts), numbered, check
            self._announced = False

    def task(self, host: str, task: TaskFacts) -> None:
        """A task begins on a host."""
        now = self._clock()
        project = self._projects.setdefault(host, _Project(now, now))
        if project.phase is not None and project.phase.key != task.phase:
            self._close_phase(host, project)
        if project.phase is None and task.phase and task.heading is not None:
            project.phase = _Phase(task.phase, task.heading, now, now)
        if task.maintenance and not project.writes:
            project.writes = "may be stopped"
        heading = f"{task.heading}: " if task.heading else ""
        itself = heading_of(task.name)
        self._doing[host] = (clean(str(task.heading or itself) if itself else f"{heading}{task.name}"), now)

    def result(
        self, host: str, kind: Kind, task: TaskFacts, result: Mapping[str, Any], *, ignored: bool = False
    ) -> None:
        """A task has ended on a host."""
        now = self._clock()
        project = self._projects.setdefault(host, _Project(now, now))
        project.ended = now
        began = self._doing.pop(host, ("", now))[1]
        phase = project.phase
        if phase is not None:
            phase.ended = now
            if kind != "skipped" and not (ignored and kind == "failed"):
                phase.verdict = "ok" if kind == "ok" else "FAILED"
            phase.changed |= bool(result.get("changed"))
        if kind in ("failed", "unreachable"):
            self._failed(host, project, task, result, ignored=ignored)
        elif kind == "ok":
            self._went_well(host, project, task, result)
        self._emit(
            {
                "event": "task",
                "host": host,
                "task": task.name,
                "result": "ignored" if ignored and kind == "failed" else kind,
                "changed": bool(result.get("changed")),
                "ours": task.ours,
                "seconds": round(now - began, 3),
            }
        )

    def again(self, host: str, task: TaskFacts, result: Mapping[str, Any]) -> None:
        """A task failed and is tried again."""
        left = int(result.get("retries", 0)) - int(result.get("attempts", 0))
        self._announce()
        what = (told(str(result.get("msg", ""))).what.splitlines() or [""])[0]
        self._emit({"event": "again", "host": host, "task": task.name, "what": what, "left": left})

    def interrupted(self) -> None:
        """The playbook ends before its end: what nobody saw to is told of each project that was being worked on."""
        for host, project in self._projects.items():
            if host not in self._doing and (project.headline or host not in self._hosts):
                continue
            look = f"ansible-playbook pgops.supabase.status -l {host}"
            state, to_type = [_AFTER_AN_INTERRUPT], [f"Look: {look}"]
            if project.committed:
                state = ["The migrations are committed and stay; what comes after them was not done."]
            if project.writes:
                state.append(f"The application's writes {project.writes}.")
                on_again = f"ansible-playbook pgops.supabase.maintenance -l {host} -e maintenance_state=off"
                to_type.insert(0, f"Let the writes on: {on_again}")
            phase = str(project.phase.heading) if project.phase else self._doing.get(host, ("",))[0]
            known = {"phase": phase, "state": " ".join(state), "next_step": "\n".join(to_type)}
            self._emit({"event": "interrupted", "host": host, **known, "documents": project.run_dir or None})

    def end(self, failed: Sequence[str]) -> None:
        """The playbook has ended.

        :param failed: the hosts that Ansible counts as failed or unreachable.
        """
        for host in failed:
            self._projects.setdefault(host, _Project(0, 0)).failed = True
        self._close_all()
        for host, project in self._projects.items():
            if project.failed:
                self._emit({"event": "failure", "host": host, **self._cause(project).as_dict()})
            else:
                for failure, ours in project.failures:
                    if not ours:
                        self._emit({"event": "rescued", "host": host, **failure.as_dict()})
        begun = [host for host in self._hosts if host in self._projects]
        self._emit(
            {
                "event": "end",
                "ok": [host for host in self._projects if not self._projects[host].failed],
                "failed": [host for host, project in self._projects.items() if project.failed],
                "not_begun": [host for host in self._hosts if host not in begun],
            }
        )

    def _failed(
        self, host: str, project: _Project, task: TaskFacts, result: Mapping[str, Any], *, ignored: bool
    ) -> None:
        phase = str(project.phase.heading) if project.phase else task.name
        failure = failure_of(result, phase)
        if ignored:
            self._announce()
            self._emit({"event": "ignored", "host": host, "task": task.name, "what": failure.what})
            return
        project.failed_phase = project.failed_phase or phase
        project.failures.append((failure, task.ours or task.module))

    def _went_well(self, host: str, project: _Project, task: TaskFacts, result: Mapping[str, Any]) -> None:
        if task.module:
            _learn(project, result)
        if task.module and isinstance(result.get("headline"), str) and isinstance(result.get("run"), Mapping):
            project.headline, project.run = clean(result["headline"]), result["run"]
            project.run = {**project.run, "run_dir": result.get("run_dir")}
        # A loop's own words are Ansible's, not a module's.
        elif (
            task.module and "results" not in result and isinstance(result.get("msg"), str) and project.phase is not None
        ):
            if said := clean(result["msg"]).strip():
                project.phase.said = [*project.phase.said, said][-_MOST_SAID:]
        if task.prints:
            self._print(host, project, task, printed_lines(result))
        elif result.get("changed") and not task.ours and not task.module:
            self._announce()
            self._emit({"event": "changed", "host": host, "task": task.name})

    def _print(self, host: str, project: _Project, task: TaskFacts, lines: list[str]) -> None:
        project.said += lines
        summary = bool(project.headline) and lines[:1] == [project.headline]
        if summary:
            self._close_phase(host, project)
        if summary and project.run.get("failure"):
            # The block at the end begins with it.
            lines = "\n".join(lines[1:]).strip("\n").splitlines()
        if self.fleet and task.ours and self._runbook:
            if summary:
                self._tell_project(host, project)
                return
            if lines and lines[0].startswith(f"{host}: "):
                project.notes.append(lines[0].removeprefix(f"{host}: "))
                if len(lines) > 1:
                    self._announce()
                    folded = {"event": "said", "host": host, "task": task.name, "ours": True, "folded": True}
                    self._emit({**folded, "lines": lines})
                return
        if lines:
            self._announce(only=task.ours and not self._runbook)
            event = {"event": "said", "host": host, "task": task.name, "ours": task.ours, "lines": lines}
            if project.phase is not None and project.phase.heading.number is not None:
                # Below the line of the phase that it belongs to.
                project.phase.below.append(event)
            else:
                self._emit({**event, "event": "summary"} if summary else event)

    def _close_all(self) -> None:
        for host, project in self._projects.items():
            self._close_phase(host, project)
            if self.fleet and self._runbook and host in self._hosts:
                self._tell_project(host, project)
        self._doing.clear()

    def _close_phase(self, host: str, project: _Project) -> None:
        phase, project.phase = project.phase, None
        if phase is None:
            return
        # A role that only reads and has told what it found needs no line for having done so.
        if phase.heading.number is None and not phase.changed and phase.verdict != "FAILED":
            return
        self._announce()
        self._emit(
            {
                "event": "phase",
                "host": host,
                "number": phase.heading.number,
                "of": phase.heading.of,
                "phase": phase.heading.title,
                "verdict": phase.verdict,
                "seconds": round(phase.ended - phase.began, 3),
                "said": "" if phase.verdict == "FAILED" else "; ".join(dict.fromkeys(phase.said)),
            }
        )
        for event in phase.below:
            self._emit(event)

    def _tell_project(self, host: str, project: _Project) -> None:
        if project.told:
            return
        project.told = True
        self._close_phase(host, project)
        failed = project.failed or bool(project.run.get("failure")) or (not project.headline and bool(project.failures))
        says, notes = project.headline.removeprefix(f"{host}: "), list(project.notes)
        if not says and failed and project.failures:
            says = f"{project.failed_phase}: {(project.failures[-1][0].what.splitlines() or [''])[0]}"
        elif not says and notes:
            says = notes.pop(0)
        self._announce()
        self._emit(
            {
                "event": "project",
                "host": host,
                "verdict": "FAILED" if failed else "ok",
                "seconds": round(project.ended - project.began, 3),
                "said": says,
                "notes": notes,
            }
        )

    def _announce(self, *, only: bool = False) -> None:
        """Say which play it is, before the first line of it."""
        if not self._announced and not only:
            self._announced = True
            self._emit({"event": "play", "play": self._play, "hosts": self._hosts, "check": self._check})

    def _cause(self, project: _Project) -> Failure:
        """The one failure that is told: what the run was closed with, else the last."""
        run = project.run
        last = project.failures[-1][0] if project.failures else Failure(WITHOUT_A_WORD)
        if not run.get("failure"):
            first = project.failures[0][0] if project.failures else last
            if first is not last:
                last.more += [
                    f"Before it: {line}" for line in unsaid(first.what.split("\n")[0], [last.what, *last.more])
                ]
            last.phase = last.phase or project.failed_phase
            return last
        failure = told(str(run["failure"]))
        error = run.get("error") or {}
        failure.where = clean(error.get("where") or failure.where or "") or None
        failure.next_step = clean(error.get("next_step") or failure.next_step or "") or None
        failure.code = error.get("code")
        failure.phase = project.failed_phase or str(run.get("failed_phase") or "")
        failure.state = project.headline.removeprefix(f"{run.get('project', '')}: ")
        # In check mode nothing is on disk.
        failure.documents = None if self._check else str(run.get("run_dir") or "") or None
        known = [
            project.headline,
            failure.what,
            failure.where or "",
            failure.state,
            failure.next_step or "",
            *failure.more,
        ]
        failure.more += [line for line in unsaid(last.what, known) if not line.startswith("It failed with: ")]
        return failure


def _learn(project: _Project, result: Mapping[str, Any]) -> None:
    """What a module's result says of how things stand, for the case that nobody else will say it."""
    if isinstance(result.get("run_dir"), str):
        project.run_dir = result["run_dir"]
    if isinstance(migration := result.get("migration"), Mapping):
        project.committed = bool(migration.get("committed"))
    if isinstance(maintenance := result.get("maintenance"), Mapping):
        project.writes = "are stopped" if maintenance.get("on") else ""


def printed_lines(result: Mapping[str, Any]) -> list[str]:
    """What a task of C(ansible.builtin.debug) prints."""
    if "msg" in result:
        message = result["msg"]
        lines = message if isinstance(message, list) else [message]
        return [line.rstrip() for text in lines for line in clean(_as_text(text)).rstrip().split("\n")]
    hidden = ("changed", "failed", "skipped", "invocation", "warnings", "deprecations")
    shown = {name: value for name, value in result.items() if name not in hidden and not name.startswith("_")}
    return [line for name, value in shown.items() for line in clean(f"{name}: {_as_text(value)}").rstrip().split("\n")]


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)
