# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays run with modules in Ansible's worker, or as programs of their own, and every result as a callback is given it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.live import CLONE, module_environment

IN_WORKER, AS_PROGRAM = "in the worker", "as a program of its own"
RECORDER = '''
import json, os
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: recorder
type: aggregate
short_description: Writes each result to a file
description: A JSON object a line, with all that Ansible knows of a result.
"""

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "recorder"
    CALLBACK_NEEDS_ENABLED = False

    def record(self, how, result):
        told = {"task": result.task.get_name(), "how": how, "result": result.result}
        with open(os.environ["RECORDED"], "a") as file:
            file.write(json.dumps(told, default=repr) + "\\n")

    def v2_runner_on_ok(self, result):
        self.record("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.record("failed", result)

    def v2_runner_on_skipped(self, result):
        self.record("skipped", result)

    def v2_runner_on_unreachable(self, result):
        self.record("unreachable", result)
'''


@dataclass(frozen=True)
class Played:
    """What became of a play."""

    code: int
    said: str
    results: list[dict[str, Any]]

    def ways(self, module: str) -> list[str]:
        """How the module ran, each time."""
        lines = [line for line in self.said.splitlines() if line.strip().startswith(f"{module} runs ")]
        return [IN_WORKER if line.endswith(IN_WORKER) else AS_PROGRAM for line in lines]

    def of(self, task: str) -> dict[str, Any]:
        """The last result of the task that is called so."""
        return next(entry["result"] for entry in reversed(self.results) if entry["task"] == task)


class Stage:
    """A directory with an inventory of one host on this machine, and a collection with a module of the tests' own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        collection = place / "collections" / "ansible_collections" / "example" / "doors"
        (collection / "plugins" / "modules").mkdir(parents=True)
        (collection / "meta").mkdir()
        (collection / "galaxy.yml").write_text("namespace: example\nname: doors\nversion: 1.0.0\n")
        routing = {"modules": {"odd": {"action_plugin": "pgops.supabase.in_worker"}}}
        runtime = {"requires_ansible": ">=2.19.0", "action_groups": {"all": ["odd"]}, "plugin_routing": routing}
        (collection / "meta" / "runtime.yml").write_text(json.dumps(runtime))
        shutil.copy(
            CLONE / "tests" / "integration" / "action" / "odd_module.py", collection / "plugins" / "modules" / "odd.py"
        )
        (place / "callbacks").mkdir()
        (place / "callbacks" / "recorder.py").write_text(RECORDER)

    def command(
        self, tasks: Sequence[dict[str, Any]], in_worker: bool, **variables: Any
    ) -> tuple[list[str], dict[str, str]]:
        """The command and the environment of a play of these tasks, whose results are recorded from now on."""
        host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        host |= {"ansible_async_dir": str(self.place / "async")} | variables
        (self.place / "hosts.json").write_text(json.dumps({"all": {"hosts": {"shop": host}}}))
        play = [{"hosts": "shop", "gather_facts": False, "tasks": list(tasks)}]
        (self.place / "play.yml").write_text(json.dumps(play))
        (self.place / "recorded").write_text("")
        (self.place / "ansible.cfg").write_text("[defaults]\n")
        collections = [self.place / "collections", CLONE / ".ansible" / "collections"]
        environment = {
            **module_environment(),
            "ANSIBLE_HOME": str(self.place / "ansible"),
            "ANSIBLE_CONFIG": str(self.place / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(map(str, collections)),
            "ANSIBLE_CALLBACK_PLUGINS": str(self.place / "callbacks"),
            "RECORDED": str(self.place / "recorded"),
            "PGOPS_PROGRESS_SOCKET": "/nowhere/progress",
        }
        program = str(Path(sys.executable).parent / "ansible-playbook")
        switch = json.dumps({"pgops_modules_in_worker": in_worker})
        return [program, "-vvv", "-i", "hosts.json", "-e", switch, "play.yml"], environment

    def play(
        self, tasks: Sequence[dict[str, Any]], in_worker: bool, *, env: dict[str, str] | None = None, **variables: Any
    ) -> Played:
        """Run these tasks on the one host."""
        command, environment = self.command(tasks, in_worker, **variables)
        done = subprocess.run(
            command,
            cwd=self.place,
            env=environment | (env or {}),
            capture_output=True,
            encoding="utf-8",
            timeout=600,
            check=False,
        )
        return Played(done.returncode, done.stdout + done.stderr, self.recorded())

    def recorded(self) -> list[dict[str, Any]]:
        """The results until now."""
        return [json.loads(line) for line in (self.place / "recorded").read_text().splitlines()]
