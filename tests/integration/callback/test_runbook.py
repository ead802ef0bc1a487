# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees of a run: real playbooks on a real server, on a terminal, through a pipe, and as JSON."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.application import TABLES, Application
from tests.integration.live import LiveProject, NewProject

# The phases of a run without probes and maintenance.
PHASES = ["1", "2", "3", "4", "5", "6", "7"]
ANSIBLES_WORDS = ("TASK [", "PLAY [", "PLAY RECAP", "fatal:", "[ERROR]", "included:")
GATES = {"preflight_waivers": {"git": "a test"}, "preflight_lint_fail_level": "never"}
STOPPED_BY_THE_DATABASE: dict[str, Any] = {"project_maintenance": {"strategy": "database", "drain_seconds": 0.5}}
WRITES_ARE_STOPPED = (
    "select exists (select from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase "
    "where d.datname = current_database() and 'default_transaction_read_only=on' = any(s.setconfig))"
)
WRONG = 'relation "public.nowhere" does not exist'


@pytest.fixture
def app(project: LiveProject, tmp_path: Path) -> Application:
    project.psql(TABLES)
    application = Application(project, tmp_path / "supabase")
    application.migration("20260101000000_note", "alter table public.orders add column note text;")
    return application


def run(app: Application, playbook: str, *arguments: str, tty: int | None = None, **more: Any) -> tuple[int, str]:
    """Run a playbook with the clone's callback; its exit code, and its standard output as it was written."""
    environment = more.pop("environment", {})
    command, options = app.command(playbook, **{**GATES, **more})
    del options["env"]["ANSIBLE_STDOUT_CALLBACK"]
    # Whoever runs the tests may want no colours; here they are what is looked at.
    options["env"].pop("NO_COLOR", None)
    options["env"] = {**options["env"], "TERM": "xterm-256color", **environment}
    if tty is None:
        done = subprocess.run([*command, *arguments], check=False, capture_output=True, timeout=300, **options)
        return done.returncode, done.stdout.decode()
    return on_terminal([*command, *arguments], tty, **options)


def on_terminal(command: list[str], columns: int, interrupt: str = "", **options: Any) -> tuple[int, str]:
    """Run on a terminal of that width, reading all the while.

    :param interrupt: when this was written, send what Ctrl-C sends.
    """
    ours, theirs = os.openpty()
    options["env"] = {**options["env"], "COLUMNS": str(columns), "LINES": "40"}
    written = bytearray()
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, **options
    ) as running:
        os.close(theirs)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            written += piece
            if interrupt and interrupt.encode() in written:
                os.killpg(running.pid, signal.SIGINT)
                interrupt = ""
        code = running.wait(60)
    os.close(ours)
    return code, written.decode()


def lines_that_stay(drawn: str) -> str:
    """What is left on the terminal of what was drawn: each line that is erased is gone."""
    screen: list[str] = [""]
    row = 0
    for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", drawn):
        if piece == "\n":
            row += 1
            if row == len(screen):
                screen.append("")
        elif piece == "\r":
            column = 0
            screen[row] = screen[row] if column else screen[row]
        elif piece.startswith("\x1b["):
            count = int(re.sub(r"\D", "", piece) or 1)
            if piece.endswith("A"):
                row = max(row - count, 0)
            elif piece.endswith("K"):
                screen[row] = ""
        else:
            screen[row] += piece
    return "\n".join(screen)


def numberless(text: str) -> str:
    return re.sub(r" +", " ", re.sub(r"\d{8}T\d{6}Z-\w+|[\d.,]+|/\S+", "N", text))


def test_a_good_run_is_a_line_a_phase_and_two_runs_say_the_same(app: Application) -> None:
    code, first = run(app, "migrate")
    assert code == 0, first
    assert not [word for word in ANSIBLES_WORDS if word in first], first
    phases = re.findall(r"^  (\d+)/7 +(\S.*?)  +ok +[\d.]+ s", first, re.MULTILINE)
    assert [number for number, _title in phases] == PHASES, first
    assert first.count("shop: MIGRATED: 1 migration, verified before COMMIT and after it") == 1
    assert len(first.splitlines()) < 30, first
    assert app.versions() == ["20260101000000"]
    app.migration("20260102000000_note", "alter table public.orders add column other text;")
    code, second = run(app, "migrate")
    assert code == 0 and numberless(second) == numberless(first)


@pytest.mark.parametrize("callback", ["runbook", "default"])
def test_a_failure_is_said_once(app: Application, callback: str) -> None:
    app.migration("20260102000000_wrong", "create table public.fine ();\nselect 1 from public.nowhere;")
    chosen = {} if callback == "runbook" else {"ANSIBLE_STDOUT_CALLBACK": "default"}
    for _time in range(2):
        code, said = run(app, "migrate", environment=chosen)
        assert code != 0
        # Ansible itself says every failing module's message twice: as an error, and in its result.
        assert said.count(WRONG) == (1 if callback == "runbook" else 2), said
        assert said.count("20260102000000_wrong.sql:2:") == 1, said
        assert said.count("the transaction was rolled back: catalog and data are as they were before") <= 1, said
        if callback == "runbook":
            (block,) = re.findall(r"^FAILED shop, in 5/7 Apply, verify and commit\n(?:  .*\n)+", said, re.MULTILINE)
            assert re.findall(r"^  (what|where|state|next|run) ", block, re.MULTILINE) == [
                "what", "where", "state", "next", "run",
            ]  # fmt: skip
            assert said.rstrip().endswith(block.rstrip()), said
    assert app.project.psql("select to_regclass('public.fine') is null") == "t"


def test_json_is_a_document_a_line(app: Application) -> None:
    app.migration("20260102000000_wrong", "select 1 from public.nowhere;")
    code, said = run(app, "migrate", environment={"PGOPS_OUTPUT": "json"})
    events = [json.loads(line) for line in said.splitlines()]
    assert code != 0 and [e["phase"] for e in events if e["event"] == "phase" and e["verdict"] == "FAILED"] == [
        "Apply, verify and commit"
    ]
    (failure,) = [event for event in events if event["event"] == "failure"]
    assert WRONG in failure["what"] and failure["where"].endswith(":1:15") and failure["next_step"]
    assert failure["code"] == "statement" and failure["state"].startswith("NOT APPLIED")
    assert said.count(json.dumps(WRONG)[1:-1]) == 1
    assert events[-1] == {"event": "end", "ok": [], "failed": ["shop"], "not_begun": []}


def test_on_a_terminal_the_same_lines_stay(app: Application) -> None:
    app.migration("20260102000000_slow", "select pg_sleep(1.5);\nselect 1;")
    code, drawn = run(app, "migrate", tty=120)
    assert code == 0, drawn
    assert "apply shop: run, " in drawn and "of 3 statements" in drawn, "no progress is drawn"
    assert "\x1b[0;32m" in drawn
    stays = lines_that_stay(drawn)
    assert "apply shop: run" not in stays, stays
    assert re.findall(r"(\d+)/7 ", stays) == PHASES, stays


def test_narrow_and_without_colour(app: Application) -> None:
    code, drawn = run(app, "migrate", tty=40, environment={"NO_COLOR": "1"})
    assert code == 0 and not re.search(r"\x1b\[[0-9;]*3[0-7]m", drawn), drawn
    phases = [line for line in lines_that_stay(drawn).splitlines() if re.match(r"  \d+/7 ", line)]
    assert len(phases) == len(PHASES) and max(map(len, phases)) <= 60, phases


def test_an_interrupt_says_where_and_leaves_the_database_as_it_was(app: Application) -> None:
    app.migration("20260102000000_slow", "create table public.half ();\nselect pg_sleep(60);")
    command, options = app.command("migrate", **GATES, **STOPPED_BY_THE_DATABASE)
    del options["env"]["ANSIBLE_STDOUT_CALLBACK"]
    options["env"] = {**options["env"], "TERM": "xterm"}
    code, drawn = on_terminal(command, 120, interrupt="apply shop: run", **options)
    assert code != 0 and "Traceback" not in drawn, drawn
    stays = re.sub(r"\x1b\[[0-9;]*m", "", lines_that_stay(drawn)).rstrip()
    assert "apply shop: run" not in stays, stays
    (block,) = re.findall(
        r"^INTERRUPTED shop, in 6/9 Apply, verify and commit\n(?:  .*\n?)+", stays + "\n", re.MULTILINE
    )
    assert re.findall(r"^  (what|where|state|next|run) ", block, re.MULTILINE) == ["state", "next", "run"], block
    assert "The application's writes are stopped." in " ".join(block.split()), block
    assert "-e maintenance_state=off" in block and "pgops.supabase.status -l shop" in block
    assert stays.endswith(block.rstrip()), stays
    assert app.project.psql("select to_regclass('public.half') is null") == "t"
    # What the block says is so, and what it says to type helps.
    assert app.project.psql(WRITES_ARE_STOPPED) == "t"
    code, said = run(app, "maintenance", maintenance_state="off", **STOPPED_BY_THE_DATABASE)
    assert code == 0 and app.project.psql(WRITES_ARE_STOPPED) == "f", said


def test_several_projects_are_a_line_each(app: Application, new_project: NewProject, tmp_path: Path) -> None:
    other = new_project()
    other.psql(TABLES)
    app.migration("20260102000000_fresh", "select 1 / (select count(*) from public.orders where id = 1);")
    command, options = app.command("migrate", **GATES)
    inventory = Path(command[2])
    hosts = json.loads(inventory.read_text())
    login = {f"project_db_{name}": other.login[f"login_{key}"] for name, key in (("name", "db"), ("port", "port"))}
    hosts["all"]["hosts"] = {"shop": hosts["all"]["hosts"]["shop"]}
    hosts["all"]["hosts"]["store"] = {**hosts["all"]["hosts"]["shop"], **login}
    hosts["all"]["hosts"]["third"] = {**hosts["all"]["hosts"]["shop"], **login}
    inventory.write_text(json.dumps(hosts))
    other.psql("delete from public.orders where id = 1")
    del options["env"]["ANSIBLE_STDOUT_CALLBACK"]
    done = subprocess.run(
        [*command[:3], "-l", "all", command[-1]], check=False, capture_output=True, encoding="utf-8", **options
    )
    said = done.stdout
    assert done.returncode != 0, said
    assert re.search(
        r"^Migrate: 3 projects\n  shop +ok +[\d.]+ s  MIGRATED: 2 migrations.*\n .*\n  store +FAILED ", said
    ), said
    assert said.count("division by zero") == 1 and "FAILED store, in 5/7 Apply" in said, said
    assert "1 ok, 1 FAILED, 1 not begun: third" in said


FOREIGN = """
- name: Ours among others
  hosts: shop
  gather_facts: false
  tasks:
    - name: Say hello
      ansible.builtin.debug:
        msg: "hello \\e[31mred\\e[0m ünïcode"
    - name: Make a file
      ansible.builtin.copy:
        content: "a\\n"
        dest: "{{ place }}"
        mode: "0600"
      diff: true
    - name: Allowed to fail
      ansible.builtin.command: "false"
      changed_when: false
      ignore_errors: true
    - name: Back up
      ansible.builtin.include_role:
        name: pgops.supabase.backup
    - name: A secret
      ansible.builtin.debug:
        msg: S3CR3T
      no_log: true
    - name: Break
      ansible.builtin.command: sh -c "echo out of paper >&2; exit 3"
      changed_when: false
"""


def test_a_foreign_playbook_with_our_roles(app: Application, tmp_path: Path) -> None:
    play, place = tmp_path / "play.yml", tmp_path / "made"
    play.write_text(FOREIGN)
    command, options = app.command("status", place=str(place))
    del options["env"]["ANSIBLE_STDOUT_CALLBACK"]
    done = subprocess.run([*command[:-1], play], check=False, capture_output=True, encoding="utf-8", **options)
    said = done.stdout
    assert done.returncode != 0
    assert "  hello red ünïcode\n" in said and "\x1b" not in said and "S3CR3T" not in said + done.stderr
    assert "  changed  Make a file\n" in said and "+a\n" in said
    assert "  ignored  Allowed to fail: " in said
    assert re.search(r"^ +Backup +ok +[\d.]+ s  [\d.]+ .B, ", said, re.MULTILINE), said
    assert re.search(r"^FAILED shop, in Break\n  what .*non-zero return code", said, re.MULTILINE), said
    assert said.count("out of paper") == 1
    listed = subprocess.run(
        [*command[:-1], play, "--list-tasks"], check=False, capture_output=True, encoding="utf-8", **options
    )
    assert listed.returncode == 0 and "Make a file" in listed.stdout


def test_without_rich_a_terminal_gets_plain_lines(app: Application, tmp_path: Path) -> None:
    (tmp_path / "none" / "rich").mkdir(parents=True)
    (tmp_path / "none" / "rich" / "__init__.py").write_text("raise ImportError('no rich')\n")
    found = os.pathsep.join(
        [str(tmp_path / "none"), *filter(None, [app.command("status")[1]["env"].get("PYTHONPATH")])]
    )
    code, drawn = run(app, "migrate", tty=120, environment={"PYTHONPATH": found})
    assert code == 0 and "\x1b[2K" not in drawn and "7/7" in drawn, drawn


def test_the_tasks_are_shown_when_asked_for(app: Application) -> None:
    code, details = run(app, "status", "-v")
    assert code == 0 and "  ok       Look at the backups, " in details and "TASK [" not in details
    code, tasks = run(app, "status", "-vv")
    assert code == 0 and "TASK [pgops.supabase.status : Look at the backups]" in tasks and "PLAY RECAP" in tasks
