# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: runbook
type: stdout
short_description: Show the runbook, not Ansible's tasks
version_added: 0.1.0
description:
  - Shows a line for each phase with its verdict, its seconds and what it found, what is being done now and how far it is, and what
    tasks print. A failure is one block at the end with what happened, where, the state of the database, and what to do next.
  - A phase is a task whose name begins with its number, as C((3/7) Back up) does, with all that it includes; in a play without such
    tasks, each role of this collection. The numbers shown are counted in the play, so inserting a phase needs no renumbering; a phase
    that tags leave out, or a condition that asks only for C(project_) variables, has no number.
  - With several projects in a play, a project is one line.
  - On a terminal the work that is going on is drawn below these lines, with bytes, tables or statements of how many and the time that
    is left. Elsewhere, as in the log of a CI system, a line is written now and then, and none for work that is quickly done.
  - C(-v) shows each task, and what belongs to a failure. From C(-vv) on it is Ansible's own callback.
  - Modules tell how far they are by datagrams on a socket that only this user can reach. They have to run on this machine, as
    projects' modules do (C(ansible_connection=local)). They never wait for it.
requirements:
  - rich, for what is drawn on a terminal; without it only finished lines are shown
options:
  output:
    description:
      - V(text) is for people; V(json) writes a JSON object for each event, a line each. Warnings are on standard error in both.
    type: str
    choices: [text, json]
    default: text
    env:
      - name: PGOPS_OUTPUT
    ini:
      - section: pgops
        key: output
  interval:
    description: Seconds between two lines of progress where there is no terminal.
    type: float
    default: 30
    env:
      - name: PGOPS_PROGRESS_INTERVAL
    ini:
      - section: pgops
        key: progress_interval
extends_documentation_fragment:
  - default_callback
  - result_format_callback
author:
  - pgops.supabase contributors (@pgops)
"""

import atexit
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any

from ansible import constants as C
from ansible.plugins.callback.default import CallbackModule as DefaultCallback

from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_channel import Channel, Running
from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_lines import COLOURS, Lines
from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_phases import has_phases, headings_of
from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_story import Event, Kind, Story, TaskFacts
from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_text import (
    Heading,
    from_here,
    heading_of,
    progress_line,
)

_COLLECTION = "pgops.supabase"
_OUTPUT = 1
_TICK_SECONDS = 0.25
# Between two phases nothing runs for a moment.
_LONGEST_GAP_SECONDS = 2.0
_PRINTING = ("debug", "ansible.builtin.debug", "ansible.legacy.debug")
_ASKING = ("pause", "ansible.builtin.pause", "ansible.legacy.pause")


class CallbackModule(DefaultCallback):  # type: ignore[misc]  # Ansible ships without types.
    """Hands what Ansible reports to a story, and writes the story's events."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "pgops.supabase.runbook"

    def __init__(self) -> None:
        super().__init__()
        self._story = Story(self._emit, time.monotonic)
        self._running = Running()
        self._channel: Channel | None = None
        self._foot: Any = None
        self._lines = Lines()
        # Of each host that has begun, as variables differ between hosts.
        self._headings: dict[str, dict[str, Heading]] = {}
        self._numbered = False
        self._play_heading: tuple[str, Heading] | None = None
        self._play_uuid = ""
        self._asking = False
        self._written, self._busy = 0.0, -_LONGEST_GAP_SECONDS
        self._ended = False

    @property
    def _json(self) -> bool:
        return bool(self.get_option("output") == "json")

    @property
    def _ansibles(self) -> bool:
        """Whether Ansible's own callback is asked for."""
        return not self._json and self._display.verbosity >= 2

    # What Ansible reports.

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Listen to the modules, and see what there is to draw on."""
        if self._ansibles:
            super().v2_playbook_on_start(playbook)
        elif not self._json and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            self._open_foot()
        try:
            self._channel = Channel(_TICK_SECONDS, self._heard, self._tick)
        except OSError as error:
            self._display.warning(f"How far a job is cannot be shown: there can be no socket, {error}")
        owner = os.getpid()
        atexit.register(lambda: self._at_exit(owner))

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """A play, or its next hosts."""
        if self._ansibles:
            super().v2_playbook_on_play_start(play)
            return
        self._play = play
        again, self._play_uuid = play._uuid == self._play_uuid, play._uuid
        heading = heading_of(play.get_name())
        hosts = _hosts_of(play)
        if not again:
            self._headings, self._numbered = {}, bool(heading) or has_phases(play)
            self._play_heading = (play._uuid, heading) if heading else None
        name = heading.title if heading else play.get_name().strip()
        self._story.play(name, hosts, numbered=self._numbered, check=bool(play.check_mode), again=again)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Nothing to say before it runs on a host."""
        if self._ansibles:
            super().v2_playbook_on_task_start(task, is_conditional)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Nothing to say before it runs on a host."""
        if self._ansibles:
            super().v2_playbook_on_handler_task_start(task)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """A task begins on a host."""
        if self._ansibles:
            super().v2_runner_on_start(host, task)
            return
        self._asking = task.action in _ASKING
        self._story.task(host.get_name(), self._facts(task, host))
        self._draw()

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task went well on a host."""
        self._ended_on(result, "ok") if not self._ansibles else super().v2_runner_on_ok(result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A task was not for a host."""
        self._ended_on(result, "skipped") if not self._ansibles else super().v2_runner_on_skipped(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host cannot be reached."""
        self._ended_on(result, "unreachable") if not self._ansibles else super().v2_runner_on_unreachable(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task failed on a host."""
        if self._ansibles:
            super().v2_runner_on_failed(result, ignore_errors)
        else:
            self._ended_on(result, "failed", ignored=ignore_errors)

    def v2_runner_retry(self, result: Any) -> None:
        """A task failed and is tried again."""
        if self._ansibles:
            super().v2_runner_retry(result)
        else:
            self._story.again(result.host.get_name(), self._facts(result.task, result.host), result.result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """What a task prints for an item is shown; the rest is told when the task has ended."""
        if self._ansibles:
            super().v2_runner_item_on_ok(result)
            return
        self._handle_warnings(result.result)
        facts = self._facts(result.task, result.host)
        if facts.prints:
            self._story.result(result.host.get_name(), "ok", facts, result.result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """It is told with the task."""
        if self._ansibles:
            super().v2_runner_item_on_failed(result)
        else:
            self._handle_warnings(result.result)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        """Nothing to say."""
        if self._ansibles:
            super().v2_runner_item_on_skipped(result)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Nothing to say."""
        if self._ansibles:
            super().v2_playbook_on_include(included_file)

    def v2_on_file_diff(self, result: Any) -> None:
        """What diff mode shows."""
        if not self._json:
            super().v2_on_file_diff(result)
            return
        results = result.result.get("results") if result.task.loop else None
        for single in results or [result.result]:
            if single.get("diff") and single.get("changed") and (text := self._get_diff(single["diff"])):
                self._emit({"event": "diff", "host": result.host.get_name(), "task": result.task.name, "diff": text})

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """There is nothing to do it to."""
        if self._ansibles:
            super().v2_playbook_on_no_hosts_matched()
        else:
            self._emit({"event": "no_hosts"})

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        """The failures say why."""
        if self._ansibles:
            super().v2_playbook_on_no_hosts_remaining()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The end."""
        self._ended = True
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._foot is not None:
            self._foot.close()
        if self._ansibles:
            super().v2_playbook_on_stats(stats)
        else:
            self._story.end(sorted({*stats.failures, *stats.dark}))

    # What becomes of it.

    def _print_task_banner(self, task: Any) -> None:
        if self._ansibles:
            super()._print_task_banner(task)

    def _ended_on(self, result: Any, kind: Kind, *, ignored: bool = False) -> None:
        self._asking = False
        self._running.clear()
        self._handle_warnings(result.result)
        facts = self._facts(result.task, result.host)
        told = result.result
        if facts.prints and result.task.loop:
            # Each item was printed already.
            told = {"changed": False}
            facts = TaskFacts(facts.name, facts.phase, facts.heading, facts.ours)
        self._story.result(result.host.get_name(), kind, facts, told, ignored=ignored)
        if kind == "failed" and self._display.verbosity == 1 and not self._json:
            self._display.display(self._dump_results(result.result), color=C.COLOR_VERBOSE)
        self._draw()

    def _facts(self, task: Any, host: Any) -> TaskFacts:
        action = str(getattr(task, "resolved_action", None) or task.action)
        role = task._role.get_name() if task._role else ""
        key, heading = "", None
        headings = self._headings.get(host.get_name())
        if headings is None:
            headings = self._headings[host.get_name()] = headings_of(self._play, host)
        for ancestor in _ancestors(task):
            named = heading_of(getattr(ancestor, "name", None) or "")
            if named is not None:
                key, heading = ancestor._uuid, headings.get(ancestor._uuid, named)
                break
        if heading is None and self._play_heading is not None:
            key, heading = self._play_heading
        if heading is None and not headings and role.startswith(f"{_COLLECTION}."):
            title = role.rsplit(".", 1)[1].replace("_", " ")
            key, heading = f"role {role}", Heading(None, None, title[:1].upper() + title[1:])
        return TaskFacts(
            name=str(task.name or action).strip(),
            phase=key,
            heading=heading,
            ours=role.startswith(f"{_COLLECTION}.") or _is_in_a_playbook_of_ours(task),
            module=action.startswith(f"{_COLLECTION}."),
            prints=action in _PRINTING,
            maintenance=action == f"{_COLLECTION}.maintenance",
        )

    def _emit(self, event: Event) -> None:
        if self._json:
            if event["event"] != "task" or self._display.verbosity:
                self._display.display(json.dumps(event, ensure_ascii=False, default=str))
            return
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        fleet = self._story.fleet and event["event"] != "play"
        for line, style in self._lines.of(event, columns, fleet=fleet, verbose=self._display.verbosity > 0):
            self._display.display(from_here(line, os.getcwd()), color=getattr(C, COLOURS[style]) if style else None)

    def _open_foot(self) -> None:
        # Only here, because a run that draws nothing does without it.
        from ansible_collections.pgops.supabase.plugins.plugin_utils.runbook_foot import HAS_RICH, Foot

        if not HAS_RICH:
            return
        self._foot = foot = Foot(colour=not C.ANSIBLE_NOCOLOR)
        display = self._display.display

        def without_foot(*arguments: Any, **options: Any) -> Any:
            with foot.away():
                return display(*arguments, **options)

        # Warnings come by it too, from wherever in Ansible.
        self._display.display = without_foot

    def _draw(self) -> None:
        if self._foot is not None:
            idle = self._asking or self._ended
            self._foot.draw([] if idle else self._story.doing(), self._running.now(time.monotonic()))

    # In the channel's thread.

    def _heard(self, report: Any) -> None:
        self._running.take(report, time.monotonic())

    def _tick(self) -> None:
        self._draw()
        if self._foot is not None:
            return
        now = time.monotonic()
        running = self._running.now(now)
        if not running:
            return
        # The interval begins with the work; a moment between two phases is no end of it.
        if now - self._busy > _LONGEST_GAP_SECONDS:
            self._written = now
        self._busy = now
        if now - self._written >= float(self.get_option("interval")):
            self._written = now
            for report, seconds in running:
                line = progress_line(report, seconds)
                text = json.dumps({**report, "event": "progress"}) if self._json else f"       {line}"
                # Not through Ansible's streams, whose locks a worker that is forked just now would inherit.
                os.write(_OUTPUT, f"{text}\n".encode())

    def _at_exit(self, owner: int) -> None:
        if owner == os.getpid() and not self._ended and not self._ansibles:
            if self._foot is not None:
                self._foot.close()
            self._story.interrupted()


def _ancestors(task: Any) -> Iterator[Any]:
    while task is not None:
        yield task
        task = getattr(task, "_parent", None)


def _hosts_of(play: Any) -> list[str]:
    """All hosts of a play, those of later batches too."""
    inventory = play.get_variable_manager()._inventory
    return [host.get_name() for host in inventory.get_hosts(play.hosts, ignore_restrictions=True)]


def _is_in_a_playbook_of_ours(task: Any) -> bool:
    here = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", "playbooks"))
    return os.path.realpath(str(task.get_path() or "")).startswith(here + os.sep)
