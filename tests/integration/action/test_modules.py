# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module of the collection, on a project of its own for each way to run it: what it answers, and what the database then holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.doors import AS_PROGRAM, IN_WORKER, Played, Stage
from tests.integration.live import CLONE, LiveProject, NewProject

FIRST, SECOND = "20260101000000", "20260102000000"
TABLES = "create table public.clients (id int primary key, name text); insert into public.clients values (1, 'One'), (2, 'Two');"
FILES = {
    f"migrations/{FIRST}_first.sql": "create table public.orders (id int primary key, client int references public.clients);",
    f"rollbacks/{FIRST}_first.sql": "drop table public.orders;",
    "checks.sql": "select case when count(*) = 2 then 'PASS: two' else 'FAIL: not two' end from public.clients;",
}
LOGIN = {"module_defaults": {"group/pgops.supabase.project": "{{ login }}"}}
BAD = f"migrations/{SECOND}_second.sql"


def task(module: str, _play: dict[str, Any] | None = None, /, **options: Any) -> dict[str, Any]:
    return {"name": module, f"pgops.supabase.{module}": options, "ignore_errors": True, **LOGIN, **(_play or {})}


CHECK = {"check_mode": True, "diff": True}
TASKS = [
    task("application_info", path="{{ place }}"),
    task("local_project", name="no such/name", state_dir="{{ place }}/servers"),
    task("project_marker", project="shop", project_ref="abcdefghijklmnopqrst", environment="dev"),
    task("project_marker", project="shop", project_ref="abcdefghijklmnopqrst", environment="dev"),
    task("migration_info", supabase_dir="{{ place }}/supabase"),
    task("migration_lint", supabase_dir="{{ place }}/supabase", fail_level="never"),
    task("migration_plan", supabase_dir="{{ place }}/supabase"),
    task("preflight_gates", project="shop", supabase_dir="{{ place }}/supabase", state_dir="{{ place }}/runs"),
    task("run_record", {"register": "opened"}, state_dir="{{ place }}/runs", project="shop"),
    task("run_lease", run_id="{{ opened.run_id }}"),
    task("maintenance", {"check_mode": True}, state="on", how={"strategy": "database"}),
    task("http_probe", api_url="http://127.0.0.1:9", probes=[{"name": "nobody", "url": "/x"}], stage="before"),
    task("row_counts", {"register": "before"}, run_dir="{{ opened.run_dir }}"),
    task("validation", files=["{{ place }}/supabase/checks.sql"], stage="before"),
    task("backup", project="shop", run_id="{{ opened.run_id }}", run_dir="{{ opened.run_dir }}"),
    task("backup_info", project_dir="{{ place }}/runs/shop"),
    task("schema_info", dest="{{ place }}/schema.json"),
    task("migration", CHECK, supabase_dir="{{ place }}/supabase"),
    task("migration", {"diff": True}, supabase_dir="{{ place }}/supabase", run_id="{{ opened.run_id }}"),
    task("migration", supabase_dir="{{ place }}/supabase"),
    task("schema_diff", before="file", file="{{ place }}/schema.json", after="live"),
    task("migration_verified", run_id="{{ opened.run_id }}"),
    task("promotion_info", supabase_dir="{{ place }}/supabase", versions=[FIRST], origin="shop"),
    task("migration_adopt", CHECK, supabase_dir="{{ place }}/supabase"),
    {
        "name": "A file that fails",
        "ansible.builtin.copy": {"dest": "{{ place }}/supabase/" + BAD, "content": "select 1/0;"},
    },
    task("migration", supabase_dir="{{ place }}/supabase"),
    {"name": "It is taken away", "ansible.builtin.file": {"path": "{{ place }}/supabase/" + BAD, "state": "absent"}},
    task("rollback", CHECK, supabase_dir="{{ place }}/supabase", reason="trial", export_dir="{{ place }}/exports"),
    task("rollback", supabase_dir="{{ place }}/supabase", reason="no more", export_dir="{{ place }}/exports"),
    task("rollback_draft", CHECK, supabase_dir="{{ place }}/supabase"),
    task("restore", project="shop", backup="{{ opened.run_dir }}/backup", aside="{{ place }}/aside"),
    task("typescript_types", CHECK, path="{{ place }}/types.ts", cache_dir="{{ place }}/none"),
    task("publish", {"check_mode": True}, repository="{{ place }}", branch="main"),
    task("notification", {"check_mode": True}, event="maintenance_on", project="shop", channels=[]),
    task("rehearsal", state_dir="{{ place }}/runs", project="shop"),
    task("run_lease", run_id="{{ opened.run_id }}", state="released"),
    task("run_record", state="finished", run_dir="{{ opened.run_dir }}"),
    task("run_info", project_dir="{{ place }}/runs/shop"),
    task("run_index", state_dir="{{ place }}/runs", project="shop"),
    task("reconciliation", login_host="127.0.0.1", login_port=1, source={"login_host": "127.0.0.1", "login_port": 1}),
    task("reconciliation_bridge", nonsense=True),
    task("health_info", login_host="127.0.0.1", login_port=1),
    task("monitor", nonsense=True),
    task("review", nonsense=True),
    task("scheduled_job_info"),
    task("scheduled_job", nonsense=True),
    task("migration_info"),
    task("migration_info", login_host="127.0.0.1", login_port=1, supabase_dir="{{ place }}/supabase"),
    task("migration", supabase_dir="{{ place }}/nowhere", nonsense=True),
]
MODULES = sorted(path.stem for path in (CLONE / "plugins" / "modules").glob("*.py"))
# Times, what is drawn by lot, and what is made of either.
_OF_THE_TIME = re.compile(
    r"""(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.]*(?:\+\d\d(?::?\d\d)?|Z)? | \b\d{8}T\d{6}Z(?:-[0-9a-f]{4})? | \b[0-9a-f]{64}\b
    | \b\d+\.\d+\s?(?:ms|s\b|GB\b|$) | \(\d+,\s\d+\) )""",
    re.VERBOSE,
)
_NAMES_OF_THE_TIME = re.compile(
    r"(^|_)(seconds|duration|elapsed|at|age|pid|lsn|bytes|size|xid|transaction_id|milliseconds|cost|event_id|snapshot|process)$"
)


def same(value: Any, names: dict[str, str]) -> Any:
    """A result without what differs between two runs of the same."""
    if isinstance(value, dict):
        return {key: same(item, names) for key, item in value.items() if not _NAMES_OF_THE_TIME.search(key)}
    if isinstance(value, list):
        return [same(item, names) for item in value]
    if isinstance(value, float):
        return "SECONDS"
    if isinstance(value, str):
        for name, instead in names.items():
            value = value.replace(name, instead)
        return _OF_THE_TIME.sub("TIME", value)
    return value


@pytest.fixture
def play(new_project: NewProject, tmp_path: Path) -> Any:
    stage = Stage(tmp_path)

    def run(way: str) -> tuple[Played, dict[str, str], LiveProject]:
        project = new_project()
        project.psql(TABLES)
        place = tmp_path / way.replace(" ", "-") / "shop"
        for name, content in FILES.items():
            (place / "supabase" / name).parent.mkdir(parents=True, exist_ok=True)
            (place / "supabase" / name).write_text(content)
        played = stage.play(TASKS, way == IN_WORKER, login=project.login, place=str(place))
        return played, {str(place): "PLACE", project.database: "DATABASE"}, project

    return run


def test_every_module_answers_the_same(play: Any) -> None:
    assert {task["name"] for task in TASKS} >= set(MODULES)
    answers, held = {}, {}
    for way in (IN_WORKER, AS_PROGRAM):
        played, names, project = play(way)
        ways = [line for module in MODULES for line in played.ways(f"pgops.supabase.{module}")]
        assert set(ways) == {way}, played.said
        answers[way] = [
            (entry["task"], entry["how"], same(entry["result"], names))
            for entry in played.results
            if entry["task"] in MODULES
        ]
        held[way] = project.psql("select event, version from pgops.ledger order by event_id")
        assert project.login["login_password"] not in json.dumps(played.results)
    assert {name for name, _how, _result in answers[IN_WORKER]} == set(MODULES)
    for one, other in zip(answers[IN_WORKER], answers[AS_PROGRAM], strict=True):
        assert one == other
    assert held[IN_WORKER] == held[AS_PROGRAM] != ""
