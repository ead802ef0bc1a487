# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module gives one result, whether it runs in Ansible's worker or as a program of its own; and what it leaves behind ends with it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.integration.backups import wait_until
from tests.integration.doors import AS_PROGRAM, IN_WORKER, Played, Stage

ODD = "example.doors.odd"
SECRET = "unspeakable-4711"
# What may differ: where a program lies while it runs, and its number.
VARYING = (
    (re.compile(r"/[^\s\"]*/ansible(_odd_payload_|-tmp-|-moduletmp-)[^\s\"\\]*"), "PLACE"),
    (re.compile(r"\bj\d+\.\d+"), "JOB"),
)


def odd(name: str, _play: dict[str, Any] | None = None, /, **options: Any) -> dict[str, Any]:
    """A task of the module, whose failure is no end."""
    return {"name": name, ODD: options, "ignore_errors": True, **(_play or {})}


TASKS = [
    odd("look", do="look", anything={"text": "zażółć ☃", "list": [1, 2.5, None, True]}),
    odd("look in check mode", {"check_mode": True}, do="look"),
    odd(
        "look with an environment",
        {"environment": {"GREETING": "hello 'you' $HOME", "TZ": "Asia/Tokyo", "TMPDIR": "/var/tmp"}},
        do="look",
    ),
    odd("look with two", {"environment": [{"GREETING": "no"}, {"GREETING": 5}]}, do="look"),
    odd("look as Python is told", {"environment": {"PYTHONIOENCODING": "latin-1"}}, do="look"),
    odd("leave disorder", {"loop": [1, 2, 3], "environment": {"GREETING": "each {{ item }}"}}, do="leave disorder"),
    odd("look after it", do="look"),
    odd("tell", {"diff": True}, do="tell", secret=SECRET),
    odd("tell without a log", {"no_log": True}, do="tell", secret=SECRET),
    odd("refuse", do="refuse", secret=SECRET),
    odd("give up", do="give up"),
    odd("old names", deed="look", old="x"),
    odd("unknown option", do="look", nonsense=1),
    odd("nothing to do"),
    odd("no number", do="look", number="many"),
    odd("crash", do="crash", secret=SECRET),
    odd("return", do="return"),
    odd("exit 3", do="exit", anything=3),
    odd("exit with words", do="exit", anything="words"),
    odd("exit at once", do="exit at once"),
    odd("killed", do="die", number=int(signal.SIGKILL)),
    odd("terminated", do="die", number=int(signal.SIGTERM)),
    odd("segmentation fault", do="die", number=int(signal.SIGSEGV)),
    odd("print", do="print"),
    odd("print alone", do="print alone"),
    odd("return much", do="return much"),
    odd("return no text", do="return no text"),
    odd("use a directory", do="use a directory"),
    odd("asynchronous", {"async": 120, "poll": 1}, do="refuse"),
    odd("until", {"until": False, "retries": 1, "delay": 0}, do="print"),
    odd("failed by its task", {"failed_when": True}, do="print"),
    odd("not reached", {"when": False}, do="print"),
    odd("by the module's defaults", {"module_defaults": {ODD: {"do": "tell", "secret": SECRET}}}),
    odd("by the group's defaults", {"module_defaults": {"group/example.doors.all": {"do": "tell", "secret": SECRET}}}),
    odd("the fact", {"when": "fact == 1"}, do="print"),
]
PROGRAMS = {"look as Python is told", "asynchronous"}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    """All of it through both doors, in one place, so that paths agree."""
    stage = Stage(tmp_path_factory.mktemp("stage"))
    return {IN_WORKER: stage.play(TASKS, True), AS_PROGRAM: stage.play(TASKS, False)}


def told(played: Played, task: str) -> list[tuple[str, Any]]:
    """Every result of a task, without what may differ."""
    entries = [(entry["how"], entry["result"]) for entry in played.results if entry["task"] == task]
    assert entries, f"{task} has no result:\n{played.said}"
    text = json.dumps(entries)
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    parsed: list[tuple[str, Any]] = json.loads(text)
    return parsed


@pytest.mark.parametrize("task", [task["name"] for task in TASKS])
def test_results_are_the_same(played: dict[str, Played], task: str) -> None:
    assert told(played[IN_WORKER], task) == told(played[AS_PROGRAM], task)


def test_each_runs_where_it_should(played: dict[str, Played]) -> None:
    assert set(played[AS_PROGRAM].ways(ODD)) == {AS_PROGRAM}
    assert played[IN_WORKER].ways(ODD).count(AS_PROGRAM) == len(PROGRAMS)


def test_a_module_finds_and_leaves_nothing_of_another(played: dict[str, Played]) -> None:
    first = played[IN_WORKER].of("look")["found"]
    items = played[IN_WORKER].of("leave disorder")["results"]
    for item in items:
        assert item["found"]["left"] is None
        assert item["found"]["environment"]["GREETING"] == f"each {item['item']}"
    for found in (*(item["found"] for item in items), played[IN_WORKER].of("look after it")["found"]):
        for name in ("directory", "umask", "signals", "arguments", "encodings"):
            assert found[name] == first[name]
    assert played[IN_WORKER].of("look after it")["found"]["environment"]["GREETING"] is None


def test_no_secret_is_told(played: dict[str, Played]) -> None:
    for name in ("tell", "by the module's defaults", "by the group's defaults"):
        result = played[IN_WORKER].of(name)
        assert result["nested"]["key"][0] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
        # Ansible itself leaves what a module warns of as it is, so no module warns of a value.
        assert len(result["warnings"]) == len(result["deprecations"]) == 1
        assert SECRET not in json.dumps({**result, "warnings": None, "deprecations": None})


def test_a_module_that_is_killed_is_a_failed_task(played: dict[str, Played]) -> None:
    result = played[IN_WORKER].of("killed")
    assert (result["rc"], result["module_stderr"]) == (128 + signal.SIGKILL, "Killed\n")
    assert "deserialization failed" in result["msg"]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def wait_task(stage: Stage, **play: Any) -> dict[str, Any]:
    return odd("wait", play, do="wait", place=str(stage.place))


def runs(number: str) -> bool:
    """Whether the process is there, and is no mere remainder that nobody has asked for."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def all_ended(stage: Stage) -> bool:
    return not any(runs(number) for number in (stage.place / "waiting").read_text().split())


def test_a_tasks_time_over_ends_the_module_and_what_it_started(stage: Stage) -> None:
    played = {}
    for way in (IN_WORKER, AS_PROGRAM):
        # Where it is a program of its own, Ansible leaves it to itself.
        for name in ("waiting", "left", "end"):
            (stage.place / name).unlink(missing_ok=True)
        played[way] = stage.play([wait_task(stage, timeout=20)], way == IN_WORKER)
        if way == IN_WORKER:
            assert (stage.place / "left").read_text() == "in order"
            assert all_ended(stage)
        (stage.place / "end").touch()
        wait_until(lambda: all_ended(stage), "the module has ended")
    assert told(played[IN_WORKER], "wait") == told(played[AS_PROGRAM], "wait")
    assert "Timed out after 20 second(s)" in played[IN_WORKER].of("wait")["msg"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_module_and_what_it_started(stage: Stage, number: signal.Signals) -> None:
    command, environment = stage.command([wait_task(stage)], True)
    with subprocess.Popen(
        command,
        cwd=stage.place,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        wait_until(
            lambda: (stage.place / "waiting").exists() and (stage.place / "waiting").read_text() != "", "it waits"
        )
        os.kill(process.pid, number)
        process.wait(120)
    wait_until(lambda: all_ended(stage), "the module has ended")
    assert (stage.place / "left").read_text() == "in order"
    assert stage.recorded() == []


def test_another_interpreter_runs_the_module(stage: Stage) -> None:
    other = stage.place / "other"
    venv.create(other, system_site_packages=True, symlinks=True)
    played = stage.play([odd("look", do="look")], True, ansible_python_interpreter=str(other / "bin" / "python"))
    assert played.ways(ODD) == [AS_PROGRAM]
    assert played.of("look")["found"]["python"] == str(other / "bin")


def test_the_same_interpreter_by_another_name_is_no_other(stage: Stage) -> None:
    names = [path for path in Path(sys.executable).parent.glob("python*") if path.samefile(sys.executable)]
    for name in names:
        assert stage.play([odd("look", do="look")], True, ansible_python_interpreter=str(name)).ways(ODD) == [IN_WORKER]


def test_files_that_are_to_be_kept_are_kept(stage: Stage) -> None:
    played = stage.play([odd("look", do="look")], True, env={"ANSIBLE_KEEP_REMOTE_FILES": "1"})
    assert played.ways(ODD) == [AS_PROGRAM]


def test_a_delegated_task_goes_by_the_other_hosts_variables(stage: Stage) -> None:
    there = {
        "name": "there",
        "ansible.builtin.add_host": {
            "name": "there",
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "pgops_modules_in_worker": False,
        },
    }
    here = [odd("here", do="look"), odd("delegated", {"delegate_to": "there"}, do="look")]
    command, environment = stage.command([there, *here], True)
    # The command line would hold for every host.
    command = [argument for argument in command if argument != "-e" and not argument.startswith("{")]
    done = subprocess.run(
        command, cwd=stage.place, env=environment, capture_output=True, encoding="utf-8", timeout=600, check=False
    )
    assert Played(done.returncode, done.stdout, stage.recorded()).ways(ODD) == [IN_WORKER, AS_PROGRAM]
